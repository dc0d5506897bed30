"""The clock of the wall is set while workers run: what waits for a moment follows it, what takes time does not."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from queuectl.job import State
from queuectl.specs import JobSpec
from tests.real_queue import MARK, RealQueue
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
HOUR_S = 3600.0
#: A pool with one worker, whose wall clock is as many seconds off as a file says.
STEPPED = """
import datetime, os, sys
from pathlib import Path
from queuectl import supervisor
class Stepped(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.now(tz) + datetime.timedelta(seconds=float(Path(sys.argv[2]).read_text()))
import queuectl.rescue, queuectl.worker
queuectl.rescue.datetime = queuectl.worker.datetime = Stepped
sys.exit(supervisor.main(Path(sys.argv[1]), 1, int(sys.argv[3])))
"""
SetClock = Callable[[float], None]


@pytest.fixture
def set_clock(queue: RealQueue, tmp_path: Path) -> Iterator[SetClock]:
    """Start a worker; return what sets its clock so many seconds off."""
    offset = tmp_path / "offset"

    def set_it(seconds: float) -> None:
        fresh = tmp_path / "offset.new"
        fresh.write_text(str(seconds))
        fresh.replace(offset)

    set_it(0)
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as report:
        pool = subprocess.Popen(
            [sys.executable, "-c", STEPPED, queue.folder, offset, str(write_end)],
            cwd=ROOT,
            env=os.environ | {MARK: queue.mark},
            pass_fds=[write_end],
            start_new_session=True,
        )
        os.close(write_end)
        assert "pids" in json.loads(report.readline())
        yield set_it
    queue.stop()
    assert pool.wait(30) == 0


def test_a_retry_follows_the_clock(queue: RealQueue, set_clock: SetClock) -> None:
    queue.store.set_setting("base", HOUR_S)
    queue.store.set_setting("max-delay", HOUR_S)
    [id] = queue.enqueue("exit 1", max_retries=2)
    queue.await_state(id, State.FAILED)
    set_clock(-HOUR_S)
    [other] = queue.enqueue("true")
    queue.await_state(other, State.COMPLETED)
    assert queue.job(id).state is State.FAILED, "its time is even farther off"
    set_clock(HOUR_S + 1)
    assert queue.await_state(id, State.DEAD).attempts == 2


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_the_timeout_of_a_command_does_not_follow_the_clock(
    queue: RealQueue, set_clock: SetClock, tmp_path: Path, step_s: float
) -> None:
    """Set forward, it does not end early; set back, it does not last."""
    specs = [
        JobSpec(command=f"touch {tmp_path}/begun; until test -e {tmp_path}/go; do sleep 0.01; done", timeout=600),
        JobSpec(command="sleep 1000", timeout=0.5, max_retries=1),
    ]
    lasting, endless = queue.store.enqueue(specs, now=datetime.now(UTC))
    until((tmp_path / "begun").exists)
    set_clock(step_s)
    queue.store.cancel([queue.enqueue("true")[0]], now=datetime.now(UTC))  # rings; the worker looks at its job
    (tmp_path / "go").touch()
    assert queue.await_state(lasting, State.COMPLETED).attempts == 1
    begun = time.monotonic()
    assert queue.await_state(endless, State.DEAD).error == "timed out after 0.5s"
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_a_killed_worker_is_noticed_whatever_the_clock_says(
    queue: RealQueue, set_clock: SetClock, tmp_path: Path, step_s: float
) -> None:
    [id] = queue.enqueue(f"echo >>{tmp_path}/runs; test $(wc -l <{tmp_path}/runs) = 2 || exec sleep 1000")
    until((tmp_path / "runs").exists)
    [worker] = queue.worker_pids()
    set_clock(step_s)
    queue.kill(worker)
    job = queue.await_state(id, State.COMPLETED)
    assert (job.attempts, job.crashes) == (2, 1)
