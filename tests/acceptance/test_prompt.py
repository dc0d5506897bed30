"""What a person sees and can do at the prompt: menu, suggestion, colours, toolbar, notices, keys."""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import PROGRAM, QueueCtl
from tests.acceptance.terminal import PROMPT, Terminal

CTRL_C, CTRL_D, CTRL_R, CTRL_Z = "\x03", "\x04", "\x12", "\x1a"
UP, DOWN, RIGHT, TAB, F1 = "\x1b[A", "\x1b[B", "\x1b[C", "\t", "\x1bOP"

pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")


@pytest.fixture
def terminal(queuectl: QueueCtl) -> Iterator[Terminal]:
    """Return a terminal where the shell has just been started."""
    opened = Terminal(queuectl)
    opened.until_prompt()
    yield opened
    opened.child.close(force=True)


def menu(terminal: Terminal) -> list[str]:
    """Return what stands between the cursor and the toolbar."""
    return [line.strip() for line in terminal.screen[len(terminal.lines) : -1] if line.strip()]


# -- typing --


def test_menu_offers_commands_with_a_word_of_description(terminal: Terminal) -> None:
    terminal.type("w")
    terminal.until(lambda _: len(menu(terminal)) == 2)
    assert [line.split()[0] for line in menu(terminal)] == ["wait", "worker"]
    assert menu(terminal)[1].endswith("Start, stop or list workers.")
    terminal.type("o")
    terminal.until(lambda _: len(menu(terminal)) == 1)
    terminal.type(TAB)
    terminal.until(lambda lines: lines[-1] == f"{PROMPT}worker")


@pytest.mark.parametrize(
    "line, offered",
    [
        ("worker ", "stop"),
        ("status --", "--json"),
        ("list --state pen", "pending"),
        ("config set max-r", "max-retries"),
        ("config set notify ", "failures"),
        ("help wor", "worker"),
        ("enqueue '{", "command"),
        ("enqueue '{id: a, com", "command"),
        ("wo st", "start"),
    ],
)
def test_menu_offers_what_may_follow(terminal: Terminal, line: str, offered: str) -> None:
    terminal.type(line)
    terminal.until(lambda _: offered in [row.split()[0] for row in menu(terminal)])


def test_menu_offers_ids_with_what_became_of_the_jobs(terminal: Terminal) -> None:
    terminal.run("enqueue --id good -- true")
    terminal.run("enqueue --id bad --max-retries 1 -- exit 3")
    terminal.run("worker start")
    terminal.until(lambda _: "1 completed · 1 dead" in terminal.toolbar)
    terminal.type("show ")
    terminal.until(lambda _: len(menu(terminal)) == 2)
    described = {row.split()[0]: " ".join(row.split()[1:]) for row in menu(terminal)}
    assert described == {"bad": "dead · exit code 3 · 1 attempt", "good": "completed · true"}
    terminal.type(CTRL_C)
    terminal.until_prompt()
    terminal.type("dlq retry ")
    terminal.until(lambda _: [row.split()[0] for row in menu(terminal)] == ["bad"])


def test_menu_offers_files(queuectl: QueueCtl, terminal: Terminal) -> None:
    (queuectl.here / "some jobs.txt").touch()
    terminal.type("source so")
    terminal.until(lambda _: any("some jobs.txt" in row for row in menu(terminal)))
    terminal.type(TAB)
    terminal.until(lambda lines: lines[-1] == f"{PROMPT}source 'some jobs.txt'")


def test_suggestion_from_history_is_taken_with_the_right_arrow(terminal: Terminal) -> None:
    terminal.run("list --limit 7")
    terminal.type("list")
    terminal.until(lambda lines: lines[-1] == f"{PROMPT}list --limit 7")
    terminal.type(RIGHT + "7")
    terminal.until(lambda lines: lines[-1] == f"{PROMPT}list --limit 77")


def test_history_is_searched_for_what_was_typed(terminal: Terminal) -> None:
    terminal.run("list --limit 1")
    terminal.run("status")
    terminal.run(" list --limit 2")
    terminal.type(CTRL_R + "lim")
    terminal.until(lambda lines: any(line.endswith("list --limit 1") for line in lines[-2:]))
    terminal.type(CTRL_C)
    terminal.until_prompt()
    # The menu would be in the way of the arrows.
    terminal.type("list --l" + CTRL_C)
    terminal.until(lambda lines: lines[-1] == PROMPT.rstrip() and lines[-2].startswith(f"{PROMPT}list --l"))
    terminal.type(UP)
    terminal.until(lambda lines: lines[-1] == f"{PROMPT}status")
    terminal.type(UP)
    terminal.until(lambda lines: lines[-1] == f"{PROMPT}list --limit 1")
    terminal.type(DOWN)
    terminal.until(lambda lines: lines[-1] == f"{PROMPT}status")


