"""Real processes: those of an attempt are found and ended, those of anybody else are left alone."""

import errno
import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from queuectl import processes
from queuectl.processes import Family, Proc

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="uses setsid(1); psutil, as elsewhere, is tested too")

ROOT = Path(__file__).resolve().parents[2]
#: A child; one that left the session; one that cleared its environment; one that did both, as a child; one of a
#: session of its own that was forked twice; one that nohup keeps; and a leader that has cleared its environment.
TREE = (
    "sleep {0} & setsid sleep {0} & env -i sleep {0} & setsid env -i sleep {0} & "
    "(setsid sh -c 'sleep {0} & env -i sleep {0} & wait' &) ; nohup sleep {0} >/dev/null 2>&1 & "
    "exec env -i sleep {0}"
)
SLEEPS_IN_TREE = 8


def until(condition: Callable[[], object], deadline_s: float = 20.0) -> None:
    """Wait for *condition*; fail if it has not come true in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def sleeping(seconds: str) -> set[int]:
    """Return the PIDs of the processes that run ``sleep`` *seconds*."""
    return {one.pid for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", seconds]}


def bearing(token: str) -> set[int]:
    """Return the PIDs of the processes with *token* in their environment, found by other means than the module's."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(processes.CLAIM_VARIABLE) == token:
                found.add(process.pid)
    return found


@pytest.fixture
def seconds() -> Iterator[str]:
    """Return a duration that no other test sleeps for; what still sleeps for it at the end is ended."""
    duration = f"1000.{secrets.randbelow(10**12):012d}"
    yield duration
    for process in psutil.process_iter(["cmdline"]):
        if duration in " ".join(process.info["cmdline"] or []):
            with suppress(psutil.Error):
                process.kill()


@pytest.fixture
def token() -> str:
    return secrets.token_hex(16)


