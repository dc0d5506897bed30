"""The queue's lock in the hands of a process that was stopped: who waits for it, for how long, and what is said."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from queuectl import pool
from queuectl.errors import ExitCode, QueueCtlError, StoreError
from queuectl.job import State
from tests.real_queue import MARK, RealQueue
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
#: The program, which loses its patience sooner.
IMPATIENT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from queuectl.stores.local import lock
lock.COMMAND_DEADLINE_S = lock.QueueLock.__init__.__kwdefaults__["deadline_s"] = 0.5
from queuectl.__main__ import main
sys.exit(main())
"""
Program = subprocess.Popen[str]
Hold = Callable[[], Program]


@pytest.fixture
def hold(data_dir: Path) -> Iterator[Hold]:
    """Return what starts another program that takes the queue's lock and is stopped."""
    held = []

    def hold_now() -> Program:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, data_dir / "queue.lock"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        held.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        return process

    yield hold_now
    for process in held:
        end(process)


def end(holder: Program) -> None:
    holder.kill()
    holder.communicate()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a command line of the impatient program begins with; pools are started with it, too."""
    words = [sys.executable, "-c", IMPATIENT]
    monkeypatch.setattr(pool, "program", lambda: words)
    return words


def start_program(queue: RealQueue, *words: str) -> Program:
    return subprocess.Popen(
        words, env=os.environ | {MARK: queue.mark}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def command_line(queue: RealQueue, *words: str) -> list[str]:
    return [sys.executable, str(ROOT / "queuectl.py"), "--data", str(queue.folder), *words]


def has_opened_lock(pid: int, queue: RealQueue) -> bool:
    with suppress(psutil.Error):
        return any(file.path == str(queue.folder / "queue.lock") for file in psutil.Process(pid).open_files())
    return False


# -- worker start --


def test_a_start_names_who_keeps_the_queue_locked_and_leaves_nothing_behind(
    queue: RealQueue, hold: Hold, impatient: list[str]
) -> None:
    holder = hold()
    with pytest.raises(StoreError, match=rf"locked for 0\.5 s by process {holder.pid} \(.*end that process") as caught:
        queue.start(2)
    assert caught.value.exit_code is ExitCode.STORE
    assert queue.started() == []
    end(holder)
    assert len(queue.start(1)) == 1


def test_a_start_that_was_interrupted_starts_no_worker_later(queue: RealQueue, hold: Hold) -> None:
    hold()
    with start_program(queue, *command_line(queue, "worker", "start")) as starter:
        [process] = until(queue.pools)
        until(lambda: has_opened_lock(process.pid, queue))
        starter.send_signal(signal.SIGINT)
        assert starter.wait(30) == ExitCode.INTERRUPTED
        until(lambda: queue.started() == [], 5, what="the end of the pool")


#: The program, whose pools are stopped at a certain moment of their start.
STOPPED = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from queuectl import supervisor
def stop(*_):
    os.kill(os.getpid(), signal.SIGSTOP)
if sys.argv[1] == "_pool":
    setattr(*MOMENT, stop)
from queuectl.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("moment", ['supervisor, "open_store"', 'supervisor.Pool, "_report"'])
def test_a_start_whose_pool_is_stopped_gives_up_and_leaves_nothing_behind(
    queue: RealQueue, data_dir: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Be it before it has begun, or once its workers run."""
    [id] = queue.enqueue("sleep 1000")
    monkeypatch.setattr(pool, "program", lambda: [sys.executable, "-c", STOPPED.replace("MOMENT", f"({moment})")])
    monkeypatch.setattr(pool, "COMMAND_DEADLINE_S", 3.0)
    with pytest.raises(QueueCtlError, match=r"their pool, process \d+, did not answer.* was ended") as caught:
        queue.start(2)
    assert caught.value.exit_code is ExitCode.FAILED
    assert queue.started() == []
    assert list((data_dir / "workers").iterdir()) == []
    assert queue.job(id).state is State.PENDING


