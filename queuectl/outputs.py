"""The files that commands write their output to, while they run.

Making and removing files would be most of what a silent job costs on the disk. So a worker's commands write to the
same two files, one after the other, for as long as these stay empty. One that something was written to is moved away.
"""

import fcntl
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from queuectl.stores.local import disk, ownership

_WRITE = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
#: Appending, so that what opens /dev/stdout anew does not overwrite what is there; never through a link.
_MAKE = _WRITE | os.O_CREAT | os.O_EXCL


class Output:
    """The file *path* for one stream of one command, which is to get *fd*; *read_fd* is for looking after it."""

    __slots__ = ("fd", "path", "read_fd")

    def __init__(self, path: str, fd: int, read_fd: int) -> None:
        self.path = path
        self.fd = fd
        self.read_fd = read_fd


class Outputs:
    """Opens these files, and takes them back at the end of their commands."""

    def __init__(self) -> None:
        self._empty: dict[str, int] = {}  # those that the next command can have, and descriptors to look after them

    def open(self, path: str) -> Output:
        """Return an empty file *path*, its folder made if need be; what is there otherwise goes."""
        read_fd = self._empty.pop(path, -1)
        if read_fd >= 0:
            try:
                return Output(path, os.open(path, _WRITE), read_fd)
            except OSError:  # as if somebody has removed it
                os.close(read_fd)
        for _ in range(3):
            try:
                return _make(path)
            except FileExistsError:
                Path(path).unlink(missing_ok=True)
            except FileNotFoundError:
                disk.make_folder(Path(path).parent)
        return _make(path)

    def take_back(self, output: Output) -> bool:
        """Take *output* back, its *fd* closed and its command ended; return whether it is to be kept.

        That is so if there is something in it, or if what still runs in the background may write to it.
        """
        # In this order: nothing comes to a file that nobody has open.
        has_writers = _has_writers(output.read_fd)
        if has_writers or os.fstat(output.read_fd).st_size:
            os.close(output.read_fd)
            return True
        if has_writers is None:
            _drop(output.path, output.read_fd)
        else:
            self._empty[output.path] = output.read_fd
        return False

    def discard(self, output: Output) -> None:
        """Take back the *output* of a command that has not begun, and remove the file."""
        _drop(output.path, output.read_fd)

    def close(self) -> None:
        """Remove the files that are empty."""
        while self._empty:
            _drop(*self._empty.popitem())


def move(path: str, target: str) -> None:
    """Give the file *path* the name *target*, its folder made if need be. No error if it has been moved already.

    Raises ``OSError`` for a link in the place of that folder.
    """
    disk.refuse_link(os.path.dirname(target))  # noqa: PTH120 - for every job that prints: no objects just for the names
    for _ in range(3):
        try:
            os.rename(path, target)  # noqa: PTH104 - as above
        except FileNotFoundError:
            if not os.path.lexists(path):
                return
            disk.make_folder(Path(target).parent)
        else:
            return
    os.rename(path, target)  # noqa: PTH104 - as above


def _make(path: str) -> Output:
    fd = os.open(path, _MAKE, 0o600)
    try:
        ownership.hand_over(fd, os.path.dirname(path))  # noqa: PTH120 - as above
        return Output(path, fd, _open_to_look(path))
    except BaseException:
        os.close(fd)
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - as above
        raise


def _open_to_look(path: str) -> int:
    read_fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if sys.platform == "linux":
        # Should somebody open it while it is looked at, the system says so by a signal: by one that means nothing.
        fcntl.fcntl(read_fd, fcntl.F_SETSIG, signal.SIGURG)
    return read_fd


def _has_writers(read_fd: int) -> bool | None:
    """Whether any process has the file open for writing, None if that cannot be told: then it gets no lease."""
    if sys.platform != "linux":
        return None
    try:
        fcntl.fcntl(read_fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(read_fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:  # as where the file system knows no leases
        return None
    return False


def _drop(path: str, read_fd: int) -> None:
    """Remove the file, if it still is the one that *read_fd* has open; no failure matters."""
    with suppress(OSError):
        if os.path.samestat(os.lstat(path), os.fstat(read_fd)):
            os.unlink(path)  # noqa: PTH108 - as above
    os.close(read_fd)
