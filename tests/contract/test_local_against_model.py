"""Two processes at one folder, driven at random, beside the model: whatever happens to the folder, they agree.

A failure prints the steps that lead to it; the steps of the default run are the same each time.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from queuectl.errors import QueueCtlError
from queuectl.job import Claim, Job, Outcome, State
from queuectl.stores.base import Settlement, Store
from queuectl.stores.local import engine, intake, records
from queuectl.stores.local.journal import HEADER_SIZE
from queuectl.stores.local.store import LocalStore
from tests.memory_store import MemoryStore
from tests.samples import FAILED, NOW, OK, plain, spec

_T = TypeVar("_T")

IDS = [f"j{number}" for number in range(12)]
ids = st.sampled_from(IDS)
some_ids = st.lists(ids, min_size=1, max_size=4)
either = st.sampled_from([0, 1])  # which of the two processes
outcomes = st.sampled_from(
    [OK, FAILED, Outcome(signal=9, error="killed by SIGKILL"), Outcome(exit_code=1, error="ü" * 500)]
)
ENDS = ["ok", "fail", "fail", "give back", "crash", "reboot", "look"]


class TwoProcesses(RuleBasedStateMachine):
    """The folder, two stores on it, and the model of what they should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        # Small, so that a short run meets what takes days otherwise.
        self.patch.setattr(records, "RESERVE", 2048)
        self.patch.setattr(engine, "_COMPACT_AT", 2048)
        self.patch.setattr(engine, "RENEW_AT", 16_384)
        self.patch.setattr(intake, "RENEW_AT", 16_384)
        self.root = Path(tempfile.mkdtemp(prefix="queuectl-"))
        self.folder = self.root / "data"
        self.model = MemoryStore()
        self.stores = [LocalStore(self.folder), LocalStore(self.folder)]
        self.now = NOW
        self.tokens = 0
        self.held: list[tuple[Job, Job]] = []  # all attempts so far, ended ones too, as store and model know them

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # else a step has failed, and says why
                for which in (0, 1):
                    self.agree(which)
                self.disturb(0, "renew")  # who has changed nothing leaves the journal as it is
                for store in self.stores:
                    store.close()
                self.check_files_at_rest()
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

    @rule(which=either, names=some_ids, size=st.sampled_from([1, 1, 300]))
    def enqueue(self, which: int, names: list[str], size: int) -> None:
        specs = [spec(name, "x" * size, max_retries=None if size > 1 else 1) for name in names]
        self.both(which, lambda store: store.enqueue(specs, now=self.now))

    @rule(which=either, count=st.sampled_from([20, 60]))
    def enqueue_batch(self, which: int, count: int) -> None:
        self.tokens += 1
        specs = [spec(f"b{self.tokens}.{number}", "echo $HOME") for number in range(count)]
        self.both(which, lambda store: store.enqueue(specs, now=self.now))

    @rule(which=either, verb=st.sampled_from(["revive", "purge", "cancel", "remove"]), names=some_ids | st.none())
    def change(self, which: int, verb: str, names: list[str] | None) -> None:
        calls: dict[str, Callable[[Store], object]] = {
            "revive": lambda store: store.revive(names, now=self.now),
            "purge": lambda store: store.purge(names),
            "cancel": lambda store: store.cancel(names or IDS[:1], now=self.now),
            "remove": lambda store: store.remove(names or IDS[:1]),
        }
        self.both(which, calls[verb])

    @rule(which=either, count=st.integers(1, 30))
    def remove_the_first(self, which: int, count: int) -> None:
        names = [job.id for job in self.model.jobs() if job.state is not State.IN_PROGRESS][:count]
        self.both(which, lambda store: store.remove(names))

    @rule(which=either, key=st.sampled_from(["base", "max-retries"]), value=st.sampled_from([1, 3]))
    def set_setting(self, which: int, key: str, value: float) -> None:
        self.both(which, lambda store: store.set_setting(key, value))

    # -- workers --

    @rule(which=either, count=st.integers(1, 6))
    def claim(self, which: int, count: int) -> None:
        for _ in range(count):
            claim = self.next_claim()
            self.hold(self.both(which, lambda store, claim=claim: store.claim(claim, now=self.now)))  # type: ignore[misc]

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
        if isinstance(answers[0], Settlement):
            self.hold([answer.next for answer in answers])

    @rule(seconds=st.sampled_from([0.001, 0.5, 2, 9, 100, -1, -30]))
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

    @rule(indent=st.sampled_from([None, 1]), by_rename=st.booleans(), drops=st.booleans())
    def edit_at_rest(self, indent: int | None, by_rename: bool, drops: bool) -> None:
        """A person writes both files anew in another layout, and takes a job out that is not running."""
        for store in self.stores:
            store.flush()
        self.disturb(0, "renew")
        waiting = [job.id for job in self.model.jobs() if job.state is not State.IN_PROGRESS] if drops else []
        self.edit(indent, by_rename, waiting[:1])
        self.model.remove(waiting[:1])

    @rule(indent=st.sampled_from([None, 1]), by_rename=st.booleans())
    def edit_in_use(self, indent: int | None, by_rename: bool) -> None:
        """A program writes both files anew while the journal holds what is not in them yet."""
        self.edit(indent, by_rename, [])

    def edit(self, indent: int | None, by_rename: bool, without: list[str]) -> None:
        for name in ("jobs.json", "dlq.json"):
            path = self.folder / name
            jobs = [job for job in json.loads(path.read_bytes()) if job["id"] not in without]
            target = self.folder / "edited.tmp" if by_rename else path
            target.write_text(json.dumps(jobs, indent=indent))
            target.replace(path)

    # -- what has to hold --

    @rule(which=either)
    def agree(self, which: int) -> None:
        store = self.stores[which]
        assert plain(store.jobs()) == plain(self.model.jobs())
        assert store.counts() == self.model.counts()
        assert sorted(job.id for job in store.claimed()) == sorted(job.id for job in self.model.claimed())
        for id in IDS[:3]:
            self.both(which, lambda store, id=id: store.job(id))  # type: ignore[misc]

    @invariant()
    def files_are_json_with_each_job_once(self) -> None:
        jobs = [job for name in ("jobs.json", "dlq.json") for job in self.read(name)]
        assert len({job["id"] for job in jobs}) == len(jobs)
        assert all((job["state"] == "dead") == (job in self.read("dlq.json")) for job in jobs[:3])

    def read(self, name: str) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = json.loads((self.folder / name).read_bytes())
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


BASE = settings(deadline=None, print_blob=True, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))


def test_two_processes_at_one_folder_agree_with_the_model() -> None:
    run_state_machine_as_test(
        TwoProcesses, settings=settings(BASE, max_examples=30, stateful_step_count=40, derandomize=True, database=None)
    )


@pytest.mark.torture
def test_two_processes_at_one_folder_agree_with_the_model_for_long() -> None:
    run_state_machine_as_test(
        TwoProcesses,
        settings=settings(
            BASE, max_examples=2000, stateful_step_count=60, phases=[Phase.reuse, Phase.generate, Phase.shrink]
        ),
    )
