"""Real commands: how they start, how they end, what is left of them, and what a kill of their worker misses."""

import errno
import fcntl
import os
import resource
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from queuectl import outputs, processes
from queuectl.ending import Ended, failure_text
from queuectl.job import MAX_ERROR
from queuectl.runner import Attempt, Runner, StartFailure

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="uses /proc or setsid(1)")


def until(condition: Callable[[], object], deadline_s: float = 20.0) -> None:
    """Wait for *condition*; fail if it has not come true in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


def bearing(token: str) -> set[int]:
    """Return the PIDs of the processes with *token* in their environment, found by other means than the product's."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(processes.CLAIM_VARIABLE, "").startswith(token):
                found.add(process.pid)
    return found


class Bench:
    """Runs commands as a worker does, each as the next attempt of one job."""

    def __init__(self, folder: Path, token: str) -> None:
        self.runner = Runner()
        self.folder = folder
        self.token = token
        self.attempts: list[Attempt] = []

    def path(self, stream: str, attempt_number: int = 1) -> Path:
        return self.folder / "logs" / f"job1.{attempt_number}.{stream}"

    def try_start(self, command: str, **changes: Any) -> Attempt | StartFailure:
        number = changes.get("attempt_number", 1)
        started = self.runner.start(
            command,
            **{
                "cwd": str(self.folder),
                "env": {},
                "token": self.token,
                "job_id": "job1",
                "attempt_number": 1,
                "out_path": str(self.path("out", number)),
                "err_path": str(self.path("err", number)),
                **changes,
            },
        )
        if isinstance(started, Attempt):
            self.attempts.append(started)
        return started

    def start(self, command: str, **changes: Any) -> Attempt:
        started = self.try_start(command, **changes)
        assert isinstance(started, Attempt)
        return started

    def run(self, command: str, **changes: Any) -> Ended:
        return ended(self.start(command, **changes))

    def output(self, command: str, **changes: Any) -> str:
        assert self.run(command, **changes).exit_code == 0
        return self.path("out").read_text()


def ended(attempt: Attempt, deadline_s: float = 30.0) -> Ended:
    """Wait for the end of *attempt* as a worker does: by its descriptor alone."""
    poll = select.poll()
    poll.register(attempt.fileno(), select.POLLIN)
    assert poll.poll(deadline_s * 1000), "the end was not noticed"
    facts = attempt.poll()
    assert facts is not None
    return facts


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, os.urandom(16).hex())
    yield bench
    for attempt in bench.attempts:
        attempt.kill()
        attempt.poll()
    processes.end_all(bench.token)
    bench.runner.close()


def test_output_goes_to_files_of_its_own(bench: Bench) -> None:
    facts = bench.run("echo Hello; echo problem >&2")

    assert (facts.exit_code, facts.signal, facts.error) == (0, None, None)
    assert 0 < facts.duration_s < 30
    assert bench.path("out").read_text() == "Hello\n"
    assert bench.path("err").read_text() == "problem\n"
    assert stat.S_IMODE(bench.path("out").stat().st_mode) == 0o600
    assert stat.S_IMODE(bench.path("out").parent.stat().st_mode) == 0o700


def test_empty_output_leaves_no_file(bench: Bench) -> None:
    bench.run("echo only this one")
    bench.run("true", attempt_number=2)

    bench.runner.close()
    bench.runner = Runner()
    assert [path.name for path in bench.path("out").parent.iterdir()] == ["job1.1.out"]


@ON_LINUX
def test_a_silent_command_leaves_its_files_to_the_next(bench: Bench) -> None:
    """Making and removing files is most of what a silent command would cost on the disk."""
    os.mkfifo(bench.folder / "gate")
    attempt = bench.start("read gate < gate")
    inode = bench.path("out").stat().st_ino
    (bench.folder / "gate").write_text("open")
    ended(attempt)
    assert not attempt.has_output

    attempt = bench.start("echo more")
    assert bench.path("out").stat().st_ino == inode
    ended(attempt)
    assert attempt.has_output
    for _ in range(2):  # as if the disk had refused the second half
        attempt.move_outputs(str(bench.folder / "kept" / "1.out"), str(bench.folder / "kept" / "1.err"))

    assert bench.output("echo yet more") == "yet more\n"
    assert [(path.name, path.read_text()) for path in (bench.folder / "kept").iterdir()] == [("1.out", "more\n")]


