"""Taking back the jobs of dead workers, at the moments at which that could go wrong."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from queuectl import liveness, rescue
from queuectl.job import Claim, State
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
