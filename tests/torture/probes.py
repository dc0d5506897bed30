"""Short forms of these tests, for T10: each finds nothing as long as all guards are there."""

import random
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from queuectl.errors import StoreDamaged
from queuectl.stores.local.store import LocalStore
from tests.samples import NOW, specs
from tests.torture.checks import check, forget_applied
from tests.torture.lives import LONG, PAST, Verb, a_worker, cases, claim_next, model_of, seen, settle, starts
from tests.torture.power import Disk, Kind, Moment
from tests.torture.stage import Stage
from tests.torture.system import FAULTS, THIS_BOOT, Call, Count, Go, System
from tests.torture.test_crashes import Crash
from tests.torture.test_faults import Faults
from tests.torture.test_power_cuts import Lives, cut_power
from tests.torture.test_turns import IN_TURN, Turns

Probe = Callable[[Stage, System, str, int], None]


def crash(stage: Stage, system: System, about: str, size: int) -> None:
    """End processes in operations, or from states, that are called *about*."""
    with ExitStack() as alive:
        crashes = Crash(stage, system, starts(stage, system, alive))
        for start, operation in cases(crashes.starts):
            if about in f"{operation.name} {start.name}":
                crashes.crash_into(start, operation)


def power(stage: Stage, system: System, about: str, size: int) -> None:
    """Cut the power, after calls on *about*."""
    for number in range(size):
        for kind in (Kind.LOOSE, Kind.ORDERED):
            lives = Lives(stage, system, kind, f"guard {number}")
            cut_power(lives, random.Random(number), 120, lambda: None, about)


def fault(stage: Stage, system: System, about: str, size: int) -> None:
    """Let calls fail as the faults called *about*."""
    with ExitStack() as alive:
        faults = Faults(stage, system, starts(stage, system, alive))
        for number in range(40 * size):
            faults.fail(random.Random(number), [each for each in FAULTS if each.name.startswith(about)])


def turns(stage: Stage, system: System, about: str, size: int) -> None:
    """Let two processes take turns."""
    with ExitStack() as alive:
        pairs = Turns(stage, system, starts(stage, system, alive))
        for start, operation in cases(pairs.starts):
            if start.past and operation.name in IN_TURN[: size // 10]:
                pairs.take_turns(start, operation)


def tail(stage: Stage, system: System, about: str, size: int) -> None:
    """Cut the power while somebody brings the journal into the files whose end is not synced.

    A worker has written that end: before it died (*about* "dead"), or between another's sync and what follows that.
    """
    more: list[Verb] = [settle("busy", LONG, next_claim=60), claim_next(61)]
    enqueue: Verb = lambda store: store.enqueue(specs("new"), now=NOW)
    with ExitStack() as alive:
        rest = starts(stage, system, alive)[1]
    stage.put_back(rest.saved)
    verbs = [*PAST, *more] if about == "dead" else [*PAST, enqueue, *more]
    allowed = [model_of(verbs[:number]) for number in range(len(PAST), len(verbs) + 1)]
    moments: list[Moment] = []
    disk = Disk(stage, Kind.LOOSE, lambda call, moment: moments.append(moment), begin=rest.saved)
    system.watch = disk.watch
    worker = None

    def work(call: Call, go: Go) -> Any:
        result = go()
        if call.name == "fdatasync" and not moments_of_worker:
            moments_of_worker.append(True)
            with system.working("worker", Count()):
                for verb in more:
                    verb(worker)
            moments.clear()
        return result

    moments_of_worker: list[bool] = []
    with a_worker(stage.folder), system.working("worker", Count()):
        worker = LocalStore(stage.folder)
        worker.prepare_for_work()
        if about == "dead":
            for verb in more:
                verb(worker)
            moments.clear()
            forget_applied(stage.folder)
            with system.working("other", Count()):
                LocalStore(stage.folder).counts()
        else:
            with system.working("other", work):
                enqueue(LocalStore(stage.folder))
            allowed = allowed[1:]  # it is confirmed when the last of this is over, and its first sync is
    for process in ("worker", "other"):
        system.bury(process)
    system.forget_watch()
    system.boot = "the next one"
    dice = random.Random(1)
    for moment in moments:
        for _ in range(size):
            stage.put_back(moment.draw(dice, Kind.LOOSE))
            check(stage, system, allowed, about)


def damage(stage: Stage, system: System, about: str, size: int) -> None:
    """Change a byte of *about*: it is refused, or does no harm, and never believed."""
    with ExitStack() as alive:
        *_, busy, _ = starts(stage, system, alive)
        stage.put_back(busy.saved)
        if about != "applied":
            forget_applied(stage.folder)  # else what is in the files already is of no interest
        journal, applied = stage.folder / "journal.jsonl", stage.folder / "applied"
        data = journal.read_bytes()
        first, *lines, _ = data.split(b"\n")
        if about == "header":
            journal.write_bytes(data.replace(b'"queuectl":1,"generation":"', b'"queuectl":1,"generation":"x', 1).replace(b" \n", b"\n", 1))
        elif about == "applied":
            record = applied.read_bytes()
            applied.write_bytes(record.replace(b'"position":', b'"position":1', 1)[:1014].ljust(1015) + record[-9:])
        elif about == "durable":
            journal.write_bytes(data.replace(b'"attempts"', b'"attemptz"', 1))
        elif about == "transaction":
            at = data.rindex(b'"command":"true"')
            journal.write_bytes(data[:at] + data[at:].replace(b'"true"', b'"tree"', 1))
        else:
            # Of three unconfirmed ones the second is lost, and the next is as long as that one.
            shorter = b"\n".join([first, *lines[:-2], b"x" * len(lines[-2]), lines[-1], b""])
            journal.write_bytes(shorter)
            with system.working("other"):
                LocalStore(stage.folder).counts()
            with journal.open("r+b") as opened:
                opened.seek(len(b"\n".join([first, *lines[:-2]])) + 1)
                opened.write(lines[-2] + b"\n")
        with system.working("other"):
            before = model_of(busy.past[:-1]) if busy.past else None
            found = None
            with suppress(StoreDamaged):
                found = seen(LocalStore(stage.folder))
        system.bury("other")
        expected = {"header": [None], "durable": [None], "applied": [model_of(busy.past or ())]}
        assert found in expected.get(about, [before]), f"{about}: was believed"


PROBES: dict[str, Probe] = {probe.__name__: probe for probe in (crash, power, fault, turns, tail, damage)}
_ = Path, THIS_BOOT
