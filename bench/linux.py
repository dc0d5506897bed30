"""What Linux tells of processes in /proc; where there is none, that is not measured."""

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