def test_a_start_whose_pool_hangs_gives_up(queue: RealQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = [sys.executable, "-c", "import time; time.sleep(1000)"]
    monkeypatch.setattr(pool, "program", lambda: hanging)
    monkeypatch.setattr(pool, "COMMAND_DEADLINE_S", 0.1)
    monkeypatch.setattr(pool, "_ANSWER_LIMIT_S", 0.2)
    with pytest.raises(QueueCtlError, match="did not answer"):
        queue.start(1)
    assert queue.started() == []


def test_a_start_that_was_interrupted_ends_a_pool_that_is_stopped(queue: RealQueue, hold: Hold) -> None:
    hold()
    with start_program(queue, *command_line(queue, "worker", "start")) as starter:
        [process] = until(queue.pools)
        until(lambda: has_opened_lock(process.pid, queue))
        process.suspend()
        starter.send_signal(signal.SIGINT)
        assert starter.wait(30) == ExitCode.INTERRUPTED
        until(lambda: queue.started() == [], 5, what="the end of the pool")


@pytest.fixture
def foreground(queue: RealQueue, hold: Hold, impatient: list[str]) -> Iterator[tuple[Program, Program]]:
    """Return a pool that nobody waits for, as systemd starts it, once it has said whom it waits for; and the latter."""
    holder = hold()
    with start_program(queue, *impatient, "_pool", str(queue.folder), "1") as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert f"the queue has been locked for 0.5 s by process {holder.pid} (" in line
        assert line.endswith("): going on once it is free\n")
        yield process, holder
        process.kill()


def test_workers_in_the_foreground_wait_for_the_queue_and_say_so_once(
    foreground: tuple[Program, Program],
) -> None:
    process, holder = foreground
    end(holder)
    assert process.stderr is not None
    assert "workers run: " in process.stderr.readline()
    process.terminate()
    assert process.wait(30) == 0


def test_ctrl_c_ends_workers_in_the_foreground_that_wait_for_the_queue(
    foreground: tuple[Program, Program],
) -> None:
    process, _ = foreground
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (-signal.SIGINT, "")


# -- worker stop --


def test_a_stop_names_who_keeps_workers_from_stopping(queue: RealQueue, hold: Hold) -> None:
    [id] = queue.enqueue("sleep 1000")
    [worker] = queue.start(1)
    queue.await_state(id, State.IN_PROGRESS)
    holder = hold()
    with pytest.raises(StoreError, match=rf"in time: {worker}\. .* by process {holder.pid} \(") as caught:
        queue.stop(now=True, limit_s=-pool.STOP_MARGIN_S)
    assert "--now" not in str(caught.value)
    assert caught.value.exit_code is ExitCode.STORE
    end(holder)
    until(lambda: queue.started() == [], what="the workers to stop")
    assert queue.job(id).state is State.PENDING


@pytest.mark.parametrize("now, advice", [(False, ' "worker stop --now" does not wait for commands.'), (True, "")])
def test_a_stop_advises_not_to_wait_only_who_has_waited(
    queue: RealQueue, tmp_path: Path, now: bool, advice: str
) -> None:
    ready = tmp_path / "ready"
    queue.enqueue(f"trap '' TERM; touch {ready}; while :; do sleep 1; done")
    [worker] = queue.start(1)
    until(ready.exists)
    with pytest.raises(QueueCtlError) as caught:
        queue.stop(now=now, limit_s=-pool.STOP_MARGIN_S)
    assert str(caught.value) == f"Not stopped in time: {worker}.{advice}"


# -- wait --


def test_wait_gives_up_in_time_while_the_queue_is_locked(queue: RealQueue, hold: Hold) -> None:
    [id] = queue.enqueue("sleep 1000")
    queue.start(1)
    queue.await_state(id, State.IN_PROGRESS)
    holder = hold()
    begun = time.monotonic()
    with start_program(queue, *command_line(queue, "wait", id, "--timeout", "1")) as waiting:
        _, err = waiting.communicate(timeout=60)
    assert time.monotonic() - begun < 8
    assert waiting.returncode == ExitCode.TIMED_OUT
    assert err.startswith(f"queuectl: Gave up after 1s. The queue has been locked for 1 s by process {holder.pid} (")


def test_wait_goes_on_once_the_queue_is_free(queue: RealQueue, hold: Hold, tmp_path: Path) -> None:
    [id] = queue.enqueue(f"until test -e {tmp_path}/go; do sleep 0.01; done")
    queue.start(1)
    queue.await_state(id, State.IN_PROGRESS)
    holder = hold()
    with start_program(queue, *command_line(queue, "wait", id, "--timeout", "60")) as waiting:
        until(lambda: has_opened_lock(waiting.pid, queue))
        end(holder)
        (tmp_path / "go").touch()
        out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (0, "1 job has ended: 1 completed.\n")
