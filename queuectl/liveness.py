"""Who is alive: every worker holds the lock of a file of its own for as long as it lives.

The kernel frees the lock however the worker dies, so "is it alive?" is "can its lock be taken?". Only who holds
a file's lock unlinks it. Nothing here knows jobs or ends processes.
"""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from queuectl import times
from queuectl.errors import QueueCtlError, StoreUnavailable
from queuectl.job import Job
from queuectl.later import pattern
from queuectl.stores.local import bells, disk, latch, ownership
from queuectl.stores.local.lock import is_held, is_plain, open_plain

RECORD_SIZE = 1024  #: bytes of a worker's file, always; what is written at once is never seen in parts for long

_FOLDER = "workers"
_WORKER = ".lock"
_POOL = ".pool"
OUTPUTS = (".out", ".err")  #: of a worker's id: the two files that its commands write to
SUFFIXES = (_WORKER, _POOL, *OUTPUTS)  #: of all plain files of workers and pools
_ID = pattern(r"[0-9a-f]{16}")
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LOCK_TRIES = 50  #: a millisecond apart: somebody who probes holds the lock for microseconds
_READ_TRIES = 5  #: a reader may meet a record that is just being written


class WorkerDisowned(QueueCtlError):
    """Raised when a worker's file is no longer its own: others take it for dead, and it has to stop."""


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker's file says; all but the id may be missing, as a machine that goes down leaves anything behind.

    A worker that was killed just after a claim has not noted that attempt yet: *session* belongs to *token* only.
    """

    worker_id: str
    is_alive: bool
    pid: int | None = None
    pool_pid: int | None = None
    started_at: datetime | None = None
    start_ticks: int | None = None
    boot_id: str | None = None
    namespace: str = ""
    job_id: str | None = None
    token: str | None = None
    session: int | None = None
    session_start: int | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Whether it runs in another PID namespace (container) than this process: here its PIDs are others'."""
        from queuectl import processes

        return self.namespace not in ("", processes.pid_namespace())


class WorkerFile:
    """A worker's or pool's own file, locked from ``create`` to ``close_and_remove`` or the worker's death.

    A process that the worker starts keeps the lock until it has become another program. So the worker must never
    fork a process that stays as it is.
    """

    def __init__(self, path: Path, fd: int, about: bytes) -> None:
        # Here, as all of json and ``processes``: most commands find no worker.
        from json.encoder import encode_basestring_ascii

        self.worker_id = path.stem
        self._path = path
        self._fd = fd
        self._about = about
        self._quote = encode_basestring_ascii
        self._inode = _inode(os.fstat(fd))
        self.note_idle()

    @classmethod
    def create(cls, folder: Path, *, pid: int, pool_pid: int) -> Self:
        """Make and lock the file of the calling process: a worker of the queue in *folder*, or a pool, its own *pid*.

        A worker process calls it itself, after it was forked: a descriptor from before would be its pool's too.
        """
        import json

        from queuectl import processes

        workers = workers_folder(folder)
        disk.make_folder(workers)
        about = {
            "pid": pid,
            "pool": pool_pid,
            "started_at": times.to_text(datetime.now(UTC)),
            "start_ticks": processes.start_ticks(pid),
            "boot": processes.boot_id(),
            "namespace": processes.pid_namespace(),
        }
        while True:
            path = workers / f"{os.urandom(8).hex()}{_POOL if pid == pool_pid else _WORKER}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
            ownership.hand_over(fd, workers)
            # Between the two, a rescuer may have taken the file for a dead worker's, and removed it.
            if _lock(fd) and _names(path, fd):
                file = cls(path, fd, json.dumps(about).encode()[1:-1])
                # After a power cut its name tells that there was a worker, whose jobs wait to be taken back. What is in
                # it may be lost: then nothing is known, and no job is to blame either.
                disk.sync_folder(workers)
                return file
            os.close(fd)

    def note_attempt(self, job_id: str, token: str, session: int | None, session_start: int | None) -> None:
        """Write down what the worker runs; one write in place, for the hot path."""
        job, mark = self._quote(job_id).encode(), self._quote(token).encode()
        leader = b"null" if session is None else b"%d" % session
        start = b"null" if session_start is None else b"%d" % session_start
        self._write(
            b'{"token": %b, %b, "job": %b, "session": %b, "session_start": %b, "end": %b}'
            % (mark, self._about, job, leader, start, mark)
        )

    def note_idle(self) -> None:
        """Write down that the worker runs nothing."""
        self._write(b"{%b}" % self._about)

    def check(self) -> None:
        """Raise ``WorkerDisowned`` if the file has been removed or replaced; to be called at every claim."""
        try:
            is_own = _inode(os.lstat(self._path)) == self._inode
        except FileNotFoundError:
            is_own = False
        if not is_own:
            msg = f'The file of this worker, "{self._path}", was removed: the worker counts as dead, and stops.'
            raise WorkerDisowned(msg, worker_id=self.worker_id)

    def close(self) -> None:
        """Let go of the lock and leave the file: whoever finds it takes back the job that the worker still holds."""
        os.close(self._fd)

    def close_and_remove(self) -> None:
        """Remove all files of the worker, then let go of the lock; what is no longer its own stays."""
        if _names(self._path, self._fd):
            _remove(self._path)
        os.close(self._fd)

    def _write(self, record: bytes) -> None:
        if len(record) >= RECORD_SIZE:
            msg = f"a worker's record of {len(record)} bytes: {record!r}"
            raise ValueError(msg)
        os.pwrite(self._fd, record.ljust(RECORD_SIZE - 1) + b"\n", 0)


