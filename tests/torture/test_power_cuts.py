"""T2: the power fails at any moment. Nothing confirmed is lost, and what was not is wholly there or not at all."""

import random
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from queuectl.job import Job, State
from queuectl.stores.local.store import LocalStore
from tests.memory_store import MemoryStore
from tests.samples import FAILED, OK, after, spec
from tests.torture.checks import check
from tests.torture.lives import LONG, PAST, Seen, Verb, a_worker, claim_as, lower_limits, seen, settle
from tests.torture.power import Disk, Kind, Moment
from tests.torture.stage import Saved, Stage
from tests.torture.system import THIS_BOOT, Count, DieAt, Died, System

Figures = Callable[[str, object], None]
STEPS = 14  # of one life


class Step(NamedTuple):
    """One thing that is done to a queue, by a person or a worker, and which changes are durable when it returns."""

    run: Verb
    makes_durable: str = "all"  # or "own": those of this process; or none
    by_worker: bool = False


#: The past: what a person does is durable when it returns.
BEGIN = (
    Step(PAST[0]),
    *(Step(verb, makes_durable="", by_worker=True) for verb in PAST[1:-1]),
    Step(PAST[-1], makes_durable=""),  # the settings; of jobs it says nothing
)


class Cut(NamedTuple):
    """A moment, and what may be found if the power fails in it."""

    after: str  #: the last call before it
    moment: Moment
    allowed: list[Seen]
    where: str


def draw_step(jobs: list[Job], dice: random.Random, number: int) -> Step:
    """Return something that can be done to *jobs*, and changes something."""
    now = after(5000 + 10 * number)
    count, width = dice.choice(((1, 10), (1, 500), (4, 50), (12, 50), (20, 100)))
    more = [spec(f"n{number}.{n}", "z" * width, max_retries=dice.randint(1, 3)) for n in range(count)]
    outcome, claim, base = dice.choice((OK, FAILED, LONG)), claim_as(100 + number), 2 + number
    ids: dict[State, list[str]] = {state: [job.id for job in jobs if job.state is state] for state in State}
    waiting, running = ids[State.PENDING] + ids[State.FAILED], ids[State.IN_PROGRESS]
    gone = waiting + ids[State.COMPLETED] + ids[State.CANCELLED]
    steps = [
        Step(lambda store: store.enqueue(more, now=now)),
        Step(lambda store: store.flush(), "own", by_worker=True),
        Step(lambda store: store.rest(), makes_durable=""),
        Step(lambda store: store.set_setting("base", base), makes_durable=""),
    ]
    if any(job.state is State.PENDING for job in jobs):
        steps += 2 * [Step(lambda store: store.claim(claim, now=now), makes_durable="", by_worker=True)]
    if running:
        one = dice.choice(running)
        token = next(job.claim or "" for job in jobs if job.id == one)
        next_claim = dice.choice((None, 100 + number, 100 + number))
        steps += 3 * [Step(settle(one, outcome, next_claim=next_claim), makes_durable="", by_worker=True)]
        steps += [Step(lambda store: store.rescue([token], is_crash=True, now=now), by_worker=True)]
    if waiting + running:
        chosen = dice.choice(waiting + running)
        steps += [Step(lambda store: store.cancel([chosen], now=now))]
    if gone:
        some = dice.sample(gone, min(len(gone), dice.choice((1, 3, 40))))
        steps += [Step(lambda store: store.remove(some))]
    if ids[State.DEAD]:
        dead = dice.choice((None, ids[State.DEAD][:1]))
        steps += [
            Step(lambda store: store.revive(dead, now=now)),
            Step(lambda store: store.purge(ids[State.DEAD][-1:])),
        ]
    return dice.choice(steps)


