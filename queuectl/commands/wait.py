"""The command ``wait``: it watches the store, and reads only when something has changed."""

import math
import time
from contextlib import suppress

import click

from queuectl.commands import advice
from queuectl.commands.context import Context
from queuectl.commands.declare import Command, read_duration, reads
from queuectl.commands.progress import Progress
from queuectl.commands.results import JobsEnded, Result
from queuectl.commands.selection import unique
from queuectl.completion import UNFINISHED, job_ids
from queuectl.errors import JobNotFound, StoreBusy, WaitTimedOut
from queuectl.job import Job, State
from queuectl.stores.base import Store
from queuectl.times import format_duration, to_text

_GLANCE_S = 0.02  # between looks at the store's stamp
_ROUND_S = 1.0  # between looks at workers, and at jobs when nothing has changed
_SHORTEST_PATIENCE_S = 1.0  # with others who use the queue, even at the end: they mostly do for a moment
_SHARE = 4  # looking pauses for so many times as long as it has taken

_FEW = 100  # jobs that are looked up one by one, to say how far they are

_UNFINISHED = frozenset(state for state in State if not state.is_final)


@click.command("wait", cls=Command, examples=("wait", "wait job1 job2 --timeout 1m", "wait --exit-zero"))
@click.argument("ids", metavar="[ID...]", nargs=-1, shell_complete=job_ids(*UNFINISHED))
@click.option(
    "--timeout",
    metavar="T",
    callback=read_duration,
    help="Give up after this time (90, 90s, 1h30m), with exit code 124.",
)
@click.option("--exit-zero", is_flag=True, help="End with 0 even if a job is dead or cancelled.")
@reads
@click.pass_obj
def wait(context: Context, ids: tuple[str, ...], timeout: float | None, exit_zero: bool) -> Result:
    """Wait until the named jobs, or all jobs, have ended.

    A job has ended once it is completed, dead or cancelled. The exit code is 1 if any is dead or cancelled.
    """
    store = context.store
    usual_patience_s = store.patience_s
    until = math.inf if timeout is None else time.monotonic() + timeout
    verdict = f"Gave up after {format_duration(timeout or 0)}"
    try:
        _lower_patience(store, until)
        context.rescue()
        with Progress("jobs ended") as progress:
            if not context.is_small:
                progress.announce("Reading the queue ...")
            goal = _Named(context, unique(ids)) if ids else _All(context)
            if not _watch(context, goal, until, progress):
                msg = f"{verdict}: {goal.describe()}."
                raise WaitTimedOut(msg)
    except StoreBusy as error:
        if time.monotonic() < until:
            raise
        msg = f"{verdict}. {error.message}"
        raise WaitTimedOut(msg) from error
    finally:
        store.patience_s = usual_patience_s
    ended = goal.ended()
    context.advise(lambda: advice.on_ended(ended))
    return JobsEnded(ended, forgives=exit_zero)


class _Named:
    """The end of certain jobs."""

    def __init__(self, context: Context, ids: list[str]) -> None:
        self._store = context.store
        self._ended: list[Job] = []
        for id in ids:
            self._store.job(id)  # raises for one that is not there, before any waiting
        self._ids = ids

    def is_reached(self) -> bool:
        """Whether all have ended; looks at one unfinished job, however many there are."""
        while len(self._ended) < len(self._ids):
            job = self._store.job(self._ids[len(self._ended)])
            if not job.state.is_final:
                return False
            self._ended.append(job)
        return True

    def describe(self) -> str:
        """Say what is being waited for."""
        job = self._store.job(self._ids[len(self._ended)])
        return f'job "{job.id}" is {job.state}'

    def measure(self) -> tuple[int, int]:
        """Return how many have ended, and of how many."""
        rest = self._ids[len(self._ended) :]
        ended = sum(self._store.job(id).state.is_final for id in rest) if len(rest) <= _FEW else 0
        return len(self._ended) + ended, len(self._ids)

    def ended(self) -> list[Job]:
        """Return the jobs, in the order of their names."""
        return self._ended


class _All:
    """The end of every job that is unfinished now or is enqueued meanwhile."""

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._since = to_text(context.now())
        unfinished = self._store.jobs(_UNFINISHED)
        # The time alone would miss a job that had ended but was not settled yet.
        self._ids = {job.id for job in unfinished}
        self._watched = unfinished[-1].id if unfinished else None
        self._ended_before: int | None = None

    def is_reached(self) -> bool:
        """Whether no job is unfinished; looks at one job, the likely last, and at all only when that has ended."""
        while self._watched is not None:
            with suppress(JobNotFound):  # it was removed
                if not self._store.job(self._watched).state.is_final:
                    return False
            unfinished = self._store.jobs(_UNFINISHED)
            self._watched = unfinished[-1].id if unfinished else None
        return True

    def describe(self) -> str:
        """Say what is being waited for."""
        counts = self._store.counts()
        count = sum(counts[state] for state in _UNFINISHED)
        return f"{count} job{'s have' if count != 1 else ' has'} not ended"

    def measure(self) -> tuple[int, int]:
        """Return how many have ended meanwhile, and of how many."""
        counts = self._store.counts()
        unfinished = sum(counts[state] for state in _UNFINISHED)
        ended = sum(counts.values()) - unfinished
        if self._ended_before is None:
            self._ended_before = sum(counts.values()) - len(self._ids)
        self._ended_before = max(0, min(self._ended_before, ended))  # jobs can be removed, and revived
        return ended - self._ended_before, ended - self._ended_before + unfinished

    def ended(self) -> list[Job]:
        """Return what was waited for, in the order of enqueueing; what had ended before is no part of it."""
        if not self._ids:
            return []
        return [
            job
            for job in self._store.jobs()
            if job.state.is_final and (job.id in self._ids or job.updated_at >= self._since)
        ]


def _lower_patience(store: Store, until: float) -> None:
    """Let *store* not wait for other processes much beyond *until*."""
    patience_s = math.inf if store.patience_s is None else store.patience_s
    store.patience_s = min(patience_s, max(until - time.monotonic(), _SHORTEST_PATIENCE_S))


def _watch(context: Context, goal: _Named | _All, until: float, progress: Progress) -> bool:
    """Return whether *goal* was reached before *until*. Meanwhile *progress* is shown."""
    next_round = 0.0
    is_warned = False
    while True:
        began = time.monotonic()
        _lower_patience(context.store, until)
        stamp = context.store.stamp()
        if goal.is_reached():
            return True
        if began >= next_round:
            context.rescue()
            if not is_warned and not context.has_workers():
                progress.clear()
                context.notify('No worker is running: "worker start" starts one.')
                is_warned = True
            next_round = began + _ROUND_S
        rest_until = time.monotonic() + _SHARE * (time.monotonic() - began)
        while True:
            now = time.monotonic()
            if now >= until:
                return False
            if now >= next_round or (now >= rest_until and context.store.stamp() != stamp):
                break
            if progress.is_due():
                done, total = goal.measure()
                progress.show(done, total, took_s=time.monotonic() - now)
            time.sleep(min(_GLANCE_S, until - now))
