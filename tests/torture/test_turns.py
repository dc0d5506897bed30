"""Two processes in turns: at each call that one of them makes, the other one wants something too.

Shows, without any chance, that the lock keeps them apart, and that each notices what the other has done.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from queuectl.errors import StoreBusy
from queuectl.job import Job, State
from queuectl.stores.local.store import LocalStore
from tests.samples import OK, after, ids_of
from tests.torture.checks import check
from tests.torture.lives import OPERATIONS, Operation, Start, claim_as, lower_limits, run_undisturbed, seen, starts
from tests.torture.stage import Stage
from tests.torture.system import Call, Go, System

Figures = Callable[[str, object], None]
IN_TURN = ("claim", "settle and claim", "die and claim", "batch", "rescue", "give back", "remove and compact")


class Other:
    """A process that claims a job before call *number* of the first one, or as soon as the lock is free."""

    def __init__(self, system: System, store: LocalStore, number: int) -> None:
        self._system = system
        self._store = store
        self._number = number
        self._calls = 0
        self.claimed: list[Job] = []
        self.was_busy = False

    def __call__(self, call: Call, go: Go) -> object:
        if self._calls == self._number:
            self.claim()
        self._calls += 1
        return go()

    def claim(self) -> None:
        with self._system.working("other"):
            try:
                job = self._store.claim(claim_as(77), now=after(9000))
            except StoreBusy:
                self.was_busy = True
            else:
                assert job is not None
                self.claimed.append(job)
                self._store.flush()


class Turns:
    """All pairs of an operation and a claim in the middle of it."""

    def __init__(self, stage: Stage, system: System, begin: list[Start]) -> None:
        self.stage = stage
        self.system = system
        self.starts = [start for start in begin if start.past]
        self.busy = self.turns = 0

    def take_turns(self, start: Start, operation: Operation) -> None:
        states, calls = run_undisturbed(self.stage, self.system, start, operation)
        ids = {job.id for job in states[1][0]}
        for number in range(len(calls)):
            where = f"{operation.name} {start.name}, a claim before call {number}, {calls[number]}"
            self.stage.put_back(start.saved)
            with self.system.working("other"):
                there = LocalStore(self.stage.folder)
                there.claimed()
                there._engine.lock.deadline_s = 0
            other = Other(self.system, there, number)
            with self.system.working("first", other):
                first = LocalStore(self.stage.folder)
                operation.run(first)
                first.close()
            if other.was_busy:
                other.claim()
            with self.system.working("other"):
                mine = there.current(other.claimed[0])
                assert mine is not None, f"{where}: {other.claimed[0].id} was taken away"
                found = seen(there)
                running = [job.claim for job in found[0] if job.state is State.IN_PROGRESS]
                assert len(set(running)) == len(running), where
                assert set(ids_of(found[0])) == ids, where
                # Who no longer holds a job says nothing of it any more.
                there.rescue([claim_as(77).token], is_crash=True, now=after(9001))
                again = there.claim(claim_as(78), now=after(9002))
                assert there.settle(mine, OK, next_claim=None, now=after(9003)).settled is None, where
                assert again is not None, where
                assert there.current(again) is not None, where
                found = seen(there)
            self.system.bury("first")
            self.system.bury("other")
            check(self.stage, self.system, [found], where)
            self.busy += other.was_busy
            self.turns += 1


@pytest.fixture
def turns(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Turns]:
    lower_limits(monkeypatch)
    stage = Stage(fast_path / "stage")
    system = System(monkeypatch, stage.root)
    with ExitStack() as alive:
        yield Turns(stage, system, starts(stage, system, alive))


def test_two_processes_take_turns_at_any_call(turns: Turns, is_long: bool, figure: Figures) -> None:
    for start in turns.starts:
        for operation in OPERATIONS:
            # "fail" takes whatever job runs, were it the other's.
            if operation.name in IN_TURN or (is_long and operation.name != "fail"):
                turns.take_turns(start, operation)
    figure("turns", turns.turns)
    figure("turns in which the lock was held", turns.busy)
    assert 0 < turns.busy < turns.turns