def test_commands_that_begin_with_a_space_are_not_kept_of_pasted_ones_either(
    queuectl: QueueCtl, terminal: Terminal
) -> None:
    """But lines with which another command goes on may begin as they like."""
    first = "enqueue '{id: a,\n  command: true}'"
    hidden = " enqueue '{id: b,\ncommand: \"echo secret\"}'"
    last = "enqueue --id c -- true"
    terminal.type(f"\x1b[200~{first}\n{hidden}\n\n{last}\x1b[201~\r")
    terminal.until(lambda lines: "Job added to the queue with job id: c" in lines)
    terminal.run("status")
    assert [job["id"] for job in json.loads((queuectl.data / "jobs.json").read_text())] == ["a", "b", "c"]
    lines = (queuectl.data / "history").read_text().splitlines()
    kept = [line.removeprefix("+") for line in lines if line.startswith("+")]
    assert kept == [*first.splitlines(), "", last, "status"]
    terminal.type(" enqueue --id d -- echo secret\r")
    terminal.until(lambda lines: "Job added to the queue with job id: d" in lines)
    assert "secret" not in (queuectl.data / "history").read_text()


def test_arrow_searches_the_history_beside_a_menu_that_nobody_has_gone_into(terminal: Terminal) -> None:
    terminal.run("list --limit 1")
    terminal.run("status")
    terminal.type("li")
    terminal.until(lambda _: any("List jobs in the order" in line for line in terminal.screen))
    terminal.type(UP)
    terminal.until(lambda lines: lines[-1] == f"{PROMPT}list --limit 1")


def test_empty_enter_does_nothing(terminal: Terminal) -> None:
    terminal.type("\r \r")
    lines = terminal.until(lambda lines: len(lines) == 4 and lines[-1] == PROMPT.rstrip())
    assert lines[1:] == [PROMPT.rstrip()] * 3


def test_line_goes_on_while_a_quote_in_a_brace_is_open(terminal: Terminal) -> None:
    terminal.type("enqueue '{id: a,\r")
    terminal.until(lambda lines: lines[-1].strip() == "...>")
    terminal.type('command: "echo\r')
    terminal.until(lambda lines: lines[-1].strip() == "...>")
    terminal.type("x\"}'\r")
    assert terminal.until_prompt()[-2] == "Job added to the queue with job id: a"


def colour(terminal: Terminal, column: int) -> str:
    """Return the colour of a sign in the cursor's line."""
    return str(terminal.cell(len(terminal.lines) - 1, column).fg)


def test_words_are_coloured_as_they_are_understood(terminal: Terminal) -> None:
    text = "enqueue '{id: a, command: true}' --id --frob"
    terminal.type(text + " ")
    terminal.until(lambda lines: lines[-1] == PROMPT + text)
    start = len(PROMPT)
    places = {"enqueue": "green", "'{": "brown", "command": "brightblue", "--id": "cyan", "--frob": "red"}
    terminal.until(lambda _: {word: colour(terminal, start + text.index(word)) for word in places} == places)
    terminal.type(CTRL_C + "frobnicate ")
    terminal.until(lambda lines: lines[-1] == PROMPT + "frobnicate" and colour(terminal, start) == "red")


def test_word_at_the_cursor_is_explained_before_its_command(terminal: Terminal) -> None:
    terminal.type("list --state dead" + F1)
    terminal.until(lambda lines: "dead: has no attempt left" in lines and "Usage: list [OPTIONS]" in lines)


@pytest.mark.parametrize("key", [F1, "?"])
def test_help_is_shown_for_the_word_at_the_cursor(terminal: Terminal, key: str) -> None:
    terminal.type("worker sta ")
    terminal.until(lambda lines: lines[-1] == f"{PROMPT}worker sta")
    terminal.type(key)
    lines = terminal.until(lambda lines: "Usage: worker start [OPTIONS]" in lines and lines[-1].startswith(PROMPT))
    assert lines[-1] == f"{PROMPT}worker sta"


def test_question_mark_is_a_sign_like_others_in_arguments(terminal: Terminal) -> None:
    terminal.type("enqueue -- test ?")
    terminal.until(lambda lines: lines[-1] == f"{PROMPT}enqueue -- test ?")


