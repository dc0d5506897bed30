"""The data folder itself: made on first use, private, and on a file system that can lock."""

import os
import time
from pathlib import Path

from queuectl.errors import StoreUnavailable
from queuectl.stores.local.lock import is_locked

#: File systems on which locks of different hosts do not exclude each other.
_NETWORK_SYSTEMS = frozenset(
    {
        *("9p", "afs", "ceph", "cifs", "coda", "fuse", "fuseblk", "gfs", "gfs2", "glusterfs"),
        *("lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb3", "smbfs"),
    }
)
_TICK_NS = 20_000_000  # files' times are no finer than the kernel's tick, at most 10 ms
WORKERS = "workers"
LOGS = "logs"


def prepare(folder: Path) -> Path:
    """Return *folder*, absolute, made if need be with what is always in it.

    Raises ``StoreUnavailable`` with the reason if it cannot be a data folder.
    """
    path = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow a link that the user chose
    try:
        _make(path)
        if not (path / "queue.lock").exists() and path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode & 0o700)  # one that came with a checkout; nothing is added
        for name in (WORKERS, LOGS):
            _make(path / name)
    except (FileExistsError, NotADirectoryError) as error:
        msg = f"{error.filename} is not a folder: choose another one with --data."
        raise StoreUnavailable(msg, path=str(path)) from error
    except OSError as error:
        msg = f'Cannot use the data folder {path}: {error.strerror}. "doctor" says more.'
        raise StoreUnavailable(msg, path=str(path)) from error
    if (owner := foreign_owner(path)) is not None:
        msg = (
            f"{path} belongs to somebody else ({user_name(owner)}), who could run commands as you: "
            "choose a folder of your own with --data."
        )
        raise StoreUnavailable(msg, path=str(path))
    system = file_system(path)
    if is_network_system(system):
        msg = (
            f"{path} is on a network file system ({system}), where locks do not keep other hosts out: "
            "choose a local folder with --data."
        )
        raise StoreUnavailable(msg, path=str(path))
    return path


def _make(path: Path) -> None:
    """Make the folder *path*, private whatever the umask, and what is missing above it; no name is durable yet."""
    if path.is_dir():
        return
    if path.parent != path:
        _make(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        return  # another process was faster
    path.chmod(0o700)


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


def is_network_system(system: str) -> bool:
    """Whether *system*, a type of file system, is one whose locks do not keep other hosts out."""
    return system in _NETWORK_SYSTEMS or system.startswith("fuse.")


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
