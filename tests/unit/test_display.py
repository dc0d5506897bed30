"""Values at a terminal: the words of a pipe, fitted to the width, coloured, with times as people count them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from queuectl import display, render
from queuectl.commands import results
from queuectl.job import Job, State
from queuectl.screen import Screen, width
from queuectl.settings import SETTINGS
from tests import samples

NOW = datetime(2025, 3, 1, 12, 3, 20, tzinfo=UTC)  # 3m 20s after the jobs of tests.samples were enqueued
WIDE = Screen(200, 24, has_colour=False)


def job(id: str = "job1", command: str = "echo Hello", state: State = State.PENDING, **fields: Any) -> Job:
    return samples.job(id, command=command, state=state, **fields)


def shown(result: results.Result, screen: Screen = WIDE) -> list[str]:
    return list(display.lines(result, screen, NOW))


def on(columns: int, *, has_colour: bool = False) -> Screen:
    return Screen(columns, 24, has_colour)


def uncoloured(lines: list[str]) -> list[str]:
    return [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]


DEAD = job("job2", "python fail_script.py", State.DEAD, error="RuntimeError: boom")
RESULTS = [
    results.JobTable([job("job3", "python script.py"), job("job4", "true", State.CANCELLED)]),
    results.JobTable([]),
    results.DeadTable([DEAD, job("job5", state=State.DEAD)]),
    results.StatusReport({State.PENDING: 1, State.COMPLETED: 2, State.CANCELLED: 1}, [12345, 12346]),
    results.StatusReport({}, []),
    results.JobsEnded([job(state=State.COMPLETED), DEAD]),
    results.JobsEnded([]),
    results.SettingTable([results.SettingRow(setting, setting.default, False) for setting in SETTINGS]),
    results.JobsAdded(["job1"]),
    results.JobsRevived([DEAD]),
    results.WorkersStarted([12345, 12346]),
    results.NoWorkers(),
    results.Json(results.JobTable([DEAD])),
]


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("has_colour", [False, True])
def test_words_and_places_are_those_of_a_pipe_where_there_is_room(result: results.Result, has_colour: bool) -> None:
    lines = shown(result, on(200, has_colour=has_colour))
    assert [line.rstrip() for line in uncoloured(lines)] == [line.rstrip() for line in render.lines(result)]
    assert has_colour or lines == uncoloured(lines)


@pytest.mark.parametrize("result", RESULTS)
def test_pipe_that_wants_colours_gets_the_same_lines(result: results.Result) -> None:
    lines = shown(result, Screen(None, 0, has_colour=True))
    assert uncoloured(lines) == list(render.lines(result))


def test_states_are_coloured_and_named() -> None:
    lines = shown(RESULTS[0], on(80, has_colour=True))
    assert lines[2] == "job3            \x1b[36mpending\x1b[0m    python script.py"
    assert "\x1b[1;31mdead\x1b[0m" in shown(results.JobDetails(DEAD), on(80, has_colour=True))[2]


def test_columns_stay_straight_and_the_command_is_cut() -> None:
    long = [job("i" * 20, "c" * 300, State.IN_PROGRESS), job("b", "日本語" * 30, State.FAILED), job("c", "true")]
    lines = shown(results.JobTable(long), on(60))
    assert lines[0] == "ID                   State       Command"
    assert lines[2] == f"{'i' * 20} in_progress {'c' * 26}…"
    assert lines[3] == f"b                    failed      {'日本語' * 4}日…"
    assert all(width(line) <= 60 for line in lines)


def test_wide_ids_leave_the_next_column_in_its_place() -> None:
    # No id that is enqueued is like this, but a file may be edited by hand.
    lines = shown(results.WorkerTable([results.WorkerRow(1, 1, None, "日本"), results.WorkerRow(22, 1, None, None)]))
    assert lines[2].index("日") == lines[3].rindex("-") == 36
    lines = shown(results.DeadTable([job("日本", "c", State.DEAD), job("abcd", "c", State.DEAD)]))
    assert lines[2] == "日本            c"
    assert lines[3] == "abcd            c"


@pytest.mark.parametrize("columns", [8, 12, 20, 30, 40, 59, 80])
def test_no_line_of_a_table_is_wider_than_the_terminal(columns: int) -> None:
    jobs = [job("j" * 40, "echo " + "👩‍💻" * 50, State.DEAD, error="Error: " + "é" * 100)]
    for table in (results.JobTable(jobs), results.DeadTable(jobs), RESULTS[7]):
        assert max(map(width, shown(table, on(columns)))) <= columns


def test_blanks_give_way_before_what_is_to_be_read() -> None:
    assert shown(results.JobTable([job("a", "echo number 12")]), on(30))[2] == "a    pending    echo number 12"


@pytest.mark.parametrize(
    "needed, least, columns, widths",
    [
        ([2, 5, 8], [15, 10, 0], 80, [15, 10, 8]),
        ([2, 5, 300], [15, 10, 0], 80, [15, 10, 53]),
        ([60, 5, 300], [15, 10, 0], 80, [34, 10, 34]),
        ([2, 5, 30], [15, 10, 0], 40, [4, 10, 24]),
        ([9, 9, 9], [0, 0, 0], 4, [1, 1, 1]),
    ],
)
def test_room_is_shared_out(needed: list[int], least: list[int], columns: int, widths: list[int]) -> None:
    assert display.share_out(needed, least, columns) == widths


def test_times_are_those_of_people() -> None:
    lines = shown(results.JobDetails(job(run_at="2025-03-01T12:03:24.000Z", started_at="2025-03-01T12:03:20.400Z")))
    text = "\n".join(lines)
    local = datetime(2025, 3, 1, 12, 0, tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    assert f"Created          : {local} (3m 20s ago)" in text
    assert re.search(r"Next attempt     : \S+ \S+ .*\(in 4s\)", text)
    assert re.search(r"Started          : .*\(now\)", text)
    started_at = "2025-03-01T10:03:20.000Z"
    assert "2h ago" in shown(results.WorkerTable([results.WorkerRow(7, 6, started_at, None)]))[2]


@pytest.mark.parametrize(
    "seconds, text",
    [(0.0, "now"), (-0.4, "now"), (1.0, "in 1s"), (-59.9, "59s ago"), (-3600, "1h ago"), (86400 * 2, "in 2d")],
)
def test_relative_times(seconds: float, text: str) -> None:
    moment = (NOW + timedelta(seconds=seconds)).isoformat()
    assert display.relative(moment, NOW) == text


@pytest.mark.parametrize(
    "result",
    [
        results.JobTable([job("a", "\x1b]0;title\x07\necho")]),
        results.DeadTable([job("a", "\x1b[2J", State.DEAD, error="\x1b[1m: no")]),
        results.JobDetails(job("a", "\x1b[2J\n", error="\x1b[0m", cwd="/\x1b", env={"\x1bA": "\x1b"})),
        results.WorkerTable([results.WorkerRow(1, 2, None, "\x1b[2J")]),
    ],
)
def test_no_text_of_a_job_reaches_the_terminal_as_a_command(result: results.Result) -> None:
    assert all(line.isprintable() for line in shown(result))
    assert all("\x1b" not in line for line in uncoloured(shown(result, on(80, has_colour=True))))
