"""``source``, commands from a file, and ``!``, commands for the system's shell."""

import pytest

from tests.acceptance.conftest import QueueCtl


def test_file_is_run_as_if_typed(queuectl: QueueCtl) -> None:
    (queuectl.here / "jobs.txt").write_text(
        "# two jobs\nenqueue --id a -- true\nenqueue --id b -- true\n", encoding="utf-8"
    )
    done = queuectl.run("source jobs.txt\nlist --limit 1\n")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:2] == [f"Job added to the queue with job id: {id}" for id in "ab"]
    assert queuectl.run("", "source", "jobs.txt").code == 1  # they are there already


def test_error_names_the_file_and_its_line(queuectl: QueueCtl) -> None:
    """It goes on after it, and what the script says next bears the script's own line."""
    (queuectl.here / "bad.txt").write_text("status\nfrobnicate\nstatus\n", encoding="utf-8")
    done = queuectl.run("status\nsource bad.txt\nshow nobody\n")
    assert done.out.count("Total Jobs: 0") == 3
    assert done.code == 1
    lines = done.err.splitlines()
    assert lines[0].startswith('bad.txt:2: No command "frobnicate"')
    assert 'script:2: Not all commands in "bad.txt" went well.' in lines
    assert lines[-3].startswith("script:3: No job")
    assert lines[-2:] == ["  show nobody", "       ^"]


@pytest.mark.parametrize("name, hint", [("missing.txt", "No such file"), ("loop.txt", "more than 16 deep")])
def test_what_cannot_be_run_is_said(queuectl: QueueCtl, name: str, hint: str) -> None:
    (queuectl.here / "loop.txt").write_text("source loop.txt\n", encoding="utf-8")
    done = queuectl.run(f"source {name}\n")
    assert done.code == 1
    assert hint in done.err


def test_exit_in_a_file_ends_the_whole(queuectl: QueueCtl) -> None:
    (queuectl.here / "end.txt").write_text("exit\nstatus\n", encoding="utf-8")
    assert queuectl.run("source end.txt\nstatus\n").out == ""


@pytest.mark.parametrize(
    "line, code, out, err",
    [
        ("!printf 'a|b\\n' | tr '|' '\\n'", 0, "a\nb\n", ""),
        (" !exit 3", 1, "", "script:1: The command ended with exit code 3.\n"),
        ("!kill -9 $$", 1, "", "script:1: The command ended with SIGKILL.\n"),
        ("!kill -2 $$", 130, "", "script:1: Interrupted.\n"),
        ("!cat", 0, "", ""),
        ("!", 1, "", 'script:1: A shell command belongs behind the "!": !ls -l\n'),
    ],
)
def test_shell_command_is_run_by_the_shell(queuectl: QueueCtl, line: str, code: int, out: str, err: str) -> None:
    """It cannot read on in the script."""
    done = queuectl.run(f"{line}\n!echo done >&2\n")
    rest = "" if code == 130 else "done\n"
    assert (done.code, done.out, done.err) == (code, out, err + rest)


@pytest.mark.parametrize("words", [["status", "--json"], ["list"], ["enqueue", "--", "true"], ["st"], ["help"]])
def test_one_command_loads_nothing_of_the_prompt(queuectl: QueueCtl, words: list[str]) -> None:
    done = queuectl.run("", *words, env={"PYTHONPROFILEIMPORTTIME": "1"})
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.err.splitlines()}
    assert "click" in loaded
    assert not loaded & {"prompt_toolkit", "rich", "psutil"}


def test_pipe_gets_no_escape_codes(queuectl: QueueCtl) -> None:
    """Whatever the terminal is that the program was started from."""
    script = "enqueue --id a --max-retries 1 -- false\nworker start\nwait\nstatus\nlist\ndlq list\nnonsense\nhelp\n"
    done = queuectl.run(script, env={"TERM": "xterm-256color", "FORCE_COLOR": "1", "COLORTERM": "truecolor"})
    assert "Dead        : 1" in done.out
    assert "\x1b" not in done.out + done.err
    assert "queuectl>" not in done.out + done.err
