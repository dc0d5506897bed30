"""Taking back the jobs of dead workers, at the moments at which that could go wrong."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from queuectl import liveness, processes, rescue
from queuectl.job import Claim, Job, State
from queuectl.stores.local.store import LocalStore
from tests.samples import OK, specs


def test_a_worker_that_dies_with_another_job_than_it_was_seen_with_loses_none(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the claims and the look at the worker's file it has settled, claimed the next, and died."""
    store = LocalStore(data_dir)
    first, second = store.enqueue(specs("a", "b"), now=datetime.now(UTC))
    file = liveness.WorkerFile.create(data_dir, pid=os.getpid(), pool_pid=os.getppid())
    job = store.claim(Claim(os.getpid(), f"{file.worker_id}.1"), now=datetime.now(UTC))
    hold_dead = liveness.hold_dead

    def move_on_and_die(folder: Path, worker_id: str) -> liveness.Rescue | None:
        assert job is not None
        store.settle(job, OK, next_claim=Claim(os.getpid(), f"{file.worker_id}.2"), now=datetime.now(UTC))
        file.close()
        return hold_dead(folder, worker_id)

    monkeypatch.setattr(liveness, "hold_dead", move_on_and_die)
    monkeypatch.setattr(liveness, "read_workers", lambda folder: [])  # a look from before it came

    assert [each.id for each in rescue.rescue_orphans(store, data_dir)] == [second]

    assert store.job(first).state is State.COMPLETED
    assert (store.job(second).state, store.job(second).crashes) == (State.PENDING, 1)
    store.close()


def test_what_a_dead_worker_ran_is_ended_though_its_claim_was_edited_away(data_dir: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True) as command:
        store = LocalStore(data_dir)
        job = die_at_work(data_dir, store, command.pid, processes.start_ticks(command.pid))
        store.rest()
        edited = {"id": job.id, "command": job.command, "state": "pending"}
        (data_dir / "jobs.json").write_text(json.dumps([edited]))
        assert rescue.rescue_dead(store, data_dir) == []
        assert command.wait(5) == -signal.SIGKILL
        assert liveness.read_workers(data_dir) == []
        assert store.job(job.id).state is State.PENDING
        store.close()


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    """Return the leader of a session that belongs to nobody's job."""
    with subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True) as process:
        yield process
        process.kill()


def die_at_work(folder: Path, store: LocalStore, session: int, session_start: int | None) -> Job:
    """Leave a job in progress as a worker does that dies; its file names *session* as that of its command."""
    store.enqueue(specs("a"), now=datetime.now(UTC))
    file = liveness.WorkerFile.create(folder, pid=os.getpid(), pool_pid=os.getppid())
    job = store.claim(Claim(os.getpid(), f"{file.worker_id}.1"), now=datetime.now(UTC))
    assert job is not None
    file.note_attempt(job.id, job.claim or "", session, session_start)
    file.close()
    return job


def test_a_session_that_is_anothers_by_now_is_not_ended(data_dir: Path, innocent: subprocess.Popen[bytes]) -> None:
    """The command has ended meanwhile, and its number was given to somebody else."""
    store = LocalStore(data_dir)
    start = processes.start_ticks(innocent.pid)
    assert start is not None
    job = die_at_work(data_dir, store, innocent.pid, start - 1)

    rescue.rescue_dead(store, data_dir)

    assert store.job(job.id).state is State.PENDING
    assert innocent.poll() is None
    store.close()


def test_a_job_that_cannot_be_ended_is_kept_for_the_next_who_looks(
    data_dir: Path, innocent: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(data_dir)
    job = die_at_work(data_dir, store, innocent.pid, processes.start_ticks(innocent.pid))
    with monkeypatch.context() as patched:
        patched.setattr(processes, "send", lambda proc, number: False)
        assert rescue.rescue_dead(store, data_dir) == []
    assert store.job(job.id).state is State.IN_PROGRESS
    assert innocent.poll() is None

    assert [each.id for each in rescue.rescue_dead(store, data_dir)] == [job.id]

    assert innocent.wait(20) == -signal.SIGKILL
    assert liveness.read_workers(data_dir) == []
    store.close()


def test_a_job_of_another_container_is_left_alone(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it can be seen from here, so it may still run."""
    store = LocalStore(data_dir)
    with monkeypatch.context() as patched:
        patched.setattr(processes, "pid_namespace", lambda: "pid:[17]")
        job = die_at_work(data_dir, store, 1, 1)
    monkeypatch.setattr(processes, "pid_namespace", lambda: "pid:[18]")

    assert rescue.rescue_dead(store, data_dir) == []

    assert store.job(job.id).state is State.IN_PROGRESS
    assert len(liveness.read_workers(data_dir)) == 1
    store.close()