@ON_LINUX
def test_a_file_that_the_background_may_write_to_is_not_left_to_the_next(bench: Bench) -> None:
    os.mkfifo(bench.folder / "gate")
    attempt = bench.start("read go < gate & :")
    ended(attempt)
    assert attempt.has_output


@ON_LINUX
def test_what_the_background_writes_before_it_is_looked_for_is_seen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes, and ends, after its command has ended."""
    os.mkfifo(bench.folder / "gate")
    has_writers = outputs._has_writers

    def look(read_fd: int) -> bool | None:
        if bearing(bench.token):
            (bench.folder / "gate").write_text("open")
            until(lambda: not bearing(bench.token))
        return has_writers(read_fd)

    monkeypatch.setattr(outputs, "_has_writers", look)
    attempt = bench.start("(read go < gate; echo late) & :")
    ended(attempt)
    assert attempt.has_output


def test_where_nobody_can_tell_who_may_write_the_next_command_has_files_of_its_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on systems without leases. What comes late is lost, but never taken for another's."""
    monkeypatch.setattr(outputs, "_has_writers", lambda read_fd: None)
    for gate in ("late gate", "gate"):
        os.mkfifo(bench.folder / gate)
    ended(bench.start("(read go < 'late gate'; echo late; touch written) & :"))
    attempt = bench.start("read go < gate")
    (bench.folder / "late gate").write_text("open")
    until((bench.folder / "written").exists)
    (bench.folder / "gate").write_text("open")
    ended(attempt)
    assert not attempt.has_output


