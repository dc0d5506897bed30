"""What becomes of a job: the only place that decides it.

Pure functions ``(job, event, now) → job``. Every store and every test uses
them; a store saves what they return and decides nothing itself.
"""

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from queuectl import backoff, times
from queuectl.errors import Conflict
from queuectl.job import MAX_ERROR, Claim, Job, OnCrash, Outcome, State

if TYPE_CHECKING:
    from queuectl.specs import JobSpec

MAX_CRASHES = 3  #: a job that has taken this many workers down with it is dead


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long failed jobs wait; the fields are settings of the same names."""

    base: float
    max_delay_s: float
    jitter: float


def create(spec: "JobSpec", *, id: str, max_retries: int, seq: int, now: datetime) -> Job:
    """Return the pending job that *spec* asks for; *max_retries* holds where it names none."""
    moment = times.to_text(now)
    job = Job(
        id=id,
        command=spec.command,
        state=State.PENDING,
        attempts=0,
        max_retries=max_retries if spec.max_retries is None else spec.max_retries,
        timeout=spec.timeout,
        env=spec.env or {},
        cwd=spec.cwd,
        created_at=moment,
        updated_at=moment,
        seq=seq,
    )
    more = spec.more()
    return msgspec.structs.replace(job, **more) if more else job


def is_ready(job: Job, now: datetime) -> bool:
    """Whether a worker may claim *job* now."""
    return job.state.is_waiting and not job.held and (job.run_at is None or job.run_at <= times.to_text(now))


def rank(job: Job) -> tuple[int, int]:
    """Return the place of *job* among those that are ready: the least is claimed first."""
    return -job.priority, job.seq


def claim(job: Job, claim: Claim, *, now: datetime) -> Job:
    """Return *job* as the attempt that *claim* stands for begins; the attempt counts from here on."""
    moment = times.to_text(now)
    return msgspec.structs.replace(
        job,
        state=State.IN_PROGRESS,
        attempts=job.attempts + 1,
        run_at=None,
        updated_at=moment,
        started_at=moment,
        finished_at=None,
        exit_code=None,
        error=None,
        worker=claim.pid,
        claim=claim.token,
    )


def settle(job: Job, outcome: Outcome, *, policy: RetryPolicy, now: datetime, sample: float = 0.5) -> Job:
    """Return *job* as it stands once an attempt has ended with *outcome*.

    A failed job waits for its next attempt; one with no attempt left is dead;
    one that was to be cancelled is, whatever its command made of that.
    *sample*, from 0 to 1, is the draw for the jitter.
    """
    code = None if outcome.timed_out else outcome.exit_code
    has_succeeded = is_success(job, code)
    error = outcome.error or ("exit code 0" if code == 0 else "")  # a failure only to this job
    ended = _released(
        job,
        now,
        finished_at=times.to_text(now),
        exit_code=outcome.exit_code,
        error=None if has_succeeded else error[:MAX_ERROR] or None,
    )
    if job.cancel_requested:
        return _cancelled(ended, now)
    if has_succeeded:
        return msgspec.structs.replace(ended, state=State.COMPLETED)
    failures = job.failures + 1
    if failures >= job.max_retries or _is_fatal(job, code):
        return msgspec.structs.replace(ended, state=State.DEAD)
    return _waiting(ended, failures, policy, now, sample)


def is_success(job: Job, exit_code: int | None) -> bool:
    """Whether *job* is completed once its command has ended with *exit_code*, None for any other end."""
    return exit_code in job.success_codes if job.success_codes else exit_code == 0


def _is_fatal(job: Job, exit_code: int | None) -> bool:
    """Whether a failed *job* is not to be tried again."""
    is_other = bool(job.retry_codes) and exit_code not in job.retry_codes
    return exit_code is not None and (exit_code in job.fatal_codes or is_other)


def _waiting(job: Job, failures: int, policy: RetryPolicy, now: datetime, sample: float) -> Job:
    """Return *job* as it waits after its failure number *failures*; what it says itself goes before *policy*."""
    wait_s = backoff.delay_s(
        failures,
        base=policy.base if job.base is None else job.base,
        max_delay_s=policy.max_delay_s if job.max_delay is None else job.max_delay,
        jitter=policy.jitter if job.jitter is None else job.jitter,
        sample=sample,
    )
    return msgspec.structs.replace(job, state=State.FAILED, run_at=times.to_text(times.later(now, wait_s)))


def give_back(job: Job, *, now: datetime) -> Job:
    """Return *job* as its worker stops before the command has ended: the attempt is not counted."""
    freed = _released(job, now, attempts=job.attempts - 1, started_at=None)
    return _cancelled(freed, now) if job.cancel_requested else msgspec.structs.replace(freed, state=State.PENDING)


def rescue(job: Job, *, is_crash: bool, policy: RetryPolicy, now: datetime, sample: float = 0.5) -> Job:
    """Return *job* after its worker has died; *is_crash* is false when the machine went down.

    Unless it says otherwise (``OnCrash``), it is pending again in its old
    place. A job that keeps killing its workers is dead, with its last attempt
    as the evidence.
    """
    if not is_crash:
        return give_back(job, now=now)
    if job.on_crash is OnCrash.RETRY:
        freed = _released(job, now, crashes=job.crashes + 1, started_at=None)
        error, is_dead = f"worker crashed {freed.crashes} times", freed.crashes >= MAX_CRASHES
    else:
        freed = _released(job, now)
        error, is_dead = "worker crashed", job.on_crash is OnCrash.DEAD or job.failures + 1 >= job.max_retries
    if job.cancel_requested:
        return _cancelled(freed, now)
    if is_dead:
        return msgspec.structs.replace(freed, state=State.DEAD, finished_at=times.to_text(now), error=error)
    if job.on_crash is OnCrash.RETRY:
        return msgspec.structs.replace(freed, state=State.PENDING)
    failed = msgspec.structs.replace(freed, finished_at=times.to_text(now), error=error)
    return _waiting(failed, job.failures + 1, policy, now, sample)


def check_dead(job: Job) -> None:
    """Raise ``Conflict`` if *job* is not dead."""
    if job.state is not State.DEAD:
        msg = f'Job "{job.id}" is {job.state}, not dead: "dlq list" shows the dead jobs.'
        raise Conflict(msg, id=job.id, state=job.state)


def revive(job: Job, *, seq: int, now: datetime) -> Job:
    """Return the dead *job* as a pending one at place *seq*, with all its attempts before it."""
    check_dead(job)
    fresh = msgspec.structs.replace(
        job,
        finished_at=None,
        exit_code=None,
        error=None,
        started_at=None,
        run_at=None,
        first_seq=job.first_seq or job.seq,
        earlier_attempts=job.earlier_attempts + job.attempts,
    )
    return _released(fresh, now, state=State.PENDING, attempts=0, crashes=0, seq=seq)


def cancel(job: Job, *, now: datetime) -> Job:
    """Return *job* as cancelled or, if it runs, with the request that its worker obeys."""
    if job.state.is_final:
        msg = f'Job "{job.id}" is already {job.state}: there is nothing to cancel.'
        raise Conflict(msg, id=job.id, state=job.state)
    if job.state is State.IN_PROGRESS:
        return msgspec.structs.replace(job, cancel_requested=True, updated_at=times.to_text(now))
    return _cancelled(_released(job, now, run_at=None, held=False), now)


def hold(job: Job, *, now: datetime) -> Job:
    """Return the waiting *job* as one that no worker may claim before it is released."""
    if not job.state.is_waiting:
        ended = "runs" if job.state is State.IN_PROGRESS else f"is already {job.state}"
        msg = f'Job "{job.id}" {ended}: only jobs that wait can be held.'
        raise Conflict(msg, id=job.id, state=job.state)
    if job.held:
        msg = f'Job "{job.id}" is held already: "release {job.id}" lets it go on.'
        raise Conflict(msg, id=job.id, state=job.state)
    return msgspec.structs.replace(job, held=True, updated_at=times.to_text(now))


def release(job: Job, *, now: datetime) -> Job:
    """Return the held *job* as one that waits like others, in its old place."""
    if not job.held:
        msg = f'Job "{job.id}" is not held: there is nothing to release.'
        raise Conflict(msg, id=job.id, state=job.state)
    return msgspec.structs.replace(job, held=False, updated_at=times.to_text(now))


def check_removable(job: Job) -> None:
    """Raise ``Conflict`` if *job* runs: it has to be cancelled first."""
    if job.state is State.IN_PROGRESS:
        msg = f'Job "{job.id}" is running: "cancel {job.id}" first.'
        raise Conflict(msg, id=job.id, state=job.state)


def _cancelled(job: Job, now: datetime) -> Job:
    return msgspec.structs.replace(job, state=State.CANCELLED, finished_at=times.to_text(now))


def _released(job: Job, now: datetime, **changes: object) -> Job:
    """Return *job* without its claim, changed at *now*."""
    return msgspec.structs.replace(
        job, worker=None, claim=None, cancel_requested=False, updated_at=times.to_text(now), **changes
    )
