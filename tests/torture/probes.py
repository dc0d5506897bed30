"""Short forms of these tests, for T10: each finds nothing as long as all guards are there."""

import errno
import json
import os
import random
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from queuectl import rescue
from queuectl.errors import OutcomeUnknown, StoreDamaged
from queuectl.job import Claim, State
from queuectl.liveness import WorkerFile
from queuectl.stores.base import Store
from queuectl.stores.local import disk as disk_calls
from queuectl.stores.local import files
from queuectl.stores.local import repair as repairs
from queuectl.stores.local.store import LocalStore
from tests.samples import NOW, after, specs
from tests.torture.checks import check, forget_applied
from tests.torture.lives import (
    LATER,
    LONG,
    PAST,
    Verb,
    a_worker,
    cases,
    claim_next,
    model_of,
    seen,
    settle,
    starts,
)
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

    A worker has written that end: before it died (*about* "dead"; "edited": and an editor has then written a file), or
    between another's sync and what follows that ("between").
    """
    more: list[Verb] = [settle("busy", LONG, next_claim=60), claim_next(61)]

    def enqueue(store: Store) -> object:
        return store.enqueue(specs("new"), now=NOW)

    with ExitStack() as alive:
        rest = starts(stage, system, alive)[1]
    stage.put_back(rest.saved)
    is_dead = about != "between"
    verbs = [*PAST, *more] if is_dead else [*PAST, enqueue, *more]
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

    with ExitStack() as life, system.working("worker", Count()):
        life.enter_context(a_worker(stage.folder))
        worker = LocalStore(stage.folder)
        worker.prepare_for_work()
        if is_dead:
            for verb in more:
                verb(worker)
            if about == "edited":
                jobs = stage.folder / "jobs.json"
                disk_calls.replace(jobs, [json.dumps(json.loads(jobs.read_bytes()), indent=2).encode()])
                life.close()  # or the journal would begin in a new file, where the end of the old one is no matter
            else:
                forget_applied(stage.folder)
            moments.clear()
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


def leave(stage: Stage, system: System, about: str, size: int) -> None:
    """Let a sync of the journal fail, so that a new one takes its place, and cut the power from then on.

    With *about* "name", the sync of its name fails too, and another process goes on.
    """

    def enqueue(id: str) -> Verb:
        return lambda store: store.enqueue(specs(id), now=NOW)

    verbs = [*PAST, enqueue("before"), enqueue("unsure"), enqueue("later")]
    states = [model_of(verbs[:number]) for number in range(len(PAST) + 1, len(verbs) + 1)]
    to_fail: list[str] = []
    moments: list[Moment] = []

    def behave(call: Call, go: Go) -> Any:
        if to_fail and call.name == to_fail[0]:
            del to_fail[0]
            disk.fail_sync(call)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return go()

    with ExitStack() as alive:
        rest = starts(stage, system, alive)[1]
    stage.put_back(rest.saved)
    disk = Disk(stage, Kind.LOOSE, lambda call, moment: moments.append(moment), begin=rest.saved)
    system.watch = disk.watch
    with system.working("first", behave):
        store = LocalStore(stage.folder)
        verbs[-3](store)
        moments.clear()
        to_fail += ["fdatasync", "fsync"] if about == "name" else ["fdatasync"]
        with suppress(OutcomeUnknown):
            verbs[-2](store)
    assert not to_fail, "what should have failed was not done"
    if about == "name":
        system.bury("first")
        with system.working("other", behave):
            verbs[-1](LocalStore(stage.folder))
    cuts = [(moment, states) for moment in moments]
    cuts += size * [(disk.moment(), states[2:] if about == "name" else states[1:])]
    system.bury("first")
    system.bury("other")
    system.forget_watch()
    system.boot = "the next one"
    dice = random.Random(1)
    for moment, allowed in cuts:
        for _ in range(max(1, size // 10)):
            stage.put_back(moment.draw(dice, Kind.LOOSE))
            check(stage, system, allowed, "after a journal was left")


def reboot(stage: Stage, system: System, about: str, size: int) -> None:
    """Cut the power while a job runs: whoever looks next sees that it does not any more, by no fault of its own."""
    moments: list[Moment] = []
    disk = Disk(stage, Kind.LOOSE, lambda call, moment: moments.append(moment))
    system.watch = disk.watch
    with system.working("worker", Count()):
        store = LocalStore(stage.folder)
        store.enqueue(specs("busy"), now=NOW)
        store.prepare_for_work()
        file = WorkerFile.create(stage.folder, pid=os.getpid(), pool_pid=os.getppid())
        moments.clear()
        job = store.claim(Claim(os.getpid(), f"{file.worker_id}.1"), now=NOW)
        assert job is not None
        file.note_attempt(job.id, job.claim or "", os.getpid(), 1)
        store.flush()
    moments += size * [disk.moment()]
    system.bury("worker")
    system.forget_watch()
    system.boot = "the next one"
    dice = random.Random(1)
    for moment in moments:
        stage.put_back(moment.draw(dice, Kind.LOOSE))
        with system.working("other"):
            other = LocalStore(stage.folder)
            rescue.rescue_dead(other, stage.folder)
            (found,) = other.jobs()
        system.bury("other")
        assert (found.state, found.crashes) == (State.PENDING, 0), "a job that a power cut has ended"


def repair(stage: Stage, system: System, about: str, size: int) -> None:
    """Cut the power during a repair, and after it.

    At every moment all that was there is there, in its place or in the copy, and another repair leads to the same end;
    and what was done when it returns, stays.
    """
    damage_all(stage, system)
    damaged = stage.save()
    with system.working("undisturbed"):
        repairs.repair(stage.folder, now=NOW)
        expected = seen(LocalStore(stage.folder)), kept(stage)
    system.bury("undisturbed")
    moments: list[Moment] = []
    disk = Disk(stage, Kind.LOOSE, lambda call, moment: moments.append(moment), begin=damaged)
    stage.put_back(damaged)
    system.watch = disk.watch
    with system.working("somebody", Count()):
        repairs.repair(stage.folder, now=NOW)
    last = disk.moment()
    system.bury("somebody")
    system.forget_watch()
    system.boot = "the next one"
    dice = random.Random(1)
    for moment in [*moments[:: max(1, 40 // size)], *(size * [last])]:
        stage.put_back(moment.draw(dice, Kind.LOOSE))
        for path, (_, content, _) in damaged.files.items():
            name = os.path.relpath(path, stage.folder)
            copies = [each.read_bytes() for each in stage.folder.parent.glob(f"data*/{name}")]
            assert content in copies, f"{name}: neither as it was nor in the copy"
        with system.working("other"):
            if moment is not last:
                repairs.repair(stage.folder, now=after(60))
            found = seen(LocalStore(stage.folder)), kept(stage)
        system.bury("other")
        if moment is last:
            assert found == expected, "what a repair has done has not stayed"
        else:
            assert found[0] == expected[0], "what a repair leads to after another was cut short"


def damage_all(stage: Stage, system: System) -> None:
    """Leave a queue, of which nobody knows how it stands, with a job, a setting, and a transaction that are damaged."""
    with system.working("past"):
        store = LocalStore(stage.folder)
        for verb in (*PAST, *LATER):
            verb(store)
    system.bury("past")
    for name, there, changed in (
        ("jobs.json", b'"id":"x5"', b'"id":"x5'),
        ("config.json", b"{", b'{"max_retries": "many",'),
        ("journal.jsonl", b'"attempts"', b'"attemptz"'),
    ):
        path = stage.folder / name
        data = path.read_bytes()
        assert there in data, name
        path.write_bytes(data.replace(there, changed, 1))


def kept(stage: Stage) -> list[bytes]:
    """Return what repairs have not taken over."""
    return sorted(path.read_bytes() for path in stage.folder.glob(f"{files.KEPT}*.txt"))


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


PROBES: dict[str, Probe] = {
    probe.__name__: probe for probe in (crash, power, fault, turns, tail, leave, reboot, repair, damage)
}
