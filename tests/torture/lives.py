"""What can be done to a queue, from where, and what must be there afterwards; and a folder that can be put back."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import lock_descriptor

from queuectl.job import Claim, Outcome
from queuectl.stores.base import Store
from queuectl.stores.local import engine, intake, records
from queuectl.stores.local.store import LocalStore
from tests.memory_store import MemoryStore
from tests.samples import FAILED, NOW, OK, after, plain, spec, specs
from tests.torture.stage import Saved, Stage
from tests.torture.system import Call, Count, System

Verb = Callable[[Store], object]
Seen = tuple[Any, Any]  # jobs and settings
LONG = Outcome(exit_code=1, error="ü" * 400)  # a line that it does not fit into
NOISE = ("workers", "logs", "queue.lock")


def lower_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few jobs be enough: for a full journal, for a batch that is streamed, for a file worth rewriting."""
    monkeypatch.setattr(engine, "RENEW_AT", 4096)
    monkeypatch.setattr(intake, "RENEW_AT", 8192)
    monkeypatch.setattr(engine, "_COMPACT_AT", 2048)
    monkeypatch.setattr(records, "RESERVE", 2048)


def claim_as(number: int) -> Claim:
    return Claim(1, f"00112233445566ff.{number}")


def claim_next(number: int) -> Verb:
    return lambda store: store.claim(claim_as(number), now=after(1000 + number))


def settle(id: str, outcome: Outcome, *, next_claim: int | None = None) -> Verb:
    """Return what settles the running job *id*."""

    def run(store: Store) -> object:
        (held,) = [job for job in store.claimed() if job.id == id]
        claim = None if next_claim is None else claim_as(next_claim)
        return store.settle(held, outcome, next_claim=claim, now=after(2000))

    return run


def give_back(store: Store) -> object:
    (held,) = [job for job in store.claimed() if job.id == "busy"]
    return store.give_back(held, now=after(2000))


def prepare(store: Store) -> object:
    store.prepare_for_work()
    store.publish_workers(lambda: [11, 12])
    return store.next_due()


#: How every queue here began: one of each kind, and two jobs that run.
PAST: tuple[Verb, ...] = (
    lambda store: store.enqueue(
        [
            spec("done", max_retries=5),
            spec("failed"),
            *(spec(id, max_retries=1) for id in ("dead1", "dead2", "busy")),
            *specs("run", "p1"),
            spec("p2", "x" * 300),
            *(spec(f"x{number}", "y" * 40) for number in range(12)),
        ],
        now=NOW,
    ),
    claim_next(1),
    settle("done", OK, next_claim=2),
    settle("failed", FAILED, next_claim=3),
    settle("dead1", FAILED, next_claim=4),
    settle("dead2", LONG, next_claim=5),
    claim_next(6),
    lambda store: store.set_setting("base", 3),
)
#: What happens on top of it while a worker is there: the journal holds it, some of it not yet synced.
LATER: tuple[Verb, ...] = (
    lambda store: store.cancel(["x11"], now=after(1500)),
    lambda store: store.enqueue([*specs("late1"), spec("late2", max_retries=1)], now=NOW),
    settle("run", FAILED),
    claim_next(7),
)


class Operation(NamedTuple):
    """One command; *running* is the job that it wants to run, and *follows* what is done before it."""

    name: str
    run: Verb


OPERATIONS: tuple[Operation, ...] = (
    Operation("enqueue", lambda store: store.enqueue(specs("new"), now=NOW)),
    Operation("batch", lambda store: store.enqueue([spec(f"n{number}", "b" * 50) for number in range(12)], now=NOW)),
    Operation("big batch", lambda store: store.enqueue([spec(f"n{n}", "b" * 100) for n in range(20)], now=NOW)),
    Operation("claim", claim_next(50)),
    Operation("settle", settle("busy", OK)),
    Operation("settle and claim", settle("busy", OK, next_claim=50)),
    Operation("fail", lambda store: settle(_running(store), LONG)(store)),
    Operation("die", settle("busy", FAILED)),
    Operation("die and claim", settle("busy", LONG, next_claim=50)),
    Operation("give back", give_back),
    Operation("rescue", lambda store: store.rescue([claim_as(5).token, claim_as(6).token], is_crash=True, now=NOW)),
    Operation("dlq retry", lambda store: store.revive(["dead2"], now=after(3000))),
    Operation("dlq retry --all", lambda store: store.revive(None, now=after(3000))),
    Operation("dlq purge", lambda store: store.purge(["dead1"])),
    Operation("cancel", lambda store: store.cancel(["p2"], now=after(3000))),
    Operation("cancel a running job", lambda store: store.cancel(["busy"], now=after(3000))),
    Operation("remove", lambda store: store.remove(["done", "p2"])),
    Operation(
        "remove and compact", lambda store: store.remove([*(f"x{number}" for number in range(12)), "done", "p2"])
    ),
    Operation("config set", lambda store: store.set_setting("base", 4)),
    Operation("config unset", lambda store: store.unset_setting("base")),
    Operation("become a worker", prepare),
    Operation("look", lambda store: (store.observe(), store.counts())),
)
#: Those that need no job of the past.
FIRST = frozenset({"enqueue", "batch", "big batch", "claim", "config set", "become a worker", "look"})