@pytest.fixture
def start(seconds: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a function that starts a command as the leader of a session, with a token or without.

    Its groups are ended before what *seconds* still finds then, such as those that have left them.
    """
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str, token: str | None = None) -> subprocess.Popen[bytes]:
        env = dict(os.environ) if token is None else {**os.environ, processes.CLAIM_VARIABLE: token}
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            env=env,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:  # so its group is nobody else's
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


Start = Callable[..., subprocess.Popen[bytes]]


def test_all_of_a_tree_are_found_and_ended(start: Start, token: str, seconds: str) -> None:
    leader = start(TREE.format(seconds), token)
    until(lambda: len(sleeping(seconds)) == SLEEPS_IN_TREE)
    session_start = processes.start_ticks(leader.pid)

    found = processes.find(token, leader.pid, session_start)

    assert sleeping(seconds) < {proc.pid for proc in found}
    assert processes.end_all(token, leader.pid, session_start) == []
    assert sleeping(seconds) == set()
    assert processes.find(token, leader.pid, session_start) == set()


def test_the_token_alone_is_enough_for_what_keeps_it(start: Start, token: str, seconds: str) -> None:
    """A worker that is killed right after the start has noted no session."""
    start(f"sleep {seconds} & setsid sleep {seconds} & (setsid sleep {seconds} &) ; wait", token)
    until(lambda: len(sleeping(seconds)) == 3)

    assert processes.end_all(token) == []

    assert sleeping(seconds) == set()


def test_a_command_that_forks_all_the_time_is_ended(start: Start, token: str) -> None:
    start("f() { while :; do sh -c 'sleep 0.01' & setsid sh -c ':' & sleep 0.002; done; }; f & f & f", token)
    until(lambda: len(processes.find(token)) > 6)

    assert processes.end_all(token) == []

    assert bearing(token) == set()


def test_a_session_number_that_is_anothers_by_now_is_not_followed(start: Start, token: str, seconds: str) -> None:
    outsider = start(f"sleep {seconds} & wait")
    until(lambda: sleeping(seconds))
    its_start = processes.start_ticks(outsider.pid)
    assert its_start is not None

    assert processes.end_all(token, outsider.pid, its_start - 1) == []
    assert processes.end_all(token, outsider.pid, None) == []

    assert sleeping(seconds)
    assert outsider.poll() is None


def test_a_session_whose_leader_has_gone_needs_one_that_is_known(start: Start, token: str, seconds: str) -> None:
    """The number may have been reused by a leader that has gone, too."""
    leader = start(f"env -i sleep {seconds} &")
    leader.wait()

    assert processes.end_all(token, leader.pid, 1) == []

    assert len(sleeping(seconds)) == 1


def test_a_session_whose_leader_has_gone_is_followed_through_its_token(start: Start, token: str, seconds: str) -> None:
    leader = start(f"sleep {seconds} & env -i sleep {seconds} &", token)
    session_start = processes.start_ticks(leader.pid)
    leader.wait()
    until(lambda: len(sleeping(seconds)) == 2)

    assert processes.end_all(token, leader.pid, session_start) == []

    assert sleeping(seconds) == set()


def test_a_leader_that_goes_meanwhile_does_not_hide_its_session(start: Start, token: str, seconds: str) -> None:
    """After SIGTERM the command may be gone and reaped while others of its session go on."""
    leader = start(f"env -i sh -c 'trap : TERM; while :; do sleep {seconds}; done' & exec env -i sleep 999", token)
    session_start = processes.start_ticks(leader.pid)
    until(lambda: sleeping(seconds))
    family = Family(token, leader.pid, session_start)

    family.signal(signal.SIGTERM)
    leader.wait()

    assert family.look()
    assert not processes.find(token, leader.pid, session_start), "only who has seen them before can tell"
    assert family.end() == []
    assert not family.look()
    assert not sleeping(seconds)


def test_an_outsider_that_starts_something_with_the_token_is_left_alone(start: Start, token: str, seconds: str) -> None:
    """As ``atd`` does: what it starts has the environment of the job, in a session that is not the job's."""
    outsider = start(f"{processes.CLAIM_VARIABLE}={token} sleep {seconds} & sleep 999.5; :")
    until(lambda: sleeping(seconds))

    assert processes.end_all(token) == []

    until(lambda: not sleeping(seconds))
    assert outsider.poll() is None
    assert len(psutil.Process(outsider.pid).children()) >= 1


def test_a_token_is_compared_as_a_whole(start: Start, token: str) -> None:
    other = start("sleep 999", token + "0")
    until(lambda: processes.find(token + "0"))

    assert processes.find(token) == set()
    assert processes.find("") == set()
    assert processes.find("ü") == set()
    assert processes.end_all(token) == []
    assert other.poll() is None


def test_who_is_one_of_them_does_not_end_them(start: Start, token: str, seconds: str) -> None:
    """A job that runs queuectl itself may come upon its own dead worker."""
    start(f"sleep {seconds}", token)
    until(lambda: sleeping(seconds))
    script = f"from queuectl import processes; print(processes.end_all({token!r}))"

    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, processes.CLAIM_VARIABLE: token, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert "is one of them" in done.stdout
    assert [psutil.Process(pid).status() for pid in sleeping(seconds)] == [psutil.STATUS_SLEEPING]


def test_what_may_not_be_signalled_is_named(
    start: Start, token: str, seconds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(f"exec sleep {seconds}", token)
    until(lambda: sleeping(seconds))
    monkeypatch.setattr(processes, "send", lambda proc, number: False)

    left = processes.end_all(token)

    assert left == [f"process {min(sleeping(seconds))} (sleep) may not be signalled"]


def test_what_does_not_end_is_named(start: Start, token: str, seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start(f"exec sleep {seconds}", token)
    until(lambda: sleeping(seconds))
    monkeypatch.setattr(processes, "send", lambda proc, number: True)

    assert Family(token).end(limit_s=0.1) == [f"process {min(sleeping(seconds))} (sleep) does not end"]


def test_a_process_in_the_middle_of_exec_is_looked_at_again(
    start: Start, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two programs a process has no environment for a moment, not even the token."""
    leader = start("sleep 999", token)
    until(lambda: processes.find(token))
    read = processes._read
    looks = []

    def read_early(pid: int, token: str) -> processes.Seen | None:
        seen = read(pid, token)
        if pid == leader.pid and seen:
            looks.append(pid)
            if len(looks) <= settles_after:
                return seen._replace(bears_token=False, is_in_exec=True)
        return seen

    monkeypatch.setattr(processes, "_read", read_early)
    settles_after = 3
    assert {proc.pid for proc in processes.find(token)} >= {leader.pid}
    assert len(looks) == 4

    settles_after = 1_000_000
    family = Family(token)
    begun = time.monotonic()
    assert leader.pid not in {proc.pid for proc in family.look()}
    family.look()
    assert time.monotonic() - begun < 5, "one that stays so is not waited for for ever, nor twice"


def test_where_processes_cannot_be_listed_nothing_is_taken_for_ended(
    start: Start, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a namespace that shows the /proc of another one, its numbers name other processes."""
    leader = start("sleep 999", token)
    monkeypatch.setattr(os, "getpid", lambda: 1)

    (reason,) = processes.end_all(token, leader.pid, processes.start_ticks(leader.pid))

    assert "another PID namespace" in reason
    assert leader.poll() is None


def test_what_cannot_be_read_for_want_of_descriptors_is_not_taken_for_ended(
    start: Start, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

    leader = start("exec sleep 999", token)
    monkeypatch.setattr(processes, "_contents", refuse)

    (reason,) = processes.end_all(token, leader.pid, 1)

    assert os.strerror(errno.EMFILE) in reason
    assert leader.poll() is None


def test_a_signal_misses_none_that_is_just_being_started(start: Start, token: str, tmp_path: Path) -> None:
    for number in range(30):
        ready = tmp_path / f"{number}"
        # Each of these begins between the look at the others and the signal to its shell, if that can be.
        begins = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 999 & setsid sleep 999 & done"
        leader = start(f"touch {ready}; {begins}; (setsid sh -c 'sleep 999; :' &); wait", token)
        until(ready.exists)
        processes.Family(token, leader.pid, processes.start_ticks(leader.pid)).signal(signal.SIGTERM)
        until(lambda: not processes.find(token))


def test_a_shell_with_job_control_does_not_see_its_commands_stop(start: Start, token: str, tmp_path: Path) -> None:
    """Such a shell would go on with the next command."""
    ready, wrong = tmp_path / "ready", tmp_path / "wrong"
    leader = start(f"set -m; sh -c 'trap : TERM; touch {ready}; while :; do sleep 999; done'; touch {wrong}", token)
    until(ready.exists)

    processes.Family(token, leader.pid, processes.start_ticks(leader.pid)).signal()

    assert len(processes.find(token)) >= 3
    assert not wrong.exists()
    processes.Family(token, leader.pid, processes.start_ticks(leader.pid)).signal(signal.SIGTERM)
    leader.wait()
    assert not wrong.exists()
    assert processes.end_all(token) == []


def test_a_signal_reaches_also_those_that_left_the_session(start: Start, token: str, tmp_path: Path) -> None:
    trap = "trap 'echo >> {0}; exit' TERM; echo >> {1}; while :; do sleep 0.01; done"
    said, ready = tmp_path / "said", tmp_path / "ready"
    script = tmp_path / "script"
    script.write_text(trap.format(said, ready))
    leader = start(f"sh {script} & setsid sh {script} & sh {script}", token)
    until(lambda: ready.exists() and len(ready.read_text()) == 3)

    processes.Family(token, leader.pid, processes.start_ticks(leader.pid)).signal(signal.SIGTERM)

    until(lambda: said.exists() and len(said.read_text()) == 3)
    until(lambda: not processes.find(token))


def test_a_pid_that_is_anothers_by_now_is_not_signalled(start: Start) -> None:
    other = start("exec sleep 999")
    its_start = processes.start_ticks(other.pid)
    assert its_start is not None

    assert processes.send(Proc(other.pid, its_start - 1), signal.SIGKILL)

    with pytest.raises(subprocess.TimeoutExpired):
        other.wait(0.2)
    assert processes.send(Proc(other.pid, its_start), signal.SIGKILL)
    assert other.wait() == -signal.SIGKILL
    assert processes.send(Proc(other.pid, its_start), signal.SIGKILL), "that it has ended is no error"


def test_without_pidfd_processes_are_ended_all_the_same(
    start: Start, token: str, seconds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)
    start(f"sleep {seconds} & exec setsid sleep {seconds}", token)
    until(lambda: len(sleeping(seconds)) == 2)

    assert processes.end_all(token) == []
    assert sleeping(seconds) == set()


def test_the_start_of_a_child_is_known_without_reading_it(start: Start) -> None:
    for _ in range(200):
        before = processes.clock_ticks()
        pid = os.posix_spawn("/bin/true", ["true"], {})
        told = processes.start_of(pid, before)
        truth = processes.start_ticks(pid)
        os.waitpid(pid, 0)
        assert told == truth


def test_the_zombie_of_a_child_counts_as_gone(token: str) -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit"], {processes.CLAIM_VARIABLE: token}, setsid=True)
    session_start = processes.start_ticks(pid)
    try:
        until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        assert processes.find(token, pid, session_start) == set()
        assert processes.end_all(token, pid, session_start) == []
    finally:
        os.waitpid(pid, 0)


def test_the_machine_has_one_boot_and_unseen_containers_have_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes.boot_id() == processes.boot_id()
    own = processes.pid_namespace()
    assert processes.why_unseen(own) is None
    assert processes.why_unseen("") is None
    monkeypatch.setattr(processes, "pid_namespace", lambda: "pid:[17]")
    assert "container" in (processes.why_unseen("pid:[18]") or "")
    monkeypatch.setattr(processes, "pid_namespace", lambda: "pid:[4026531836]")
    assert processes.why_unseen("pid:[18]") is None


@pytest.fixture
def portable(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module as it is where there is no /proc: psutil in its place."""
    spec = importlib.util.spec_from_file_location("portable_processes", processes.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "platform", "darwin")
    spec.loader.exec_module(module)
    monkeypatch.undo()
    return module


def test_psutil_finds_and_ends_the_same(start: Start, token: str, seconds: str, portable: ModuleType) -> None:
    leader = start(TREE.format(seconds), token)
    until(lambda: len(sleeping(seconds)) == SLEEPS_IN_TREE)
    session_start = portable.start_ticks(leader.pid)
    other = portable.start_ticks(os.getpid())

    assert sleeping(seconds) < {proc.pid for proc in portable.find(token, leader.pid, session_start)}
    assert portable.send(portable.Proc(leader.pid, other), signal.SIGKILL)
    assert leader.poll() is None
    assert portable.end_all(token, leader.pid, session_start) == []
    assert sleeping(seconds) == set()
