"""One worker: claim a job, run it, settle it and claim the next, until told to stop.

What becomes of a job is decided in ``lifecycle``, how it is run in ``runner``
and ``watch``, when to sleep in ``waiter``.
"""

import itertools
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from queuectl import logs
from queuectl.errors import StoreError
from queuectl.job import Claim, Job, Outcome
from queuectl.liveness import WorkerDisowned, WorkerFile
from queuectl.rescue import rescue_dead
from queuectl.runner import Attempt, Runner, StartFailure
from queuectl.stores.base import Settlement, Store
from queuectl.waiter import POLL_S, RETRY_S, Waiter
from queuectl.watch import Cause, Watch

log = logging.getLogger("queuectl")
_T = TypeVar("_T")


class Worker:
    """The worker of this process."""

    def __init__(self, store: Store, folder: Path, file: WorkerFile, *, pool_pid: int) -> None:
        """Work on *store*; *file* says to others that this worker lives, and *pool_pid* is its parent."""
        self._store = store
        self._folder = folder
        self._file = file
        self._runner = Runner()
        self._out, self._err = logs.running_names(folder, file.worker_id)
        self._bell = store.bell(file.worker_id)
        self._waiter = Waiter(store, self._bell)
        self._signals = self._waiter.signals
        self._numbers = itertools.count(1)
        self._pool_pid = pool_pid
        self._look_at = 0.0
        self.holds_job = False  #: whether it has claimed a job that is neither settled nor given back

    def run(self) -> None:
        """Work until told to stop. Raises ``WorkerDisowned`` if others take this worker for dead."""
        job: Job | None = None
        try:
            while job is not None or (job := self._await_job()) is not None:
                job = self._work_on(job)
        finally:
            self._insist(self._store.flush)
            if self._bell:
                self._bell.close()
            self._runner.close()

    def _next_claim(self) -> Claim | None:
        """Return a fresh claim, or None if this worker is to take no more jobs."""
        if self._signals.is_stopping:
            return None
        self._file.check()
        return Claim(os.getpid(), f"{self._file.worker_id}.{next(self._numbers)}")

    def _await_job(self) -> Job | None:
        """Sleep until there is a job for this worker; return None if it is told to stop."""
        self._set_idle(True)
        try:
            while (claim := self._next_claim()) is not None:
                job = self._claim(claim)
                if job is not None:
                    self.holds_job = True
                    self._waiter.note_change()
                    return job
                self._stand_in_for_pool()
                if self._waiter.wait(self._idle_s()):
                    self._set_idle(True)  # who rang has marked this worker as busy
            return None
        finally:
            self._set_idle(False)

    def _set_idle(self, is_idle: bool) -> None:
        if self._bell:
            self._bell.set_idle(is_idle=is_idle)

    def _claim(self, claim: Claim) -> Job | None:
        try:
            return self._store.claim(claim, now=_now())
        except (StoreError, OSError) as error:
            log.error("cannot claim a job, trying again: %s", error)
            self._waiter.wait(RETRY_S)
            return None

    def _idle_s(self) -> float:
        due = self._store.next_due()
        return self._waiter.poll_s if due is None else min(self._waiter.poll_s, (due - _now()).total_seconds())

    def _work_on(self, job: Job) -> Job | None:
        """Run *job* and settle it; return the job that was claimed in the same transaction, if any."""
        self._stand_in_for_pool()
        try:
            attempt = self._runner.start(
                job.command,
                cwd=job.cwd,
                env=job.env,
                token=job.claim or "",
                job_id=job.id,
                attempt_number=job.attempts,
                out_path=self._out,
                err_path=self._err,
            )
        except OSError as error:
            # The machine's fault, not the job's: no attempt was made.
            log.error("cannot start job %s, it goes back to the queue: %s", job.id, error)
            self._give_back(job)
            self._waiter.wait(RETRY_S)
            return None
        if isinstance(attempt, StartFailure):
            settlement = self._settle(job, Outcome(error=attempt.error))
            return settlement.next if settlement else None
        self._file.note_attempt(job.id, attempt.token, attempt.pid, attempt.session_start)
        watch = Watch(job, attempt, self._store, self._waiter)
        outcome = watch.run()
        if watch.cause in (Cause.STOP, Cause.DISOWNED):
            # It does not count, and the next attempt gets its number; or whoever took the job has taken this, too.
            attempt.remove_outputs()
        elif attempt.has_output and not self._insist(lambda: self._keep_output(attempt, job)):
            return None
        following = None
        if watch.cause is Cause.STOP:
            self._give_back(job)
        elif watch.cause is Cause.DISOWNED:
            self.holds_job = False
        elif (settlement := self._settle(job, outcome)) is not None:
            following = settlement.next
            if settlement.settled is None:
                log.warning("the result of job %s was discarded: its claim no longer held", job.id)
                attempt.kill()
        if following is None:
            self._file.note_idle()
        return following

    def _stand_in_for_pool(self) -> None:
        """Take back the jobs of dead workers now and then, if the pool that did so has died."""
        if os.getppid() == self._pool_pid or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + POLL_S
        try:
            rescue_dead(self._store, self._folder)
        except (StoreError, OSError) as error:
            log.error("cannot take back jobs, trying again: %s", error)

    def _keep_output(self, attempt: Attempt, job: Job) -> bool:
        """Put what *attempt* has written where it stays, or away; raise ``OSError`` while the disk is full."""
        names = logs.output_names(self._folder, job, job.attempts)
        if not logs.keep_outputs(job, lambda: attempt.move_outputs(*names)):
            attempt.remove_outputs()
        return True

    def _settle(self, job: Job, outcome: Outcome) -> Settlement | None:
        """Record *outcome* and claim the next job; None if the worker was told to stop before that worked."""
        self._waiter.flush_if_due()
        disowned: WorkerDisowned | None = None
        try:
            claim = self._next_claim()
        except WorkerDisowned as error:  # which is no reason to throw a result away
            claim, disowned = None, error
        settlement = self._insist(lambda: self._store.settle(job, outcome, next_claim=claim, now=_now()))
        if settlement is not None:
            self.holds_job = settlement.next is not None
            self._waiter.note_change()
        if disowned is not None:
            raise disowned
        return settlement

    def _give_back(self, job: Job) -> None:
        def give_back() -> None:
            self._store.give_back(job, now=_now())
            self.holds_job = False

        self._insist(give_back)

    def _insist(self, action: Callable[[], _T]) -> _T | None:
        """Do *action*, again and again while the store refuses it: a result must not get lost.

        Gives up, returning None, only if the worker is told to stop now: the
        job is rescued then and runs once more.
        """
        while True:
            try:
                return action()
            except (StoreError, OSError) as error:
                log.error("cannot record a result, trying again: %s", error)
                if self._signals.is_hurried:
                    return None
                time.sleep(RETRY_S)


def _now() -> datetime:
    return datetime.now(UTC)