def _running(store: Store) -> str:
    """Return the job that runs and has attempts left."""
    return next(job.id for job in store.claimed() if job.max_retries > 1)


def seen(store: Store) -> Seen:
    """Return all that a store remembers, so that it can be compared."""
    return plain(store.jobs()), store.settings()


def model_of(verbs: Iterable[Verb]) -> Seen:
    """Return what is to be seen after *verbs*."""
    model = MemoryStore()
    for verb in verbs:
        verb(model)
    return seen(model)


class Start(NamedTuple):
    """Where an operation begins; *past* is what has led there, if a model can tell."""

    name: str
    saved: Saved
    past: tuple[Verb, ...] | None


def starts(stage: Stage, system: System, alive: ExitStack) -> list[Start]:
    """Return where operations begin, each once; the worker of the last ones lives until *alive* ends."""
    fresh = Start("no folder", stage.save(), ())
    with system.working("past"):
        store = LocalStore(stage.folder)
        for verb in PAST:
            verb(store)
        store.close()
    rest = Start("at rest", stage.save(), PAST)
    edit(stage.folder)
    edited = Start("edited at rest", stage.save(), None)
    stage.put_back(fresh.saved)
    stage.folder.mkdir(mode=0o700, parents=True)
    (stage.folder / "jobs.json").write_text(json.dumps(FOREIGN, indent=2))
    foreign = Start("written by another program", stage.save(), None)
    stage.put_back(rest.saved)
    alive.enter_context(a_worker(stage.folder))
    with system.working("past"):
        store = LocalStore(stage.folder)
        store.prepare_for_work()
        for verb in LATER:
            verb(store)
    system.bury("past")
    busy = Start("with a worker", stage.save(), PAST + LATER)
    edit(stage.folder)
    edited_busy = Start("edited with a worker", stage.save(), None)
    return [fresh, rest, edited, foreign, busy, edited_busy]


@contextmanager
def a_worker(folder: Path) -> Iterator[None]:
    """Let there be a worker that lives."""
    fd = os.open(folder / "workers" / "0123456789abcdef.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        assert lock_descriptor(fd, blocking=False)
        yield
    finally:
        os.close(fd)


def edit(folder: Path) -> None:
    """Do what a person does with an editor: another layout, one job more, one changed."""
    path = folder / "jobs.json"
    jobs = json.loads(path.read_bytes())
    changed = next(job for job in jobs if job["id"] == "x3")
    changed["command"] = "echo edited"
    path.write_text(json.dumps([*jobs, {"id": "mine", "command": "true"}], indent=2))


#: As another program keeps its queue.
FOREIGN: list[dict[str, Any]] = [
    {"id": "done", "cmd": "true", "status": "success", "attempts": 1},
    {"id": "gone", "cmd": "false", "status": "dead_letter", "attempts": 3},
    {"id": "busy", "cmd": "sleep 5", "status": "running", "locked_by": "w1", "attempts": 1},
    {"id": "p2", "cmd": "sleep 6", "status": "queued", "created": 1740830400},
]


ALL = frozenset(operation.name for operation in OPERATIONS)
EDITED = frozenset({"enqueue", "big batch", "die and claim", "look"})  # what is done to a file of somebody else


def cases(begin: Iterable[Start]) -> Iterator[tuple[Start, Operation]]:
    """Yield what can be done where."""
    for start in begin:
        names = FIRST if start.past == () else EDITED if start.past is None else ALL
        for operation in OPERATIONS:
            needs_a_running_job = operation.name not in FIRST
            if operation.name in names and not (start.name == "written by another program" and needs_a_running_job):
                yield start, operation


def run_undisturbed(stage: Stage, system: System, start: Start, operation: Operation) -> tuple[list[Seen], list[Call]]:
    """Do *operation* from *start*; return what is to be seen before and after it, and all its calls."""
    stage.put_back(start.saved)
    with system.working("undisturbed"):
        before = seen(LocalStore(stage.folder)) if start.past is None else model_of(start.past)
    system.bury("undisturbed")
    stage.put_back(start.saved)
    count = Count()
    with system.working("undisturbed", count):
        store = LocalStore(stage.folder)
        operation.run(store)
        store.close()
    with system.working("undisturbed"):
        end = seen(LocalStore(stage.folder))
    system.bury("undisturbed")
    if start.past is not None:
        assert end == model_of((*start.past, operation.run)), f"{operation.name} {start.name}"
    return [before, end], count.calls
