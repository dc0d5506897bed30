"""Folders of the seed and its kin are taken over: every job goes on from where it was."""

import json
import math
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
        ({"colour": 5}, '"colour"'),
        ({"priority": 1001}, "priority"),
        ({"output": "what it has printed"}, '"output"'),
        ({"attempts": 1, "retry_count": 2}, 'two things of "attempts"'),
        ({"status": "pending", "state": "dead"}, 'two things of "state"'),
        ({"status": "sleeping"}, "state"),
        ({"run_at": "2025-03-01 12:00"}, "zone"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"attempts": -1}, "attempts"),
        ({"timeout": -5}, '"timeout" is -5'),
        ({"timeoutSeconds": 0}, '"timeout" is 0'),
        ({"timeout": math.nan}, '"timeout" is NaN, which is no number'),
        ({"timeout": math.inf}, '"timeout" is Infinity'),
        ({"exit_code": -math.inf}, '"exit_code" is -Infinity'),
        ({"run_at": math.nan}, '"run_at" is NaN'),
        ({"priority": math.nan}, '"priority" is NaN'),
        ({"id": "a b"}, "cannot be an id"),
        ({"command": ["true"]}, "command"),
    ],
)
def test_what_there_is_no_place_for_is_refused_by_name(fields: dict[str, Any], pattern: str) -> None:
    with pytest.raises(foreign.Unreadable, match=pattern):
        foreign.job({"id": "a", "command": "true"} | fields, File.JOBS)


EDITED = {
    '{"id": "a", "id": "b", "command": "true"}': '"id" twice',
    '{"id": "a", "command": "true", "env": {"A": "1", "A": "2"}}': '"env" gives "A" twice',
    '{"id": "a", "command": "true", "timeout": NaN}': '"timeout" is NaN',
    '{"id": "a", "command": "true", "timeout": 1e999}': '"timeout" is Infinity',
    '{"id": "a", "command": "true", "timeout": -5}': '"timeout" is -5',
}


@pytest.mark.parametrize("entry", EDITED)
def test_what_json_readers_let_pass_is_refused_with_file_job_and_field(
    data_dir: Path, queuectl: QueueCtl, entry: str
) -> None:
    """And a repair takes it out, and keeps it word for word."""
    data_dir.mkdir(mode=0o700, exist_ok=True)
    (data_dir / "jobs.json").write_text(f'[{{"id": "z", "command": "true"}}, {entry}]')
    for words in ("list", "enqueue --id c -- true", "doctor"):
        done = queuectl.run(b"", *words.split())
        assert done.code == 5, words
        said = done.out + done.err
        assert "jobs.json" in said
        assert "job number 2" in said
        assert EDITED[entry] in said, words
    assert entry in (data_dir / "jobs.json").read_text()
    assert queuectl.run(b"", "doctor", "--repair", "--yes").code in (0, 1)
    assert "z" in [job["id"] for job in json.loads(queuectl.run(b"", "list", "--json").out)]
    assert entry in next(data_dir.glob("kept-*.txt")).read_text()


@pytest.mark.parametrize("change", ['"attempts":-1', '"timeout":-5.0,"attempts":0'])
def test_an_edit_in_our_own_form_is_checked_as_well(data_dir: Path, queuectl: QueueCtl, change: str) -> None:
    queuectl.run(b"enqueue --id a -- true\n")
    jobs = data_dir / "jobs.json"
    jobs.write_text(jobs.read_text().replace('"attempts":0', change))
    done = queuectl.run(b"", "list")
    assert (done.code, 'job number 1 ("a")' in done.err) == (5, True), done


@pytest.mark.parametrize("text", ['{"id": "a", "id": "a", "command": "true"}', '{"id": "a", "command": "true"}'])
def test_the_same_said_twice_is_said_once(text: str) -> None:
    (entry,) = foreign.entries(f"[{text}]".encode())
    assert foreign.job(entry, File.JOBS).id == "a"


@pytest.mark.parametrize(
    "fields",
    [
        {"colour": 0},
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