class Rescue:
    """The lock of a dead worker's file: its holder is the only one who ends its command and takes back its job."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd
        self.info = _info(path.stem, fd, is_alive=False)

    def remove(self) -> None:
        """Remove all files of the worker, once there is nothing left to rescue."""
        _remove(self._path)

    def close(self) -> None:
        """Let go of the lock; a file that was not removed is there for the next rescuer."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def hold_dead(folder: Path, worker_id: str, kind: str = _WORKER) -> Rescue | None:
    """Take the lock of a worker that has died; None if it lives, or somebody else is rescuing it.

    The file is made anew if it is missing, so that there is one rescuer at a time in any case. Another may have
    been before: whoever gets the lock looks again at what there is to rescue. None also while something else than a
    file is in its place, which nobody can hold and ``doctor`` names.
    """
    if not _ID.fullmatch(worker_id):
        msg = f"not the id of a worker: {worker_id!r}"
        raise ValueError(msg)
    workers = workers_folder(folder)
    disk.make_folder(workers)
    path = workers / f"{worker_id}{kind}"
    while is_plain(path) or not os.path.lexists(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | _OPEN, 0o600)
        try:
            ownership.hand_over(fd, workers)
            if not _lock(fd, tries=5):
                break
            if _names(path, fd):
                rescue = Rescue(path, fd)
                fd = -1
                return rescue
        finally:
            if fd >= 0:
                os.close(fd)
    return None


def read_workers(folder: Path) -> list[WorkerInfo]:
    """Return what the files of all workers say, living ones and dead ones, in the order of their PIDs.

    Disturbs nobody. A worker that is just being rescued counts as alive, and so does one whose file cannot be read.
    """
    return _read_all(folder, _WORKER)


def read_pools(folder: Path) -> list[WorkerInfo]:
    """Return what the files of all pools say: each is there as long as its pool, with workers or without."""
    return _read_all(folder, _POOL)


def forget_dead_pools(folder: Path) -> None:
    """Remove the files of pools that were killed."""
    for info in read_pools(folder):
        held = None if info.is_alive else hold_dead(folder, info.worker_id, _POOL)
        if held is not None:
            with held:
                held.remove()


