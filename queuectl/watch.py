"""One attempt under watch: its own end, its timeout, a cancel request, the stop of its worker.

Ends what has to be ended, wholly; what the end means for the job is for the
caller and ``lifecycle``.
"""

import logging
import math
import time
from enum import Enum, auto

from queuectl import lifecycle
from queuectl.ending import Ended, failure_text
from queuectl.errors import StoreError
from queuectl.job import Job, Outcome
from queuectl.runner import Attempt
from queuectl.stores.base import Store
from queuectl.waiter import POLL_S, RETRY_S, Waiter

_LOOK_AGAIN_S = 0.02  #: how often to look whether terminated processes have gone

log = logging.getLogger("queuectl")


class Cause(Enum):
    """Why an attempt was ended from outside."""

    TIMEOUT = auto()
    CANCEL = auto()
    STOP = auto()  #: the worker stops: the attempt does not count
    DISOWNED = auto()  #: the claim no longer holds: the result belongs to nobody


class Watch:
    """The watch over one attempt. After ``run``, *cause* says why it was ended, None if it ended by itself."""

    def __init__(self, job: Job, attempt: Attempt, store: Store, waiter: Waiter) -> None:
        """Watch *attempt* of *job* with the settings that are in force now."""
        settings = store.settings()
        self.cause: Cause | None = None
        self._job = job
        self._attempt = attempt
        self._store = store
        self._waiter = waiter
        self._timeout_s = settings.timeout_s if job.timeout is None else job.timeout
        self._grace_s = settings.grace_s
        self._kill_after_s = settings.kill_after_s
        begun = time.monotonic()
        self._timeout_at = math.inf if self._timeout_s is None else begun + self._timeout_s
        self._grace_ends_at = math.inf
        self._kill_at = math.inf
        self._look_at = begun + POLL_S

    def run(self) -> Outcome:
        """Return how the attempt ended. Unless it has succeeded, it has left no process behind."""
        while True:
            self._react()
            descriptor = self._attempt.fileno()  # none, once it was seen to have ended
            if descriptor >= 0 and self._waiter.wait(self._next_s(), descriptor):
                self._look_at = 0.0  # the bell: something has changed for this job
            if (ended := self._attempt.poll()) is not None:
                break
        if self.cause is not None or self._asks_rest_to_end(ended):
            self._end_rest()
        return self._outcome(ended)

    def _asks_rest_to_end(self, ended: Ended) -> bool:
        """Ask what a failed attempt has left to end: it may be tried again, and nothing of it may run beside that."""
        if lifecycle.is_success(self._job, ended.exit_code) or not self._remains():
            return False
        self._terminate()
        self._kill_at = time.monotonic() + self._kill_after_s
        return True

    def _next_s(self) -> float:
        deadline = self._kill_at if self.cause else min(self._timeout_at, self._grace_ends_at, self._look_at)
        return max(deadline - time.monotonic(), 0.0)

    def _react(self) -> None:
        now = time.monotonic()
        if self.cause is not None:
            if now >= self._kill_at:
                self._kill()
            return
        signals = self._waiter.signals
        if signals.is_stopping and self._grace_ends_at == math.inf:
            self._grace_ends_at = now + self._grace_s
        if now >= self._timeout_at:
            self._end(Cause.TIMEOUT)
        elif signals.is_hurried or now >= self._grace_ends_at:
            self._end(Cause.STOP)
        elif now >= self._look_at:
            self._look_at = now + POLL_S
            self._look()

    def _look(self) -> None:
        """See what others have made of the job."""
        try:
            current = self._store.current(self._job)
        except (StoreError, OSError) as error:
            log.error("cannot look after job %s: %s", self._job.id, error)
            return
        if current is None:
            self._end(Cause.DISOWNED)
        elif current.cancel_requested:
            self._end(Cause.CANCEL)

    def _end(self, cause: Cause) -> None:
        if self._attempt.poll() is not None:
            return  # it was faster
        self.cause = cause
        self._kill_at = time.monotonic() + (0.0 if cause is Cause.DISOWNED else self._kill_after_s)
        self._terminate()

    def _terminate(self) -> None:
        try:
            self._attempt.terminate()
        except OSError as error:
            # Processes cannot be listed now, for want of a descriptor perhaps; they are killed in the end.
            log.error("job %s cannot be asked to end: %s", self._job.id, error)

    def _kill(self) -> None:
        problems = self._attempt.kill()
        if problems:
            log.error("job %s cannot be ended, trying again: %s", self._job.id, "; ".join(problems))
            self._kill_at = time.monotonic() + RETRY_S
        else:
            self._kill_at = math.inf

    def _end_rest(self) -> None:
        """Wait until all processes of the attempt have gone, and kill them once their time is up."""
        while self._remains():
            if time.monotonic() >= self._kill_at:
                self._kill()
            else:
                self._waiter.wait(_LOOK_AGAIN_S)

    def _remains(self) -> bool:
        try:
            return self._attempt.remains()
        except OSError as error:
            log.error("the processes of job %s cannot be listed, trying again: %s", self._job.id, error)
            self._waiter.wait(RETRY_S)
            return True

    def _outcome(self, ended: Ended) -> Outcome:
        timed_out = self.cause is Cause.TIMEOUT
        return Outcome(
            exit_code=ended.exit_code,
            signal=ended.signal,
            timed_out=timed_out,
            error=failure_text(ended, timed_out_after_s=self._timeout_s if timed_out else None),
            duration_s=ended.duration_s,
        )
