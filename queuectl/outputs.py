"""The files that commands write their output to.

Making and removing a file costs more than all else that a job wants of the disk. So the file of a command that has
printed nothing is not removed at once: it gets the name of the next one's.
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
_SPARES = 2  #: those of one command


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
        self._spares: list[Output] = []

    def open(self, path: str) -> Output:
        """Return a new, empty file *path*, its folder made if need be; what is there is of an earlier attempt."""
        while self._spares:
            spare = self._spares.pop(0)
            try:
                os.rename(spare.path, path)  # noqa: PTH104 - twice a job: no object just for the name
                spare.path = path
                spare.fd = os.open(path, _WRITE)
            except OSError:  # as in a folder that is still to be made
                _drop(spare)
            else:
                return spare
        for _ in range(3):
            try:
                return _make(path)
            except FileExistsError:
                Path(path).unlink(missing_ok=True)
            except FileNotFoundError:
                disk.make_folder(Path(path).parent)
        return _make(path)

    def release(self, output: Output) -> bool:
        """Take *output* back, whose *fd* was closed; return whether there is something in it.

        An empty one has gone after ``clear`` at the latest. One that cannot be
        removed is no reason to lose a result.
        """
        status = None
        with suppress(OSError):
            status = os.lstat(output.path)
        if status is not None and status.st_size:
            os.close(output.read_fd)
            return True
        # What is left running in the background may still write: that is not for the next job.
        if status is not None and len(self._spares) < _SPARES and not _can_be_written(output.read_fd):
            self._spares.append(output)
        else:
            _drop(output)
        return False

    def clear(self) -> None:
        """Remove what is kept for the next command."""
        while self._spares:
            _drop(self._spares.pop())


def _make(path: str) -> Output:
    fd = os.open(path, _MAKE, 0o600)
    try:
        ownership.hand_over(fd, os.path.dirname(path))  # noqa: PTH120 - as above
        return Output(path, fd, _open_to_look(path))
    except BaseException:
        os.close(fd)
        _remove_if_empty(path)
        raise


def _open_to_look(path: str) -> int:
    read_fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if sys.platform == "linux":
        # Should somebody open it while it is looked at, the system says so by a signal: by one that means nothing.
        fcntl.fcntl(read_fd, fcntl.F_SETSIG, signal.SIGURG)
    return read_fd


def _can_be_written(read_fd: int) -> bool:
    """Whether any process has the file open for writing, or may have: the system gives no lease on such a one."""
    if sys.platform != "linux":
        return True
    try:
        fcntl.fcntl(read_fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(read_fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:  # also where the file system knows no leases
        return True
    return False


def _drop(output: Output) -> None:
    os.close(output.read_fd)
    _remove_if_empty(output.path)


def _remove_if_empty(path: str) -> None:
    with suppress(OSError):
        if not os.lstat(path).st_size:
            os.unlink(path)  # noqa: PTH108 - as above
