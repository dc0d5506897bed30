"""What is told of ended jobs, and what an observer makes of what it sees."""

from pathlib import Path
from typing import Any

import pytest

from queuectl import liveness
from queuectl.job import State
from queuectl.notices import News
from queuectl.observer import Observer, Snapshot
from queuectl.specs import JobSpec
from tests.memory_store import MemoryStore
from tests.samples import FAILED, NOW, OK, after, job, new_claim
from tests.waiting import until


def told(notify: str, *jobs: Any) -> list[str]:
    news = News()
    news.add(jobs, notify=notify, now=NOW)
    return news.lines()


@pytest.mark.parametrize(
    "fields, line",
    [
        ({"state": State.COMPLETED}, "Job job1 completed"),
        (
            {"state": State.FAILED, "error": "exit code 1", "run_at": "2025-03-01T12:00:04.100Z"},
            "Job job1 failed (exit code 1), next attempt in 4s",
        ),
        (
            {"state": State.FAILED, "error": "exit code 1", "run_at": "2025-03-01T11:59:00.000Z"},
            "Job job1 failed (exit code 1), next attempt now",
        ),
        (
            {"state": State.DEAD, "error": "RuntimeError: \x1b[2J", "attempts": 3},
            "Job job1 is dead after 3 attempts: RuntimeError: \\x1b[2J",
        ),
        ({"state": State.DEAD, "error": "x" * 100, "attempts": 1}, f"Job job1 is dead after 1 attempt: {'x' * 79}…"),
        ({"state": State.CANCELLED, "attempts": 1}, "Job job1 was cancelled"),
        ({"state": State.CANCELLED}, None),
        ({"state": State.PENDING}, None),
        ({"state": State.IN_PROGRESS}, None),
    ],
)
def test_each_end_has_its_sentence(fields: dict[str, Any], line: str | None) -> None:
    assert told("all", job(**fields)) == ([line] if line else [])


def test_many_ends_are_one_line() -> None:
    jobs = [job(f"job{n}", state=State.DEAD if n % 4 == 0 else State.COMPLETED) for n in range(12)]
    assert told("all", *jobs[:2]) == ["Job job0 is dead after 0 attempts: no reason given", "Job job1 completed"]
    assert told("all", *jobs) == ["12 jobs: 9 completed, 3 dead"]
    assert told("failures", *jobs[:8]) == [
        "Job job0 is dead after 0 attempts: no reason given",
        "Job job4 is dead after 0 attempts: no reason given",
    ]
    assert told("none", *jobs) == []


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """Return the queue that is observed; no worker runs."""
    monkeypatch.setattr(liveness, "read_workers", lambda folder: [])
    return MemoryStore()


def test_observer_tells_what_has_ended_since_it_was_made(tmp_path: Path, store: MemoryStore) -> None:
    (tmp_path / "journal.jsonl").touch()
    observer = Observer(tmp_path, open_store=lambda folder: store, clock=lambda: after(1))
    store.enqueue([JobSpec(id=id, command="true", max_retries=2) for id in ("old", "good", "bad")], now=NOW)
    for seconds, outcome in ((0, OK), (1, OK), (2, FAILED)):
        claimed = store.claim(new_claim(), now=NOW)
        assert claimed is not None
        store.settle(claimed, outcome, next_claim=None, now=after(seconds))
    assert not observer.has_news
    observer.look()
    assert observer.has_news
    assert observer.take_lines() == ["Job good completed", "Job bad failed (exit code 3), next attempt in 3s"]
    assert not observer.has_news
    assert observer.snapshot.counts is not None
    assert observer.snapshot.counts[State.COMPLETED] == 2
    store.remove(["good"])
    observer.look()
    assert {known.id for known in observer.known_jobs()} == {"old", "bad"}


def test_observer_looks_at_once_when_told_to(
    tmp_path: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queuectl.observer._PAUSE_S", 600)
    monkeypatch.setattr("queuectl.observer._LONGEST_PAUSE_S", 600)
    (tmp_path / "journal.jsonl").touch()
    observer = Observer(tmp_path, open_store=lambda folder: store)
    observer.start()
    until(lambda: observer.snapshot.counts is not None)
    store.enqueue([JobSpec(id="a", command="true")], now=NOW)
    observer.hurry()
    until(lambda: observer.snapshot.counts and observer.snapshot.counts[State.PENDING] == 1)
    observer.stop()


def test_observer_opens_nothing_that_is_no_queue_yet(tmp_path: Path, store: MemoryStore) -> None:
    """All that is in a queue which has begun meanwhile is news."""
    opened: list[Path] = []

    def open_store(folder: Path) -> MemoryStore:
        opened.append(folder)
        return store

    observer = Observer(tmp_path, open_store=open_store, clock=lambda: after(0))
    observer.look()
    assert (opened, observer.snapshot) == ([], Snapshot())
    store.enqueue([JobSpec(id="a", command="true")], now=NOW)
    started = store.claim(new_claim(), now=NOW)
    assert started is not None
    store.settle(started, OK, next_claim=None, now=NOW)
    (tmp_path / "journal.jsonl").touch()
    observer.look()
    assert observer.take_lines() == ["Job a completed"]


def test_observer_survives_what_cannot_be_read(tmp_path: Path, store: MemoryStore) -> None:
    (tmp_path / "journal.jsonl").touch()
    problems = [ValueError("broken"), OSError("gone")]

    def open_store(folder: Path) -> MemoryStore:
        if problems:
            raise problems.pop()
        return store

    observer = Observer(tmp_path, open_store=open_store)
    for _ in range(2):
        observer.look()
        assert observer.snapshot == Snapshot(is_unreadable=True)
    observer.look()
    assert observer.snapshot.counts == dict.fromkeys(State, 0)
