"""The lock under which the data folder changes, and who is in front of it.

It is filelock's lock on ``queue.lock``: any FileLock on that file and this one
exclude each other. Here it is taken on a descriptor that stays open, which is
fifty times cheaper, and one waiter at a time polls for it: the others wait at
a gate, which is a lock on the folder itself.
"""

import fcntl
import math
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from queuectl.errors import StoreBusy
from queuectl.stores.local import disk, latch

COMMAND_DEADLINE_S = 10.0
# Each sleep costs a change of processes. If many wait, the holder has mostly lost its core, for milliseconds.
_GATE_PAUSES_S = (0.001, 0.008)  #: first and longest sleep of those who wait at the gate
_LOCK_PAUSES_S = (0.0001, 0.001)  #: the same for the one who is next


class QueueLock:
    """A lock to be held for microseconds. One a process; not reentrant; made anew after fork."""

    def __init__(self, folder: Path, *, deadline_s: float | None = COMMAND_DEADLINE_S) -> None:
        """Open the lock of *folder*; whoever waits longer than *deadline_s* gives up.

        None is for who must not: such a one waits as long as it takes, and says so in the log, once each time.
        """
        self._path = folder / "queue.lock"
        self.deadline_s = deadline_s
        self._patient_until = 0.0
        self._fd = disk.open_file(self._path, create=True)
        self._gate = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def acquire(self) -> None:
        """Take the lock; raise ``StoreBusy`` at the deadline."""
        try:
            while True:
                if not latch.lock_descriptor(self._fd, blocking=False):
                    self._wait()
                if os.fstat(self._fd).st_nlink:
                    return
                # Somebody deleted the file: its lock no longer keeps anybody out.
                fd = disk.open_file(self._path, create=True)
                os.close(self._fd)
                self._fd = fd
        except BaseException:
            for fd in (self._fd, self._gate):  # Ctrl-C may have come just after one was taken
                latch.unlock_descriptor(fd)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let others have the lock."""
        latch.unlock_descriptor(self._fd)

    def is_taken(self) -> bool:
        """Whether another process holds it now; not to be asked by who holds it."""
        return is_held(self._fd)

    def close(self) -> None:
        """Let go of the descriptors."""
        os.close(self._fd)
        os.close(self._gate)

    def _wait(self) -> None:
        self._patient_until = time.monotonic() + self._patience_s
        # Whoever is next may have been stopped: those behind look for themselves, if less often.
        if self._poll((self._gate, self._fd), _GATE_PAUSES_S) == self._fd:
            return
        try:
            self._poll((self._fd,), _LOCK_PAUSES_S)
        finally:
            latch.unlock_descriptor(self._gate)

    def _poll(self, fds: tuple[int, ...], pauses_s: tuple[float, float]) -> int:
        """Return the first of *fds* that could be locked."""
        pause_s, longest_s = pauses_s
        while True:
            for fd in fds:
                if latch.lock_descriptor(fd, blocking=False):
                    return fd
            if time.monotonic() > self._patient_until:
                self._lose_patience()
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, longest_s)

    @property
    def _patience_s(self) -> float:
        return COMMAND_DEADLINE_S if self.deadline_s is None else self.deadline_s

    def _lose_patience(self) -> None:
        what = f"queue has been locked for {round(self._patience_s, 1):g} s by {holder_of(self._path)}"
        if self.deadline_s is not None:
            msg = f"The {what}: try again, or end that process."
            raise StoreBusy(msg)
        import logging  # here, because hardly any command has use for it

        logging.getLogger("queuectl").warning("the %s: going on once it is free", what)
        self._patient_until = math.inf


class Held:
    """A lock held for a ``with`` block, in which *prepare* has been called first.

    Not made by ``contextlib``, whose generators cost as much as the lock itself.
    """

    __slots__ = ("_lock", "_prepare")

    def __init__(self, lock: QueueLock, prepare: Callable[[], None]) -> None:
        self._lock = lock
        self._prepare = prepare

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._prepare()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of the plain file *path*: exact, however that process may end."""
    try:
        fd = open_plain(path)
    except OSError:
        return True  # it cannot be told: who is in doubt is alive
    if fd is None:
        return False
    try:
        return is_held(fd)
    finally:
        os.close(fd)


def open_plain(path: Path) -> int | None:
    """Open the plain file *path*, to ask for its lock; None if there is none, whatever else may bear the name.

    Raises ``OSError`` for one that may not be opened.
    """
    try:
        return disk.open_to_read(path)
    except OSError:
        if is_plain(path):
            raise
        return None


def is_plain(path: Path) -> bool:
    """Whether *path* is a plain file, and not a link to one."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def is_held(fd: int) -> bool:
    """Whether a process holds the lock of the file that *fd* has opened anew."""
    try:
        # Shared, so that two who test at once do not take each other for the holder.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True  # also where locks cannot be told: who is in doubt is alive
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def holder_of(path: Path, table: Path = Path("/proc/locks")) -> str:
    """Say who holds the lock of *path*, as far as the system tells; who may have no part in it is not named."""
    with suppress(OSError, ValueError):  # no such table, or the holder has just let go: nobody to name
        status = path.stat()
        # The numbers in a /proc of another PID namespace are other processes' here.
        lines = table.read_text().splitlines() if str(Path("/proc/self").readlink()) == str(os.getpid()) else []
        for words in map(str.split, lines):
            if words[1] == "FLOCK" and _has_locked(words[4], words[5], status):  # of who waits, words[1] is "->"
                raw = Path(f"/proc/{words[4]}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                command = "".join(one if one.isprintable() else " " for one in raw)
                return f"process {words[4]} ({command.strip()[:80]})"
    return "another process"


def _has_locked(pid: str, place: str, status: os.stat_result) -> bool:
    """Whether process *pid*, said to have locked *place* (DEVICE:INODE), holds the file whose status is *status*."""
    major, minor, inode = place.split(":")
    if int(inode) != status.st_ino:
        return False
    try:
        # Whoever took a lock may have left it to a child, and its PID to anybody.
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for opened in entries:
                with suppress(FileNotFoundError):  # it has just been closed
                    if os.path.samestat(opened.stat(), status):
                        return True
    except PermissionError:
        # Another user's. Files of btrfs and overlayfs have a device that is not the one of their file system.
        return (int(major, 16), int(minor, 16)) == (os.major(status.st_dev), os.minor(status.st_dev))
    return False
