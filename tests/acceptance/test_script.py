"""Commands from a pipe or a file: the real program, whatever the lines are like."""

import json
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import PROGRAM, ROOT, QueueCtl
from tests.waiting import until

HELLO = "enqueue '{id: job1, command: \"echo Hello\"}'"
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
ADDED = "Job added to the queue with job id: job1\n"


@pytest.mark.parametrize(
    "script",
    [
        f"{HELLO}\n",
        HELLO,  # no newline at the end
        f"{HELLO}\r\n",
        f"\ufeff{HELLO}\r\n",  # as Windows saves it
        f"\n\n   \n# comment\n  # another\n{HELLO} # job#1\n",
        "enqueue '{\n  id: job1,\n  command: \"echo Hello\"\n}'\n",
        "enqueue {\r\n  id: job1,\r\n  command: echo Hello\r\n}\r\n",
        "enqueue \\\n  --id job1 \\\n  -- echo Hello\n",
        f"{HELLO}\nexit\nfrobnicate\n",
        f"{HELLO}\nquit",
        "\tenqueue   --id   job1   --   'echo Hello'   \n",
    ],
)
def test_script_is_read_as_it_comes(queuectl: QueueCtl, script: str) -> None:
    result = queuectl.run(script)
    assert (result.code, result.out, result.err) == (0, ADDED, "")


def test_empty_script_does_nothing(queuectl: QueueCtl) -> None:
    for script in ("", "\n", "\ufeff", "# only a comment"):
        result = queuectl.run(script)
        assert (result.code, result.out, result.err) == (0, "", "")
    assert not queuectl.data.exists()


def test_script_from_a_file_is_the_same_as_through_a_pipe(queuectl: QueueCtl, tmp_path: Path) -> None:
    script = tmp_path / "script.txt"
    script.write_text(f"{HELLO}\nlist --json\n", encoding="utf-8")
    with script.open("rb") as file:
        done = subprocess.run(
            PROGRAM, stdin=file, capture_output=True, env=queuectl.environment, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().startswith(ADDED + "[\n")


def test_errors_name_the_line_and_the_script_goes_on(queuectl: QueueCtl) -> None:
    result = queuectl.run(f"lst\n\n{HELLO}\nshow nobody\nenqueue '{{id: a,\n comand: x}}'\nstatus --jsn\nlist --json\n")
    assert result.code == 1
    assert result.out.startswith(ADDED)
    assert result.err.splitlines() == [
        'script:1: No command "lst": did you mean "list"?',
        "  lst",
        "  ^",
        'script:4: No job "nobody": "list" shows all jobs.',
        "  show nobody",
        "       ^",
        'script:6: unknown field "comand": did you mean "command"?',
        "   comand: x}'",
        "   ^",
        "script:7: No such option '--jsn'. Did you mean '--json'? \"help status\" shows how it is used.",
        "  status --jsn",
        "         ^",
    ]


def test_stop_on_error_stops(queuectl: QueueCtl) -> None:
    result = queuectl.run(f"status\nlst\n{HELLO}\n", "--stop-on-error")
    assert result.code == 1
    assert "job1" not in result.out
    assert queuectl.run(f"{HELLO}\nlist --json\n", "--stop-on-error").code == 0


def test_quote_that_stays_open_costs_its_line_only(queuectl: QueueCtl) -> None:
    result = queuectl.run(f"show 'abc\n{HELLO}\n")
    assert (result.code, result.out) == (1, ADDED)
    message, line, caret = result.err.splitlines()
    assert message.startswith("script:1: this ' is never closed")
    assert (line, caret) == ("  show 'abc", "       ^")


def test_command_that_never_ends_is_reported_at_its_line(queuectl: QueueCtl) -> None:
    result = queuectl.run(f"{HELLO}\nenqueue '{{id: a,\n")
    assert (result.code, result.out) == (1, ADDED)
    assert result.err.startswith("script:2: ")


def test_bytes_that_are_not_utf8_cost_their_line_only(queuectl: QueueCtl) -> None:
    result = queuectl.run(b"show \xc3\xa9\xff\n" + HELLO.encode() + b"\n")
    assert (result.code, result.out) == (1, ADDED)
    message, line, caret = result.err.splitlines()
    assert message.startswith("script:1: The line is not UTF-8 (byte 0xff)")
    assert (line, caret) == ("  show é\ufffd", "        ^")


def test_nul_bytes_and_curly_quotes_are_refused(queuectl: QueueCtl) -> None:
    result = queuectl.run("enqueue --id a -- echo \0\nenqueue “{id: b, command: x}”\nlist --json\n")
    assert (result.code, result.out) == (1, "[]\n")
    assert "script:1: " in result.err
    assert "script:2: " in result.err
    assert "curly quote" in result.err


def test_line_over_the_limit_is_refused_at_once(queuectl: QueueCtl) -> None:
    """Not when it ends: whoever writes it may go on for ever. The lines after it are run."""
    with queuectl.start() as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(b"enqueue -- " + b"x" * (2 << 20))
        process.stdin.flush()
        assert select.select([process.stderr], [], [], 10)[0]
        assert process.stderr.readline().startswith(b"script:1: ")
        process.stdin.write(b"y" * (1 << 20) + b"\n" + HELLO.encode())
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out.decode(), err) == (1, ADDED, b"")


