"""Starting and stopping workers from outside.

One ``worker start`` makes a pool: a detached process (``supervisor``) with its
workers. Stopping asks each worker by a signal, and waits.
"""

import errno
import json
import os
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

import queuectl
from queuectl import liveness, processes
from queuectl.errors import ExitCode, QueueCtlError, StoreBusy, StoreError, WorkerNotFound
from queuectl.liveness import WorkerInfo
from queuectl.processes import Proc
from queuectl.runner import given_environment
from queuectl.stores.local import disk, ownership
from queuectl.stores.local.folder import LOGS, WORKERS_LOG
from queuectl.stores.local.lock import COMMAND_DEADLINE_S, QueueLock
from queuectl.waiter import CLOSE

_POOL_COMMAND = "_pool"  # makes ``__main__`` a pool; not for people
_LOOK_AGAIN_S = 0.01
_HELD_S = 1.0  #: a lock that cannot be had for so long is not just in use
_ANSWER_LIMIT_S = 120.0  #: how long a pool may take to say that its workers run, or why they do not
STOP_MARGIN_S = 15.0  #: how much longer than grace and kill-after a worker may take to stop


def start(folder: Path, count: int) -> list[int]:
    """Start a pool of *count* workers on the queue in *folder*; return their PIDs once all have reported in.

    Raises ``QueueCtlError`` with the pool's own reason if it could not start.
    """
    log_path = folder / LOGS / WORKERS_LOG
    # Started by a job, the pool would else be ended with it.
    environment = given_environment()
    environment.pop(processes.CLAIM_VARIABLE.encode(), None)
    log_fd = _open_log(log_path)
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as report:
        try:
            pool = subprocess.Popen(
                _command(folder, count, write_end),
                stdin=subprocess.DEVNULL,
                stdout=log_fd,
                stderr=log_fd,
                start_new_session=True,
                pass_fds=[write_end],
                env=environment,
            )
        finally:
            os.close(write_end)  # so that the report ends with the pool
            os.close(log_fd)
        try:
            has_answered = _await_answer(pool, report)
        except KeyboardInterrupt:
            pool.terminate()  # or workers would begin later, when nobody expects them any more
            pool.send_signal(signal.SIGCONT)
            raise
        text = report.readline() if has_answered else b""
    if not has_answered:
        _end(folder, pool)
        msg = (
            f"The workers did not start: their pool, process {pool.pid}, did not answer, as one that was stopped, "
            f"and was ended. Try again; {log_path} may say more."
        )
        raise QueueCtlError(msg, pid=pool.pid)
    answer = json.loads(text or "{}")
    if "pids" not in answer:
        pool.wait()
    if not answer:
        msg = f"The workers did not start: {log_path} says why."
        raise QueueCtlError(msg)
    if "error" in answer:
        kind = StoreError if answer["exit_code"] == ExitCode.STORE else QueueCtlError
        raise kind(answer["error"])
    pool.returncode = 0  # it lives on, and is not waited for
    pids: list[int] = answer["pids"]
    return pids


def _await_answer(pool: "subprocess.Popen[bytes]", report: BinaryIO) -> bool:
    """Return whether *pool* has something to say in *report*, or has ended: false for one that was stopped, or hangs.

    As with the queue's lock, who was stopped gets so long to go on; who works may have millions of jobs to load.
    """
    poller = select.poll()
    poller.register(report, select.POLLIN)
    deadline = time.monotonic() + _ANSWER_LIMIT_S
    while not poller.poll(COMMAND_DEADLINE_S * 1000):
        import psutil  # here: it takes 30 ms to load, and nearly every pool answers

        if time.monotonic() > deadline or psutil.Process(pool.pid).status() == psutil.STATUS_STOPPED:
            return False
    return True


def _end(folder: Path, pool: "subprocess.Popen[bytes]") -> None:
    """End *pool*, even if it was stopped, and whatever workers it has started by now."""
    pool.kill()
    with suppress(subprocess.TimeoutExpired):  # it hangs in the system, and ends as soon as that lets go of it
        pool.wait(STOP_MARGIN_S)
    # One without a file does not begin without its pool.
    orphans = [
        info
        for info in liveness.read_workers(folder)
        if info.is_alive and info.pool_pid == pool.pid and not info.is_elsewhere
    ]
    for info in orphans:
        _tell(info, signal.SIGQUIT)
    deadline = time.monotonic() + STOP_MARGIN_S
    for info in orphans:
        _has_ended(folder, info, deadline)
    liveness.forget_dead_pools(folder)


def _open_log(path: Path) -> int:
    """Open the log of workers in the background; raise ``StoreUnavailable`` if its name is borne by something else."""
    disk.make_folder(path.parent)
    try:
        # Not to wait for who reads a pipe.
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), str(path))
    except OSError as error:
        raise disk.refusal(path, error) from error
    ownership.hand_over(fd, path.parent)
    return fd


