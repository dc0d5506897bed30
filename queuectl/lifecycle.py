"""What becomes of a job: the only place that decides it.

Pure functions ``(job, event, now) → job``. Every store and every test uses
them; a store saves what they return and decides nothing itself.
"""

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from queuectl import backoff, times
from queuectl.errors import Conflict
from queuectl.job import MAX_ERROR, Claim, Job, Outcome, State

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
    return Job(
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


def is_ready(job: Job, now: datetime) -> bool:
    """Whether a worker may claim *job* now."""
    return job.state.is_waiting and (job.run_at is None or job.run_at <= times.to_text(now))


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
    ended = _released(
        job,
        now,
        finished_at=times.to_text(now),
        exit_code=outcome.exit_code,
        error=None if outcome.succeeded else (outcome.error or "")[:MAX_ERROR] or None,
    )
    if job.cancel_requested:
        return _cancelled(ended, now)
    if outcome.succeeded:
        return msgspec.structs.replace(ended, state=State.COMPLETED)
    failures = job.failures + 1
    if failures >= job.max_retries:
        return msgspec.structs.replace(ended, state=State.DEAD)
    wait_s = backoff.delay_s(
        failures, base=policy.base, max_delay_s=policy.max_delay_s, jitter=policy.jitter, sample=sample
    )
    return msgspec.structs.replace(ended, state=State.FAILED, run_at=times.to_text(times.later(now, wait_s)))


def give_back(job: Job, *, now: datetime) -> Job:
    """Return *job* as its worker stops before the command has ended: the attempt is not counted."""
    freed = _released(job, now, attempts=job.attempts - 1, started_at=None)
    return _cancelled(freed, now) if job.cancel_requested else msgspec.structs.replace(freed, state=State.PENDING)


def rescue(job: Job, *, is_crash: bool, now: datetime) -> Job:
    """Return *job* after its worker has died; *is_crash* is false when the machine went down.

    It is pending again in its old place. A job that keeps killing its workers
    is dead, with its last attempt as the evidence.
    """
    if not is_crash:
        return give_back(job, now=now)
    freed = _released(job, now, crashes=job.crashes + 1, started_at=None)
    if job.cancel_requested:
        return _cancelled(freed, now)
    if freed.crashes >= MAX_CRASHES:
        error = f"worker crashed {freed.crashes} times"
        return msgspec.structs.replace(freed, state=State.DEAD, finished_at=times.to_text(now), error=error)
    return msgspec.structs.replace(freed, state=State.PENDING)


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
    return _cancelled(_released(job, now, run_at=None), now)


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
