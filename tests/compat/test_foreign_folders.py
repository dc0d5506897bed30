"""Folders of the seed and its kin are taken over: every job goes on from where it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from queuectl.job import State
from queuectl.stores.local import foreign
from queuectl.stores.local.records import File
from tests.compat.conftest import QueueCtl

EXPECTED: dict[str, dict[str, dict[str, Any]]] = {
    "seed": {
        "job1": {"state": "completed", "attempts": 0, "created_at": "2025-03-01T12:00:00.123Z"},
        "job2": {"state": "failed", "attempts": 1, "updated_at": "2025-03-01T12:00:05.750Z"},
        "job3": {"state": "pending", "attempts": 0},
        "job4": {"state": "pending", "max_retries": 5},
        "gone": {"state": "dead", "attempts": 3, "command": "python fail_script.py"},
    },
    "seed-worn": {
        "a": {"state": "pending", "command": "true"},
        "7": {"state": "pending", "command": "echo seven"},
        "c": {"state": "pending", "attempts": 1},
    },
    "assignment": {
        "w1": {"state": "pending", "created_at": "2025-03-01T12:00:00.000Z"},
        "w2": {"state": "failed", "attempts": 1, "run_at": "2030-03-01T12:00:00.000Z", "error": "exit 1"}
        | {"exit_code": 1, "max_retries": 3},
        "w3": {"state": "pending", "attempts": 1},
    },
    "camel": {
        "n1": {"state": "pending", "max_retries": 2, "timeout": 5.0, "created_at": "2025-03-01T12:00:00.123Z"},
        "n2": {"state": "completed", "exit_code": 0, "finished_at": "2025-03-01T12:00:01.123Z"},
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_folder_of_another_program_is_taken_over(take: Callable[[str], Path], queuectl: QueueCtl, name: str) -> None:
    folder = take(name)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    asked = queuectl.run(b"", "doctor")
    assert asked.code in (0, 1), "nothing in it is damage"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before, "doctor changes nothing"

    listed = queuectl.run(b"", "list", "--json")
    assert (listed.code, listed.err) == (0, "")
    found = {job["id"]: job for job in json.loads(listed.out)}
    assert list(found) == list(EXPECTED[name])
    for id, fields in EXPECTED[name].items():
        assert {field: found[id].get(field) for field in fields} == fields


def test_the_seeds_queue_is_drained_and_its_settings_hold(take: Callable[[str], Path], queuectl: QueueCtl) -> None:
    """The PIDs that it has left are nobody's workers, and the file is written anew."""
    folder = take("seed")
    status = queuectl.run(b"", "status")
    assert "No active workers." in status.out
    assert queuectl.run(b"", "config", "get", "max-retries").out == "5\n"
    assert queuectl.run(b"", "config", "get", "base").out == "3\n"
    done = queuectl.run(b"worker start --count 2\nwait --exit-zero --timeout 60s\n")
    assert done.code == 0, done
    pids = json.loads((folder / "worker_pids.json").read_bytes())
    assert len(pids) == 2
    assert not {4194301, 4194302} & set(pids)
    assert queuectl.run(b"worker stop\n").code == 0
    jobs = json.loads((folder / "jobs.json").read_bytes())
    assert {job["id"]: job["state"] for job in jobs} == dict.fromkeys(("job1", "job2", "job3", "job4"), "completed")
    assert json.loads((folder / "worker_pids.json").read_bytes()) == []


@pytest.mark.parametrize(
    "fields, pattern",
    [
        ({"priority": 5}, '"priority"'),
        ({"output": "what it has printed"}, '"output"'),
        ({"attempts": 1, "retry_count": 2}, 'two things of "attempts"'),
        ({"status": "pending", "state": "dead"}, 'two things of "state"'),
        ({"status": "sleeping"}, "state"),
        ({"run_at": "2025-03-01 12:00"}, "zone"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"attempts": -1}, "attempts"),
        ({"id": "a b"}, "cannot be an id"),
        ({"command": ["true"]}, "command"),
    ],
)
def test_what_there_is_no_place_for_is_refused_by_name(fields: dict[str, Any], pattern: str) -> None:
    with pytest.raises(foreign.Unreadable, match=pattern):
        foreign.job({"id": "a", "command": "true"} | fields, File.JOBS)


@pytest.mark.parametrize(
    "fields",
    [
        {"priority": 0},
        {"output": ""},
        {"tags": []},
        {"locked_by": "worker-3", "lockedAt": 1740830400},
        {"attempts": 0, "retries": 0},
        {"next_retry_at": ""},
        {"last_error": None, "error": None},
    ],
)
def test_what_holds_nothing_is_left_out(fields: dict[str, Any]) -> None:
    job = foreign.job({"id": "a", "command": "true"} | fields, File.JOBS)
    assert (job.id, job.state, job.attempts, job.run_at, job.error) == ("a", State.PENDING, 0, None, None)


def test_settings_that_contradict_each_other_are_refused(take: Callable[[str], Path], queuectl: QueueCtl) -> None:
    folder = take("seed")
    (folder / "config.json").write_text('{\n "base": 2,\n "base_delay": 3\n}')
    before = (folder / "config.json").read_bytes()
    done = queuectl.run(b"", "config", "get", "base")
    assert done.code == 5
    assert "two things of base" in done.err
    (folder / "config.json").write_text('{\n "base": 2\n "max_retries": 3}')
    done = queuectl.run(b"", "config", "get", "base")
    assert (done.code, "line 3, column 2" in done.err) == (5, True)
    (folder / "config.json").write_bytes(before)


def test_an_edit_beside_an_emptied_dlq_is_the_queue(take: Callable[[str], Path], queuectl: QueueCtl) -> None:
    """Zero bytes are a queue without jobs, whatever form the other file has."""
    folder = take("seed")
    (folder / "dlq.json").write_bytes(b"")
    assert queuectl.run(b"", "list", "--json").code == 0