def run(folder: Path, count: int) -> NoReturn:
    """Become a pool of *count* workers on the queue in *folder*, which logs to standard error.

    It keeps this process's PID, and ends, with 0, when its workers were stopped. Raises ``OSError`` if it cannot begin.
    """
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.execv(sys.executable, _command(folder, count))  # noqa: S606 - it is this program itself


def program() -> list[str]:
    """Return what a command line of this program begins with, whatever directory it is run in."""
    return [sys.executable, str(Path(queuectl.__file__).absolute().with_name("__main__.py"))]


def _command(folder: Path, count: int, *report_fd: int) -> list[str]:
    return [*program(), _POOL_COMMAND, str(folder.absolute()), str(count), *map(str, report_fd)]


def stop(folder: Path, pids: Collection[int] | None, *, now: bool, limit_s: float) -> Iterator[int]:
    """Stop the workers with *pids* (None: all), yielding each PID when its worker has ended.

    *limit_s* is how long a worker may take by its settings. With the last
    worker of a pool the pool has ended too, and the data are at rest. Raises
    ``WorkerNotFound``, before anything is stopped, for a PID that is no
    worker's, and ``QueueCtlError`` for one of another container; the latter
    also at the end, for those that have not stopped.
    """
    chosen, pools = _choose(folder, pids)
    for info in pools:  # first, so that nobody takes the place of those who end
        _tell(info, CLOSE)
    for info in chosen:
        _tell(info, signal.SIGQUIT if now else signal.SIGTERM)
    deadline = time.monotonic() + limit_s + STOP_MARGIN_S
    stubborn = []
    for info in chosen:
        if info.pid is not None and _has_ended(folder, info, deadline):
            yield info.pid
        else:
            stubborn.append(info.pid)
    if stubborn:
        pids_text = ", ".join(map(str, stubborn))
        advice = "" if now else ' "worker stop --now" does not wait for commands.'
        raise _not_stopped(folder, f"{pids_text}.", advice, stubborn)
    if late := [info.pid for info in pools if not _has_ended(folder, info, deadline)]:
        raise _not_stopped(folder, f"the pool {', '.join(map(str, late))}, which started the workers.", "", late)


def _choose(folder: Path, pids: Collection[int] | None) -> tuple[list[WorkerInfo], list[WorkerInfo]]:
    """Return the workers with *pids* (None: all), and the pools that end with them; raise if one cannot be stopped.

    A PID means a process only in its own PID namespace: elsewhere it is another's, or nobody's.
    """
    live = [info for info in liveness.read_workers(folder) if info.is_alive and info.pid is not None]
    chosen = [info for info in live if pids is None or (info.pid in pids and not info.is_elsewhere)]
    for pid in set(pids or ()) - {info.pid for info in chosen}:
        if any(info.pid == pid for info in live):
            raise _elsewhere(folder, f"worker {pid}", pid)
        msg = f'No worker has PID {pid}: "worker list" shows those that run.'
        raise WorkerNotFound(msg, pid=pid)
    staying = {info.pool_pid for info in live if info not in chosen and not info.is_elsewhere}
    wanted = {info.pool_pid for info in chosen} - staying
    pools = [
        info
        for info in liveness.read_pools(folder)
        if info.is_alive and (pids is None or (info.pid in wanted and not info.is_elsewhere))
    ]
    for what, infos in (("worker", chosen), ("pool", pools)):
        for info in infos:
            if info.is_elsewhere:
                raise _elsewhere(folder, f"{what} {info.pid}", info.pid)
    return chosen, pools


def _elsewhere(folder: Path, who: str, pid: int | None) -> QueueCtlError:
    """Return what to raise for a worker or pool whose PID means nothing here."""
    msg = (
        f"Nothing was stopped: {who} of {folder} runs in another container (PID namespace), "
        'and its PID is another process\'s here. Run "worker stop" in that container, or stop the container.'
    )
    return QueueCtlError(msg, pid=pid)


def _not_stopped(folder: Path, who: str, advice: str, pids: Sequence[int | None]) -> QueueCtlError:
    """Return what to raise for *who* has not stopped; *advice* holds unless they wait for the queue's lock."""
    lock = QueueLock(folder, deadline_s=_HELD_S)
    try:
        with lock:
            return QueueCtlError(f"Not stopped in time: {who}{advice}", pids=pids)
    except StoreBusy as error:
        return StoreBusy(f"Not stopped in time: {who} {error.message}", pids=pids)
    finally:
        lock.close()


def _proc(info: WorkerInfo) -> Proc:
    return Proc(info.pid or 0, info.start_ticks or 0)


def _tell(info: WorkerInfo, number: int) -> None:
    """Send signal *number* to a worker or pool, and to no other that may have its PID by now; it goes on if stopped."""
    processes.send(_proc(info), number)
    processes.send(_proc(info), signal.SIGCONT)


def _has_ended(folder: Path, info: WorkerInfo, deadline: float) -> bool:
    # Whoever holds the lock lives, even if /proc, which may be that of another container, does not show it.
    while processes.is_running(_proc(info)) or liveness.is_alive(folder, info.worker_id):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_AGAIN_S)
    return True