class Lives:
    """Queues that are used for a while, on a disk of one kind, and all moments at which the power may fail."""

    def __init__(self, stage: Stage, system: System, kind: Kind, seed: str) -> None:
        self.stage = stage
        self.system = system
        self.kind = kind
        self.seed = seed
        self.cuts: list[Cut] = []

    def live(self) -> list[Cut]:
        """Use a new queue, and return the moments of it."""
        dice = random.Random(self.seed)
        self.stage.put_back(Saved({}, []))
        self.system.boot = THIS_BOOT
        self.system.seed_random(dice.randrange(10**9))
        self.cuts = []
        disk = Disk(self.stage, self.kind, lambda call, moment: None)
        model = MemoryStore()
        with ExitStack() as alive, self.system.working("nobody", Count()):
            self.system.watch = disk.watch
            alive.callback(self.system.forget_watch)
            stores = {is_worker: self.open(is_worker) for is_worker in (False, True)}
            if dice.random() < 0.5:
                alive.enter_context(a_worker(self.stage.folder))
            stores[True].prepare_for_work()
            begin = BEGIN[: dice.choice((1, len(BEGIN)))]
            states, settings, done = [seen(model)[0]], seen(model)[1], list[Verb]()
            confirmed, is_left = 0, False  # whether one that has died has left what it did not sync
            for number in range(len(begin) + STEPS):
                step = begin[number] if number < len(begin) else draw_step(model.jobs(), dice, number)
                step.run(model)
                jobs, chosen = seen(model)
                states.append(jobs)
                self.observe(disk, states[confirmed:], [settings, chosen], f"step {number}")
                # A setting that was seen, but never confirmed, may still go.
                may_die = number >= len(begin) and chosen == settings
                die_at = dice.randrange(12) if may_die and dice.random() < 0.2 else None
                if self.run(step, stores, die_at):
                    done.append(step.run)
                    settings = chosen
                    if step.makes_durable == "all" or (step.makes_durable == "own" and not is_left):
                        confirmed, is_left = len(states) - 1, False
                else:  # its process has died in it: whether it has happened, others find out
                    with self.system.working("person" if step.by_worker else "worker", Count()):
                        found, settings = seen(stores[not step.by_worker])
                    is_left = True  # also what it had not synced of earlier steps
                    if found == jobs:
                        done.append(step.run)
                    else:
                        states.pop()
                        model = MemoryStore()
                        for verb in done:
                            verb(model)
                        assert found == seen(model)[0], f"{self.seed}, step {number}"
                self.observe(disk, states[confirmed:], [settings], f"after step {number}")
                disk.observe("return", disk.moment())
            disk.observe = lambda call, moment: None
        self.system.bury("person")
        self.system.bury("worker")
        return self.cuts

    def open(self, is_worker: bool) -> LocalStore:
        with self.system.working("worker" if is_worker else "person", Count()):
            return LocalStore(self.stage.folder)

    def run(self, step: Step, stores: dict[bool, LocalStore], die_at: int | None) -> bool:
        """Do *step*, or let its process die in it and another one take its place; return whether it is done."""
        process = "worker" if step.by_worker else "person"
        behaviour = Count() if die_at is None else DieAt(die_at)
        with self.system.working(process, behaviour), suppress(Died):
            step.run(stores[step.by_worker])
            return True
        self.system.bury(process)
        stores[step.by_worker] = self.open(step.by_worker)
        return False

    def observe(self, disk: Disk, states: list[object], settings: list[object], where: str) -> None:
        allowed: list[Seen] = [(jobs, chosen) for jobs in states for chosen in settings]
        where = f"{self.kind.value}, life {self.seed}, {where}"
        disk.observe = lambda call, moment: self.cuts.append(Cut(call, moment, allowed, where))


@pytest.fixture
def stage(fast_path: Path) -> Stage:
    return Stage(fast_path / "stage")


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> System:
    lower_limits(monkeypatch)
    return System(monkeypatch, stage.root)


def cut_power(lives: Lives, dice: random.Random, number: int, checked: Callable[[], None], after: str = "") -> None:
    """Live once, and check about *number* different states in which a power cut may leave the folder.

    With *after* only such as come after calls of that kind.
    """
    kinds: dict[str, list[Cut]] = {}
    for cut in lives.live():
        if after in cut.after:
            kinds.setdefault(cut.after, []).append(cut)
    known = set()
    for _ in range(number):
        cut = dice.choice(kinds[dice.choice([*kinds])])  # not most of them after one more write to a data file
        saved = cut.moment.draw(dice, lives.kind)
        key = hash((frozenset(saved.files.items()), id(cut.allowed)))
        if key in known:
            continue
        known.add(key)
        lives.stage.put_back(saved)
        lives.system.boot = "the next one"
        check(lives.stage, lives.system, cut.allowed, cut.where)
        checked()


@pytest.mark.parametrize("kind", Kind)
def test_a_power_cut_loses_nothing_confirmed(
    stage: Stage, system: System, seed: int, volume: Callable[[int, int], int], figure: Figures, kind: Kind
) -> None:
    wanted = volume(2500, 50_000)
    states = lives = 0

    def checked() -> None:
        nonlocal states
        states += 1

    while states < wanted:
        lives += 1
        each = Lives(stage, system, kind, f"{seed}.{lives}")
        cut_power(each, random.Random(each.seed), min(300, wanted - states), checked)
    figure("states, each different", states)
    figure("lives", lives)
