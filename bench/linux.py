"""What Linux tells of processes and locks in /proc; where there is none, that is not measured."""

import threading
import time
from collections.abc import Collection
from pathlib import Path

PROC = Path("/proc")
IS_THERE = (PROC / "self" / "smaps_rollup").exists()
_MB = 1_000_000


def parent(pid: int) -> int:
    """Return the process that has started *pid*."""
    return int(_field(PROC / str(pid) / "status", "PPid"))


def proportional_mb(pid: int) -> float:
    """Return the memory of *pid*, of what it shares with others its part (PSS)."""
    return int(_field(PROC / str(pid) / "smaps_rollup", "Pss").split()[0]) * 1024 / _MB


def peak_mb(pid: int) -> float:
    """Return the most memory that *pid* has ever had."""
    return int(_field(PROC / str(pid) / "status", "VmHWM").split()[0]) * 1024 / _MB


def wakeups(pids: Collection[int]) -> int:
    """Return how often the threads of *pids* have gone to sleep, and so were woken, all their lives."""
    return sum(
        int(_field(task / "status", "voluntary_ctxt_switches"))
        for pid in pids
        for task in (PROC / str(pid) / "task").iterdir()
    )


def _field(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    msg = f"{path} has no {name}"
    raise LookupError(msg)


class LockWatch:
    """How long a file is locked, without ever touching its lock: the kernel's list of locks is read all the time."""

    def __init__(self, path: Path) -> None:
        self._mark = f":{path.stat().st_ino} ".encode()
        self._is_over = False
        self._thread = threading.Thread(target=self._watch)
        self.held_s = 0.0

    def __enter__(self) -> "LockWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()

    def _watch(self) -> None:
        with (PROC / "locks").open("rb", buffering=0) as locks:
            before = time.perf_counter()
            while not self._is_over:
                locks.seek(0)
                is_held = any(self._mark in line and b"->" not in line for line in locks.read().splitlines())
                now = time.perf_counter()
                self.held_s += (now - before) * is_held
                before = now
