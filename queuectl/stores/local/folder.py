"""The data folder itself: made on first use, private, and on a file system that can lock."""

import errno
import os
import time
from pathlib import Path

from queuectl.errors import StoreUnavailable
from queuectl.stores.local import disk
from queuectl.stores.local.journal import refuse_newer
from queuectl.stores.local.lock import is_locked

#: File systems on which locks of different hosts, or of host and guest, do not exclude each other.
_NETWORK_SYSTEMS = frozenset(
    {
        *("9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "cvfs", "drvfs", "fakeowner", "fhgfs", "gfs", "gfs2"),
        *("glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2"),
        *("smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "wekafs"),
    }
)
_USER_SPACE_SYSTEMS = ("fuse", "fuse.", "fuseblk")
_TICK_NS = 20_000_000  # files' times are no finer than the kernel's tick, at most 10 ms
WORKERS = "workers"
LOGS = "logs"
WORKERS_LOG = "workers.log"  #: in ``logs``
HISTORY = "history"  #: of the shell


def prepare(folder: Path) -> Path:
    """Return *folder*, absolute, made if need be with what is always in it.

    Raises ``StoreUnavailable`` with the reason if it cannot be a data folder,
    ``StoreDamaged`` if it is that of a newer version; nothing is made in it then.
    """
    path = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow a link that the user chose
    refuse_newer(path / "journal.jsonl")
    try:
        if not path.is_dir():
            _check_system(next(one for one in path.parents if one.exists()), path)
        disk.make_folder(path)
        _check_place(path)
        if not (path / "queue.lock").exists() and path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode & 0o700)  # one that came with a checkout; nothing is added
        for name in (WORKERS, LOGS):
            disk.make_folder(path / name)
            if (path / name).is_symlink():
                msg = f"{path / name} is a symbolic link, and files would go elsewhere: put the folder in its place."
                raise StoreUnavailable(msg, path=str(path))
            _check_writable(path / name)
        if has_own_system(path / WORKERS):
            _check_system(path / WORKERS, path / WORKERS)
    except (FileExistsError, NotADirectoryError) as error:
        msg = f"{error.filename} is not a folder: choose another one with --data."
        raise StoreUnavailable(msg, path=str(path)) from error
    except OSError as error:
        if error.errno == errno.EROFS:
            msg = f"{path} cannot be made on a file system that is read-only: choose another folder with --data."
        else:
            msg = f'Cannot use the data folder {path}: {error.strerror}. "doctor" says more.'
        raise StoreUnavailable(msg, path=str(path)) from error
    return path


def _check_place(path: Path) -> None:
    """Raise ``StoreUnavailable`` if the folder *path* is where none can be used."""
    if (owner := foreign_owner(path)) is not None:
        msg = (
            f"{path} belongs to somebody else ({user_name(owner)}), who could run commands as you: "
            "choose a folder of your own with --data."
        )
        raise StoreUnavailable(msg, path=str(path))
    _check_system(path, path)
    _check_writable(path)


def _check_system(place: Path, path: Path) -> None:
    """Raise ``StoreUnavailable`` if the folder *path*, which is or would be made in *place*, could not lock there."""
    if (why := why_unfit(file_system(place))) is not None:
        msg = f"{path} is {why}: choose a folder on a local file system with --data."
        raise StoreUnavailable(msg, path=str(path))


def has_own_system(path: Path) -> bool:
    """Whether a file system of its own is mounted on *path*, in which locks may be others than beside it."""
    return os.path.ismount(path)


def _check_writable(path: Path) -> None:
    """Raise ``StoreUnavailable`` if nothing can be made in the folder *path*."""
    if os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return
    raise disk.closed(path, disk.READ_ONLY if is_read_only(path) else disk.CLOSED)


def is_read_only(path: Path) -> bool:
    """Whether the file system that holds *path* takes no change, whatever the modes say."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def nearest(path: Path) -> Path:
    """Return *path*, or what is there of it: the folder in which the rest of it would be made."""
    return next((one for one in (path, *path.parents) if os.path.lexists(one)), path)


def foreign_owner(path: Path) -> int | None:
    """Return who owns *path*, if that is neither this user nor the superuser; None also if this is the superuser."""
    own, owner = os.geteuid(), path.stat().st_uid
    return owner if own and owner not in (0, own) else None


def user_name(uid: int) -> str:
    """Return the name of the user *uid*, for people."""
    import pwd  # only for words about somebody else

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def why_unfit(system: str) -> str | None:
    """Say what a folder on *system*, a type of file system, is, if locks there do not keep all others out."""
    if system.partition(".")[0] in _USER_SPACE_SYSTEMS:
        return f"on a file system of a program ({system}), whose locks may not keep others out"
    if system in _NETWORK_SYSTEMS:
        return f"on a network file system ({system}), where locks do not keep other hosts out"
    return None


def file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the type of the file system that holds *path*; empty where the system has no table of them."""
    try:
        table = mounts.read_text(errors="surrogateescape")
    except OSError:
        return ""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for entry in table.splitlines():
        fields, _, source = entry.partition(" - ")
        if fields.split()[2] == number:
            return source.split()[0]
    return ""


def stamp(folder: Path) -> object:
    """Return what differs from an earlier one once a file of *folder* has changed since.

    A file that has changed within the last few milliseconds may change again
    under the same time, so for that long no two stamps are alike.
    """
    try:
        with os.scandir(folder) as entries:
            times = sorted((entry.name, entry.stat(follow_symlinks=False).st_mtime_ns) for entry in entries)
    except OSError:  # a file went away in the middle: look again
        return object()
    newest = max((mtime for _, mtime in times), default=0)
    is_fresh = 0 <= time.time_ns() - newest < _TICK_NS
    return object() if is_fresh else times


def has_workers(folder: Path) -> bool:
    """Whether any worker of *folder* is alive."""
    return any(is_locked(path) for path in (folder / WORKERS).glob("*.lock"))
