"""Values as words: the transcripts' layout, and nothing of a job's text that a terminal would obey."""

import json
from typing import Any

import pytest

from queuectl.commands import results
from queuectl.job import Job, State
from queuectl.pointing import point_at
from queuectl.render import as_data, error_name, lines, visible
from queuectl.settings import Value, find_setting
from tests import samples

NOW = "2025-03-01T12:00:00.000Z"


def job(id: str = "job1", command: str = "echo Hello", state: State = State.PENDING, **fields: Any) -> Job:
    return samples.job(id, command=command, state=state, **fields)


def row(key: str, value: Value, *, is_chosen: bool = False) -> results.SettingRow:
    return results.SettingRow(find_setting(key), value, is_chosen)


def text(result: results.Result) -> str:
    return "\n".join(lines(result)) + "\n"


JOB3 = job("job3", "python script.py")
JOB2 = job("job2", "python fail_script.py", State.DEAD, error="RuntimeError: boom")
COUNTS = {State.PENDING: 1, State.COMPLETED: 2}


@pytest.mark.parametrize(
    "result, expected",
    [
        (results.JobsAdded(["job1"]), "Job added to the queue with job id: job1\n"),
        (results.WorkersStarting(2), "Starting 2 worker(s)...\n"),
        (
            results.WorkersStarted([12345, 12346]),
            "Workers started and running in background.\nPIDs: [12345, 12346]\n",
        ),
        (results.WorkerStopped(12345), "Stopped worker PID 12345\n"),
        (results.AllWorkersStopped(), "All workers stopped.\n"),
        (
            results.StatusReport(COUNTS, [12345, 12346]),
            "Total Jobs: 3\n  Pending     : 1\n  In_progress : 0\n  Completed   : 2\n  Failed      : 0\n"
            "  Dead        : 0\nActive Workers: 2\nWorker PIDs: 12345, 12346\n",
        ),
        (
            results.JobTable([JOB3]),
            "ID              State      Command\n"
            "------------------------------------------------------------\n"
            "job3            pending    python script.py\n",
        ),
        (
            results.DeadTable([JOB2]),
            "ID              Command                       Error\n"
            "----------------------------------------------------------------------\n"
            "job2            python fail_script.py         RuntimeError\n",
        ),
        (
            results.JobsRevived([job("job2")]),
            "Job 'job2' has been moved back to the main queue for retry.\n",
        ),
    ],
)
def test_transcript_is_exact(result: results.Result, expected: str) -> None:
    assert text(result) == expected


def test_status_without_workers_says_so_in_one_line() -> None:
    assert text(results.StatusReport({}, [])).endswith("  Dead        : 0\nNo active workers.\n")


def test_status_names_cancelled_jobs_only_when_there_are_any() -> None:
    assert "Cancelled" not in text(results.StatusReport({State.CANCELLED: 0}, []))
    assert "  Dead        : 0\n  Cancelled   : 1\n" in text(results.StatusReport({State.CANCELLED: 1}, []))


def test_table_never_cuts_and_keeps_columns_apart() -> None:
    long = job("i" * 40, "c" * 300, State.IN_PROGRESS)
    assert text(results.JobTable([long])).splitlines()[2] == f"{'i' * 40} in_progress {'c' * 300}"


def test_empty_table_keeps_its_head() -> None:
    assert len(text(results.JobTable([])).splitlines()) == 2
    assert len(text(results.DeadTable([])).splitlines()) == 2


