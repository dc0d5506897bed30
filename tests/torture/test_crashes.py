"""T1: a process ends at any of its calls. What was confirmed is there, what was not is wholly there or not at all.

A process changes the disk only by its calls, so that its end after one call and before the next are the same. It is
ended before each call that changes something, and in the middle of each write.
"""

import os
import random
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from queuectl.stores.local.store import LocalStore
from tests.torture.checks import check
from tests.torture.lives import Operation, Seen, Start, cases, lower_limits, run_undisturbed, seen, starts
from tests.torture.stage import Saved, Stage
from tests.torture.system import Call, Count, DieAt, Died, System

Figures = Callable[[str, object], None]


class Crash:
    """All that can be crashed into, on one folder."""

    def __init__(self, stage: Stage, system: System, begin: list[Start]) -> None:
        self.stage = stage
        self.system = system
        self.starts = begin
        self.points = 0
        self.kinds: set[str] = set()  # of calls
        self.recoveries: dict[tuple[str, ...], tuple[Saved, list[Seen], str]] = {}  # one of each kind

    def die(self, start: Start, operation: Operation, number: int, cut: int, *, has_witness: bool) -> LocalStore | None:
        """Do *operation* until the process ends; return what a process that was there all the time goes on with."""
        self.stage.put_back(start.saved)
        self.system.seed_random(number)
        witness = None
        if has_witness:
            with self.system.working("witness"):
                witness = LocalStore(self.stage.folder)
                witness.claimed()
        self.is_confirmed = False
        with self.system.working("victim", DieAt(number, cut)), suppress(Died):
            store = LocalStore(self.stage.folder)
            operation.run(store)
            self.is_confirmed = True
            store.close()
        self.system.bury("victim")
        return witness

    def crash_into(self, start: Start, operation: Operation) -> None:
        states, every = run_undisturbed(self.stage, self.system, start, operation)
        calls = [call for call in every if call.changes]
        self.kinds |= {f"{call.name} {call.path}" for call in calls}
        for number, call in enumerate(calls):
            for cut in cuts(call):
                when = f"{cut} bytes into" if cut else "before"
                where = f"{operation.name} {start.name}, ended {when} change {number}, {call}"
                witness = self.die(start, operation, number, cut, has_witness=bool(start.past and self.points % 2))
                allowed = states[1:] if self.is_confirmed else states
                found = check(self.stage, self.system, allowed, where, witness)
                self.points += 1
                if found.steps not in self.recoveries:
                    self.die(start, operation, number, cut, has_witness=False)
                    self.recoveries[found.steps] = self.stage.save(), [found.seen], where

    def crash_while_recovering(self) -> Iterator[str]:
        """End also the process that comes after one that has ended: one of each kind of recovery, at every call."""
        for saved, allowed, where in self.recoveries.values():
            self.stage.put_back(saved)
            count = Count()
            self.recover(count)
            contents = check(self.stage, self.system, allowed, where).contents
            for number, call in enumerate(call for call in count.calls if call.changes):
                for cut in cuts(call):
                    here = (
                        f"{where}; then ended in recovery {f'{cut} bytes into' if cut else 'before'} {number}, {call}"
                    )
                    self.stage.put_back(saved)
                    with suppress(Died):
                        self.recover(DieAt(number, cut))
                    self.system.bury("recovery")
                    assert check(self.stage, self.system, allowed, here).contents == contents, here
                    yield here

    def recover(self, behaviour: Count) -> None:
        with self.system.working("recovery", behaviour):
            seen(LocalStore(self.stage.folder))
        self.system.bury("recovery")


def cuts(call: Call) -> list[int]:
    """Return after how many bytes of *call* to end, 0 for before it."""
    size = len(call.args[1]) if call.name == "pwrite" else 0
    return sorted({0, size // 2, max(size - 1, 0)})


@pytest.fixture
def crash(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crash]:
    lower_limits(monkeypatch)
    stage = Stage(fast_path / "stage")
    system = System(monkeypatch, stage.root)
    with ExitStack() as alive:
        yield Crash(stage, system, starts(stage, system, alive))


def test_real_processes_end_as_these_do(
    crash: Crash, dice: random.Random, volume: Callable[[int, int], int], figure: Figures
) -> None:
    """A killed process leaves, to the byte, what one leaves that is ended by an exception that nothing catches."""
    everything = list(cases(crash.starts))
    count = volume(60, 1000)
    for _ in range(count):
        start, operation = dice.choice(everything)
        _, every = run_undisturbed(crash.stage, crash.system, start, operation)
        calls = [call for call in every if call.changes]
        number = dice.randrange(len(calls))
        cut = dice.choice(cuts(calls[number]))
        where = f"{operation.name} {start.name}, before change {number}, {calls[number]}, cut {cut}"
        crash.die(start, operation, number, cut, has_witness=False)
        simulated = left(crash.stage)
        crash.stage.put_back(start.saved)
        crash.system.seed_random(number)
        child = os.fork()
        if not child:
            try:
                with crash.system.working("victim", DieAt(number, cut, die=dice.choice([kill_self, exit_at_once]))):
                    store = LocalStore(crash.stage.folder)
                    operation.run(store)
                    store.close()
            finally:
                os._exit(1)  # it has lived on
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) in (-signal.SIGKILL, 9), where
        assert left(crash.stage) == simulated, where
    figure("real processes ended", count)


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def exit_at_once() -> None:
    os._exit(9)


def left(stage: Stage) -> dict[str, bytes]:
    """Return what is in the folder, whichever process has left it."""
    return {re.sub(r"\.\d+\.tmp", ".tmp", name): content for name, content in stage.contents().items()}


def test_a_process_may_end_at_any_call(crash: Crash, figure: Figures) -> None:
    everything = list(cases(crash.starts))
    for start, operation in everything:
        crash.crash_into(start, operation)
    figure("operations from a state", len(everything))
    figure("points of ending", crash.points)
    figure("kinds of recovery", len(crash.recoveries))
    figure("points of ending in a recovery", sum(1 for _ in crash.crash_while_recovering()))
