"""Reading a queue at rest, without its lock: it is never anything but what the lock would have shown."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from queuectl.errors import JobNotFound, StoreBusy, StoreDamaged
from queuectl.job import State
from queuectl.stores.local import disk, latch
from queuectl.stores.local.store import LocalStore
from tests.samples import FAILED, NOW, ids_of, new_claim, spec, specs


@pytest.fixture
def folder(data_dir: Path) -> Path:
    """Return a queue at rest, with the jobs a and b."""
    store = LocalStore(data_dir)
    store.enqueue(specs("a", "b"), now=NOW)
    store.close()
    return data_dir


@pytest.fixture
def store(folder: Path) -> Iterator[LocalStore]:
    """Return what another process sees of it."""
    opened = LocalStore(folder)
    yield opened
    opened.close()


@pytest.fixture
def locks(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the descriptors of all locks that are taken from now on."""
    taken: list[int] = []
    lock_descriptor = latch.lock_descriptor

    def lock(fd: int, *, blocking: bool = True) -> bool:
        taken.append(fd)
        return lock_descriptor(fd, blocking=blocking)

    monkeypatch.setattr(latch, "lock_descriptor", lock)
    return taken


def enqueue(folder: Path, *ids: str) -> None:
    """Let another process add jobs and end."""
    other = LocalStore(folder)
    other.enqueue(specs(*ids), now=NOW)
    other.close()


def die(folder: Path, id: str) -> None:
    """Let a job be enqueued before all others, and fail for good."""
    other = LocalStore(folder)
    other.cancel(["a", "b"], now=NOW)
    other.remove(["a", "b"])
    other.enqueue([spec(id, max_retries=1)], now=NOW)
    job = other.claim(new_claim(), now=NOW)
    assert job is not None
    other.settle(job, FAILED, next_claim=None, now=NOW)
    other.enqueue(specs("a", "b"), now=NOW)
    other.close()


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let *act* happen once, just after a file was read."""
    read_file = disk.read_file
    waiting = [act]

    def read(path: Path) -> Any:
        found = read_file(path)
        if waiting:
            waiting.pop()()
        return found

    monkeypatch.setattr(disk, "read_file", read)


def test_it_takes_no_lock(store: LocalStore, locks: list[int]) -> None:
    assert ids_of(store.jobs()) == ["a", "b"]
    assert ids_of(store.jobs([State.PENDING], limit=1)) == ["a"]
    assert store.counts()[State.PENDING] == 2
    assert store.job("b").id == "b"
    assert locks == []


def test_a_process_that_has_had_the_lock_needs_it_no_more(store: LocalStore, locks: list[int]) -> None:
    store.enqueue(specs("c"), now=NOW)
    store.rest()
    enqueue(store.folder, "d")
    locks.clear()
    assert ids_of(store.jobs()) == ["a", "b", "c", "d"]
    assert store.job("d").id == "d"
    assert locks == []


def test_what_is_not_in_the_files_yet_is_seen(folder: Path, store: LocalStore) -> None:
    other = LocalStore(folder)
    other.enqueue(specs("c"), now=NOW)  # and it has not brought the queue to rest
    assert ids_of(store.jobs()) == ["a", "b", "c"]
    assert store.counts()[State.PENDING] == 3
    assert store.job("c").id == "c"
    other.cancel(["a"], now=NOW)
    assert store.job("a").state is State.CANCELLED
    other.close()


def test_jobs_that_come_during_a_look_are_not_half_of_it(
    folder: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: enqueue(folder, "c"))
    assert ids_of(store.jobs()) == ["a", "b", "c"]


def test_a_job_that_goes_and_comes_during_a_look_is_seen_once(
    folder: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act() -> None:
        other = LocalStore(folder)
        other.remove(["a"])
        other.enqueue(specs("a"), now=NOW)
        other.close()

    meanwhile(monkeypatch, act)
    assert sorted(ids_of(store.jobs())) == ["a", "b"]


def test_a_job_that_changes_its_file_during_a_look_is_in_one_of_them(
    folder: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the files look as before: their times are no finer than the ticks of the kernel."""
    die(folder, "d")
    files = [folder / "jobs.json", folder / "dlq.json"]
    before = [path.stat().st_mtime_ns for path in files]

    def act() -> None:
        other = LocalStore(folder)
        other.revive(["d"], now=NOW)
        other.close()
        for path, time_ns in zip(files, before, strict=True):
            os.utime(path, ns=(time_ns, time_ns))

    meanwhile(monkeypatch, act)
    assert ids_of(store.jobs()) == ["a", "b", "d"]


