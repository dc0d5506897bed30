"""Take back the jobs of workers that have died, once nothing of their commands runs any more."""

from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from queuectl import liveness, logs
from queuectl.errors import JobNotFound, StoreError
from queuectl.job import Job, State
from queuectl.stores.base import Store

if TYPE_CHECKING:
    from logging import Logger


def _log() -> "Logger":
    import logging  # here, as what ends processes: nearly every command asks for dead workers, and finds none

    return logging.getLogger("queuectl")


def rescue_dead(store: Store, folder: Path) -> list[Job]:
    """Take back the jobs of all workers whose files are left without an owner; return them as they now stand.

    Costs a look into a small folder when nothing is dead. One that is being
    rescued by another process is left to that.
    """
    liveness.forget_dead_pools(folder)
    dead = [info.worker_id for info in liveness.read_workers(folder) if not info.is_alive]
    if not dead:
        return []
    rescued = [job for worker_id in dead for job in _rescue(store, folder, worker_id)]
    publish(store, folder)
    return rescued


def rescue_orphans(store: Store, folder: Path) -> list[Job]:
    """As ``rescue_dead``, and the jobs of workers that have left nothing at all, as after a copy of the folder."""
    rescued = rescue_dead(store, folder)
    known = {info.worker_id for info in liveness.read_workers(folder)}
    for worker_id, jobs in _claims(store).items():
        if worker_id in known:
            continue
        if liveness.is_worker_id(worker_id):
            rescued += _rescue(store, folder, worker_id)
        else:  # no worker of ours has ever made such a claim
            rescued += store.rescue(_tokens(jobs), is_crash=False, now=datetime.now(UTC))
    return rescued


def give_back_unseen(store: Store, folder: Path) -> list[Job]:
    """Take back what ``rescue_orphans`` has left: jobs of dead workers whose processes cannot be seen, or ended.

    To be called only on the word of a person that nothing of them runs any more. No crash is counted.
    """

    given_back = []
    for worker_id in _claims(store):
        held = liveness.hold_dead(folder, worker_id) if liveness.is_worker_id(worker_id) else None
        if held is not None:
            with held:
                given_back += store.rescue(_tokens(_claims(store)[worker_id]), is_crash=False, now=datetime.now(UTC))
                held.remove()
    return given_back


def publish(store: Store, folder: Path) -> bool:
    """Say in the store which workers of the queue are running now; return whether that was possible."""

    def running() -> list[int]:
        return [info.pid for info in liveness.read_workers(folder) if info.is_alive and info.pid is not None]

    try:
        store.publish_workers(running)
    except (StoreError, OSError) as error:
        _log().error("cannot say which workers run: %s", error)
        return False
    return True


def _claims(store: Store) -> defaultdict[str, list[Job]]:
    """Return the jobs in progress by the worker that claimed them."""
    claims = defaultdict(list)
    for job in store.claimed():
        claims[liveness.worker_of(job)].append(job)
    return claims


def _tokens(jobs: list[Job]) -> list[str]:
    return [job.claim for job in jobs if job.claim is not None]


def _rescue(store: Store, folder: Path, worker_id: str) -> list[Job]:
    from queuectl import processes

    held = liveness.hold_dead(folder, worker_id)
    if held is None:
        return []
    with held:
        jobs = _claims(store)[worker_id]  # not before: it may have claimed another, or its jobs may be taken back
        info = held.info
        # After a reboot nothing of the command is left, and the job is not to blame. Nor is it if nothing is known.
        is_crash = info.boot_id == processes.boot_id()
        ended = [job for job in jobs if info.boot_id not in (None, processes.boot_id()) or _end(job, info)]
        for job in ended if is_crash else ():  # else the attempt does not count, and the next gets its number
            logs.keep_outputs(job, partial(logs.move_outputs, folder, job))
        rescued = store.rescue(_tokens(ended), is_crash=is_crash, now=datetime.now(UTC))
        if len(ended) == len(jobs) and _end_unclaimed(store, jobs, info):
            held.remove()
    for job in rescued:
        _log().warning("worker %s died: job %s is %s", info.pid or worker_id, job.id, job.state)
    return rescued


def _end_unclaimed(store: Store, jobs: list[Job], info: liveness.WorkerInfo) -> bool:
    """End what a dead worker has left running of a job whose claim somebody has edited away; say whether nothing is.

    What a completed job has left in the background may stay.
    """
    from queuectl import processes

    if info.token is None or info.boot_id != processes.boot_id() or info.token in _tokens(jobs):
        return True
    with suppress(JobNotFound):
        if store.job(info.job_id or "").state is State.COMPLETED:
            return True
    session, start = (None, None) if info.is_elsewhere else (info.session, info.session_start)
    return _is_ended(info.job_id, processes.end_all(info.token, session, start))


def _end(job: Job, info: liveness.WorkerInfo) -> bool:
    """End what is left of the command of *job*; say whether nothing is."""
    from queuectl import processes

    token = job.claim or ""
    # A worker that was killed right after the claim had not noted it yet; one of a container has noted other numbers.
    is_noted = info.token == token and not info.is_elsewhere
    problems = processes.end_all(token, info.session if is_noted else None, info.session_start if is_noted else None)
    if (unseen := processes.why_unseen(info.namespace)) is not None:
        problems.append(unseen)
    return _is_ended(job.id, problems)


def _is_ended(job_id: str | None, problems: list[str]) -> bool:
    if problems:
        _log().error("job %s cannot be taken back: %s", job_id, "; ".join(problems))
    return not problems