@ON_LINUX
def test_a_file_system_without_leases_is_no_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    control = fcntl.fcntl

    def refuse(fd: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETLEASE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return control(fd, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    bench.run("true")
    assert list(bench.path("out").parent.iterdir()) == []


@ON_LINUX
def test_who_opens_a_file_while_it_is_looked_at_ends_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system tells the worker so by a signal, which is fatal unless another is asked for."""
    control = fcntl.fcntl

    def open_meanwhile(fd: int, command: int, argument: int = 0) -> int:
        answer = control(fd, command, argument)
        if (command, argument) == (fcntl.F_SETLEASE, fcntl.F_RDLCK):
            with pytest.raises(BlockingIOError):
                os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK)
        return answer

    told: list[int] = []
    before = signal.signal(signal.SIGIO, lambda number, frame: told.append(number))
    try:
        monkeypatch.setattr(fcntl, "fcntl", open_meanwhile)
        bench.run("true")
    finally:
        signal.signal(signal.SIGIO, before)
    assert told == []


def test_commands_at_the_same_time_have_files_of_their_own(bench: Bench) -> None:
    for numbers in ((1, 2, 3), (1, 4, 2)):
        attempts = [bench.start(f"sleep 0.1; echo {number}", attempt_number=number) for number in numbers]
        for attempt, number in zip(attempts, numbers, strict=True):
            ended(attempt)
            assert bench.path("out", number).read_text() == f"{number}\n"


def test_a_file_that_was_removed_meanwhile_is_made_anew(bench: Bench) -> None:
    bench.run("true")
    bench.path("out").unlink()
    bench.path("err").unlink()

    bench.run("echo x; echo y >&2")
    assert (bench.path("out").read_text(), bench.path("err").read_text()) == ("x\n", "y\n")


def test_the_end_is_told_once_and_for_all(bench: Bench) -> None:
    attempt = bench.start("sleep 1000")
    assert attempt.poll() is None

    os.kill(attempt.pid, signal.SIGKILL)
    facts = ended(attempt)

    assert attempt.poll() is facts
    assert attempt.fileno() == -1
    with pytest.raises(ChildProcessError):
        os.waitpid(attempt.pid, os.WNOHANG)


def test_an_end_that_somebody_else_took_is_an_end(bench: Bench) -> None:
    attempt = bench.start("exit 3")
    os.waitpid(attempt.pid, 0)

    facts = attempt.poll()

    assert facts is not None
    assert (facts.exit_code, facts.signal) == (None, None)
    assert "lost" in (failure_text(facts) or "")


@pytest.mark.parametrize(
    "command, shown",
    [
        ("true", None),
        ("echo noise >&2", None),
        ("exit 3", "exit code 3"),
        ("kill -9 $$", "killed by SIGKILL"),
        ("kill -SEGV $$", "killed by SIGSEGV"),
        ("kill -40 $$", "killed by signal 40"),
        ("no-such-command-anywhere", "command not found"),
        ("/no/such/path", "command not found"),
        ("exit 127", "command not found"),
        ("echo my own words >&2; exit 127", "my own words"),
        ("echo first >&2; echo last >&2; echo >&2; exit 1", "last"),
        (r"printf '50%%\r100%%\rfailed: x\r\n' >&2; exit 1", "failed: x"),
        (r"printf '\033[31mred\033[0m\n\033[0m\n' >&2; exit 1", "red"),
        (r"printf 'a\033]52;c;x\007b\tc\342\200\256d\n' >&2; exit 1", r"a\x1b]52;c;x\x07b c\u202ed"),
        (r"printf 'caf\351 \342\234\223' >&2; exit 1", "caf� ✓"),
        ("python3 -c 'raise RuntimeError(\"no luck\")'", "RuntimeError: no luck"),
        ("-x", "command not found"),
        ("+x", "command not found"),
    ],
)
def test_what_is_shown_of_an_end(bench: Bench, command: str, shown: str | None) -> None:
    assert failure_text(bench.run(command)) == shown


def test_a_file_that_cannot_be_run_is_named(bench: Bench) -> None:
    (bench.folder / "script").write_text("echo never\n")

    facts = bench.run("./script")

    assert facts.exit_code == 126
    assert "Permission denied" in (failure_text(facts) or "")


def test_a_timeout_is_named_before_all_else() -> None:
    facts = Ended(None, signal.SIGTERM, 30.0, "Terminated")

    assert failure_text(facts, timed_out_after_s=30) == "timed out after 30s"
    assert failure_text(facts, timed_out_after_s=0.5) == "timed out after 0.5s"


def test_a_long_error_is_cut(bench: Bench) -> None:
    facts = bench.run("head -c 3000 /dev/zero | tr '\\0' x >&2; exit 1")
    assert facts.error == "x" * (MAX_ERROR - 1) + "…"

    bench.run("head -c 100000 /dev/zero | tr '\\0' '\\n' >&2; exit 1", attempt_number=2)
    assert bench.path("err", 2).stat().st_size == 100_000


def test_much_output_costs_no_memory(bench: Bench) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    facts = bench.run("head -c 50000000 /dev/urandom; head -c 50000000 /dev/zero >&2; echo done >&2; exit 1")

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
    assert bench.path("out").stat().st_size == 50_000_000
    assert facts.error is not None
    assert len(facts.error) == MAX_ERROR


def test_binary_output_stays_as_it_is(bench: Bench) -> None:
    bench.run(r"printf '\000\377\n\r\033'")
    assert bench.path("out").read_bytes() == b"\x00\xff\n\r\x1b"


def test_a_command_finds_its_job_in_the_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner({b"BASE": b"b\xff", b"QUEUECTL_CLAIM": b"of another", b"PATH": os.environb[b"PATH"]})
    monkeypatch.setattr(bench, "runner", runner)
    env = {"MINE": "ü", "BASE": "over", "QUEUECTL_JOB_ID": "forged"}

    lines = bench.output("env", env=env, attempt_number=1).splitlines()

    assert {"MINE=ü", "BASE=over", "QUEUECTL_JOB_ID=job1", "QUEUECTL_ATTEMPT=1"} < set(lines)
    assert f"QUEUECTL_CLAIM={bench.token}" in lines


def test_a_command_runs_where_it_was_enqueued(bench: Bench) -> None:
    here = Path.cwd()
    (bench.folder / "real").mkdir()
    (bench.folder / "link").symlink_to("real")

    assert bench.output("pwd; pwd -P", cwd=str(bench.folder / "link")).split() == [
        str(bench.folder / "link"),
        str((bench.folder / "real").resolve()),
    ]
    assert Path.cwd() == here
    assert bench.output("pwd", cwd=None).strip() == str(here)


def is_inherited(descriptor: int) -> bool:
    """Tell whether this very process has got *descriptor* from whoever started it, and would hand it on."""
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


@ON_LINUX
def test_a_command_starts_clean(bench: Bench) -> None:
    """It leads a session, reads nothing, and has neither the worker's descriptors nor its way with signals."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        attempt = bench.start("ls -l /proc/self/fd; cat; cat /proc/self/status; ps -o sid= -p $$")
    finally:
        signal.signal(signal.SIGINT, old)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGUSR1])
    assert ended(attempt).exit_code == 0
    lines = bench.path("out").read_text().splitlines()

    inherited = {entry.name for entry in Path("/proc/self/fd").iterdir() if is_inherited(int(entry.name))}
    descriptors = {line.split()[-3]: line.split()[-1] for line in lines if " -> " in line}
    assert {"0": "/dev/null", "1": str(bench.path("out")), "2": str(bench.path("err"))}.items() < descriptors.items()
    assert len(descriptors.keys() - inherited - {"0", "1", "2"}) == 1, "the folder that ls reads"
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    classic = (1 << 31) - 1  # glibc ignores two more, which it keeps for itself
    assert int(status["SigBlk"], 16) == int(status["SigIgn"], 16) & classic == 0
    assert int(lines[-1]) == attempt.pid


