"""Living processes that ``worker_pids.json`` names and that are no workers of ours: another program's, perhaps."""

from pathlib import Path

import msgspec

from queuectl import liveness
from queuectl.stores.local import disk

_CLOCK_S = 2.0  #: by which the system's times of processes and of files may differ
WARNING = "if it is another program's worker, stop it first, or a job may run twice"


def find(folder: Path) -> dict[int, str]:
    """Return what runs under each PID that is neither a worker's of the queue in *folder*, nor a later process's."""
    try:
        content, status = disk.read_file(folder / "worker_pids.json")
        named = msgspec.json.decode(content or b"[]", type=list[int])
    except (OSError, ValueError, RecursionError):
        return {}  # what is wrong with it is said by doctor
    # One that has died in another container is a reason for its number, too: here another process has it.
    known = [info for info in liveness.read_workers(folder) if info.is_alive or info.is_elsewhere]
    ours = {pid for info in known for pid in (info.pid, info.pool_pid)}
    others = [pid for pid in named if pid > 0 and pid not in ours]
    return {pid: command for pid in others if (command := _command_of(pid, status.st_mtime)) is not None}


def _command_of(pid: int, named_at: float) -> str | None:
    """Return the command of process *pid*; None if it has ended, or began after the file had been written."""
    import psutil  # costs 30 ms, and hardly ever is there anything to ask

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or process.create_time() > named_at + _CLOCK_S:
            return None
        command = " ".join(process.cmdline()) or process.name()
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return "of another user"
    return "".join(one if one.isprintable() else " " for one in command)[:80]
