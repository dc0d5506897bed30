"""The file operations of the local store, and nothing else.

Every byte that the store reads or writes passes through here, whole: short
reads and writes are continued, interrupted calls are Python's business. No
function here knows what the bytes mean. Links are not followed.
"""

import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from queuectl.errors import OutcomeUnknown, StoreError, StoreUnavailable, explain_refusal
from queuectl.stores.local.ownership import hand_over

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_OPEN_TO_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_FALLOC_FL_KEEP_SIZE = 1
_UNCHANGED = "Nothing was changed"
_NO_FILE = "is not a plain file: move it away"
CLOSED = "may not be read and written by this user"
READ_ONLY = "is on a file system that is read-only: copy the folder elsewhere and use it with --data"
_WHY_CLOSED = {
    errno.ELOOP: "is a symbolic link, and changes would go elsewhere: put the file itself in its place",
    errno.EACCES: CLOSED,
    errno.EPERM: "may not be written: it is protected",
    errno.EROFS: READ_ONLY,
    errno.EISDIR: _NO_FILE,
    errno.ENXIO: _NO_FILE,
}


def open_file(path: Path, *, create: bool = False) -> int:
    """Open *path* for reading and writing; one that is new is private, whatever the umask, its name not yet durable.

    Raises ``StoreUnavailable`` for what is no plain file, or may not be written.
    """
    try:
        return _open(path, create=create)
    except OSError as error:
        raise refusal(path, error) from error


def refusal(path: Path, error: OSError) -> OSError | StoreUnavailable:
    """Return what to raise for *path*, which could not be opened: words, where there are any that help."""
    why = _WHY_CLOSED.get(error.errno or 0)
    return error if why is None else closed(path, why)


def closed(path: Path, why: str) -> StoreUnavailable:
    """Return the error for a file that cannot be opened."""
    msg = f'{path} {why}. {_UNCHANGED}. "doctor" says more.'
    return StoreUnavailable(msg, path=str(path))


def _open(path: Path, *, create: bool) -> int:
    if create:
        try:
            fd = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, FILE_MODE)
        except FileExistsError:
            pass
        else:
            hand_over(fd, path.parent)
            os.fchmod(fd, FILE_MODE)
            return fd
    fd = os.open(path, _OPEN)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise closed(path, _NO_FILE)
    return fd


def open_to_read(path: Path) -> int:
    """Open the plain file *path* for reading; raise ``OSError`` for a link, or whatever else it is."""
    fd = os.open(path, _OPEN_TO_READ)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EISDIR, "no plain file", str(path))
    return fd


def refuse_link(folder: str) -> None:
    """Raise ``OSError`` if *folder*, one of ours, is a link: what is in it would be elsewhere."""
    if os.path.islink(folder):  # noqa: PTH114 - for every job that prints: a Path costs more than the call
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), folder)


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """Return what is in the plain file *path*, and its status; raise ``OSError`` if it is none."""
    fd = open_to_read(path)
    try:
        status = os.fstat(fd)
        return read_at(fd, status.st_size, 0), status
    finally:
        os.close(fd)


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Return *size* bytes from *offset*, fewer only at the end of the file."""
    first = os.pread(fd, size, offset)
    if len(first) == size or not first:
        return first
    parts = [first]
    done = len(first)
    while done < size and (part := os.pread(fd, min(size - done, 1 << 30), offset + done)):
        parts.append(part)
        done += len(part)
    return b"".join(parts)


def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of *data* at *offset*."""
    written = os.pwrite(fd, data, offset)
    if written == len(data):
        return
    view = memoryview(data)
    while written < len(view):
        written += os.pwrite(fd, view[written:], offset + written)


def truncate(fd: int, size: int) -> None:
    """Cut the file to *size* bytes."""
    os.ftruncate(fd, size)


def sync(fd: int) -> None:
    """Return when the file's data are on the disk. A failure must never be retried on *fd*."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_folder(folder: Path) -> None:
    """Return when the names in *folder* are on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(path: Path) -> None:
    """Make the folder *path*, private whatever the umask, and what is missing above it; no name is durable yet.

    One that is there stays.
    """
    if path.is_dir():
        return
    if path.parent != path:
        make_folder(path.parent)
    try:
        path.mkdir(mode=FOLDER_MODE)
    except FileExistsError:
        if not path.is_dir():
            raise
        return  # another process was faster
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        hand_over(fd, path.parent)
        os.fchmod(fd, FOLDER_MODE)
    finally:
        os.close(fd)


def is_full(error: OSError) -> bool:
    """Whether *error* means that there is no more space, which may be there again later."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def unchanged(error: OSError) -> StoreUnavailable:
    """Return the error for a change of which nothing was made."""
    return StoreUnavailable(explain_refusal(error, claim=_UNCHANGED), errno=error.errno)


def unconfirmed(error: OSError) -> OutcomeUnknown:
    """Return the error for a change that was made, but that the disk has not confirmed."""
    msg = (
        f"The disk did not confirm the change ({error.strerror}): it may or may not survive a power cut. "
        'Look at the disk; then look with "list" what the queue holds.'
    )
    return OutcomeUnknown(msg, errno=error.errno)


def recorded(error: OSError | StoreError) -> StoreUnavailable:
    """Return the error for a change that the disk has confirmed, when something that should follow it has failed."""
    cause = error.__cause__ if isinstance(error, OutcomeUnknown) else error  # of another sync than that of the change
    if isinstance(cause, OSError):
        why = f"{cause.strerror}. The next command tries again."
    else:
        why = str(error).replace(_UNCHANGED, "Nothing else was changed")  # it knows only of itself
    msg = f"The change is recorded and will hold, but the files could not be brought up to date: {why}"
    return StoreUnavailable(msg)


def replace(path: Path, chunks: Iterable[bytes], *, is_durable: bool = True) -> None:
    """Put *chunks* in the place of the file *path*: all of it or nothing, durable on return unless it need not be.

    Raises ``OutcomeUnknown`` if it is there, but the disk has not confirmed that.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, _OPEN | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        try:
            hand_over(fd, path.parent)
            os.fchmod(fd, FILE_MODE)
            offset = 0
            for chunk in chunks:
                write_at(fd, chunk, offset)
                offset += len(chunk)
            if is_durable:
                sync(fd)
        finally:
            os.close(fd)
        rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if is_durable:
        try:
            sync_folder(path.parent)
        except OSError as error:
            raise unconfirmed(error) from error


def rename(source: Path, target: Path) -> None:
    """Give *source* the name *target*, which it takes over from whatever bore it."""
    source.replace(target)


def preallocate(fd: int, size: int) -> None:
    """Set aside *size* bytes for the file without changing its length, where the system can."""
    if sys.platform != "linux":
        return
    import ctypes  # costs 10 ms, and only workers come here

    libc = ctypes.CDLL(None, use_errno=True)
    fallocate = libc.fallocate
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if fallocate(fd, _FALLOC_FL_KEEP_SIZE, 0, size) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def boot_id() -> str:
    """Return what names the present run of the machine: memory that was not synced is lost with it."""
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    import subprocess  # only where there is no file to read

    answer = subprocess.run(
        ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()
