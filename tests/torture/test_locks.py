"""Locks whose holders are stopped: nobody hangs for ever, and whoever gives up says whose fault it is."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from queuectl.errors import ExitCode, StoreBusy
from queuectl.job import State
from queuectl.stores.local.store import LocalStore
from tests.real_queue import RealQueue
from tests.samples import specs
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
#: Opens the queue, takes its lock when told to, says so, and lets go of it when told to. Says also that it has to wait.
HOLDER = """
import sys
from pathlib import Path
from queuectl.stores.local.lock import QueueLock
from queuectl.stores.local.store import LocalStore
wait = QueueLock._wait
def wait_aloud(lock):
    print("waiting", flush=True)
    wait(lock)
QueueLock._wait = wait_aloud
store = LocalStore(Path(sys.argv[1]))
store._engine.lock.deadline_s = None
print("ready", flush=True)
sys.stdin.readline()
with store._engine.lock:
    print("held", flush=True)
    sys.stdin.readline()
print("free", flush=True)
"""
Open = Callable[[], "subprocess.Popen[str]"]


def say(process: "subprocess.Popen[str]", answer: str | None = None) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert answer is None or process.stdout.readline() == f"{answer}\n"


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    until(lambda: is_stopped(pid))


def is_next(process: "subprocess.Popen[str]", gate: Path) -> bool:
    """Whether *process* holds the gate, and so is the next to get the lock."""
    inode = gate.stat().st_ino
    return any(
        words[4] == str(process.pid) and words[5].endswith(f":{inode}")
        for words in map(str.split, Path("/proc/locks").read_text().splitlines())
        if "->" not in words
    )


@pytest.fixture
def open_holder(data_dir: Path) -> Iterator[Open]:
    started = []

    def open_one() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, data_dir], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield open_one
    for process in started:
        process.kill()
        process.communicate()


def test_a_stopped_holder_is_named_after_the_deadline(
    data_dir: Path, open_holder: Open, volume: Callable[[float, float], float]
) -> None:
    """Whoever waits gives up, having changed nothing; the queue goes on when the holder does."""
    store = LocalStore(data_dir)
    store.enqueue(specs("a"), now=datetime.now(UTC))
    store._engine.lock.deadline_s = deadline_s = volume(0.5, 10)
    holder = open_holder()
    say(holder, "held")
    stop(holder.pid)

    begun = time.monotonic()
    with pytest.raises(StoreBusy, match=rf"process {holder.pid} \(") as caught:
        store.enqueue(specs("b"), now=datetime.now(UTC))

    assert deadline_s <= time.monotonic() - begun < deadline_s + 5
    assert caught.value.exit_code is ExitCode.STORE
    os.kill(holder.pid, signal.SIGCONT)
    say(holder, "free")
    assert [job.id for job in store.jobs()] == ["a"]
    store.close()


def test_a_worker_waits_for_a_stopped_holder_and_goes_on(queue: RealQueue, open_holder: Open) -> None:
    """And can be stopped meanwhile: its job is done once the lock is free."""
    queue.start(1)
    holder = open_holder()
    [id] = queue.enqueue("sleep 0.5")
    until(lambda: queue.job(id).state is State.IN_PROGRESS)
    say(holder, "held")
    stop(holder.pid)
    until(lambda: len(queue.commands()) == 0, what="the end of the command")
    os.kill(holder.pid, signal.SIGCONT)
    say(holder, "free")
    assert queue.await_state(id, State.COMPLETED).attempts == 1


def test_who_has_a_deleted_lock_file_and_who_makes_it_anew_exclude_each_other(
    data_dir: Path, open_holder: Open
) -> None:
    before = open_holder()
    (data_dir / "queue.lock").unlink()
    after = open_holder()
    say(before, "held")
    say(after, "waiting")
    say(before, "free")
    assert after.stdout is not None
    assert after.stdout.readline() == "held\n"


def test_one_who_was_stopped_at_the_gate_keeps_nobody_out(data_dir: Path, open_holder: Open) -> None:
    """Whoever was the next for the lock, and is stopped, leaves it to those behind."""
    store = LocalStore(data_dir)
    store.enqueue(specs("a"), now=datetime.now(UTC))
    holder, following, third = open_holder(), open_holder(), open_holder()
    say(holder, "held")
    say(following, "waiting")
    until(lambda: is_next(following, data_dir))
    stop(following.pid)
    say(third, "waiting")
    say(holder, "free")

    answer = third.stdout
    assert answer is not None
    until(lambda: select.select([answer], [], [], 0)[0], 5)
    assert answer.readline() == "held\n"
    say(third, "free")
    assert [job.id for job in store.jobs()] == ["a"]
    store.close()
