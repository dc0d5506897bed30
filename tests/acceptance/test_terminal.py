"""Answers on a real terminal: what stands on the screen; and in a pipe the very bytes of the transcripts."""

import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pyte
import pytest

from tests.acceptance.conftest import PROGRAM, QueueCtl

# The program is started by a fork of this process, which may have threads if tests run side by side.
pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")

PERSON = {"TERM": "xterm-256color", "QUEUECTL_HINTS": "1", "PAGER": "cat", "TZ": "UTC"}


class Run:
    """One command on a terminal of its own."""

    def __init__(
        self,
        queuectl: QueueCtl,
        *args: str,
        columns: int = 80,
        rows: int = 24,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)
        self.written = ""
        self.child = pexpect.spawn(
            PROGRAM[0],
            [PROGRAM[1], *args],
            cwd=str(queuectl.here),
            env=queuectl.environment | PERSON | (environment or {}),
            dimensions=(rows, columns),
            encoding="utf-8",
            timeout=20,
        )

    @property
    def lines(self) -> list[str]:
        """Return what stands on the screen, without what is blank at its end."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip("\n").split("\n")

    def until(self, holds: Callable[[list[str]], object]) -> list[str]:
        """Return the screen once it is as *holds* says."""
        while not holds(self.lines):
            try:
                self._read()
            except (pexpect.TIMEOUT, pexpect.EOF) as error:
                pytest.fail(f"{type(error).__name__} with this on the screen:\n" + "\n".join(self.lines))
        return self.lines

    def end(self, code: int = 0) -> list[str]:
        """Return the screen once the command has ended with *code*."""
        while True:
            try:
                self._read()
            except pexpect.EOF:
                break
        self.child.close()
        assert self.child.exitstatus == code, self.written
        return self.lines

    def colour_of(self, text: str) -> str:
        """Return the colour in which *text* stands on the screen."""
        for row, line in enumerate(self._screen.display):
            if text in line:
                return str(self._screen.buffer[row][line.index(text)].fg)
        pytest.fail(f"{text!r} is not on the screen:\n" + "\n".join(self.lines))

    def _read(self) -> None:
        text = self.child.read_nonblocking(65536, timeout=20)
        self.written += text
        self._stream.feed(text)


def fill(queuectl: QueueCtl, *lines: str) -> None:
    """Run *lines* as a script."""
    result = queuectl.run("\n".join(lines) + "\n")
    assert result.code == 0, result.err


def test_empty_queue_says_what_to_type(queuectl: QueueCtl) -> None:
    lines = Run(queuectl, "status", columns=100).end()
    assert lines[0] == "Total Jobs: 0"
    assert lines[-2:] == [
        "No active workers.",
        "The queue is empty; this adds a job: enqueue '{id: job1, command: \"echo Hello\"}'",
    ]


def test_first_hour_follows_the_hints(queuectl: QueueCtl) -> None:
    """What stands last on the screen is typed next, until a job has run and its output is seen."""
    hint = Run(queuectl, "status", columns=100).end()[-1]
    lines = Run(queuectl, "-c", hint.partition(": ")[2]).end()
    assert lines == ["Job added to the queue with job id: job1", '1 pending, no worker is running: "worker start"']
    lines = Run(queuectl, "-c", lines[-1].split('"')[1], columns=100).end()
    assert lines[-1].startswith('"status" shows how it goes, "wait" waits for the end, "logs ID" shows')
    Run(queuectl, "-c", lines[-1].split('"')[3]).end()
    assert Run(queuectl, "-c", lines[-1].split('"')[5].replace("ID", "job1")).end() == ["Hello"]


def test_table_fits_the_width_and_is_coloured(queuectl: QueueCtl) -> None:
    fill(
        queuectl,
        "enqueue --id a -- 'echo 日本語 日本語 日本語 日本語 日本語 日本語'",
        "enqueue --id a-job-with-a-longer-id -- 'echo a command that is far longer than the terminal is wide'",
        "enqueue --id c -- \"printf '\x1b[2J'\"",
        "cancel c",
    )
    run = Run(queuectl, "list", columns=60)
    assert run.end() == [
        "ID                     State      Command",
        "------------------------------------------------------------",
        "a                      pending    echo 日本語 日本語 日本語…",
        "a-job-with-a-longer-id pending    echo a command that is fa…",
        "c                      cancelled  printf '\\x1b[2J'",
    ]
    assert run.colour_of("pending") == "cyan"
    assert run.colour_of("echo") == "default"


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, {"TERM": "dumb"}])
def test_no_colours_where_they_are_not_wanted(queuectl: QueueCtl, environment: dict[str, str]) -> None:
    fill(queuectl, "enqueue --id a -- true")
    for args in (["list"], ["status"], ["show", "a"], ["enqueue", "--id", "b", "--", "true"]):
        run = Run(queuectl, *args, environment=environment)
        run.end()
        assert "\x1b" not in run.written


def test_times_are_relative_and_local(queuectl: QueueCtl) -> None:
    fill(queuectl, "enqueue --id a -- true", "worker start", "wait a")
    lines = Run(queuectl, "show", "a", environment={"TZ": "UTC-5"}).end()
    created = next(line for line in lines if line.startswith("Created"))
    assert re.fullmatch(r"Created          : \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \((now|\d+s ago)\)", created)
    assert re.fullmatch(r"\d+ +(now|\d+s ago) +-", Run(queuectl, "worker", "list").end()[-1])


def test_plain_terminal_gets_the_lines_of_a_pipe(queuectl: QueueCtl) -> None:
    fill(queuectl, f"enqueue --id a -- {'x' * 100}")
    run = Run(queuectl, "list", columns=60, environment={"TERM": "dumb"})
    run.end()
    assert run.written.replace("\r\n", "\n") == queuectl.run("list\n").out


# -- pages --


@pytest.mark.skipif(shutil.which("less") is None, reason="there is no less")
def test_long_answer_is_shown_in_pages(queuectl: QueueCtl) -> None:
    fill(queuectl, *(f"enqueue --id j{number:02} -- true" for number in range(40)))
    less = {"LESS": "", "PAGER": ""}
    run = Run(queuectl, "list", rows=12, environment=less)
    assert run.end()[-1].startswith("j39")  # PAGER is empty: none
    run = Run(queuectl, "list", rows=12, environment={"PAGER": "less -FRX"})
    lines = run.until(lambda lines: lines[-1].startswith(":"))
    assert lines[0].startswith("ID ")
    assert run.colour_of("pending") == "cyan"
    run.child.send(" ")
    run.until(lambda lines: any(line.startswith("j12") for line in lines))
    run.child.send("q")
    run.end()


@pytest.mark.skipif(shutil.which("less") is None, reason="there is no less")
def test_less_says_how_it_is_left(queuectl: QueueCtl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAGER", raising=False)
    fill(queuectl, *(f"enqueue --id j{number:02} -- true" for number in range(40)))
    command = f'unset PAGER LESS; exec "{PROGRAM[0]}" "{PROGRAM[1]}" list'
    child = pexpect.spawn(
        "/bin/sh", ["-c", command], env=queuectl.environment | PERSON, dimensions=(12, 80), encoding="utf-8", timeout=20
    )
    child.expect_exact("space for more, b to go back, q to leave")
    child.send("\x03")  # the pager's own business
    child.expect_exact("space for more")
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_short_answer_and_script_are_never_paged(queuectl: QueueCtl, tmp_path: Path) -> None:
    fill(queuectl, *(f"enqueue --id j{number:02} -- true" for number in range(40)))
    trap = {"PAGER": f"touch {tmp_path}/paged; cat"}
    assert Run(queuectl, "list", "--limit", "20", environment=trap).end()[-1].startswith("j19")
    assert queuectl.run("", "list", env=trap).out.endswith("\n")
    script = tmp_path / "script.txt"
    script.write_text("list\n", encoding="utf-8")
    command = f'exec "{PROGRAM[0]}" "{PROGRAM[1]}" <{script}'
    pexpect.run(f"/bin/sh -c '{command}'", env=queuectl.environment | PERSON | trap, timeout=30)
    assert not (tmp_path / "paged").exists()
    Run(queuectl, "list", environment=trap).end()
    assert (tmp_path / "paged").exists()


def test_long_output_of_a_job_and_long_help_are_paged_too(queuectl: QueueCtl, tmp_path: Path) -> None:
    fill(queuectl, "enqueue --id j -- 'seq 40; echo no >&2'", "enqueue --id k -- seq 3", "worker start", "wait")
    seen = tmp_path / "seen"
    trap = {"PAGER": f"cat >{seen}"}
    assert Run(queuectl, "logs", "j", rows=12, environment=trap).end() == [""]
    assert seen.read_text(encoding="utf-8").split() == [*map(str, range(1, 41)), "no"]
    seen.unlink()
    Run(queuectl, "help", rows=12, environment=trap).end()
    assert seen.read_text(encoding="utf-8").startswith("Usage: queuectl")
    seen.unlink()
    assert Run(queuectl, "logs", "k", rows=12, environment=trap).end() == ["1", "2", "3"]
    assert not seen.exists()


def test_pager_that_is_not_there_is_done_without(queuectl: QueueCtl) -> None:
    fill(queuectl, *(f"enqueue --id j{number:02} -- true" for number in range(40)))
    run = Run(queuectl, "list", environment={"PAGER": "no-such-pager"})
    assert run.end()[-1].startswith("j39")


# -- progress --


def test_wait_shows_how_far_it_is_and_wipes_it(queuectl: QueueCtl) -> None:
    """Each job ends when the test lets it."""
    fill(
        queuectl,
        "worker start",
        *(f"enqueue --id j{number} -- 'until test -e go{number}; do sleep 0.02; done'" for number in range(4)),
    )
    run = Run(queuectl, "wait")
    for number in range(4):
        run.until(lambda lines: re.fullmatch(rf"{number}/4 jobs ended(, \d.*/(s|min), \d+s left)?", lines[-1]))  # noqa: B023
        (queuectl.here / f"go{number}").touch()
    assert run.end() == ["4 jobs have ended: 4 completed."]


def test_progress_gives_way_to_notices_and_to_ctrl_c(queuectl: QueueCtl) -> None:
    fill(queuectl, "enqueue --id a -- true")
    run = Run(queuectl, "wait")
    run.until(lambda lines: lines[-1] == "0/1 jobs ended")
    assert run.lines[0] == 'queuectl: No worker is running: "worker start" starts one.'
    run.child.send("\x03")
    assert run.end(130)[-1].endswith("queuectl: Interrupted.")


def test_large_enqueue_shows_how_far_it_is(queuectl: QueueCtl, tmp_path: Path) -> None:
    """How many jobs take a while depends on the machine: twice as many each time, until it has been a while."""
    count, took_s, shown = 150_000, 0.0, None
    while took_s < 4 and not shown:
        count *= 2
        (tmp_path / "many.txt").write_text("true\n" * count, encoding="utf-8")
        run = Run(queuectl, "enqueue", "-f", "many.txt")
        begun_s = time.monotonic()
        run.end()
        took_s = time.monotonic() - begun_s
        shown = re.search(rf"\r\d+/{count} jobs added(, \d+/s, \d+s left)?\x1b\[K", run.written)
        assert run.lines[0].startswith(f"{count} jobs added to the queue with job ids: ")
    assert shown, f"{count} jobs took {took_s:.1f} s"


def test_progress_is_for_terminals_only(queuectl: QueueCtl) -> None:
    fill(queuectl, "worker start", "enqueue --id a -- sleep 1")
    result = queuectl.run("", "wait", env={"FORCE_COLOR": "1"})
    assert result.err == ""
    assert "jobs ended" not in result.out


# -- questions --


def test_removing_all_asks_with_the_count(queuectl: QueueCtl) -> None:
    fill(queuectl, "enqueue {id: a, command: x} {id: b, command: y}", "cancel b")
    run = Run(queuectl, "remove", "--all")
    run.until(lambda lines: lines[-1].startswith("Remove 2 jobs?"))
    run.child.send("n\r")
    assert run.end(1)[-1] == "queuectl: Nothing was removed."
    run = Run(queuectl, "remove", "--all", "--state", "cancelled")
    run.until(lambda lines: lines[-1].startswith("Remove 1 cancelled job?"))
    run.child.send("y\r")
    assert run.end()[-1] == "Job 'b' has been removed."
    refused = queuectl.run("remove --all\n")
    assert (refused.code, refused.out) == (1, "")
    assert "--yes" in refused.err
    assert queuectl.run("remove --all --yes\n").out == "Job 'a' has been removed.\n"


# -- pipes --


SESSION = """enqueue '{id: job1, command: "echo Hello"}'
enqueue --id job2 -- 日本語 and a long command that no terminal would show whole, in one line of 80 columns
status
list
show job1
config list
worker list
dlq list
"""


def test_pipe_gets_the_same_bytes_whatever_the_terminal_is_like(queuectl: QueueCtl) -> None:
    """No width, no colour, no page, no hint: not in a script, whatever the environment says."""
    plain = queuectl.run(SESSION)
    again = {
        name: queuectl.run(SESSION[SESSION.index("status") :], env=environment)
        for name, environment in {
            "colours": {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TERM": "xterm-256color"},
            "narrow": {"COLUMNS": "20", "LINES": "5", "PAGER": "false", "QUEUECTL_HINTS": "1"},
        }.items()
    }
    assert (
        plain.err == 'script:7: No worker is running: "worker start" starts one.\nscript:8: There are no dead jobs.\n'
    )
    for result in again.values():
        assert plain.out.endswith(result.out)
        assert "in one line of 80 columns\n" in result.out
        assert "\x1b" not in result.out + result.err


def test_standard_error_at_a_terminal_gets_no_hint_if_the_answer_goes_into_a_pipe(queuectl: QueueCtl) -> None:
    leader, follower = pty.openpty()
    try:
        done = subprocess.run(
            [*PROGRAM, "status"],
            stdin=follower,
            stdout=subprocess.PIPE,
            stderr=follower,
            env=queuectl.environment | PERSON,
            timeout=30,
            check=True,
        )
        os.write(follower, b"end")
        assert os.read(leader, 1000) == b"end"
    finally:
        os.close(leader)
        os.close(follower)
    assert done.stdout.startswith(b"Total Jobs: 0\n")


def test_colours_can_be_had_in_a_pipe(queuectl: QueueCtl) -> None:
    plain = queuectl.run(SESSION).out
    coloured = queuectl.run("", "list", env={"FORCE_COLOR": "1"}).out
    assert "\x1b[36mpending\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) in plain
    assert "\x1b" not in queuectl.run("", "list", "--json", env={"FORCE_COLOR": "1"}).out


def test_pipe_loads_nothing_that_is_for_terminals(queuectl: QueueCtl) -> None:
    unwanted = ("prompt_toolkit", "rich", "wcwidth", "queuectl.display", "queuectl.pager")
    check = (
        "import sys; from queuectl.cli import main\n"
        "for line in ('status', 'enqueue -- echo 日本', 'list', 'show a', 'config list', 'list --json'):\n"
        "    main(line.split())\n"
        f"print([name for name in {unwanted!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        capture_output=True,
        env=queuectl.environment,
        cwd=Path(PROGRAM[1]).parent,
        timeout=30,
        check=True,
    )
    assert done.stdout.decode().splitlines()[-1] == "[]"