def test_shell_command_runs_in_the_foreground(queuectl: QueueCtl, terminal: Terminal) -> None:
    assert terminal.run('!echo "$QUEUECTL_DATA" | cut -c1-1; exit 3')[-3:-1] == [
        "/",
        "The command ended with exit code 3.",
    ]
    # With exec: a shell that is just starting a program keeps the signal to itself until that has ended.
    terminal.type("!echo begun; exec sleep 100\r")
    terminal.until(lambda lines: "begun" in lines)
    terminal.type(CTRL_C)
    terminal.until(lambda lines: lines[-1] == PROMPT.rstrip() and any("Interrupted." in line for line in lines))


# -- seeing --


def test_toolbar_counts_jobs_and_workers(terminal: Terminal) -> None:
    terminal.run("enqueue --id a -- true")
    terminal.until(lambda _: terminal.toolbar == "1 pending │ no workers │ F1 or ? for help")
    terminal.run("worker start --count 2")
    terminal.until(lambda _: terminal.toolbar == "1 completed │ 2 workers │ F1 or ? for help")


def test_toolbar_follows_what_others_do(queuectl: QueueCtl, terminal: Terminal) -> None:
    queuectl.run("enqueue --id a -- true\nenqueue --id b -- true\n")
    terminal.until(lambda _: terminal.toolbar.startswith("2 pending"))
    queuectl.run("remove a\n")
    terminal.until(lambda _: terminal.toolbar.startswith("1 pending"))


def test_shell_alone_makes_no_queue(queuectl: QueueCtl, terminal: Terminal) -> None:
    """Watching only reads: a folder is made a queue by a command."""
    terminal.type(CTRL_D)
    assert terminal.end() == 0
    assert [path.name for path in queuectl.data.iterdir()] == ["history"]


def test_end_of_a_job_is_told_above_the_line_being_typed(terminal: Terminal) -> None:
    terminal.run("enqueue --id job1 -- true")
    terminal.run("enqueue --id job2 --max-retries 2 -- false")
    terminal.run("worker start")
    terminal.type("list --lim")
    lines = terminal.until(lambda lines: any(line.startswith("Job job2 is dead") for line in lines))
    lines = terminal.until(lambda lines: lines[-1].startswith(PROMPT + "list --lim"))
    told = [line for line in lines if line.startswith("Job ")]
    assert [re.sub(r"in [12]s$", "soon", line) for line in sorted(told) if "added" not in line] == [
        "Job job1 completed",
        "Job job2 failed (exit code 1), next attempt soon",
        "Job job2 is dead after 2 attempts: exit code 1",
    ]


def test_many_ends_are_told_in_one_line(queuectl: QueueCtl, terminal: Terminal) -> None:
    terminal.run("status")
    gate = queuectl.here / "gate"
    os.mkfifo(gate)
    queuectl.run("".join(f"enqueue --max-retries 1 -- 'read x < {gate}; exit {n % 2}'\n" for n in range(8)))
    queuectl.run("worker start --count 8\n")
    terminal.until(lambda _: "8 in_progress" in terminal.toolbar)
    with gate.open("w") as opened:
        opened.write("\n" * 8)
    terminal.until(lambda lines: any("jobs: " in line for line in lines))
    terminal.until(lambda _: "4 completed · 4 dead" in terminal.toolbar)


@pytest.mark.parametrize("notify, told", [("failures", ["bad"]), ("none", [])])
def test_setting_says_what_is_told(terminal: Terminal, notify: str, told: list[str]) -> None:
    terminal.run(f"config set notify {notify}")
    terminal.run("enqueue --id good -- true")
    terminal.run("enqueue --id bad --max-retries 1 -- false")
    terminal.run("worker start")
    terminal.until(lambda _: "1 completed · 1 dead" in terminal.toolbar)
    lines = terminal.run("!true")
    ended = [line.split()[1] for line in lines if line.startswith("Job ") and "added" not in line]
    assert ended == told


def test_ctrl_d_says_that_workers_go_on(terminal: Terminal) -> None:
    terminal.run("worker start --count 2")
    terminal.type(CTRL_D)
    terminal.child.expect_exact('2 workers go on: "worker stop" stops them.')
    assert terminal.end() == 0


