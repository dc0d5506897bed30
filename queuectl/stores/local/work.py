"""Claiming and settling on a data folder: one lock, one append."""

import random
from collections.abc import Collection
from datetime import datetime

import msgspec

from queuectl import lifecycle, times
from queuectl.job import Claim, Job, Outcome, State
from queuectl.lifecycle import RetryPolicy
from queuectl.stores.base import Settlement
from queuectl.stores.local import reading, records
from queuectl.stores.local.engine import Engine
from queuectl.stores.local.index import Place, ReadyIndex
from queuectl.stores.local.lock import Held
from queuectl.stores.local.plan import Plan
from queuectl.stores.local.records import File, Head, Span


class _Index:
    """The index of the main queue, following the lines of its file."""

    def __init__(self) -> None:
        self.ready = ReadyIndex()

    def note(self, span: Span, head: Head) -> None:
        if span.file is File.JOBS:
            self.ready.note(head, span.offset, span.width)

    def drop(self, span: Span, seq: int) -> None:
        if span.file is File.JOBS:
            self.ready.drop(seq, span.offset)

    def running(self) -> Collection[int]:
        return [place.offset for place, _ in self.ready.running.values()]


class Work:
    """What a process that runs jobs does with the queue."""

    def __init__(self, engine: Engine) -> None:
        """Work through *engine*; the index is loaded when it is first needed."""
        self._engine = engine
        self._index = ReadyIndex()
        self._claimed: tuple[bytes, Job] | None = None  #: the line of the last claim, and the job in it

    def load(self) -> None:
        """Load the index, unless it is up to date."""
        picture = self._engine.picture
        if isinstance(picture.follower, _Index):
            return
        index = _Index()
        content = reading.snapshot(self._engine, [File.JOBS])[File.JOBS]
        for stretch in reading.stretches(self._engine, File.JOBS, content):
            index.ready.extend(stretch)
        picture.follower = index

    def _locked(self) -> Held:
        """Hold the lock with an index that is up to date."""
        return Held(self._engine.lock, self._refresh)

    def _refresh(self) -> None:
        self._engine.refresh()
        while not isinstance(follower := self._engine.picture.follower, _Index):
            # Loading takes too long for the lock.
            self._engine.lock.release()
            try:
                self.load()
            finally:
                self._engine.lock.acquire()
            self._engine.refresh()
        self._index = follower.ready

    def exchange(
        self,
        job: Job | None,
        outcome: Outcome | None,
        *,
        next_claim: Claim | None,
        policy: RetryPolicy,
        now: datetime,
    ) -> Settlement:
        """Settle *job*, if there is one, and claim the next for *next_claim*, all in one transaction."""
        with self._locked():
            held = self._held(job) if job is not None else None
            ready = self._ready(now) if next_claim is not None else None
            settled = claimed = None
            with Plan(self._engine) as plan:
                if held is not None and outcome is not None:
                    place, current = held
                    settled = lifecycle.settle(current, outcome, policy=policy, now=now, sample=random.random())  # noqa: S311 - not a secret
                    if next_claim is not None and _comes_first(settled, ready, now):
                        ready = place, settled  # it does not have to wait, and keeps its place in the order
                    else:
                        _write(plan, settled, place)
                if ready is not None and next_claim is not None:
                    place, waiting = ready
                    claimed = lifecycle.claim(waiting, next_claim, now=now)
                    self._claimed = plan.change(claimed, place.offset, place.width), claimed
            return Settlement(settled, claimed)

    def _held(self, job: Job) -> tuple[Place, Job] | None:
        """Return the claimed *job* as it now stands, or None if its claim no longer holds."""
        entry = self._index.running.get(job.seq)
        if entry is None or entry[1] != job.claim:
            return None
        return entry[0], self._job_at(job.seq, entry[0])

    def _ready(self, now: datetime) -> tuple[Place, Job] | None:
        found = self._index.first_ready(times.to_text(now))
        if found is None:
            return None
        seq, place = found
        job = self._job_at(seq, place)
        if not lifecycle.is_ready(job, now):
            raise self._engine.damaged(File.JOBS, place.offset)
        return place, job

    def _job_at(self, seq: int, place: Place) -> Job:
        """Return job *seq*, whose line is at *place*. Raises ``StoreDamaged`` if another thing stands there."""
        body = self._engine.picture.body_at(File.JOBS, place.offset, place.width)
        if self._claimed is not None and body == self._claimed[0]:
            return self._claimed[1]
        try:
            job = records.decode_job(body or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._engine.damaged(File.JOBS, place.offset) from error
        if job.seq != seq:
            raise self._engine.damaged(File.JOBS, place.offset)
        return job

    def give_back(self, job: Job, *, now: datetime) -> Job | None:
        """Return *job* to the queue, or None if its claim no longer holds."""
        with self._locked():
            held = self._held(job)
            if held is None:
                return None
            place, current = held
            returned = lifecycle.give_back(current, now=now)
            with Plan(self._engine) as plan:
                _write(plan, returned, place)
            return returned

    def current(self, job: Job) -> Job | None:
        """Return *job* as it now stands, or None if its claim no longer holds."""
        with self._locked():
            held = self._held(job)
            return held[1] if held is not None else None

    def claimed(self) -> list[Job]:
        """Return all jobs that are in progress."""
        with self._locked():
            return [self._job_at(seq, place) for seq, (place, _) in self._index.running.items()]

    def rescue(self, tokens: Collection[str], *, is_crash: bool, policy: RetryPolicy, now: datetime) -> list[Job]:
        """Take back the jobs whose claims are among *tokens*, in one transaction."""
        with self._locked():
            held = [
                (place, self._job_at(seq, place))
                for seq, (place, token) in self._index.running.items()
                if token in tokens
            ]
            rescued = [
                lifecycle.rescue(job, is_crash=is_crash, policy=policy, now=now, sample=random.random())  # noqa: S311 - as above
                for _, job in held
            ]
            with Plan(self._engine) as plan:
                for (place, _), job in zip(held, rescued, strict=True):
                    _write(plan, job, place)
            return rescued

    def next_due(self) -> datetime | None:
        """Return when the first job that waits for its time becomes ready, as far as the index knows."""
        follower = self._engine.picture.follower
        due = follower.ready.next_due() if isinstance(follower, _Index) else None
        return None if due is None else times.from_text(due)


def _comes_first(job: Job, ready: tuple[Place, Job] | None, now: datetime) -> bool:
    """Whether *job*, just settled, is to be claimed before the one that is *ready*."""
    return lifecycle.is_ready(job, now) and (ready is None or lifecycle.rank(job) < lifecycle.rank(ready[1]))


def _write(plan: Plan, job: Job, place: Place) -> None:
    """Write *job* where it now belongs: dead jobs move to the DLQ."""
    if job.state is State.DEAD:
        plan.move(job, File.JOBS, job.seq, place.offset, place.width)
    else:
        plan.change(job, place.offset, place.width)
