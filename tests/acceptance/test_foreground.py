"""Workers in the foreground, as systemd, a container or a terminal keeps them."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pexpect
import pytest

from tests.acceptance.conftest import LIMIT_S, PROGRAM, QueueCtl
from tests.waiting import until


@pytest.fixture
def workers(queuectl: QueueCtl) -> Iterator[subprocess.Popen[bytes]]:
    """Return two workers in the foreground, which have reported in."""
    with queuectl.start("worker", "start", "--foreground", "--count", "2") as process:
        until(lambda: status(queuectl)["workers"], what="the workers to report in")
        yield process
        process.kill()


def status(queuectl: QueueCtl) -> dict[str, list[int]]:
    answer: dict[str, list[int]] = json.loads(queuectl.run(b"", "status", "--json").out)
    return answer


def outcome(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, out.decode(), err.decode()


def test_workers_run_jobs_and_end_with_sigterm(queuectl: QueueCtl, workers: subprocess.Popen[bytes]) -> None:
    assert queuectl.run(b"", "enqueue", "--id", "a", "--", "cat; echo done").code == 0
    assert queuectl.run(b"", "wait", "a").code == 0
    assert queuectl.run(b"", "logs", "a").out == "done\n"
    pids = status(queuectl)["workers"]

    workers.send_signal(signal.SIGTERM)

    code, out, err = outcome(workers)
    assert (code, out) == (0, "Starting 2 worker(s)...\n")
    assert f"workers run: {', '.join(map(str, pids))}" in err or f"workers run: {pids[1]}, {pids[0]}" in err
    assert status(queuectl)["workers"] == []


def test_a_running_command_has_its_grace(queuectl: QueueCtl, workers: subprocess.Popen[bytes]) -> None:
    """One SIGTERM is one: a command that ends within the grace time is not cut short."""
    queuectl.run(b"", "enqueue", "--id", "a", "--", "touch begun; while ! test -e go; do sleep 0.05; done")
    until((queuectl.here / "begun").exists)

    workers.send_signal(signal.SIGTERM)
    until(lambda: len(status(queuectl)["workers"]) == 1, what="the idle worker to end")
    (queuectl.here / "go").touch()

    assert outcome(workers)[0] == 0
    assert json.loads(queuectl.run(b"", "show", "a", "--json").out)["state"] == "completed"


@pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")
def test_ctrl_c_gives_a_running_command_its_grace(queuectl: QueueCtl) -> None:
    """At a terminal the signal goes to a whole group; the workers must not take it for a second one, to hurry."""
    arguments = [PROGRAM[1], "worker", "start", "--foreground", "--count", "2"]
    child = pexpect.spawn(PROGRAM[0], arguments, cwd=str(queuectl.here), env=queuectl.environment)
    child.expect("workers run: ", timeout=LIMIT_S)
    queuectl.run(b"", "enqueue", "--id", "a", "--", "touch begun; while ! test -e go; do sleep 0.05; done")
    until((queuectl.here / "begun").exists)

    child.send("\x03")
    until(lambda: len(status(queuectl)["workers"]) == 1, what="the idle worker to end")
    (queuectl.here / "go").touch()

    child.expect(pexpect.EOF, timeout=LIMIT_S)
    child.close()
    assert child.exitstatus == 0
    assert json.loads(queuectl.run(b"", "show", "a", "--json").out)["state"] == "completed"


def test_worker_stop_ends_it_too(queuectl: QueueCtl, workers: subprocess.Popen[bytes]) -> None:
    assert "All workers stopped.\n" in queuectl.run(b"", "worker", "stop").out
    assert outcome(workers)[0] == 0


def test_workers_are_out_of_reach_of_the_terminal(queuectl: QueueCtl, workers: subprocess.Popen[bytes]) -> None:
    """Ctrl-C goes to the group in the foreground: had workers had it as well, the pool's word would be their second."""
    for pid in status(queuectl)["workers"]:
        assert os.getpgid(pid) == pid


def test_a_script_cannot_become_workers(queuectl: QueueCtl) -> None:
    result = queuectl.run("worker start --foreground\nstatus\n")
    assert "script:1: " in result.err
    assert "Total Jobs: 0" in result.out


def test_a_queue_that_cannot_be_used_is_told(queuectl: QueueCtl) -> None:
    queuectl.data.mkdir()
    (queuectl.data / "jobs.json").write_text("no jobs")
    with queuectl.start("worker", "start", "--foreground") as process:
        code, _, err = outcome(process)
    assert code != 0
    assert "jobs.json" in err