def _read_all(folder: Path, kind: str) -> list[WorkerInfo]:
    infos = []
    with suppress(FileNotFoundError):
        for path in workers_folder(folder).iterdir():
            if path.suffix == kind and _ID.fullmatch(path.stem) and (info := _probe(path)):
                infos.append(info)
    return sorted(infos, key=lambda info: (info.pid or 0, info.worker_id))


def is_alive(folder: Path, worker_id: str) -> bool:
    """Whether the worker or pool *worker_id* lives; false for one that has never been."""
    paths = (workers_folder(folder) / f"{worker_id}{kind}" for kind in (_WORKER, _POOL))
    return any(info.is_alive for path in paths if (info := _probe(path)))


def is_worker_id(text: str) -> bool:
    """Whether *text* has the form of a worker's id."""
    return _ID.fullmatch(text) is not None


def worker_of(job: Job) -> str:
    """Return the id of the worker that has claimed *job*; "" if none has."""
    return (job.claim or "").partition(".")[0]


def workers_folder(folder: Path) -> Path:
    """Return where the files of the workers of the queue in *folder* are."""
    return folder / _FOLDER


def _probe(path: Path) -> WorkerInfo | None:
    try:
        fd = open_plain(path)
    except OSError:
        return WorkerInfo(worker_id=path.stem, is_alive=True)
    if fd is None:
        return None
    try:
        return _info(path.stem, fd, is_alive=is_held(fd))
    finally:
        os.close(fd)


def _info(worker_id: str, fd: int, *, is_alive: bool) -> WorkerInfo:
    import json

    for _ in range(_READ_TRIES):
        with suppress(ValueError, RecursionError):
            record = json.loads(os.pread(fd, RECORD_SIZE, 0))
            # It begins and ends with the token: one that was written meanwhile has one of them, or another at its end.
            if isinstance(record, dict) and record.get("token") == record.get("end"):
                return _info_of(worker_id, record, is_alive=is_alive)
    return WorkerInfo(worker_id=worker_id, is_alive=is_alive)


def _info_of(worker_id: str, record: dict[str, Any], *, is_alive: bool) -> WorkerInfo:
    def number(key: str) -> int | None:
        value = record.get(key)
        return value if isinstance(value, int) else None

    def text(key: str) -> str | None:
        value = record.get(key)
        return value if isinstance(value, str) else None

    started_at = None
    with suppress(ValueError):
        started_at = times.from_text(text("started_at") or "")
    return WorkerInfo(
        worker_id=worker_id,
        is_alive=is_alive,
        pid=number("pid"),
        pool_pid=number("pool"),
        started_at=started_at,
        start_ticks=number("start_ticks"),
        boot_id=text("boot"),
        namespace=text("namespace") or "",
        job_id=text("job"),
        token=text("token"),
        session=number("session"),
        session_start=number("session_start"),
    )


def _lock(fd: int, tries: int = _LOCK_TRIES) -> bool:
    """Take the lock of *fd*; return whether that worked within a few milliseconds."""
    for _ in range(tries):
        try:
            if latch.lock_descriptor(fd, blocking=False):
                return True
        except OSError as error:
            msg = f"The data folder cannot hold locks ({error.strerror}): use one on a local file system."
            raise StoreUnavailable(msg) from error
        time.sleep(0.001)
    return False


def _names(path: Path, fd: int) -> bool:
    """Tell whether *path* is the file that *fd* is."""
    try:
        return _inode(os.lstat(path)) == _inode(os.fstat(fd))
    except FileNotFoundError:
        return False


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _remove(path: Path) -> None:
    """Unlink a worker's doorbell, outputs and file; the lock, which the caller holds, goes last."""
    for each in (*(path.with_suffix(suffix) for suffix in (*bells.SUFFIXES, *OUTPUTS)), path):
        each.unlink(missing_ok=True)