@pytest.mark.parametrize(
    "error, shown",
    [
        ("RuntimeError: boom", "RuntimeError"),
        ("RuntimeError", "RuntimeError"),
        ("RuntimeError:", "RuntimeError"),
        ("foo.bar.Error: x", "foo.bar.Error"),
        ("subprocess.TimeoutExpired: Command 'x' timed out", "subprocess.TimeoutExpired"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("exit code 3", "exit code 3"),
        ("killed by SIGKILL", "killed by SIGKILL"),
        ("timed out after 30s", "timed out after 30s"),
        ("command not found", "command not found"),
        ("Error: no such file", "Error: no such file"),
        ("sh: 1: foo: not found", "sh: 1: foo: not found"),
        ("make: *** [all] Error 2", "make: *** [all] Error 2"),
        ("RuntimeError in line 3", "RuntimeError in line 3"),
        ("example.com: unreachable", "example.com: unreachable"),
        ("", ""),
        (None, ""),
    ],
)
def test_error_name_is_that_of_a_python_exception(error: str | None, shown: str) -> None:
    assert error_name(error) == shown


@pytest.mark.parametrize(
    "raw, shown",
    [
        ("echo Hello", "echo Hello"),
        ("grüße 日本 👩‍💻", "grüße 日本 👩‍💻"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\nb\r\tc\0", r"a\nb\r\tc\x00"),
        ("\x7f\x9b", r"\x7f\x9b"),
        ("\u202etxt.exe", r"\u202etxt.exe"),
        ("\u2028", r"\u2028"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
        (r"C:\temp", r"C:\temp"),
    ],
)
def test_what_cannot_be_seen_is_written_out(raw: str, shown: str) -> None:
    assert visible(raw) == shown


@pytest.mark.parametrize(
    "result",
    [
        results.JobTable([job("a", "\x1b]0;title\x07\necho")]),
        results.DeadTable([job("a", "\x1b[2J", State.DEAD, error="\x1b[1m: no")]),
        results.JobDetails(job("a", "\x1b[2J\n", error="\x1b[0m", cwd="/\x1b", env={"\x1bA": "\x1b"})),
        results.WorkerTable([results.WorkerRow(1, 2, NOW, "\x1b[2J")]),
        results.JobsAdded(["\x1b[2J"]),
        results.JobsRemoved([job("\x1b[2J\n")]),
    ],
)
def test_no_result_passes_on_control_characters(result: results.Result) -> None:
    assert all("\x1b" not in line and "\n" not in line for line in lines(result))


def test_json_holds_escapes_for_what_cannot_be_seen() -> None:
    hostile = job("a", "\x9b31m\x7f\u202e\U000e0041\x1b[2J")
    for result in (results.JobTable([hostile]), results.JobDetails(hostile)):
        printed = text(results.Json(result))
        assert printed.isascii()
        assert printed.replace("\n", "").isprintable()
        [found] = [json.loads(printed)] if isinstance(result, results.JobDetails) else json.loads(printed)
        assert found["command"] == hostile.command


def test_json_is_one_document_of_stored_jobs() -> None:
    printed = text(results.Json(results.JobTable([JOB3, job("a", "\x1b[2J\n", env={"K": "v"})])))
    assert json.loads(printed)[0] == {
        "id": "job3",
        "command": "python script.py",
        "state": "pending",
        "attempts": 0,
        "max_retries": 3,
        "created_at": NOW,
        "updated_at": NOW,
        "seq": 1,
    }
    assert json.loads(printed)[1]["command"] == "\x1b[2J\n"
    assert "\x1b" not in printed


@pytest.mark.parametrize(
    "result, data",
    [
        (results.JobTable([]), []),
        (
            results.StatusReport(COUNTS, [7]),
            {
                "total": 3,
                "states": {"pending": 1, "in_progress": 0, "completed": 2, "failed": 0, "dead": 0, "cancelled": 0},
                "workers": [7],
            },
        ),
        (
            results.WorkerTable([results.WorkerRow(7, 6, NOW, None)]),
            [{"pid": 7, "pool_pid": 6, "started_at": NOW, "job_id": None}],
        ),
        (
            results.SettingTable([row("timeout", None)]),
            [{"key": "timeout", "value": None, "default": None, "origin": "default"}],
        ),
        (
            results.SettingValue(row("base", 3, is_chosen=True)),
            {"key": "base", "value": 3, "default": 2, "origin": "set"},
        ),
        (results.JobsAdded(["a", "b"]), ["a", "b"]),
    ],
)
def test_json_has_stable_keys(result: results.Result, data: object) -> None:
    assert json.loads(text(results.Json(result))) == data


def test_json_of_what_changes_things_does_not_exist() -> None:
    with pytest.raises(NotImplementedError):
        as_data(results.NoWorkers())


def test_many_jobs_are_told_in_one_sentence() -> None:
    ids = [f"j{number}" for number in range(1000)]
    assert text(results.JobsAdded(ids)) == "1000 jobs added to the queue with job ids: j0 ... j999\n"
    many = [job(id) for id in ids]
    assert text(results.JobsRevived(many)) == "1000 jobs have been moved back to the main queue for retry.\n"
    assert text(results.JobsPurged(many)) == "1000 jobs have been purged from the DLQ.\n"
    assert len(text(results.JobsRemoved(many[:3])).splitlines()) == 3


def test_cancelling_tells_running_jobs_from_waiting_ones() -> None:
    jobs = [job("a", state=State.CANCELLED), job("b", state=State.IN_PROGRESS, cancel_requested=True)]
    assert text(results.JobsCancelled(jobs)) == (
        "Job 'a' has been cancelled.\nJob 'b' is running: its worker has been told to cancel it.\n"
    )


def test_waiting_says_how_the_jobs_ended() -> None:
    ended = [job("a", state=State.COMPLETED), job("b", state=State.COMPLETED), job("c", state=State.DEAD)]
    assert text(results.JobsEnded(ended)) == "3 jobs have ended: 2 completed, 1 dead.\n"
    assert text(results.JobsEnded(ended[:1])) == "1 job has ended: 1 completed.\n"
    assert text(results.JobsEnded([])) == "No job is waiting or running.\n"


def test_waiting_fails_unless_all_are_completed_or_it_forgives() -> None:
    dead = [job(state=State.DEAD)]
    assert results.JobsEnded(dead).exit_code == 1
    assert results.JobsEnded(dead, forgives=True).exit_code == 0
    assert results.JobsEnded([job(state=State.COMPLETED)]).exit_code == 0
    assert results.Json(results.JobsEnded(dead)).exit_code == 1


def test_details_show_names_of_the_environment_but_no_values() -> None:
    shown = text(results.JobDetails(job(env={"TOKEN": "secret"}, timeout=90.0, error="exit code 3", exit_code=3)))
    assert "Environment      : TOKEN\n" in shown
    assert "secret" not in shown
    assert "Timeout          : 1m 30s\n" in shown
    assert "Exit code        : 3\n" in shown
    assert "Worker" not in shown


def test_settings_show_value_default_and_origin() -> None:
    table = results.SettingTable([row("max-retries", 5, is_chosen=True), row("timeout", None)])
    assert text(table).splitlines()[2:] == [
        "max-retries     5          3          set",
        "timeout         none       none       default",
    ]
    assert text(results.SettingValue(row("base", 0.2))) == "0.2\n"
    assert text(results.SettingChanged(row("max-retries", 5, is_chosen=True))) == "max-retries = 5\n"
    assert text(results.SettingChanged(row("base", 2))) == "base = 2 (the default)\n"


def test_caret_stands_under_the_place() -> None:
    assert point_at("enqueue {id a}", 12) == ("enqueue {id a}", " " * 12 + "^")
    assert point_at("one\ntwo x\nthree", 8) == ("two x", "    ^")
    assert point_at("ab", 2) == ("ab", "  ^")


def test_caret_counts_what_is_shown() -> None:
    """Escapes take more columns than the characters they stand for, and wide characters two."""
    assert point_at("\x1b!", 1) == (r"\x1b!", "    ^")
    assert point_at("日本!", 2) == ("日本!", "    ^")


def test_caret_of_a_long_line_shows_its_surroundings() -> None:
    line, caret = point_at("x" * 1_000_000 + "!" + "y" * 1_000_000, 1_000_000)
    assert len(line) < 200
    assert line[caret.index("^")] == "!"
    assert line.startswith("...")
    assert line.endswith("...")
