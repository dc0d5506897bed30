"""Many processes at one folder that begin at the same moment."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: What each process begins with: it opens the queue, says so, and waits for the start, so that all run at once.
_PREFACE = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from queuectl.errors import DuplicateId
from queuectl.job import Claim, Outcome
from queuectl.specs import JobSpec
from queuectl.stores.local.store import LocalStore
store = LocalStore(Path(sys.argv[1]))
number = int(sys.argv[2])
now = lambda: datetime.now(UTC)
claim = lambda n: Claim(os.getpid(), f"{number:016x}.{n}")
print("ready", flush=True)
sys.stdin.readline()
"""


def run_all(folder: Path, code: str, processes: int) -> list[list[str]]:
    """Run *code* in so many processes at once; return the lines that each has printed."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _PREFACE + code, folder, str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=100)[0].splitlines() for process in started]
        assert [process.returncode for process in started] == [0] * processes
        return answers
    finally:
        for process in started:
            process.kill()
            process.communicate()
