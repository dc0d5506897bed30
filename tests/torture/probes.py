"""Short forms of these tests, for T10: each finds nothing as long as all guards are there."""

import random
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from queuectl.errors import StoreDamaged
from queuectl.stores.base import Store
from queuectl.stores.local.store import LocalStore
from tests.samples import NOW, specs
from tests.torture.checks import check, forget_applied
from tests.torture.lives import LONG, PAST, Verb, a_worker, cases, claim_next, model_of, seen, settle, starts
from tests.torture.power import Disk, Kind, Moment
from tests.torture.stage import Stage
from tests.torture.system import FAULTS, Call, Count, Go, System
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

    def enqueue(store: Store) -> object:
        return store.enqueue(specs("new"), now=NOW)

    with ExitStack() as alive:
        rest = starts(stage, system, alive)[1]
    stage.put_back(rest.saved)
    verbs = [*PAST, *more] if about == "dead" else [*PAST, enqueue, *more]
    allowed = [model_of(verbs[:number]) for number in range(len(PAST), len(verbs) + 1)]
    moments: list[Moment] = []
    disk = Disk(stage, Kind.LOOSE, lambda call, moment: moments.append(moment), begin=rest.saved)
    system.watch = disk.watch
    has_worked = False

    def work(call: Call, go: Go) -> Any:
        nonlocal has_worked
        result = go()
        if call.name == "fdatasync" and not has_worked:
            has_worked = True
            with system.working("worker", Count()):
                for verb in more:
                    verb(worker)
            moments.clear()
        return result

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
        begin = starts(stage, system, alive)
        busy = begin[4]
        past = busy.past or ()
        stage.put_back(busy.saved)
        if about != "applied":
            forget_applied(stage.folder)  # else what is in the files already is of no interest
        damage_file(stage, system, about)
        found = None
        with system.working("other"), suppress(StoreDamaged):
            found = seen(LocalStore(stage.folder))
        system.bury("other")
    expected = {"header": None, "durable": None, "applied": model_of(past)}
    assert found == (expected[about] if about in expected else model_of(past[:-1])), f"{about}: was believed"


def damage_file(stage: Stage, system: System, about: str) -> None:
    journal, applied = stage.folder / "journal.jsonl", stage.folder / "applied"
    data = journal.read_bytes()
    match about:
        case "header":
            changed = data.replace(b'"generation":"', b'"generation":"x', 1)
            journal.write_bytes(changed.replace(b" \n", b"\n", 1))
        case "durable":
            journal.write_bytes(data.replace(b'"attempts"', b'"attemptz"', 1))
        case "transaction":
            at = data.rindex(b'"command":"true"')
            journal.write_bytes(data[:at] + data[at:].replace(b'"true"', b'"tree"', 1))
        case "applied":
            record = applied.read_bytes()
            changed = record.replace(b'"position":', b'"position":1', 1)
            applied.write_bytes(changed[:1014].ljust(1015) + record[-9:])
        case _:
            # Of unconfirmed transactions the last but one is lost, and what is written next is as long as that.
            *before, lost, last, _ = data.split(b"\n")
            journal.write_bytes(b"\n".join([*before, b"x" * len(lost), last, b""]))
            with system.working("other"):
                LocalStore(stage.folder).counts()
            system.bury("other")
            with journal.open("r+b") as opened:
                opened.seek(len(b"\n".join(before)) + 1)
                opened.write(lost + b"\n")


PROBES: dict[str, Probe] = {probe.__name__: probe for probe in (crash, power, fault, turns, tail, damage)}