def test_output_is_appended(bench: Bench) -> None:
    """What opens its output anew does not overwrite what is there."""
    assert bench.output("echo a; echo b >> /dev/stdout; (echo c) ; echo d >> /proc/self/fd/1") == "a\nb\nc\nd\n"


def test_the_output_of_two_attempts_does_not_mix(bench: Bench) -> None:
    """What an earlier attempt left running goes on writing, but not here."""
    go = bench.folder / "go"
    bench.run(f"(until test -e {go}; do sleep 0.01; done; echo late; touch {go}.done) &")
    bench.path("out").touch()
    bench.path("err").write_text("old")

    assert bench.output(f"echo new; touch {go}; until test -e {go}.done; do sleep 0.01; done") == "new\n"
    assert bench.path("err").read_text() == ""


def test_a_link_in_the_place_of_the_output_is_not_followed(bench: Bench) -> None:
    target = bench.folder / "target"
    target.write_text("precious")
    bench.path("out").parent.mkdir()
    bench.path("out").symlink_to(target)

    assert bench.output("echo x") == "x\n"
    assert target.read_text() == "precious"


def test_what_is_the_fault_of_the_job_is_said(bench: Bench) -> None:
    (bench.folder / "file").touch()
    missing = bench.folder / "missing"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"cwd": str(missing)}, f"working directory does not exist: {missing}"),
        ({"cwd": str(bench.folder / "file")}, f"working directory is not a directory: {bench.folder / 'file'}"),
        ({"cwd": "a\0b"}, r"working directory has no valid name: a\x00b"),
        ({"command": "echo \0"}, "embedded null byte"),
        ({"command": "echo \ud800"}, "not a text"),
        ({"command": ": " + "x" * 200_000}, "longer than the system allows"),
        ({"env": {"A": "x" * 200_000}}, "longer than the system allows"),
        ({"env": {"A=B": "x"}}, "illegal environment variable name"),
    ]
    for changes, said in cases:
        started = bench.try_start(**{"command": "true", **changes})
        assert isinstance(started, StartFailure)
        assert said in started.error
        assert not list(bench.folder.glob("logs/*"))
    assert bench.run("true").exit_code == 0


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_what_is_the_fault_of_the_machine_is_raised(bench: Bench, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_spawn", refuse)
    here = Path.cwd()

    with pytest.raises(OSError, match=os.strerror(number)):
        bench.try_start("true")

    assert Path.cwd() == here
    assert not list(bench.folder.glob("logs/*"))


@ON_LINUX
def test_too_many_open_files_lose_no_command(bench: Bench) -> None:
    """Whatever cannot be opened: either nothing has run and the reason is raised, or the end is noticed."""
    ran = bench.folder / "ran"
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Other tests may have left holes: a limit says something only above the last descriptor in use.
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, no files
    fillers = [os.dup(0)]
    while fillers[-1] <= highest:
        fillers.append(os.dup(0))
    free = fillers.pop()
    os.close(free)
    results = []
    try:
        for spare in range(1, 10):
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + spare, limits[1]))
            try:
                attempt = bench.start(f"echo >> {ran}")
            except OSError as error:
                results.append(errno.errorcode[error.errno or 0])
            else:
                assert ended(attempt).exit_code == 0
                results.append("ran")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for filler in fillers:
            os.close(filler)

    assert results[0] == "EMFILE"
    assert set(results) == {"EMFILE", "ran"}
    assert len(ran.read_text()) == results.count("ran")


