"""T6: two processes at one folder, driven at random, beside the model: whatever happens to the folder, they agree.

A failure prints the steps that lead to it. Besides agreeing with the model, which leaves all decisions to the same
``lifecycle`` as the store, every step is held against what the documents promise: the legal changes of state, the
limit of failed attempts, the order of claims.
"""

import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from queuectl import times
from queuectl.errors import QueueCtlError
from queuectl.job import Claim, Job, Outcome, State
from queuectl.stores.base import Settlement, Store
from queuectl.stores.local import disk, engine, intake, records
from queuectl.stores.local.journal import HEADER_SIZE
from queuectl.stores.local.store import LocalStore
from tests.memory_store import MemoryStore
from tests.samples import FAILED, NOW, OK, plain, spec
from tests.torture.conftest import Figures

_T = TypeVar("_T")

VERBS = ["revive", "purge", "cancel", "remove", "hold", "release"]
PRIORITIES = st.sampled_from([0, 0, 7, -1000])
CHUNK = 500  #: examples of one run: hypothesis remembers all that it has tried
IDS = [f"j{number}" for number in range(12)]
ids = st.sampled_from(IDS)
some_ids = st.lists(ids, min_size=1, max_size=4)
either = st.sampled_from([0, 1])  # which of the two processes
TIMED_OUT = Outcome(signal=15, timed_out=True, error="timed out after 30s")
outcomes = st.sampled_from(
    [OK, FAILED, TIMED_OUT, Outcome(signal=9, error="killed by SIGKILL"), Outcome(exit_code=1, error="ü" * 500)]
)
ENDS = ["ok", "fail", "fail", "give back", "crash", "reboot", "look"]
STEPS_S = [0.001, 0.5, 2, 9, 100, -1, -30, 3600, -3600]  # of the wall clock
LEGAL = {
    ("", "pending"),
    ("pending", "in_progress"),
    ("failed", "in_progress"),
    ("pending", "cancelled"),
    ("failed", "cancelled"),
    ("in_progress", "in_progress"),  # with a request to cancel it
    ("in_progress", "completed"),
    ("in_progress", "failed"),
    ("in_progress", "dead"),
    ("in_progress", "cancelled"),
    ("in_progress", "pending"),  # given back, or its worker has died
    ("dead", "pending"),  # revived
}
figures: Counter[str] = Counter()