def test_limit_holds_for_all_lines_of_a_command_together(queuectl: QueueCtl) -> None:
    endless = "enqueue '[\n" + '{command: "' + "x" * 1000 + '"},\n' * 1100
    result = queuectl.run(f"{HELLO}\n{endless}")
    assert (result.code, result.out) == (1, ADDED)
    assert "script:" in result.err


def test_each_command_runs_before_the_next_is_written(queuectl: QueueCtl) -> None:
    """Whoever writes line by line, and reads in between, gets every answer at once."""
    with queuectl.start() as process:
        assert process.stdin
        assert process.stdout
        for number in range(3):
            process.stdin.write(f"enqueue --id j{number} -- true\n".encode())
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 10)[0]
            assert process.stdout.readline().decode() == f"Job added to the queue with job id: j{number}\n"
        process.stdin.write(b"exit\n")
        process.stdin.flush()
        assert process.wait(timeout=10) == 0


def test_data_are_at_rest_while_a_script_waits_for_its_next_line(queuectl: QueueCtl) -> None:
    with queuectl.start() as process:
        assert process.stdin
        process.stdin.write(f"{HELLO}\n".encode())
        process.stdin.flush()
        journal = queuectl.data / "journal.jsonl"
        jobs = queuectl.data / "jobs.json"
        until(lambda: jobs.exists() and '"job1"' in jobs.read_text(encoding="utf-8"))
        until(lambda: len(journal.read_text(encoding="utf-8").splitlines()) == 1, what="an empty journal")
        process.communicate(b"", timeout=10)
    assert process.returncode == 0


def test_data_are_at_rest_after_a_script_that_failed(queuectl: QueueCtl) -> None:
    assert queuectl.run(f"{HELLO}\nno-such-command\n").code == 1
    assert len((queuectl.data / "journal.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_no_job_and_no_worker_reads_the_script(queuectl: QueueCtl) -> None:
    jobs = "".join(f"enqueue --id j{number} -- cat\n" for number in range(20))
    result = queuectl.run(f"worker start\n{jobs}wait\nlist --state completed --json\n")
    assert (result.code, result.err) == (0, "")
    assert result.out.count('"state":"completed"') == 20


def test_workers_do_not_hold_the_output_open(queuectl: QueueCtl) -> None:
    began = time.monotonic()
    done = subprocess.run(
        ["/bin/sh", "-c", f"echo 'worker start' | {sys.executable} {ROOT / 'queuectl.py'} 2>&1 | cat"],
        capture_output=True,
        env=queuectl.environment,
        timeout=30,
        check=False,
    )
    assert done.stdout.decode().startswith("Starting 1 worker(s)...\nWorkers started")
    assert time.monotonic() - began < 10


def test_enqueue_from_standard_input_is_refused_in_a_script(queuectl: QueueCtl) -> None:
    result = queuectl.run(f"enqueue -\n{HELLO}\n")
    assert (result.code, result.out) == (1, ADDED)
    assert "would eat the rest of it" in result.err


def test_script_prints_no_banner_prompt_or_escape_code(queuectl: QueueCtl) -> None:
    result = queuectl.run("enqueue --id a -- printf '\x1b[31m'\nlist\nshow a\nhelp\nlst\n")
    for unwanted in ("Welcome", "queuectl>", "\x1b"):
        assert unwanted not in result.out + result.err
    assert r"printf '\x1b[31m'" in result.out


def test_purge_of_everything_never_asks_in_a_script(queuectl: QueueCtl) -> None:
    result = queuectl.run("dlq purge --all\n")
    assert (result.code, result.out) == (1, "")
    assert "--yes" in result.err


def run_into_full(queuectl: QueueCtl, script: str, *args: str, stream: str = "stdout") -> tuple[int, str]:
    """Return exit code and words of a run one of whose streams has no space."""
    with FULL.open("wb") as full:
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {stream: full}
        done = subprocess.run(
            [*PROGRAM, *args], input=script.encode(), **streams, env=queuectl.environment, timeout=60, check=False
        )
    return done.returncode, (done.stderr or b"").decode()


@needs_full
def test_an_answer_that_cannot_be_written_is_told_apart_from_a_command_that_failed(queuectl: QueueCtl) -> None:
    """Whoever reads it must not run the command again."""
    for line in ("status", "enqueue --id b -- true", "config set base 4", "cancel b", "remove b", "worker start"):
        code, said = run_into_full(queuectl, "", *line.split())
        assert (code, said.count("\n")) == (5, 1), line
        assert said.startswith("queuectl: The command was done, but its answer could not be written: No space"), line
    assert queuectl.run("", "config", "get", "base").out == "4\n"
    assert queuectl.run("", "list", "--json").out == "[]\n"
    assert len(json.loads(queuectl.run("", "worker", "list", "--json").out)) == 1
    assert run_into_full(queuectl, "", "worker", "stop", "--now")[0] == 5
    assert json.loads(queuectl.run("", "worker", "list", "--json").out) == []
    code, said = run_into_full(queuectl, "enqueue --id c -- true\nenqueue --id c -- true\n")
    assert code == 1
    assert re.match(r"script:1: The command was done, .*\nscript:2: There is a job \"c\" already", said), said


@needs_full
def test_an_error_that_nobody_can_be_told_keeps_its_exit_code(queuectl: QueueCtl) -> None:
    queuectl.run("enqueue --id a -- true\n")
    cases = {"--bogus": 2, "lst": 2, "show nobody": 3, "enqueue --id a -- true": 4, "list": 0, "worker list": 0}
    for line, code in cases.items():
        assert run_into_full(queuectl, "", *line.split(), stream="stderr")[0] == code, line
