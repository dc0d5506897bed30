"""The stores that the contract is kept by."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from queuectl.job import State
from queuectl.stores.base import Store
from queuectl.stores.local.store import LocalStore
from tests.memory_store import MemoryStore


@pytest.fixture(params=["memory", "local"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return which kind of store the test runs against."""
    name: str = request.param
    return name


@pytest.fixture
def store(kind: str, data_dir: Path) -> Iterator[Store]:
    """Return an empty queue. What is in it at the end of the test has to be what a new process finds."""
    if kind == "memory":
        yield MemoryStore()
        return
    opened = LocalStore(data_dir)
    yield opened
    jobs = opened.jobs()
    opened.close()
    again = LocalStore(data_dir)
    assert again.jobs() == jobs
    assert sum(again.counts().values()) == len(jobs)
    assert {job.id for job in again.jobs([State.IN_PROGRESS])} == {job.id for job in again.claimed()}
    again.close()


@pytest.fixture
def peer(kind: str, store: Store, data_dir: Path) -> Iterator[Store]:
    """Return the same queue as another process sees it."""
    if kind == "memory":
        yield store
        return
    opened = LocalStore(data_dir)
    yield opened
    with suppress(Exception):  # a test that has failed is to say why, not this
        opened.close()
