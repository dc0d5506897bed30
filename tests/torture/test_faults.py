"""T3: any call to the system fails, once or from then on. The error is clear, nothing is half done, and no failure is
taken for success; once the fault is gone, the queue works.
"""

import random
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from queuectl.cli import main
from queuectl.errors import ExitCode, OutcomeUnknown, QueueCtlError
from queuectl.job import State
from queuectl.stores.local.store import LocalStore
from tests.samples import NOW, plain, specs
from tests.torture.checks import check, explain
from tests.torture.lives import Operation, Seen, Start, cases, lower_limits, model_of, run_undisturbed, seen, starts
from tests.torture.power import Disk, Kind
from tests.torture.stage import Stage
from tests.torture.system import FAULTS, SYNCS, THIS_BOOT, Call, Count, FailAt, Fault, System

Figures = Callable[[str, object], None]
RECORDED = "The change is recorded and will hold"


class Case(NamedTuple):
    """An operation, where it begins, what is to be seen before and after it, and all its calls."""

    start: Start
    operation: Operation
    states: list[Seen]
    calls: list[Call]


class Faults:
    """What can fail, on one folder."""

    def __init__(self, stage: Stage, system: System, begin: list[Start]) -> None:
        self.stage = stage
        self.system = system
        self.cases = [
            Case(start, operation, *run_undisturbed(stage, system, start, operation))
            for start, operation in cases(begin)
        ]
        self.ends: Counter[str] = Counter()

    def fail(self, dice: random.Random, choice: Sequence[Fault] = FAULTS) -> None:
        """Let one call of one operation fail, and see what comes of it."""
        case = dice.choice(self.cases)
        fault = dice.choice(choice)
        if not (numbers := [number for number, call in enumerate(case.calls) if call.name in fault.names]):
            return
        number = dice.choice(numbers)
        is_for_good = dice.random() < 0.5
        where = (
            f"{case.operation.name} {case.start.name}: {fault.name} {'from' if is_for_good else 'at'} call {number}, "
            f"{case.calls[number]}"
        )
        self.stage.put_back(case.start.saved)
        self.system.boot = THIS_BOOT
        self.system.seed_random(number)
        disk = Disk(self.stage, Kind.LOOSE, lambda call, moment: None, begin=case.start.saved)

        failures: list[Call] = []

        def failed(call: Call) -> None:
            failures.append(call)
            if call.name in SYNCS:
                disk.fail_sync(call)

        behaviour = FailAt(number, fault, is_for_good=is_for_good, failed=failed)
        self.system.watch = disk.watch
        store, error, later = None, None, None
        with self.system.working("victim", behaviour):
            try:
                store = LocalStore(self.stage.folder)
                case.operation.run(store)
            except (QueueCtlError, OSError) as caught:
                error = caught
            if store is not None:
                try:
                    store.rest()
                except (QueueCtlError, OSError) as caught:
                    later = caught
        where = f"{where}; it said {error!r}, then {later!r}"
        assert f"{behaviour.calls[number]}" == f"{case.calls[number]}", f"{where}: it was another call"
        allowed = self.allowed(case.states, error, where)
        self.ends["failed" if error else "failed at rest" if later else "went on"] += 1
        # Of a failed sync others can know only if that could be written down.
        is_unsynced = any(call.name in SYNCS and call.path.endswith("journal.jsonl") for call in failures)
        is_told = not is_unsynced or all(call.name in SYNCS for call in failures)
        if is_told and dice.random() < 0.5:
            self.system.bury("victim")
            store = None  # it was a single command, and another process goes on
        self.go_on(case, store, error, allowed, disk, dice, where)

    def allowed(self, states: list[Seen], error: Exception | None, where: str) -> list[Seen]:
        """Return what may be there, after what was said."""
        if error is None:
            return states[1:]
        text = error.strerror if isinstance(error, OSError) else str(error)
        assert text, where
        if isinstance(error, OutcomeUnknown):
            return states
        return states[1:] if text.startswith(RECORDED) else states[:1]

    def go_on(
        self,
        case: Case,
        store: LocalStore | None,
        error: Exception | None,
        allowed: list[Seen],
        disk: Disk,
        dice: random.Random,
        where: str,
    ) -> None:
        """The fault is gone: the same process goes on, then others come, then the power fails."""
        with self.system.working("victim", Count()):
            store = store or LocalStore(self.stage.folder)
            found = seen(store)
            assert found in allowed, f"{where}; then: {explain(found, allowed)}"
            store.enqueue(specs("again"), now=NOW)
            jobs, settings = found
            confirmed = seen(store)
            assert confirmed == ([*jobs, plain(store.job("again"))], settings), (
                f"{where}; then: {explain(confirmed, [found])}"
            )
            if dice.random() < 0.5:
                store.close()
        self.system.bury("victim")
        self.system.forget_watch()
        if dice.random() < 0.5:
            check(self.stage, self.system, [confirmed], f"{where}; then")
        else:
            self.system.boot = "the next one"
            self.stage.put_back(disk.moment().draw(dice, Kind.LOOSE))
            # What was said to be unknown stays so; of jobs it was made certain together with the next one.
            unknown = [(confirmed[0], states[1]) for states in case.states]
            may_be = [confirmed, *unknown] if isinstance(error, OutcomeUnknown) else [confirmed]
            check(self.stage, self.system, may_be, f"{where}; then the power failed")


