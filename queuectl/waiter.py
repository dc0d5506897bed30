"""The one place where a worker sleeps: on its signals, its bell, its command, and the clock.

Knows when what the worker has recorded must be made durable, and sees to it.
"""

import contextlib
import logging
import select
import signal
import socket
import time

from queuectl.errors import StoreError
from queuectl.stores.base import Bell, Store

FLUSH_AFTER_S = 0.1  #: how long a claim or result may be in memory only
POLL_S = 1.0  #: how often a busy worker looks after its job, and a pool after all others
IDLE_POLL_S = 2.5  #: how often an idle worker looks for itself, should a call get lost
POLL_WITHOUT_BELL_S = 0.1
CLOSE = signal.SIGUSR1  #: tells a pool and its workers to stop, be it for the second time: it never means to hurry
_LONGEST_S = 3600.0  # poll takes no more than some weeks, and no infinity
RETRY_S = 1.0  #: pause after the machine or the disk has refused

log = logging.getLogger("queuectl")


class StopSignals:
    """What this process was told: SIGTERM or SIGINT to stop, one more of them or SIGQUIT to stop now; ``CLOSE``."""

    def __init__(self) -> None:
        """Take over these signals."""
        self.is_stopping = False
        self.is_hurried = False
        self._was_asked = False
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, CLOSE):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        if number != CLOSE:
            self.is_hurried = self._was_asked or number == signal.SIGQUIT
            self._was_asked = True
        self.is_stopping = True

    def fileno(self) -> int:
        """Return a descriptor that is readable after a signal."""
        return self._read.fileno()

    def clear(self) -> None:
        """Take note of all signals so far."""
        with contextlib.suppress(BlockingIOError):
            while self._read.recv(64):
                pass


class Waiter:
    """A worker's sleep."""

    def __init__(self, store: Store, bell: Bell | None) -> None:
        """Wake for signals and *bell*; flush *store* in time."""
        self.signals = StopSignals()
        self.poll_s = IDLE_POLL_S if bell else POLL_WITHOUT_BELL_S
        self._store = store
        self._bell = bell
        self._flush_at: float | None = None
        self._poller = select.poll()
        self._poller.register(self.signals.fileno(), select.POLLIN)
        if bell:
            self._poller.register(bell.fileno(), select.POLLIN)

    def note_change(self) -> None:
        """Take note that the store has recorded something that is to be flushed."""
        if self._flush_at is None:
            self._flush_at = time.monotonic() + FLUSH_AFTER_S

    def flush_if_due(self) -> None:
        """Flush the store if its time has come; one that refuses is asked again later."""
        if self._flush_at is None or time.monotonic() < self._flush_at:
            return
        self._flush_at = None
        try:
            self._store.flush()
        except (StoreError, OSError) as error:
            log.error("cannot bring the results to the disk, trying again: %s", error)
            self._flush_at = time.monotonic() + RETRY_S

    def wait(self, seconds: float, fd: int = -1) -> bool:
        """Sleep at most *seconds*, or until *fd* is readable, a signal comes or the bell rings: then return True."""
        self.flush_if_due()
        if self._flush_at is not None:
            seconds = min(seconds, self._flush_at - time.monotonic())
        if fd >= 0:
            self._poller.register(fd, select.POLLIN)
        ready = [ready_fd for ready_fd, _ in self._poller.poll(min(max(seconds, 0.0), _LONGEST_S) * 1000)]
        if fd >= 0:
            self._poller.unregister(fd)
        if self.signals.fileno() in ready:
            self.signals.clear()
        if self._bell and self._bell.fileno() in ready:
            self._bell.clear()
            return True
        return False