def test_without_pidfd_the_end_is_noticed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSYS, "no such system call")

    monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)
    assert bench.run("exit 3").exit_code == 3

    attempt = bench.start("sleep 1000", attempt_number=2)
    poll = select.poll()
    poll.register(attempt.fileno(), select.POLLIN)
    assert not poll.poll(50)
    assert attempt.kill() == []
    assert ended(attempt).signal == signal.SIGKILL


def test_a_command_whose_end_would_not_be_noticed_does_not_go_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> tuple[int, int]:
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

    monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)
    monkeypatch.setattr(os, "pipe", refuse)

    with pytest.raises(OSError, match=os.strerror(errno.ENFILE)):
        bench.try_start("sleep 1000")

    # Its group was killed; what the shell had started is reaped by somebody else.
    until(lambda: not bearing(bench.token))


@ON_LINUX
@pytest.mark.parametrize(
    "command",
    [
        "sleep 1000; :",
        "sleep 1000 & setsid sleep 1000 & nohup sleep 1000 & (setsid sh -c 'sleep 1000; :' &); wait",
        "env -i setsid sleep 1000 & exec env -i sleep 1000",
        "set -m; sleep 1000 & sleep 1000; :",
        "kill -STOP $$; sleep 1000",
    ],
)
def test_a_stop_reaches_all_and_leaves_none(bench: Bench, command: str) -> None:
    attempt = bench.start(f"touch ready; {command}")
    until((bench.folder / "ready").exists)

    attempt.terminate()
    facts = ended(attempt)
    until(lambda: not attempt.remains())

    assert facts.signal == signal.SIGTERM
    assert attempt.kill() == []
    assert bearing(bench.token) == set()


def test_a_command_may_use_its_time_to_end_well(bench: Bench) -> None:
    attempt = bench.start(
        "trap 'sleep 0.1; echo bye; exit 5' TERM; touch ready; while :; do sleep 0.01; done", attempt_number=1
    )
    until((bench.folder / "ready").exists)

    attempt.terminate()

    assert ended(attempt).exit_code == 5
    assert bench.path("out").read_text() == "bye\n"


@ON_LINUX
def test_what_does_not_obey_is_killed(bench: Bench) -> None:
    attempt = bench.start("trap '' TERM; (setsid sleep 1000 &) ; touch ready; while :; do sleep 1000; done")
    until((bench.folder / "ready").exists)
    attempt.terminate()
    assert attempt.remains()
    assert attempt.poll() is None

    assert attempt.kill() == []

    assert ended(attempt).signal == signal.SIGKILL
    assert not attempt.remains()
    assert bearing(bench.token) == set()


def test_who_clears_its_environment_is_ended_even_after_the_command(bench: Bench) -> None:
    """SIGTERM ends the command, which is reaped; what it had started in its session ignores the signal."""
    attempt = bench.start("env -i sh -c 'trap : TERM; touch ready; while :; do sleep 1000; done' & exec sleep 1000")
    until((bench.folder / "ready").exists)
    attempt.terminate()
    ended(attempt)

    assert attempt.remains()
    assert attempt.kill() == []
    assert not attempt.remains()


def test_what_a_command_leaves_in_the_background_goes_on(bench: Bench) -> None:
    """The command has ended by itself; its end is noticed although its output is still held open."""
    go = bench.folder / "go"
    attempt = bench.start(f"echo x; (until test -e {go}; do sleep 0.01; done; echo later) & echo $!")

    assert ended(attempt).exit_code == 0
    assert attempt.remains()
    go.touch()

    until(lambda: not attempt.remains())
    assert bench.path("out").read_text().endswith("later\n")
