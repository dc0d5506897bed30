"""Every command, through the one way in which lines are run: what it says, where, and how it ends."""

import io
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from queuectl import liveness, processes
from queuectl.commands.context import Mode
from queuectl.commands.enqueue import divide
from queuectl.commands.root import root
from queuectl.errors import ExitCode, StoreBusy
from queuectl.job import Job, State
from tests.program import Program


def leaves(group: click.Group = root, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every command by its words."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        yield (*path, name)


# -- what holds for all --


@pytest.mark.parametrize("words", list(leaves()), ids=" ".join)
def test_every_command_has_help_that_ends_with_examples(program: Program, words: tuple[str, ...]) -> None:
    helped = program.run(["help", *words])
    assert helped.exit_code == 0
    assert helped.out == program.run([*words, "-h"]).out == program.run([*words, "--help"]).out
    assert helped.out.startswith(f"Usage: queuectl {' '.join(words)}")
    examples = helped.out.partition("\nExamples:\n")[2].splitlines()
    assert examples
    assert all(line.startswith("  queuectl ") for line in examples)
    assert max(map(len, helped.out.splitlines())) <= 100


def test_help_lists_all_commands_but_those_that_leave_a_shell(program: Program) -> None:
    listed = program.run("help").out
    assert "  enqueue " in listed
    assert "  exit " not in listed
    program.context.mode = Mode.SHELL
    assert "  exit " in program.run("help").out
    assert program.run("help list").out.startswith("Usage: list [OPTIONS]\n")


@pytest.mark.parametrize(
    "line, message",
    [
        ("lst", 'queuectl: No command "lst": did you mean "list"?\n  lst\n  ^\n'),
        ("frobnicate", 'queuectl: No command "frobnicate": "help" lists them.\n  frobnicate\n  ^\n'),
        (
            "list;",
            'queuectl: No command "list;": ";" joins no commands here, each has a line of its own.\n  list;\n  ^\n',
        ),
        (
            "list --state ded",
            'queuectl: Invalid value for \'--state\': no state "ded": did you mean "dead"? '
            '"queuectl help list" shows how it is used.\n  list --state ded\n               ^\n',
        ),
        (
            "config set notfy all",
            'queuectl: No setting "notfy": did you mean "notify"?\n  config set notfy all\n             ^\n',
        ),
        ("dlq lst", 'queuectl: No command "dlq lst": did you mean "dlq list"?\n  dlq lst\n      ^\n'),
        (
            "help dlq xyzzy",
            'queuectl: No command "dlq xyzzy": "help dlq" lists them.\n  help dlq xyzzy\n           ^\n',
        ),
        (
            "help dlq dl",
            'queuectl: No command "dlq dl": "help dlq" lists them.\n  help dlq dl\n           ^\n',
        ),
        ("worker", 'queuectl: "queuectl worker" needs one of these behind it: start, stop, list.\n'),
    ],
)
def test_what_cannot_be_understood_is_pointed_at(program: Program, line: str, message: str) -> None:
    answer = program.run(line)
    assert (answer.exit_code, answer.out, answer.err) == (ExitCode.USAGE, "", message)


@pytest.mark.parametrize(
    "line, hint",
    [
        ("list --jsn", "Did you mean '--json'?"),
        ("status --data x", "--data belongs before the command"),
        ("list --limit x", '"x" is no number: write one from 0 on.'),
        ("list --state pendng", 'did you mean "pending"?'),
        ("list --state xyzzy", "the states are pending, in_progress, completed"),
        ("show", 'ID is missing. "queuectl help show" shows how it is used.'),
        ("show a b", "unexpected extra argument"),
        ("worker start --count 0", "0 is out of range: write a number from 1 to 256."),
        ("worker start -n 257", "257 is out of range"),
        ("worker stop x", '"x" is no number'),
        ("wait --timeout soon", '"soon" is no duration'),
        ("config set max-retrys 5", 'did you mean "max-retries"?'),
        ("config set max-retries -1", "it takes a whole number from 0 to 1000000"),
        ("config set base NaN", "it takes a number from 0 to 3600"),
        ("config set base", "VALUE is missing."),
        ("config get xyzzy", "the settings are max-retries, base"),
        ("dlq retry", "takes ids or --all, one of them"),
        ("dlq retry a --all", "takes ids or --all, not both"),
        ("dlq purge", "takes ids or --all"),
        ("help list x", "has no commands below it"),
        ("enqueue", "no job is given"),
        ("enqueue -f /nonexistent", 'The file "/nonexistent" cannot be read: No such file or directory.'),
        ("enqueue -f x '{command: a}'", "Give jobs in one way"),
        ("enqueue --id a --", "the command is missing"),
        ("enqueue --max-retries x -- true", "max_retries has to be a whole number"),
        ("enqueue --timeout 0 -- true", "timeout has to be over 0"),
        ("enqueue --env NAME -- true", '--env takes NAME=VALUE, not "NAME".'),
        ("enqueue --id 'a b' -- true", '"a b" cannot be an id'),
        ("enqueue --id a '[{command: x}, {command: y}]'", "--id names a single job"),
        ("enqueue --id a '{id: b, command: x}'", "--id names a single job"),
        ("enqueue '{id: j, comand: x}'", 'did you mean "command"?'),
    ],
)
def test_wrong_use_is_refused_with_what_is_right(program: Program, line: str, hint: str) -> None:
    answer = program.run(line)
    assert (answer.exit_code, answer.out) == (ExitCode.USAGE, "")
    assert hint in answer.err
    assert program.store.jobs() == []
    assert program.store.settings().chosen == {}


@pytest.mark.parametrize(
    "line",
    [
        "show no",
        "logs no",
        "cancel no",
        "remove no",
        "delete no",
        "wait no",
        "dlq retry no",
        "dlq purge no",
        "worker stop 99",
    ],
)
def test_what_is_not_there_has_its_own_exit_code(program: Program, line: str) -> None:
    program.workers = [12345]
    answer = program.run(line)
    assert (answer.exit_code, answer.out) == (ExitCode.NOT_FOUND, "")
    assert '"no"' in answer.err or "99" in answer.err


@pytest.mark.parametrize("line", ["", "   ", "# a comment", "  # list"])
def test_nothing_is_done_for_an_empty_line(program: Program, line: str) -> None:
    answer = program.run(line)
    assert (answer.exit_code, answer.out, answer.err) == (0, "", "")


def test_errors_pass_on_no_control_characters(program: Program) -> None:
    assert program.run(["show", "\x1b[2J\n"]).err == 'queuectl: No job "\\x1b[2J\n": "list" shows all jobs.\n'


@pytest.mark.parametrize(
    "error, exit_code, message",
    [
        (StoreBusy("Process 7 holds the lock."), 5, "queuectl: Process 7 holds the lock.\n"),
        (
            OSError(28, "No space left on device", "/x"),
            5,
            'queuectl: The system refused it: No space left on device: "/x". Free some space.\n',
        ),
        (KeyboardInterrupt(), 130, "queuectl: Interrupted.\n"),
        (
            KeyError("x"),
            1,
            "queuectl: Something unexpected went wrong (KeyError: 'x'): \"queuectl --debug\" shows where.\n",
        ),
    ],
)
def test_no_error_shows_a_traceback(
    program: Program, monkeypatch: pytest.MonkeyPatch, error: BaseException, exit_code: int, message: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(program.store, "counts", fail)
    answer = program.run("status")
    assert (answer.exit_code, answer.out, answer.err) == (exit_code, "", message)


def test_debug_shows_the_traceback(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program.store, "counts", lambda: 1 / 0)
    program.context.is_debug = True
    assert "Traceback" in program.run("status").err


@pytest.mark.parametrize("error", [BrokenPipeError(), ImportError()])
def test_what_the_program_has_to_know_goes_through(
    program: Program, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(program.store, "counts", fail)
    with pytest.raises(type(error)):
        program.run("status")


# -- enqueue --


@pytest.mark.parametrize(
    "line, id, command",
    [
        ("enqueue '{id: job1, command: \"echo Hello\"}'", "job1", "echo Hello"),
        ('enqueue {id: job1, command: "echo Hello"}', "job1", "echo Hello"),
        ("enqueue '{id: j, command: echo a, b}'", "j", "echo a, b"),
        ('enqueue \'{"id": "j", "command": "ls -l"}\'', "j", "ls -l"),
        ("enqueue {id: j, command: ls -l --all}", "j", "ls -l --all"),
        ("enqueue --id j -- python train.py --lr 3", "j", "python train.py --lr 3"),
        ("enqueue --id j -- 'echo $HOME | cat'", "j", "echo $HOME | cat"),
        ("enqueue --id j -- echo 'a b' '$x'", "j", "echo 'a b' '$x'"),
        ("enqueue -- git checkout -- x", "made1", "git checkout -- x"),
        ("enqueue '{command: true}'", "made1", "true"),
        ("enqueue '{command: true}' --id j", "j", "true"),
        ("enqueue --id j {command: git checkout -- x}", "j", "git checkout -- x"),
    ],
)
def test_enqueue_takes_a_job_in_every_form(program: Program, line: str, id: str, command: str) -> None:
    answer = program.run(line)
    assert (answer.exit_code, answer.out, answer.err) == (0, f"Job added to the queue with job id: {id}\n", "")
    assert program.store.job(id).command == command
    assert program.store.job(id).cwd == str(Path.cwd())


def test_enqueue_takes_words_as_another_shell_leaves_them(program: Program) -> None:
    assert program.run(["enqueue", "'{id:", "job1,", "command:", "echo -n Hello}'"]).exit_code == 0
    assert program.store.job("job1").command == "echo -n Hello"


def test_enqueue_options_are_the_fields(program: Program) -> None:
    line = "enqueue --id j --max-retries 5 --timeout 1m30s --env A=1 --env B=x=y --cwd sub -- true"
    assert program.run(line).exit_code == 0
    job = program.store.job("j")
    assert (job.max_retries, job.timeout, job.env) == (5, 90.0, {"A": "1", "B": "x=y"})
    assert job.cwd == str(Path.cwd() / "sub")


def test_enqueue_options_give_way_to_what_a_job_says(program: Program) -> None:
    line = "enqueue '[{id: a, command: x, max_retries: 1, env: {A: 1}}, {id: b, command: y, cwd: /tmp}]'"
    assert program.run(f"{line} --max-retries 9 --timeout 5 --env A=2 --env B=2 --cwd /srv").exit_code == 0
    a, b = program.store.job("a"), program.store.job("b")
    assert (a.max_retries, a.timeout, a.env, a.cwd) == (1, 5.0, {"A": "1", "B": "2"}, "/srv")
    assert (b.max_retries, b.timeout, b.env, b.cwd) == (9, 5.0, {"A": "2", "B": "2"}, "/tmp")


def test_enqueue_takes_several_objects_and_arrays(program: Program) -> None:
    assert program.run("enqueue {id: a, command: x} {id: b, command: y}").out.count("\n") == 2
    assert program.run("enqueue '[{id: c, command: x}, {id: d, command: y}]'").out.count("\n") == 2
    assert [job.id for job in program.store.jobs()] == ["a", "b", "c", "d"]


def test_enqueue_of_a_batch_is_all_or_nothing(program: Program) -> None:
    program.add("b")
    answer = program.run("enqueue '[{id: a, command: x}, {id: b, command: y}]'")
    assert (answer.exit_code, answer.out) == (ExitCode.CONFLICT, "")
    assert [job.id for job in program.store.jobs()] == ["b"]


def test_enqueue_reads_a_file_of_each_kind(program: Program, tmp_path: Path) -> None:
    kinds = {
        "array.json": b'\xef\xbb\xbf[\n {"id": "a",\n  "command": "x"}\n]\n',
        "lines.jsonl": b'{"id": "b", "command": "x"}\r\n{"id": "c", "command": "y"}',
        "plain.txt": b"# commands\necho one\n\necho two\n",
    }
    for name, content in kinds.items():
        (tmp_path / name).write_bytes(content)
        assert program.run(["enqueue", "-f", str(tmp_path / name)]).exit_code == 0
    assert [(job.id, job.command) for job in program.store.jobs()] == [
        ("a", "x"),
        ("b", "x"),
        ("c", "y"),
        ("made1", "echo one"),
        ("made2", "echo two"),
    ]


def test_enqueue_says_where_in_a_file_a_problem_is(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "jobs.jsonl"
    file.write_text('{"id": "a", "command": "x"}\n{"id": "b", "comand": "y"}\n', encoding="utf-8")
    answer = program.run(["enqueue", "-f", str(file)])
    assert answer.exit_code == ExitCode.USAGE
    message, line, caret = answer.err.splitlines()
    assert message.startswith(f"queuectl: {file}:2:13: ")
    assert line[caret.index("^") :].startswith('"comand"')
    file.write_bytes(b"echo 1\necho \xff\n")
    assert f"{file}:2: byte 0xff is not UTF-8" in program.run(["enqueue", "-f", str(file)]).err
    assert program.store.jobs() == []


@pytest.mark.parametrize("line", ["enqueue -", "enqueue -f -"])
def test_enqueue_reads_standard_input(program: Program, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"echo 1\necho 2\n")))
    assert program.run(line).exit_code == 0
    assert len(program.store.jobs()) == 2


@pytest.mark.parametrize("line", ["enqueue -", "enqueue -f -"])
def test_enqueue_never_eats_the_script(program: Program, line: str) -> None:
    program.context.reads_script = True
    answer = program.run(line)
    assert answer.exit_code == ExitCode.USAGE
    assert "Use enqueue -f FILE" in answer.err


def test_enqueue_tells_what_it_ignores(program: Program) -> None:
    answer = program.run("enqueue '{id: a, command: x, state: dead, attempts: 3}'")
    assert answer.exit_code == 0
    assert answer.err == "queuectl: state, attempts are ignored: a new job starts as pending\n"


def test_enqueue_of_many_says_one_sentence(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "plain.txt"
    file.write_text("true\n" * 1000, encoding="utf-8")
    assert program.run(["enqueue", "-f", str(file)]).out == (
        "1000 jobs added to the queue with job ids: made1 ... made1000\n"
    )
    assert len(json.loads(program.run(["enqueue", "--json", "-f", str(file)]).out)) == 1000


def test_enqueue_points_into_the_line_that_was_typed(program: Program) -> None:
    program.context.mode = Mode.SCRIPT
    program.context.line_number = 7
    answer = program.run("enqueue '{id: job1,\n comand: x}'")
    message, line, caret = answer.err.splitlines()
    assert message.startswith("script:8: unknown field")
    assert line == "   comand: x}'"
    assert caret.index("^") == line.index("comand")


@pytest.mark.parametrize(
    "args, expected",
    [
        (["{id: a}"], ([], ["{id: a}"], None)),
        (["--id", "a", "--", "ls", "-l"], (["--id", "a"], [], ["ls", "-l"])),
        (["{id:", "a,", "command:", "ls", "-l}"], ([], ["{id:", "a,", "command:", "ls", "-l}"], None)),
        (["{command:", "a", "--", "b}"], ([], ["{command:", "a", "--", "b}"], None)),
        (["{a: b}", "--timeout", "5", "--json"], (["--timeout", "5", "--json"], ["{a: b}"], None)),
        (["--timeout", "5", "{a: b}", "{c: d}"], (["--timeout", "5"], ["{a: b}", "{c: d}"], None)),
        (["{a: b}", "junk"], ([], ["{a: b}", "junk"], None)),
        (["-f", "x"], (["-f", "x"], [], None)),
        (["“{id: a}”"], ([], ["“{id: a}”"], None)),
        (["--"], ([], [], [])),
    ],
)
def test_words_are_divided_into_options_json_and_command(args: list[str], expected: Any) -> None:
    assert divide(args) == expected


# -- list, show, logs, cancel, remove --


def test_list_keeps_the_order_and_includes_the_dlq(program: Program) -> None:
    program.add("a", "b", "c")
    program.finish_next(fails=True)
    program.finish_next()
    rows = program.run("list").out.splitlines()[2:]
    assert [row.split()[:2] for row in rows] == [["a", "dead"], ["b", "completed"], ["c", "pending"]]
    assert program.rescues == 1


@pytest.mark.parametrize(
    "options, ids",
    [
        ("--state pending", ["c", "d"]),
        ("--state pending,dead", ["a", "c", "d"]),
        ("--state pending --state dead", ["a", "c", "d"]),
        ("--state running", ["b"]),
        ("--state processing", ["b"]),
        ("--state in_progress", ["b"]),
        ("--state In-Progress", ["b"]),
        ("--state cancelled", []),
        ("--limit 2", ["a", "b"]),
        ("--limit 0", []),
        ("--state pending --limit 1", ["c"]),
    ],
)
def test_list_chooses(program: Program, options: str, ids: list[str]) -> None:
    program.add("a", "b", "c", "d")
    program.finish_next(fails=True)
    program.start_next()
    assert [row["id"] for row in json.loads(program.run(f"list {options} --json").out)] == ids


def test_empty_list_is_a_head_on_stdout_and_a_word_on_stderr(program: Program) -> None:
    answer = program.run("list")
    assert answer.out.splitlines()[0].split() == ["ID", "State", "Command"]
    assert answer.err == "queuectl: There are no jobs.\n"
    assert program.run("list --state dead,failed").err == "queuectl: There are no dead or failed jobs.\n"
    assert program.run("list --json").out == "[]\n"


def test_show_tells_all_of_one_job(program: Program) -> None:
    program.add("a", command="echo hi")
    program.finish_next(fails=True)
    shown = program.run("show a").out
    for expected in ("ID               : a", "Command          : echo hi", "State            : dead"):
        assert expected in shown
    assert json.loads(program.run("show a --json").out)["error"] == "exit code 3"


Write = Callable[[Job, bytes, bytes], None]


def test_logs_are_those_of_the_last_attempt_unless_another_is_named(program: Program, write_output: Write) -> None:
    program.add("a", max_retries=3)
    for number in (1, 2):
        job = program.start_next()
        write_output(job, b"out %d\x1b[0m\n" % number, b"err %d" % number)
        program.store.rescue([job.claim or ""], is_crash=True, now=program.context.now())
    last = program.run("logs a")
    assert (last.exit_code, last.out, last.err) == (0, "out 2\x1b[0m\n", "err 2")
    assert program.run("logs a --attempt 1").out == "out 1\x1b[0m\n"
    assert json.loads(program.run("logs a --json").out) == {
        "id": "a",
        "attempt": 2,
        "stdout": "out 2\x1b[0m\n",
        "stderr": "err 2",
    }


def test_logs_at_a_terminal_are_safe_to_look_at(
    program: Program, write_output: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.add("a")
    write_output(program.finish_next(), b"a\tb\r\n\x1b[2J\xff", b"")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert program.run("logs a").out == "a\tb\n\\x1b[2J\ufffd\n"


@pytest.mark.parametrize(
    "line, exit_code, message",
    [
        ("logs new", 1, 'Job "new" has not run yet'),
        ("logs a --attempt 2", 2, 'Job "a" has no attempt 2: its only attempt is 1.'),
        ("logs a --attempt 0", 2, 'Job "a" has no attempt 0'),
    ],
)
def test_logs_of_what_has_not_run_are_refused(program: Program, line: str, exit_code: int, message: str) -> None:
    program.add("a", "new")
    program.finish_next()
    answer = program.run(line)
    assert (answer.exit_code, answer.out) == (exit_code, "")
    assert message in answer.err


def test_logs_without_output_are_empty(program: Program) -> None:
    program.add("a")
    program.finish_next()
    answer = program.run("logs a")
    assert (answer.exit_code, answer.out, answer.err) == (0, "", "")


def test_cancel_ends_waiting_jobs_and_asks_running_ones(program: Program) -> None:
    program.add("a", "b")
    program.start_next()
    answer = program.run("cancel b a b")
    assert answer.out.splitlines() == [
        "Job 'b' has been cancelled.",
        "Job 'a' is running: its worker has been told to cancel it.",
    ]
    assert program.store.job("b").state is State.CANCELLED
    assert program.store.job("a").cancel_requested


def test_cancel_of_a_job_that_has_ended_is_a_conflict_and_cancels_nothing(program: Program) -> None:
    program.add("a", "b")
    program.finish_next()
    answer = program.run("cancel b a")
    assert (answer.exit_code, answer.out) == (ExitCode.CONFLICT, "")
    assert program.store.job("b").state is State.PENDING


def test_hold_and_release_take_ids_or_all(program: Program) -> None:
    program.add("a", "b", "c")
    program.start_next()
    assert program.run("hold c").out == "Job 'c' is held.\n"
    assert program.run("list --state pending").out.splitlines()[2:] == [
        f"{'b':<15} {'pending':<10} true",
        f"{'c':<15} {'held':<10} true",
    ]
    assert "State            : pending, held\n" in program.run("show c").out
    assert program.run("hold --all").out == "Job 'b' is held.\n"
    assert program.run("release --all").out == "Job 'b' has been released.\nJob 'c' has been released.\n"
    answer = program.run("release --all")
    assert (answer.exit_code, answer.out, answer.err) == (0, "", "queuectl: There is nothing to release.\n")


@pytest.mark.parametrize(
    "line, message",
    [
        ("hold a", 'Job "a" runs: only jobs that wait can be held.'),
        ("hold b c", 'Job "c" is held already: "release c" lets it go on.'),
        ("release b", 'Job "b" is not held: there is nothing to release.'),
    ],
)
def test_hold_and_release_refuse_all_for_one_that_does_not_fit(program: Program, line: str, message: str) -> None:
    program.add("a", "b", "c")
    program.start_next()
    program.run("hold c")
    answer = program.run(line)
    assert (answer.exit_code, answer.out, answer.err.splitlines()[0]) == (ExitCode.CONFLICT, "", f"queuectl: {message}")
    assert [job.held for job in program.store.jobs()] == [False, False, True]


def test_enqueue_takes_priority_time_and_hold_as_options_and_as_fields(program: Program) -> None:
    program.run("enqueue --id a --priority 5 --hold -- true")
    program.run("enqueue '{id: b, command: true, priority: -3, held: true}'")
    program.run("enqueue --priority 7 '{id: c, command: true, priority: 0}' '{id: d, command: true}'")
    found = {job.id: (job.priority, job.held) for job in program.store.jobs()}
    assert found == {"a": (5, True), "b": (-3, True), "c": (0, False), "d": (7, False)}
    assert "Priority         : 5\n" in program.run("show a").out


def test_enqueue_takes_what_is_to_become_of_failures_as_options(program: Program) -> None:
    program.run(
        "enqueue --id a --base 3 --max-delay 1m --jitter 0.5 --success-codes 0,3-5 --fatal-codes 9 --on-crash fail -- x"
    )
    job = program.store.job("a")
    assert (job.base, job.max_delay, job.jitter, job.on_crash) == (3, 60, 0.5, "fail")
    assert (job.success_codes, job.retry_codes, job.fatal_codes) == ((0, 3, 4, 5), (), (9,))
    shown = program.run("show a").out
    assert "Backoff          : base 3, max delay 60, jitter 0.5\n" in shown
    assert "Success codes    : 0, 3, 4, 5\n" in shown
    assert "On crash         : fail\n" in shown
    assert "Retry codes" not in shown


def test_enqueue_says_when_a_job_for_later_will_run(program: Program) -> None:
    assert program.run("enqueue --id a --delay 90 -- true").err.endswith(", which comes in 1m 30s.\n")
    assert program.run("enqueue --id b --run-at 2026-01-01T10:00:00+00:00 -- true").err.startswith(
        'queuectl: Job "b" waits for 2026-01-01 '
    )
    answer = program.run("enqueue --id c --run-at 2020-02-03T04:05:06Z -- true")
    assert (answer.exit_code, answer.out) == (0, "Job added to the queue with job id: c\n")
    assert answer.err.endswith(", which is past: it runs now.\n")
    assert program.run("enqueue --delay 0 -- true").err == ""
    many = " ".join(f"'{{command: true, run_at: 1{n}m}}'" for n in range(4))
    assert program.run(f"enqueue {many}").err.startswith("queuectl: 4 jobs are to wait for their time, 2026-01-01 ")
    assert program.store.job("a").run_at == "2026-01-01T00:01:30.000Z"
    assert program.store.job("b").run_at == "2026-01-01T10:00:00.000Z"


@pytest.mark.parametrize(
    "line, message",
    [
        ("enqueue --priority 2000 -- true", "priority has to be a whole number from -1000 to 1000"),
        ("enqueue --run-at someday -- true", "run_at has to be a time, at most ten years ahead"),
        ("enqueue --run-at 18:00 --delay 5 -- true", "run_at and delay are both given: keep one"),
        ("enqueue '{command: x, run_at: 25:00}'", "run_at has to be a time, at most ten years ahead"),
    ],
)
def test_enqueue_refuses_what_is_no_priority_and_no_time(program: Program, line: str, message: str) -> None:
    answer = program.run(line)
    assert (answer.exit_code, answer.out) == (ExitCode.USAGE, "")
    assert message in answer.err
    assert program.store.jobs() == []


@pytest.mark.parametrize("verb", ["remove", "delete"])
def test_remove_forgets_jobs_and_their_output(program: Program, write_output: Write, verb: str) -> None:
    program.add("a", "b")
    write_output(program.finish_next(), b"out", b"err")
    assert program.run(f"{verb} a b").out == "Job 'a' has been removed.\nJob 'b' has been removed.\n"
    assert program.store.jobs() == []
    assert not [path for path in (program.context.folder / "logs").rglob("*") if path.is_file()]


def test_remove_says_what_output_is_left(program: Program, write_output: Write) -> None:
    """The job is gone all the same, and so is whatever else can be removed."""
    program.add("a", "b")
    for id in ("a", "b"):
        write_output(program.finish_next(), id.encode(), b"err")
    left = program.context.folder / "logs" / "000000" / "1-1.out"
    left.unlink()
    (left / "mine").mkdir(parents=True)
    answer = program.run("remove a b")
    assert (answer.exit_code, answer.out) == (5, "Job 'a' has been removed.\nJob 'b' has been removed.\n")
    assert answer.err.startswith(f'queuectl: Job "a" is removed, but its output could not be: "{left}": ')
    assert program.store.jobs() == []
    assert [path.name for path in left.parent.iterdir()] == ["1-1.out"]


def test_remove_needs_no_folder_of_outputs(program: Program) -> None:
    program.add("a")
    program.finish_next()
    (program.context.folder / "logs").mkdir(exist_ok=True)
    (program.context.folder / "logs" / "000000").write_text("mine")
    answer = program.run("remove a")
    assert (answer.exit_code, answer.out, answer.err) == (0, "Job 'a' has been removed.\n", "")
    assert (program.context.folder / "logs" / "000000").read_text() == "mine"


def test_remove_refuses_a_running_job(program: Program) -> None:
    program.add("a")
    program.start_next()
    answer = program.run("remove a")
    assert answer.exit_code == ExitCode.CONFLICT
    assert '"cancel a" first' in answer.err


# -- dlq --


def dead(program: Program, *ids: str) -> None:
    program.add(*ids)
    for _ in ids:
        program.finish_next(fails=True)


def test_dlq_list_shows_the_dead(program: Program) -> None:
    dead(program, "a")
    program.add("b")
    assert program.run("dlq list").out.splitlines()[2:] == ["a               true                          exit code 3"]
    assert [job["id"] for job in json.loads(program.run("dlq list --json").out)] == ["a"]


def test_dlq_retry_makes_jobs_pending_at_the_end(program: Program) -> None:
    dead(program, "a", "b")
    program.add("c")
    assert program.run("dlq retry a").out == "Job 'a' has been moved back to the main queue for retry.\n"
    assert program.run("dlq retry --all").out == "Job 'b' has been moved back to the main queue for retry.\n"
    jobs = program.store.jobs()
    assert [(job.id, job.state, job.attempts) for job in jobs] == [(id, State.PENDING, 0) for id in "cab"]
    answer = program.run("dlq retry --all")
    assert (answer.exit_code, answer.out, answer.err) == (0, "", "queuectl: There are no dead jobs.\n")


@pytest.mark.parametrize("verb", ["retry", "purge"])
def test_dlq_refuses_jobs_that_are_not_dead(program: Program, verb: str) -> None:
    dead(program, "a")
    program.add("b")
    answer = program.run(f"dlq {verb} a b")
    assert (answer.exit_code, answer.out) == (ExitCode.CONFLICT, "")
    assert program.store.job("a").state is State.DEAD


def test_dlq_purge_forgets_jobs_and_their_output(program: Program, write_output: Write) -> None:
    dead(program, "a", "b")
    write_output(program.store.job("a"), b"out", b"err")
    assert program.run("dlq purge a").out == "Job 'a' has been purged from the DLQ.\n"
    assert [job.id for job in program.store.jobs()] == ["b"]
    assert not [path for path in (program.context.folder / "logs").rglob("*") if path.is_file()]


def test_dlq_purge_all_needs_yes_where_nobody_can_be_asked(program: Program) -> None:
    dead(program, "a")
    answer = program.run("dlq purge --all")
    assert answer.exit_code == ExitCode.USAGE
    assert "--yes" in answer.err
    assert program.run("dlq purge --all --yes").exit_code == 0
    assert program.store.jobs() == []


def test_dlq_purge_all_asks_a_person(program: Program) -> None:
    dead(program, "a", "b")
    questions = []

    def refuse(question: str) -> bool:
        questions.append(question)
        return False

    program.context.confirm = refuse
    answer = program.run("dlq purge --all")
    assert (answer.exit_code, answer.err) == (ExitCode.FAILED, "queuectl: Nothing was purged.\n")
    assert questions == ["Forget 2 dead jobs for good?"]
    program.context.confirm = lambda question: True
    assert program.run("dlq purge --all").exit_code == 0
    assert program.store.jobs() == []


def test_dlq_purge_all_that_is_interrupted_purges_nothing(program: Program) -> None:
    dead(program, "a")

    def interrupt(question: str) -> bool:
        raise click.Abort

    program.context.confirm = interrupt
    assert program.run("dlq purge --all").exit_code == ExitCode.INTERRUPTED
    assert len(program.store.jobs()) == 1


# -- workers --


def test_worker_start_and_stop_speak_as_in_the_transcript(program: Program) -> None:
    assert program.run("worker start --count 2").out == (
        "Starting 2 worker(s)...\nWorkers started and running in background.\nPIDs: [12345, 12346]\n"
    )
    assert program.run("worker start").out.splitlines()[-1] == "PIDs: [12347]"
    assert program.run("worker stop 12347").out == "Stopped worker PID 12347\n"
    assert program.run("worker stop").out == (
        "Stopped worker PID 12345\nStopped worker PID 12346\nAll workers stopped.\n"
    )
    assert program.run("worker stop").out == "No active workers.\n"


def test_worker_stop_waits_as_long_as_the_settings_allow(program: Program) -> None:
    program.run("config set grace 20")
    for line in ("worker stop", "worker stop --now"):
        program.workers = [7]
        program.run(line)
    assert program.stop_limits_s == [25.0, 5.0]


def test_worker_list_shows_living_ones(program: Program) -> None:
    assert program.run("worker list --json").out == "[]\n"
    program.workers = [12345]
    assert re.fullmatch(r"12345 +2025-03-01T12:00:00.000Z -", program.run("worker list").out.splitlines()[2])
    assert json.loads(program.run("worker list --json").out)[0]["pid"] == 12345


def test_worker_list_says_which_pids_mean_nothing_here(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    live = [
        liveness.WorkerInfo(worker_id=str(pid), is_alive=True, pid=pid, namespace=f"pid:[{namespace}]")
        for pid, namespace in ((4, 18), (5, 17), (6, 18))
    ]
    monkeypatch.setattr(liveness, "read_workers", lambda folder: live)
    monkeypatch.setattr(processes, "pid_namespace", lambda: "pid:[17]")
    answer = program.run("worker list --json")
    assert [row["pid"] for row in json.loads(answer.out)] == [4, 5, 6]
    assert answer.err == "queuectl: Of another container (PID namespace), and other processes' PIDs here: 4, 6.\n"


def test_status_counts_jobs_and_workers(program: Program) -> None:
    dead(program, "a")
    program.add("b")
    program.workers = [12345, 12346]
    assert program.run("status").out.splitlines() == [
        "Total Jobs: 2",
        "  Pending     : 1",
        "  In_progress : 0",
        "  Completed   : 0",
        "  Failed      : 0",
        "  Dead        : 1",
        "Active Workers: 2",
        "Worker PIDs: 12345, 12346",
    ]
    assert json.loads(program.run("status --json").out)["workers"] == [12345, 12346]


# -- config --


@pytest.mark.parametrize(
    "line, out",
    [
        ("config set max-retries 5", "max-retries = 5\n"),
        ("config set max_retries 5", "max-retries = 5\n"),
        ("config set base_delay 3", "base = 3\n"),
        ("config set backoff-base 0.2", "base = 0.2\n"),
        ("config set timeout 1h", "timeout = 3600\n"),
        ("config set timeout none", "timeout = none\n"),
        ("config unset base", "base = 2 (the default)\n"),
        ("config get base", "2\n"),
        ("config get timeout", "none\n"),
    ],
)
def test_config_confirms_with_the_value(program: Program, line: str, out: str) -> None:
    answer = program.run(line)
    assert (answer.exit_code, answer.out, answer.err) == (0, out, "")


def test_config_forms_of_listing_are_the_same(program: Program) -> None:
    program.run("config set max-retries 5")
    listed = program.run("config list").out
    assert listed == program.run("config show").out == program.run("config get").out
    assert "max-retries     5          3          set\n" in listed
    first = json.loads(program.run("config get --json").out)[0]
    assert first == {"key": "max-retries", "value": 5, "default": 3, "origin": "set"}
    program.run("config unset max-retries")
    assert "max-retries     3          3          default\n" in program.run("config list").out


# -- wait --


def test_wait_for_nothing_ends_at_once(program: Program) -> None:
    program.add("a")
    program.finish_next(fails=True)
    answer = program.run("wait")
    assert (answer.exit_code, answer.out, answer.err) == (0, "No job is waiting or running.\n", "")


@pytest.mark.parametrize(
    "line, exit_code, out",
    [
        ("wait b", 0, "1 job has ended: 1 completed.\n"),
        ("wait a b", 1, "2 jobs have ended: 1 completed, 1 dead.\n"),
        ("wait --exit-zero a", 0, "1 job has ended: 1 dead.\n"),
    ],
)
def test_wait_ends_as_the_jobs_have(program: Program, line: str, exit_code: int, out: str) -> None:
    program.add("a", "b")
    program.finish_next(fails=True)
    program.finish_next()
    answer = program.run(line)
    assert (answer.exit_code, answer.out) == (exit_code, out)


def test_wait_goes_on_until_the_last_job_has_ended(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is enqueued in the middle and counts too; what had ended before does not."""
    program.add("old")
    program.finish_next(fails=True)
    program.add("a", "b")
    steps: list[Callable[[], object]] = [program.finish_next, program.finish_next, lambda: program.add("c")]
    steps.append(program.finish_next)

    def sleep(seconds: float) -> None:
        if steps:
            steps.pop()()
            (program.context.folder / "changed").touch()

    monkeypatch.setattr("time.sleep", sleep)
    answer = program.run("wait --json")
    assert answer.exit_code == 0
    assert [job["id"] for job in json.loads(answer.out)] == ["a", "b", "c"]


def test_wait_gives_up_in_time(program: Program) -> None:
    program.add("a", "b")
    answer = program.run("wait --timeout 0.05s")
    assert (answer.exit_code, answer.out) == (ExitCode.TIMED_OUT, "")
    assert "2 jobs have not ended" in answer.err
    assert 'job "a" is pending' in program.run("wait a --timeout 0.01").err


def test_wait_gives_up_in_time_while_others_keep_the_queue_locked(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for them no longer than it has time; the commands behind it are as patient as ever."""
    program.add("a")
    usual_s = program.store.patience_s
    patience_s = []

    def be_locked(id: str) -> Job:
        patience_s.append(program.store.patience_s)
        time.sleep(0.2)
        msg = "The queue has been locked."
        raise StoreBusy(msg)

    monkeypatch.setattr(program.store, "job", be_locked)
    for timeout, exit_code, err in (
        ("0.1", ExitCode.TIMED_OUT, "queuectl: Gave up after 0.1s. The queue has been locked.\n"),
        ("5", ExitCode.STORE, "queuectl: The queue has been locked.\n"),
        ("99", ExitCode.STORE, "queuectl: The queue has been locked.\n"),
    ):
        answer = program.run(f"wait a --timeout {timeout}")
        assert (answer.exit_code, answer.err) == (exit_code, err)
        assert program.store.patience_s == usual_s
    assert patience_s == [1.0, pytest.approx(5, abs=1), usual_s]


def test_wait_says_when_nobody_works(program: Program) -> None:
    program.add("a")
    assert 'No worker is running: "worker start" starts one.' in program.run("wait --timeout 0.01").err
    program.workers = [12345]
    assert "No worker" not in program.run("wait --timeout 0.01").err


def test_wait_can_be_interrupted(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program.add("a")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    assert program.run("wait").exit_code == ExitCode.INTERRUPTED


# -- the session --


def test_id_alone_is_no_command_but_is_known(program: Program, tmp_path: Path) -> None:
    for name in ("journal.jsonl", "jobs.json"):
        (tmp_path / name).touch()
    program.run("enqueue --id job1 -- true")
    answer = program.run("job1")
    assert answer.err.startswith('queuectl: No command "job1", but a job: "show job1" tells of it.\n')
    assert answer.exit_code == ExitCode.USAGE


def test_help_at_a_prompt_tells_of_its_keys(program: Program) -> None:
    assert "Ctrl-R" not in program.run("help").out
    program.context.mode = Mode.SHELL
    assert "Ctrl-R" in program.run("help").out


@pytest.mark.parametrize("line", ["exit", "quit"])
def test_leaving_is_only_noted(program: Program, line: str) -> None:
    answer = program.run(line)
    assert (answer.exit_code, answer.out, answer.err) == (0, "", "")
    assert program.context.is_leaving


def test_store_is_opened_when_needed_and_closed_once(program: Program) -> None:
    program.run("help")
    program.context.close()
    assert program.store.is_open
    program.run("status")
    program.context.rest()
    assert (program.store.rests, program.store.is_open) == (1, True)
    program.context.close()
    assert not program.store.is_open


# -- abbreviations, files, shell commands --


@pytest.mark.parametrize(
    "line, same",
    [
        ("st", "status"),
        ("worker sta -h", "worker start -h"),
        ("conf get base", "config get base"),
        ("help dl ret", "help dlq retry"),
        ("del -h", "delete -h"),
    ],
)
def test_unique_beginning_of_a_name_is_the_name(program: Program, line: str, same: str) -> None:
    answer, wanted = program.run(line), program.run(same)
    assert (answer.exit_code, answer.err) == (0, "")
    assert answer.out == wanted.out


@pytest.mark.parametrize("mode", [Mode.ONE_SHOT, Mode.SCRIPT, Mode.SHELL])
@pytest.mark.parametrize(
    "line, hint",
    [
        ("s", '"s" is the beginning of several commands: show, status, source or service?'),
        ("worker st", '"worker st" is the beginning of several commands: start or stop?'),
        ("help e", '"e" is the beginning of several commands: enqueue or exit?'),
        ("e", '"e" is the beginning of several commands: enqueue or exit?'),
    ],
)
def test_beginning_of_several_names_is_refused_with_them(program: Program, mode: Mode, line: str, hint: str) -> None:
    """The same everywhere, also where one of them means nothing."""
    program.context.mode = mode
    answer = program.run(line)
    assert answer.exit_code == ExitCode.USAGE
    assert hint in answer.err
    assert answer.err.splitlines()[-1].strip() == "^"


def test_setting_that_is_a_word(program: Program) -> None:
    assert program.run("config set notify failures").out == "notify = failures\n"
    assert program.run("config get notify").out == "failures\n"
    assert json.loads(program.run("config get notify --json").out)["value"] == "failures"
    refused = program.run("config set notify some")
    assert refused.exit_code == ExitCode.USAGE
    assert 'notify cannot be "some": it takes all, failures or none.' in refused.err
    assert program.run("config unset notify").out == "notify = all (the default)\n"