class TwoProcesses(RuleBasedStateMachine):
    """The folder, two stores on it, and the model of what they should hold."""

    def __init__(self) -> None:
        super().__init__()
        figures["examples"] += 1
        self.patch = pytest.MonkeyPatch()
        # Small, so that a short run meets what takes days otherwise.
        self.patch.setattr(records, "RESERVE", 2048)
        self.patch.setattr(engine, "_COMPACT_AT", 2048)
        self.patch.setattr(engine, "RENEW_AT", 16_384)
        self.patch.setattr(intake, "RENEW_AT", 16_384)
        # No power is cut here, and waiting for the disk would take most of the time.
        self.patch.setattr(disk, "sync", lambda fd: None)
        self.patch.setattr(disk, "sync_folder", lambda folder: None)
        self.root = Path(tempfile.mkdtemp(prefix="queuectl-"))
        self.folder = self.root / "data"
        self.model = MemoryStore()
        self.stores = [LocalStore(self.folder), LocalStore(self.folder)]
        self.now = NOW
        self.tokens = 0
        self.held: list[tuple[Job, Job]] = []  # all attempts so far, ended ones too, as store and model know them
        self.states: dict[str, State] = {}  # of each job, as the last verb of a store has left it

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # else a step has failed, and says why
                for which in (0, 1):
                    self.agree(which)
                self.disturb(0, "renew")  # who has changed nothing leaves the journal as it is
                for store in self.stores:
                    store.close()
                self.check_files_at_rest()
            else:
                for store in self.stores:
                    store._engine.close()
        finally:
            self.patch.undo()
            shutil.rmtree(self.root)

    # -- doing the same to both --

    def both(self, which: int, verb: Callable[[Store], _T], model_verb: Callable[[Store], _T] | None = None) -> Any:
        """Do it to store *which* and to the model; they have to return or refuse the same. Returns the two answers."""
        self.now += timedelta(milliseconds=1)  # as real clocks do between two changes of a job
        answers: list[Any] = []
        for store, call in ((self.stores[which], verb), (self.model, model_verb or verb)):
            try:
                answers.append(call(store))
            except QueueCtlError as error:
                answers.append(type(error))
        assert plain(answers[0]) == plain(answers[1])
        return answers

    def note(self, answer: object) -> None:
        """Hold the jobs in *answer*, as a store has changed them, against what was known of them before."""
        changed = [answer.settled, answer.next] if isinstance(answer, Settlement) else answer
        for job in changed if isinstance(changed, list) else [changed]:
            if isinstance(job, Job):
                assert (self.states[job.id], job.state) in LEGAL, job
                self.states[job.id] = job.state
                self.check_limit(job)

    def check_limit(self, job: Job) -> None:
        """A limit of 0 is that of 1: every job runs once."""
        assert 0 <= job.failures <= max(1, job.max_retries), job
        assert job.attempts >= job.crashes >= 0, job

    def hold(self, answers: list[Any]) -> None:
        if all(isinstance(answer, Job) for answer in answers):
            self.held.append((answers[0], answers[1]))

    def next_claim(self) -> Claim:
        self.tokens += 1
        return Claim(100 + self.tokens, f"00112233445566ff.{self.tokens}")

    # -- people --

    @initialize(count=st.integers(0, 8))
    def begin(self, count: int) -> None:
        """Begin with some jobs, one dead, one running."""
        for store in self.stores:
            assert store.jobs() == []
        self.enqueue(0, IDS[:count], 1)
        self.claim(1, 2)
        if self.held:
            self.end(0, self.held[0], "fail", FAILED, goes_on=False)

    def add(self, which: int, specs: list[Any]) -> None:
        answers = self.both(which, lambda store: store.enqueue(specs, now=self.now))
        if isinstance(answers[0], list):
            assert not set(answers[0]) & set(self.states)
            self.states |= dict.fromkeys(answers[0], State.PENDING)

    @rule(which=either, names=some_ids, size=st.sampled_from([1, 1, 300]))
    def enqueue(self, which: int, names: list[str], size: int) -> None:
        self.add(which, [spec(name, "x" * size, max_retries=None if size > 1 else 1) for name in names])

    @rule(which=either, names=some_ids, priority=PRIORITIES, wait_s=st.sampled_from([None, 5]), held=st.booleans())
    def enqueue_some_other_way(
        self, which: int, names: list[str], priority: int, wait_s: float | None, held: bool
    ) -> None:
        run_at = None if wait_s is None else times.to_text(times.later(self.now, wait_s))
        self.add(which, [spec(name, priority=priority, run_at=run_at, held=held) for name in names])

    @rule(which=either, count=st.sampled_from([20, 60]))
    def enqueue_batch(self, which: int, count: int) -> None:
        self.tokens += 1
        self.add(which, [spec(f"b{self.tokens}.{number}", "echo $HOME") for number in range(count)])

    @rule(which=either, verb=st.sampled_from(VERBS), names=some_ids | st.none())
    def change(self, which: int, verb: str, names: list[str] | None) -> None:
        calls: dict[str, Callable[[Store], object]] = {
            "revive": lambda store: store.revive(names, now=self.now),
            "purge": lambda store: store.purge(names),
            "cancel": lambda store: store.cancel(names or IDS[:1], now=self.now),
            "remove": lambda store: store.remove(names or IDS[:1]),
            "hold": lambda store: store.hold(names or IDS[:1], now=self.now),
            "release": lambda store: store.release(names or IDS[:1], now=self.now),
        }
        answers = self.both(which, calls[verb])
        if verb in ("hold", "release"):
            return
        if verb in ("revive", "cancel"):
            self.note(answers[0])
        elif isinstance(answers[0], list):
            self.forget(answers[0])

    @rule(which=either, count=st.integers(1, 30))
    def remove_the_first(self, which: int, count: int) -> None:
        names = [job.id for job in self.model.jobs() if job.state is not State.IN_PROGRESS][:count]
        self.forget(self.both(which, lambda store: store.remove(names))[0])

    def forget(self, jobs: list[Job]) -> None:
        for job in jobs:
            assert self.states.pop(job.id) is job.state is not State.IN_PROGRESS

    @rule(which=either, key=st.sampled_from(["base", "max-retries", "max-delay"]), value=st.sampled_from([0, 1, 3]))
    def set_setting(self, which: int, key: str, value: float) -> None:
        self.both(which, lambda store: store.set_setting(key, value))

    @rule(which=either, key=st.sampled_from(["base", "max-retries", "max-delay"]))
    def unset_setting(self, which: int, key: str) -> None:
        self.both(which, lambda store: store.unset_setting(key))

    # -- workers --

    def expect_next(self, answer: Job | None) -> None:
        """Check that *answer* was the first in the queue of those that could be claimed."""
        now = times.to_text(self.now)
        ready = [
            job.id
            for job in sorted(self.model.jobs(), key=lambda job: (-job.priority, job.seq))
            if job.state in (State.PENDING, State.FAILED) and not job.held and (job.run_at is None or job.run_at <= now)
        ]
        assert (answer.id if answer else None) == (ready[0] if ready else None)

    @rule(which=either, count=st.integers(1, 6))
    def claim(self, which: int, count: int) -> None:
        for _ in range(count):
            claim = self.next_claim()
            self.now += timedelta(milliseconds=1)
            answer = self.stores[which].claim(claim, now=self.now)
            self.expect_next(answer)
            expected = self.model.claim(claim, now=self.now)
            assert plain(answer) == plain(expected)
            self.note(answer)
            self.hold([answer, expected])

    @precondition(lambda self: self.held)
    @rule(which=either, data=st.data(), how=st.sampled_from(ENDS), outcome=outcomes, goes_on=st.booleans())
    def end_attempt(self, which: int, data: st.DataObject, how: str, outcome: Outcome, goes_on: bool) -> None:
        self.end(which, data.draw(st.sampled_from(self.held[-8:])), how, outcome, goes_on=goes_on)

    def end(self, which: int, attempt: tuple[Job, Job], how: str, outcome: Outcome, *, goes_on: bool) -> None:
        """End an attempt, which may have ended before: then nothing may come of it."""
        claim = self.next_claim() if goes_on else None
        token = attempt[0].claim or ""

        def verb(job: Job) -> Callable[[Store], object]:
            return {
                "ok": lambda store: store.settle(job, OK, next_claim=claim, now=self.now),
                "fail": lambda store: store.settle(job, outcome, next_claim=claim, now=self.now),
                "give back": lambda store: store.give_back(job, now=self.now),
                "crash": lambda store: store.rescue([token], is_crash=True, now=self.now),
                "reboot": lambda store: store.rescue([token, "?"], is_crash=False, now=self.now),
                "look": lambda store: store.current(job),
            }[how]

        answers = self.both(which, verb(attempt[0]), verb(attempt[1]))
        self.note(answers[0])
        if isinstance(answers[0], Settlement):
            self.hold([answer.next for answer in answers])

    @rule(seconds=st.sampled_from(STEPS_S))
    def let_time_pass(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # -- what happens to the folder --

    @rule(which=either, what=st.sampled_from(["flush", "rest", "renew", "prepare", "reopen", "crash", "lose applied"]))
    def disturb(self, which: int, what: str) -> None:
        store = self.stores[which]
        if what == "flush":
            store.flush()
        elif what == "rest":
            store.rest()
        elif what == "renew":
            with store._engine.locked():
                store._engine.renew()
        elif what == "prepare":
            store.prepare_for_work()
        elif what == "lose applied":
            (self.folder / "applied").write_bytes(b"")
        else:
            if what == "reopen":
                store.close()
            else:  # it dies without another word; what it has appended is there for the others
                store._engine.close()
            self.stores[which] = LocalStore(self.folder)

    @rule(share=st.floats(0.01, 0.99))
    def leave_an_append_unfinished(self, share: float) -> None:
        """A third process dies in the middle of writing its transaction."""
        with self.stores[0]._engine.locked():
            end = self.stores[0]._engine.journal.end
        text = b'{"sum":"01234567","durable":%d,"writes":[["jobs",2,300," ",{"id":"torn"}]]}\n' % end
        with (self.folder / "journal.jsonl").open("r+b") as opened:
            opened.seek(end)
            opened.write(text[: max(1, int(len(text) * share))])

    @rule(
        indent=st.sampled_from([None, 1]),
        by_rename=st.booleans(),
        what=st.sampled_from(["nothing", "drop", "change", "add", "revive", "bury"]),
    )
    def edit_at_rest(self, indent: int | None, by_rename: bool, what: str) -> None:
        """A person writes both files anew in another layout, and changes something that is not running."""
        for store in self.stores:
            store.flush()
        self.disturb(0, "renew")
        still = [job for job in self.model.jobs() if job.state is not State.IN_PROGRESS][:1]
        changed: dict[str, Any] = {}
        if what == "add":
            id = next((id for id in IDS if id not in self.states), None)
            changed = {id: {"id": id, "command": "by hand", "max_retries": 2}} if id else {}
            added = [spec(id, "by hand", max_retries=2)] if id else []
            self.model.enqueue(added, now=times.from_text(times.EPOCH_TEXT))
        elif what == "drop":
            changed = {job.id: None for job in still}
            self.model.remove(list(changed))
        elif what in ("change", "revive", "bury"):
            edits: dict[str, dict[str, Any]] = {
                "change": {"command": "changed by hand", "timeout": 9.5},
                "revive": {"state": State.PENDING, "attempts": 0, "crashes": 0, "run_at": None},
                "bury": {"state": State.DEAD},
            }
            fields = edits[what]
            edited = [msgspec.structs.replace(job, **fields) for job in still]
            changed = {job.id: dict(fields) for job in still}
            self.model._put(edited)
        self.edit(indent, by_rename, changed)
        for name in changed:
            self.states.pop(name, None)
        self.states |= {name: self.model.job(name).state for name, fields in changed.items() if fields}

    @rule(indent=st.sampled_from([None, 1]), by_rename=st.booleans())
    def edit_in_use(self, indent: int | None, by_rename: bool) -> None:
        """A program writes both files anew while the journal holds what is not in them yet."""
        self.edit(indent, by_rename, {})

    def edit(self, indent: int | None, by_rename: bool, changed: dict[str, Any]) -> None:
        """Write both files anew, with *changed* fields by id; None takes a job out, an id not yet there adds one."""
        new = dict(changed)
        for name in ("dlq.json", "jobs.json"):
            path = self.folder / name
            jobs = []
            for job in json.loads(path.read_bytes()):
                fields = new.pop(job["id"], {})
                if fields is not None:
                    jobs.append(job | fields)
            if name == "jobs.json":
                jobs += filter(None, new.values())
            elif any(job["state"] != "dead" for job in jobs):
                # What is in the DLQ is dead: to bring it back by hand is to move it.
                new |= {job["id"]: job for job in jobs if job["state"] != "dead"}
                jobs = [job for job in jobs if job["state"] == "dead"]
            target = self.folder / "edited.tmp" if by_rename else path
            target.write_text(json.dumps(jobs, indent=indent))
            target.replace(path)

    # -- what has to hold --

    @rule(which=either)
    def agree(self, which: int) -> None:
        store = self.stores[which]
        jobs = store.jobs()
        assert plain(jobs) == plain(self.model.jobs())
        assert len({job.seq for job in jobs}) == len(jobs)
        assert {job.id: job.state for job in jobs} == self.states
        assert store.counts() == self.model.counts() == dict.fromkeys(State, 0) | Counter(self.states.values())
        assert sorted(job.id for job in store.claimed()) == sorted(job.id for job in self.model.claimed())
        for job in jobs:
            self.check_limit(job)
        for id in IDS[:3]:
            self.both(which, lambda store, id=id: store.job(id))  # type: ignore[misc]

    @invariant()
    def files_are_json_with_each_job_once(self) -> None:
        figures["steps"] += 1
        waiting, dead = self.read("jobs.json"), self.read("dlq.json")
        ids = {job["id"] for job in waiting + dead}
        assert len(ids) == len(waiting) + len(dead)

    def read(self, name: str) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = msgspec.json.decode((self.folder / name).read_bytes())
        return jobs

    def check_files_at_rest(self) -> None:
        """Nobody works: the files are everything, and in the form that they are promised to have."""
        assert (self.folder / "journal.jsonl").stat().st_size == HEADER_SIZE
        fields = ("id", "state", "attempts", "command")
        found = sorted(self.read("jobs.json") + self.read("dlq.json"), key=lambda job: int(job["seq"]))
        assert [[job[name] for name in fields] for job in found] == [
            [getattr(job, name) for name in fields] for job in self.model.jobs()
        ]
        assert {job["state"] for job in self.read("dlq.json")} <= {"dead"}
        assert "dead" not in {job["state"] for job in self.read("jobs.json")}


def test_two_processes_at_one_folder_agree_with_the_model(
    volume: Callable[[int, int], int], seed: int, figure: Figures
) -> None:
    examples = volume(200, 10_000)
    figures.clear()
    for begin in range(0, examples, CHUNK):
        run_state_machine_as_test(
            hypothesis.seed(seed + begin)(TwoProcesses),
            settings=settings(
                max_examples=min(CHUNK, examples - begin),
                stateful_step_count=50,
                database=None,
                deadline=None,
                print_blob=True,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    for name, count in figures.items():
        figure(name, count)
