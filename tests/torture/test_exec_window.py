"""A worker that is killed while it starts a command: between fork and exec the command cannot be known by anything."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from queuectl import processes
from queuectl.liveness import hold_dead
from tests.torture.conftest import Figures
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
WINDOW_S = 0.0012  #: after the worker has said that it starts the command

#: Forks workers on demand; each says its PID and file just before it starts a command, and is killed about then.
KILLED_WORKERS = """
import os, sys, time
from pathlib import Path
from queuectl.liveness import WorkerFile
from queuectl.runner import Runner
folder = Path(sys.argv[1])
for number, line in enumerate(sys.stdin):
    if not (pid := os.fork()):
        file = WorkerFile.create(folder, pid=os.getpid(), pool_pid=os.getppid())
        runner = Runner()
        os.write(1, b"%d %s\\n" % (os.getpid(), file.worker_id.encode()))
        runner.start("exec sleep 1000", cwd=None, env={}, token=f"{sys.argv[2]}-{number}", job_id="job",
                     attempt_number=1, out_path=str(folder / f"{number}.out"), err_path=str(folder / f"{number}.err"))
        time.sleep(1000)
        os._exit(1)
    os.waitpid(pid, 0)
"""


@pytest.fixture
def token() -> Iterator[str]:
    """Return what the tokens of this test begin with; what still bears one at the end is ended."""
    token = os.urandom(16).hex()
    yield token
    for process in bearing(token):
        process.kill()


def bearing(token: str) -> list[psutil.Process]:
    """Return the processes with *token* in their environment, found by other means than the product's."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(processes.CLAIM_VARIABLE, "").startswith(token):
                found.append(process)
        except psutil.Error:
            continue
    return found


def remove_file_of_dead(folder: Path, worker_id: str) -> bool:
    """Take the lock of a worker that has died, as its rescuer does; tell whether that worked."""
    held = hold_dead(folder, worker_id)
    if held is None:
        return False
    with held:
        held.remove()
    return True


def test_a_kill_between_fork_and_exec_misses_no_command(
    tmp_path: Path, token: str, dice: random.Random, volume: Callable[[int, int], int], figure: Figures
) -> None:
    """As soon as a dead worker's lock is free, its command is found, if it has been started at all."""
    kills = volume(200, 5000)
    found = 0
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WORKERS, tmp_path, token],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for number in range(kills):
            server.stdin.write("\n")
            pid, worker_id = server.stdout.readline().split()
            moment = time.perf_counter() + dice.uniform(0, WINDOW_S)
            while time.perf_counter() < moment:
                pass
            os.kill(int(pid), signal.SIGKILL)
            until(lambda id=worker_id: remove_file_of_dead(tmp_path, id), longest_s=0.001)  # type: ignore[misc]
            has_begun = bool(processes.find(f"{token}-{number}"))
            assert processes.end_all(f"{token}-{number}") == []
            found += has_begun
            if number % 50 == 49:
                assert bearing(token) == [], f"after {number + 1} kills"
        server.stdin.close()
        server.wait()

    figure("kills", kills)
    figure("of these after the command had begun", found)
    assert bearing(token) == []
    assert 0 < found < kills, "the kills did not hit the start"