def test_ctrl_z_suspends_the_shell_and_fg_brings_it_back(queuectl: QueueCtl) -> None:
    """Under a shell with job control, as people have it."""
    outer = Terminal(queuectl, "--norc", "--noprofile", "-i", program=["/bin/bash"], PS1="outer$ ", HISTFILE="")
    outer.until(lambda lines: lines[-1] == "outer$")
    outer.type(" ".join(PROGRAM) + "\r")
    outer.until(lambda lines: lines[-1] == PROMPT.rstrip())
    outer.type("list --limit 3" + CTRL_Z)
    outer.until(lambda lines: lines[-1] == "outer$")
    outer.type("fg\r")
    outer.until(lambda lines: lines[-1] == f"{PROMPT}list --limit 3")
    outer.type("\r")
    outer.until(
        lambda lines: any(line.startswith("There are no jobs") for line in lines) and lines[-1] == PROMPT.rstrip()
    )
    outer.type(CTRL_D)
    outer.until(lambda lines: lines[-1] == "outer$")
    outer.child.close(force=True)


def test_prompt_fits_itself_to_a_new_size(terminal: Terminal) -> None:
    terminal.run("enqueue --id a -- true")
    terminal.until(lambda _: terminal.toolbar.startswith("1 pending"))
    terminal.resize(60, 20)
    terminal.type("status --js")
    terminal.until(lambda lines: lines[-1].startswith(f"{PROMPT}status --js") and len(terminal.screen) == 20)
    terminal.until(lambda _: terminal.toolbar.startswith("1 pending"))
    terminal.type("on\r")
    terminal.until(lambda lines: '  "total": 1,' in lines and lines[-1] == PROMPT.rstrip())


def test_terminal_that_can_do_little_is_told_nothing_in_between(queuectl: QueueCtl) -> None:
    terminal = Terminal(queuectl, TERM="dumb")
    terminal.child.expect_exact(PROMPT)
    terminal.type("enqueue --id a -- true\n")
    terminal.child.expect_exact(PROMPT)
    terminal.type("worker start\n")
    terminal.child.expect_exact(PROMPT)
    terminal.type("wait\n")
    terminal.child.expect_exact(PROMPT)
    terminal.type(CTRL_D)
    terminal.child.expect_exact('1 worker goes on: "worker stop" stops it.')
    assert "completed" not in (terminal.child.before or "").replace("1 completed.", "")
    assert terminal.end() == 0


def test_no_colour_where_none_is_wanted(queuectl: QueueCtl) -> None:
    terminal = Terminal(queuectl, NO_COLOR="1")
    terminal.until_prompt()
    terminal.type("status ")
    terminal.until(lambda lines: lines[-1] == f"{PROMPT}status")
    assert colour(terminal, len(PROMPT)) == "default"
    terminal.child.close(force=True)


# -- what it costs --


def test_prompt_is_there_soon(queuectl: QueueCtl) -> None:
    """At most 30 × `python -c pass`."""
    ratios = []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare = time.monotonic() - began
        began = time.monotonic()
        terminal = Terminal(queuectl)
        terminal.until_prompt()
        ratios.append((time.monotonic() - began) / bare)
        terminal.child.close(force=True)
    assert min(ratios) <= 30, ratios


def echo_times(terminal: Terminal, text: str) -> list[float]:
    """Return how long each sign of *text* took from the key to the screen, in seconds."""
    took = []
    for end in range(1, len(text) + 1):
        wanted = (PROMPT + text[:end]).rstrip()
        began = time.monotonic()
        terminal.type(text[end - 1])
        while not terminal.lines[-1].startswith(wanted):
            terminal.read()
        took.append(time.monotonic() - began)
    terminal.type(CTRL_C)
    terminal.until_prompt()
    return took


def test_key_is_echoed_at_once_beside_many_jobs(queuectl: QueueCtl, tmp_path: Path) -> None:
    """Within 20 ms, with 100,000 jobs in the queue and workers busy.

    Where this machine is busy with other things, hardly later than beside no jobs at all.
    """
    jobs = tmp_path / "jobs.txt"
    jobs.write_text("sleep 0.02\n" * 100_000, encoding="utf-8")
    queuectl.run("", "enqueue", "-f", str(jobs))
    queuectl.run("", "worker", "start", "--count", "2")
    terminal, idle = Terminal(queuectl), Terminal(queuectl, "--data", str(tmp_path / "other"))
    idle.until_prompt()
    terminal.until_prompt()
    terminal.until(lambda _: "pending" in terminal.toolbar and "completed" in terminal.toolbar)
    took, bare = [], []
    for _ in range(4):
        took += echo_times(terminal, "list --limit")
        bare += echo_times(idle, "list --limit")
    terminal.child.close(force=True)
    idle.child.close(force=True)
    assert statistics.median(took) <= max(0.02, 2 * statistics.median(bare)), (took, bare)
