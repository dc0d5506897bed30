"""Print where the time of a drained job goes, from ``/proc`` (Linux): ``spent.py [WORKERS]...``, else 2, 8 and 16.

Workers run `true` for some seconds; looked at are those in the middle. In microseconds a job: the time of a core, and
what of it the worker has spent (its own code, the system for it), what its command (the same), and what was not used.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JOBS, WARM_UP_S, LOOK_S = 9_000, 0.7, 2.0
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def queuectl(data: Path, *words: str | Path) -> None:
    """Run one command of the program."""
    subprocess.run(
        [sys.executable, ROOT / "queuectl.py", "--data", data, *words], stdout=subprocess.DEVNULL, check=True
    )


def look(data: Path, pids: list[int]) -> tuple[float, int, list[int]]:
    """Return the time, the number of completed jobs, and the clock ticks that the workers and their commands took."""
    ticks = [0, 0, 0, 0]
    for pid in pids:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = [sum(pair) for pair in zip(ticks, map(int, words[11:15]), strict=True)]
    return time.monotonic(), (data / "jobs.json").read_bytes().count(b'"state":"completed"'), ticks


def measure(count: int) -> str:
    """Return a line about *count* workers."""
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as place:
        data, commands = Path(place, "data"), Path(place, "commands.txt")
        commands.write_text("true\n" * JOBS)
        queuectl(data, "enqueue", "-f", commands)
        queuectl(data, "worker", "start", "--count", str(count))
        try:
            pids = json.loads((data / "worker_pids.json").read_bytes())
            time.sleep(WARM_UP_S)
            begun, first, before = look(data, pids)
            time.sleep(LOOK_S)
            ended, last, after = look(data, pids)
        finally:
            queuectl(data, "worker", "stop", "--now")
    jobs = last - first
    if last >= JOBS or not jobs:
        return f"{count} workers: this machine is too quick or too slow for {JOBS} jobs"
    whole = (ended - begun) * min(count, os.cpu_count() or 1) / jobs * 1e6
    user, system, child, child_system = ((b - a) * TICK_S / jobs * 1e6 for a, b in zip(before, after, strict=True))
    return (
        f"{count} workers: {whole:.0f} = worker {user:.0f} + {system:.0f}, command {child:.0f} + {child_system:.0f}, "
        f"rest {whole - user - system - child - child_system:.0f}"
    )


for word in sys.argv[1:] or ("2", "8", "16"):
    print(measure(int(word)), flush=True)