def test_a_call_that_fails_does_no_harm(
    fast_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    volume: Callable[[int, int], int],
    figure: Figures,
) -> None:
    lower_limits(monkeypatch)
    stage = Stage(fast_path / "stage")
    system = System(monkeypatch, stage.root)
    with ExitStack() as alive:
        faults = Faults(stage, system, starts(stage, system, alive))
        drawn = 0
        while faults.ends.total() < volume(1000, 5000):
            drawn += 1
            faults.fail(random.Random(f"{seed}.{drawn}"))
    for end, count in faults.ends.items():
        figure(f"operations that {end}", count)


#: Commands, and what tells that one has been done.
COMMANDS: tuple[tuple[str, Callable[[Seen], bool]], ...] = (
    ('enqueue \'{"id":"new","command":"true"}\'', lambda found: any(job.id == "new" for job in found[0])),
    ("cancel p2", lambda found: any(job.id == "p2" and job.state is State.CANCELLED for job in found[0])),
    ("remove done", lambda found: all(job.id != "done" for job in found[0])),
    ("dlq retry --all", lambda found: all(job.state is not State.DEAD for job in found[0])),
    ("config set base 4", lambda found: bool(found[1].base == 4)),
)
DONE = "The command was done"
FULL = Path("/dev/full")


class Said(NamedTuple):
    """How a command has ended, and what a person was told of it."""

    code: int
    out: str
    err: str

    @property
    def claims_done(self) -> bool:
        return not self.code or bool(self.out) or RECORDED in self.err or DONE in self.err

    @property
    def claims_nothing_changed(self) -> bool:
        return "Nothing was changed" in self.err


def standing(found: Seen) -> Seen:
    """Return what only the command itself can change: each first takes back the jobs whose worker is gone."""
    jobs, settings = found
    return [job for job in jobs if job.id not in ("busy", "run")], settings


def test_a_command_that_fails_says_so(
    fast_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seed: int,
    volume: Callable[[int, int], int],
    figure: Figures,
) -> None:
    """Exit code 0 means that it was done; any other comes with a sentence, never with a traceback, and that is true."""
    lower_limits(monkeypatch)
    stage = Stage(fast_path / "stage")
    system = System(monkeypatch, stage.root)
    codes: Counter[int] = Counter()
    claims: Counter[str] = Counter()
    with ExitStack() as alive:
        rest = starts(stage, system, alive)[1]
    shown = sys.stdout
    capsys.readouterr()  # what was said before
    before = standing(model_of(rest.past or ()))
    for number in range(volume(150, 2000)):
        dice = random.Random(f"{seed}.{number}")
        line, is_done = dice.choice(COMMANDS)
        fault = dice.choice(FAULTS)
        stage.put_back(rest.saved)
        behaviour = FailAt(dice.randrange(150), fault, is_for_good=dice.random() < 0.5, failed=lambda call: None)
        is_full = FULL.exists() and dice.random() < 0.2
        with ExitStack() as streams, system.working("program", behaviour):
            if is_full:
                monkeypatch.setattr(sys, "stdout", streams.enter_context(FULL.open("w")))
            code = main(["--data", str(stage.folder), *shlex.split(line)])
        monkeypatch.setattr(sys, "stdout", shown)
        system.bury("program")
        said = Said(code, *capsys.readouterr())
        codes[code] += 1
        with system.working("other"):
            found = seen(LocalStore(stage.folder))
        system.bury("other")
        where = f"{line}, {fault.name}{', no space for the answer' if is_full else ''}: {said}"
        assert "Traceback" not in said.err, where
        assert "unexpected" not in said.err, where
        assert code == 0 or said.err.strip(), where
        assert not is_full or code != 0, where
        assert is_done(found) or not said.claims_done, where
        assert standing(found) == before or not said.claims_nothing_changed, where
        assert is_done(found) or standing(found) == before, where
        claims["done" if said.claims_done else "unchanged" if said.claims_nothing_changed else "neither"] += 1
    figure("exit codes", dict(sorted(codes.items())))
    figure("commands that said", dict(sorted(claims.items())))
    assert codes[ExitCode.STORE] > 0
    assert min(claims["done"], claims["unchanged"]) > 0