def test_a_file_that_is_edited_during_a_look_is_read_anew(
    folder: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act() -> None:
        path = folder / "jobs.json"
        path.write_text(json.dumps([*json.loads(path.read_text(encoding="utf-8")), {"id": "e", "command": "true"}]))

    meanwhile(monkeypatch, act)
    assert ids_of(store.jobs()) == ["a", "b", "e"]


def test_an_edited_file_is_taken_over_as_by_everyone(folder: Path, store: LocalStore) -> None:
    (folder / "jobs.json").write_text('[{"id": "e", "command": "true"}]', encoding="utf-8")
    assert ids_of(store.jobs()) == ["e"]
    assert store.job("e").command == "true"


def test_a_missing_file_is_refused_in_words(folder: Path, store: LocalStore) -> None:
    (folder / "dlq.json").unlink()
    with pytest.raises(StoreDamaged, match=r"dlq\.json is missing"):
        store.counts()


def test_a_claim_is_seen_before_it_is_in_the_files(folder: Path, store: LocalStore) -> None:
    other = LocalStore(folder)
    assert other.claim(new_claim(), now=NOW)
    assert store.counts()[State.IN_PROGRESS] == 1
    assert store.job("a").state is State.IN_PROGRESS
    other.close()


def test_who_takes_the_lock_during_a_look_is_waited_for(
    folder: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = FileLock(folder / "queue.lock")
    store._engine.lock.deadline_s = 0.1
    meanwhile(monkeypatch, lock.acquire)
    with pytest.raises(StoreBusy):
        store.jobs()
    lock.release()


def test_who_lets_go_of_the_lock_during_a_look_was_waited_for(
    folder: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = FileLock(folder / "queue.lock")
    store._engine.lock.deadline_s = 0.1
    meanwhile(monkeypatch, lock.release)
    with lock, pytest.raises(StoreBusy):
        store.jobs()


def test_who_holds_the_lock_has_the_folder_for_itself(folder: Path, store: LocalStore) -> None:
    other = LocalStore(folder)
    store._engine.lock.deadline_s = 0.1
    with other._engine.lock:
        for look in (store.jobs, store.counts, lambda: store.job("a")):
            with pytest.raises(StoreBusy):
                look()
    other.close()
    assert ids_of(store.jobs()) == ["a", "b"]


def test_after_another_start_of_the_machine_everything_is_checked(
    folder: Path, locks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "boot_id", lambda: "another")
    store = LocalStore(folder)
    assert ids_of(store.jobs()) == ["a", "b"]
    assert locks
    store.close()


def test_text_like_an_id_is_no_job(folder: Path, store: LocalStore) -> None:
    """Only where a line begins there is a job."""
    other = LocalStore(folder)
    other.enqueue([spec("c", env={"id": "x"})], now=NOW)
    other.close()
    with pytest.raises(JobNotFound):
        store.job("x")
    enqueue(folder, "x")
    assert store.job("x").env == {}


def test_a_large_queue_is_searched_without_being_read_whole(
    folder: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = LocalStore(folder)
    other.enqueue([spec(f"j{number}", "x" * 100_000) for number in range(50)], now=NOW)
    other.close()
    with monkeypatch.context() as patched:
        patched.delattr(disk, "read_file")
        assert store.job("j49").id == "j49"
    assert len(store.jobs()) == 52
