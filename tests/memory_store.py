"""A store that remembers nothing beyond its process: the model for the others, and the queue of unit tests.

It decides nothing, as every store: what becomes of a job is ``lifecycle``'s.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

from queuectl import lifecycle, times
from queuectl.errors import DuplicateId, JobNotFound
from queuectl.job import Claim, Job, Outcome, State
from queuectl.settings import Settings, Value, resolve
from queuectl.specs import JobSpec
from queuectl.stores.base import Bell, Observation, Settlement


class MemoryStore:
    """The ``Store`` protocol on a dictionary. A verb that raises has changed nothing."""

    def __init__(self) -> None:
        self.patience_s: float | None = 10.0
        self.is_open = True
        self.rests = 0
        self.workers: list[int] = []
        self._jobs: dict[str, Job] = {}
        self._observed: dict[int, Job] = {}
        self._chosen: dict[str, Value] = {}
        self._seqs = itertools.count(1)
        self._names = itertools.count(1)

    # -- people and programs --

    def enqueue(self, specs: Sequence[JobSpec], *, now: datetime) -> list[str]:
        added: dict[str, Job] = {}
        wanted = {spec.id for spec in specs}
        for spec in specs:
            id = spec.id or self._make_id(wanted)
            if id in self._jobs or id in added:
                msg = f'There is a job "{id}" already.'
                raise DuplicateId(msg, id=id)
            max_retries = self.settings().max_retries
            added[id] = lifecycle.create(spec, id=id, max_retries=max_retries, seq=next(self._seqs), now=now)
        self._jobs |= added
        return list(added)

    def _make_id(self, wanted: Collection[str | None]) -> str:
        made = (f"made{number}" for number in self._names)
        return next(id for id in made if id not in self._jobs and id not in wanted)

    def revive(self, ids: Collection[str] | None, *, now: datetime) -> list[Job]:
        return self._put(lifecycle.revive(job, seq=next(self._seqs), now=now) for job in self._dead(ids))

    def purge(self, ids: Collection[str] | None) -> list[Job]:
        return self._drop(self._dead(ids))

    def cancel(self, ids: Collection[str], *, now: datetime) -> list[Job]:
        return self._put(lifecycle.cancel(job, now=now) for job in self._named(ids))

    def hold(self, ids: Collection[str], *, now: datetime) -> list[Job]:
        return self._put(lifecycle.hold(job, now=now) for job in self._named(ids))

    def release(self, ids: Collection[str], *, now: datetime) -> list[Job]:
        return self._put(lifecycle.release(job, now=now) for job in self._named(ids))

    def remove(self, ids: Collection[str]) -> list[Job]:
        jobs = self._named(ids)
        for job in jobs:
            lifecycle.check_removable(job)
        return self._drop(jobs)

    def set_setting(self, key: str, value: Value) -> None:
        self._chosen = self._chosen | {key: value}

    def unset_setting(self, key: str) -> None:
        self._chosen = {name: value for name, value in self._chosen.items() if name != key}

    # -- reading --

    def settings(self) -> Settings:
        return resolve(self._chosen)

    def job(self, id: str) -> Job:
        if id not in self._jobs:
            msg = f'No job "{id}": "list" shows all jobs.'
            raise JobNotFound(msg, id=id)
        return self._jobs[id]

    def jobs(self, states: Collection[State] | None = None, *, limit: int | None = None) -> list[Job]:
        wanted = set(State if states is None else states)
        ordered = sorted(self._jobs.values(), key=lambda job: job.seq)
        return [job for job in ordered if job.state in wanted][:limit]

    def counts(self) -> dict[State, int]:
        return {state: len(self.jobs([state])) for state in State}

    # -- workers --

    def prepare_for_work(self) -> None:
        pass

    def after_fork(self) -> None:
        pass

    def bell(self, worker_id: str) -> Bell | None:
        return None

    def publish_workers(self, running: Callable[[], Collection[int]]) -> None:
        self.workers = list(running())

    def claim(self, claim: Claim, *, now: datetime) -> Job | None:
        ready = min((job for job in self.jobs() if lifecycle.is_ready(job, now)), key=lifecycle.rank, default=None)
        return None if ready is None else self._put([lifecycle.claim(ready, claim, now=now)])[0]

    def settle(self, job: Job, outcome: Outcome, *, next_claim: Claim | None, now: datetime) -> Settlement:
        held = self.current(job)
        settled = None
        if held is not None:
            settled = self._put([lifecycle.settle(held, outcome, policy=self.settings().retry_policy, now=now)])[0]
        return Settlement(settled, None if next_claim is None else self.claim(next_claim, now=now))

    def give_back(self, job: Job, *, now: datetime) -> Job | None:
        held = self.current(job)
        return None if held is None else self._put([lifecycle.give_back(held, now=now)])[0]

    def current(self, job: Job) -> Job | None:
        held = self._jobs.get(job.id)
        return held if held is not None and held.claim is not None and held.claim == job.claim else None

    def claimed(self) -> list[Job]:
        return self.jobs([State.IN_PROGRESS])

    def rescue(self, tokens: Collection[str], *, is_crash: bool, now: datetime) -> list[Job]:
        lost = [job for job in self.claimed() if job.claim in tokens]
        policy = self.settings().retry_policy
        return self._put(lifecycle.rescue(job, is_crash=is_crash, policy=policy, now=now) for job in lost)

    def next_due(self) -> datetime | None:
        dues = [job.run_at or job.created_at for job in self._jobs.values() if job.state.is_waiting and not job.held]
        return times.from_text(min(dues)) if dues else None

    def flush(self) -> None:
        pass

    def stamp(self) -> object:
        """No two are alike."""
        return object()

    def observe(self) -> Observation:
        jobs = {job.seq: job for job in self._jobs.values()}
        known = self._observed
        changed = [job for seq, job in jobs.items() if seq not in known or known[seq].state is not job.state]
        gone = [seq for seq in self._observed if seq not in jobs]
        self._observed = jobs
        return Observation(self.counts(), changed, gone)

    def rest(self) -> None:
        self.rests += 1

    def close(self) -> None:
        self.rest()
        self.is_open = False

    def _named(self, ids: Collection[str]) -> list[Job]:
        return [self.job(id) for id in dict.fromkeys(ids)]

    def _dead(self, ids: Collection[str] | None) -> list[Job]:
        dead = self.jobs([State.DEAD]) if ids is None else self._named(ids)
        for job in dead:
            lifecycle.check_dead(job)
        return dead

    def _put(self, jobs: Iterable[Job]) -> list[Job]:
        """Remember *jobs*, all of which are made before the first is remembered."""
        made = list(jobs)
        self._jobs |= {job.id: job for job in made}
        return made

    def _drop(self, jobs: list[Job]) -> list[Job]:
        for job in jobs:
            del self._jobs[job.id]
        return jobs
