"""``LocalStore``: the verbs of the ``Store`` protocol on a data folder."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import cached_property, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from queuectl import lifecycle
from queuectl.errors import JobNotFound, StoreError
from queuectl.job import Claim, Job, Outcome, State
from queuectl.settings import Settings, Value
from queuectl.stores.local import bells, disk, folder, reading, records
from queuectl.stores.local.bells import Bell
from queuectl.stores.local.config import ConfigFile, write_pids
from queuectl.stores.local.engine import Engine
from queuectl.stores.local.plan import Plan
from queuectl.stores.local.reading import Found
from queuectl.stores.local.records import File

if TYPE_CHECKING:
    from queuectl.specs import JobSpec
    from queuectl.stores.base import Observation, Settlement
    from queuectl.stores.local.intake import Intake
    from queuectl.stores.local.observing import Observing
    from queuectl.stores.local.work import Work

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _all_or_nothing(verb: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let a verb that has failed say that nothing was changed: else, what it raises is no ``OSError``."""

    @wraps(verb)
    def run(*args: _P.args, **keywords: _P.kwargs) -> _T:
        try:
            return verb(*args, **keywords)
        except OSError as error:
            raise disk.unchanged(error) from error

    return run


class LocalStore:
    """A queue in a folder. One object serves one process and one thread."""

    def __init__(self, path: Path) -> None:
        """Open the data folder *path*, made if need be. Raises ``StoreUnavailable``."""
        self.folder = folder.prepare(path)
        self._workers = self.folder / folder.WORKERS
        self._engine = Engine(self.folder)
        self._config = ConfigFile(self.folder)

    @property
    def patience_s(self) -> float | None:
        """How long a verb waits for others; see ``Store``."""
        return self._engine.lock.deadline_s

    @patience_s.setter
    def patience_s(self, seconds: float | None) -> None:
        self._engine.lock.deadline_s = seconds

    # Each is made, and its module loaded, when it is first needed: a command needs at most one of them.

    @cached_property
    def _intake(self) -> "Intake":
        from queuectl.stores.local.intake import Intake

        return Intake(self._engine)

    @cached_property
    def _work(self) -> "Work":
        from queuectl.stores.local.work import Work

        return Work(self._engine)

    @cached_property
    def _observing(self) -> "Observing":
        from queuectl.stores.local.observing import Observing

        return Observing(self._engine)

    # -- people and programs --

    @_all_or_nothing
    def enqueue(self, specs: "Sequence[JobSpec]", *, now: datetime) -> list[str]:
        """Add all of *specs* or none; see ``Store``."""
        if not specs:
            return []
        ids = self._intake.enqueue(specs, max_retries=self.settings().max_retries, now=now)
        self._engine.flush()
        bells.ring_idle(self._workers, len(specs))
        return ids

    @_all_or_nothing
    def revive(self, ids: Collection[str] | None, *, now: datetime) -> list[Job]:
        """Put dead jobs back; see ``Store``."""
        engine = self._engine
        with engine.locked():
            found = self._dead(ids)
            revived = [
                lifecycle.revive(entry.job, seq=seq, now=now)
                for seq, entry in enumerate(found, start=engine.picture.next_seq)
            ]
            with Plan(engine) as plan:
                for entry, job in zip(found, revived, strict=True):
                    plan.move(job, File.DLQ, entry.job.seq, entry.offset, entry.width)
        engine.flush()
        bells.ring_idle(self._workers, len(revived))
        return revived

    @_all_or_nothing
    def purge(self, ids: Collection[str] | None) -> list[Job]:
        """Forget dead jobs; see ``Store``."""
        with self._engine.locked():
            found = self._dead(ids)
            self._erase(found)
        self._engine.flush()
        return [entry.job for entry in found]

    @_all_or_nothing
    def remove(self, ids: Collection[str]) -> list[Job]:
        """Forget waiting or ended jobs; see ``Store``."""
        with self._engine.locked():
            found = self._named(ids)
            for entry in found:
                lifecycle.check_removable(entry.job)
            self._erase(found)
        self._engine.flush()
        return [entry.job for entry in found]

    def _erase(self, found: list[Found]) -> None:
        with Plan(self._engine) as plan:
            for entry in found:
                plan.erase(entry.file, entry.job.seq, entry.offset, entry.width)

    @_all_or_nothing
    def cancel(self, ids: Collection[str], *, now: datetime) -> list[Job]:
        """Cancel waiting jobs, and ask running ones to end; see ``Store``."""
        cancelled = self._change(ids, partial(lifecycle.cancel, now=now))
        for job in cancelled:
            if job.claim is not None:
                bells.ring(self._workers, job.claim.partition(".")[0])
        return cancelled

    @_all_or_nothing
    def hold(self, ids: Collection[str], *, now: datetime) -> list[Job]:
        """Let waiting jobs not be claimed; see ``Store``."""
        return self._change(ids, partial(lifecycle.hold, now=now))

    @_all_or_nothing
    def release(self, ids: Collection[str], *, now: datetime) -> list[Job]:
        """Let held jobs go on; see ``Store``."""
        released = self._change(ids, partial(lifecycle.release, now=now))
        bells.ring_idle(self._workers, len(released))
        return released

    def _change(self, ids: Collection[str], decide: Callable[[Job], Job]) -> list[Job]:
        """Let each of the jobs called *ids* become what *decide* makes of it, in one transaction."""
        with self._engine.locked():
            found = self._named(ids)
            changed = [decide(entry.job) for entry in found]
            with Plan(self._engine) as plan:
                for entry, job in zip(found, changed, strict=True):
                    plan.change(job, entry.offset, entry.width)
        self._engine.flush()
        return changed

    def _named(self, ids: Collection[str]) -> list[Found]:
        """Return the jobs called *ids*, each once, in their order; under the lock. Raises ``JobNotFound``."""
        found = reading.find(self._engine, ids)
        for id in ids:
            if id not in found:
                raise _not_found(id)
        return [found[id] for id in dict.fromkeys(ids)]

    def _dead(self, ids: Collection[str] | None) -> list[Found]:
        if ids is not None:
            found = self._named(ids)
            for entry in found:
                lifecycle.check_dead(entry.job)
            return found
        every = [
            Found(records.decode_job(line.body), File.DLQ, line.offset, line.width)
            for line in reading.lines(self._engine, File.DLQ, reading.whole(self._engine, File.DLQ))
        ]
        return sorted(every, key=lambda entry: entry.job.seq)

    @_all_or_nothing
    def set_setting(self, key: str, value: Value) -> None:
        """Choose *value* for *key*; see ``Store``."""
        with self._engine.lock:
            self._config.change(key, value, is_set=True)

    @_all_or_nothing
    def unset_setting(self, key: str) -> None:
        """Return to the default of *key*; see ``Store``."""
        with self._engine.lock:
            self._config.change(key, None, is_set=False)

    # -- reading --

    def settings(self) -> Settings:
        """Return the settings in force; see ``Store``."""
        return self._config.settings()

    def job(self, id: str) -> Job:
        """Return the job called *id*; see ``Store``."""
        if (job := reading.glance(self._engine, id)) is not None:
            return job
        with self._engine.locked():
            found = reading.find(self._engine, [id])
        if id not in found:
            raise _not_found(id)
        return found[id].job

    def jobs(self, states: Collection[State] | None = None, *, limit: int | None = None) -> list[Job]:
        """Return jobs in the order of enqueueing; see ``Store``."""
        wanted = set(State if states is None else states)
        files = [file for file in File if wanted - ({State.DEAD} if file is File.JOBS else set(State) - {State.DEAD})]
        contents = reading.content(self._engine, files)
        chosen = [
            (head.seq, file, offset, width)
            for file, content in contents.items()
            for stretch in reading.stretches(self._engine, file, content)
            for head, offset, width in zip(*stretch, strict=True)
            if head.state in wanted
        ]
        chosen.sort()
        return [
            records.decode_job(bytes(contents[file][offset + 1 : offset + width]))
            for _, file, offset, width in chosen[:limit]
        ]

    def counts(self) -> dict[State, int]:
        """Return how many jobs are in each state; see ``Store``."""
        counts = dict.fromkeys(State, 0)
        for file, content in reading.content(self._engine).items():
            for state, count in reading.states(self._engine, file, content).items():
                counts[state] += count
        return counts

    def stamp(self) -> object:
        """Return what differs once anything has changed; see ``Store``."""
        return folder.stamp(self.folder)

    def observe(self) -> "Observation":
        """Return what has changed since the last look; see ``Store``."""
        return self._observing.look()

    # -- workers --

    def prepare_for_work(self) -> None:
        """Load the index; see ``Store``."""
        # What else is loaded on use is loaded now: weeks later its file may be that of another version.
        from queuectl.stores.local import foreign  # noqa: F401

        self.settings()
        self._config.is_tolerant = True
        self._work.load()
        self._engine.journal.preallocate()
        self._engine.has_changed = True  # whoever of a pool ends last leaves the data at rest

    def after_fork(self) -> None:
        """Take a lock of its own; see ``Store``."""
        self._engine.after_fork()

    def bell(self, worker_id: str) -> Bell | None:
        """Hang up the bell of *worker_id*; see ``Store``."""
        try:
            return Bell(self._workers, worker_id)
        except OSError:
            return None  # the path is too long for a socket

    def publish_workers(self, running: Callable[[], Collection[int]]) -> None:
        """Write ``worker_pids.json``; see ``Store``."""
        with self._engine.lock:
            write_pids(self.folder, running())

    def claim(self, claim: Claim, *, now: datetime) -> Job | None:
        """Give *claim* the first ready job; see ``Store``."""
        return self._work.exchange(None, None, next_claim=claim, policy=self.settings().retry_policy, now=now).next

    def settle(self, job: Job, outcome: Outcome, *, next_claim: Claim | None, now: datetime) -> "Settlement":
        """Record an outcome and claim the next job; see ``Store``."""
        return self._work.exchange(job, outcome, next_claim=next_claim, policy=self.settings().retry_policy, now=now)

    def give_back(self, job: Job, *, now: datetime) -> Job | None:
        """Return a claimed job; see ``Store``."""
        returned = self._work.give_back(job, now=now)
        self._engine.flush()
        if returned is not None:
            bells.ring_idle(self._workers, 1)
        return returned

    def current(self, job: Job) -> Job | None:
        """Return the claimed *job* as it stands; see ``Store``."""
        return self._work.current(job)

    def claimed(self) -> list[Job]:
        """Return the jobs in progress; see ``Store``."""
        return self._work.claimed()

    def rescue(self, tokens: Collection[str], *, is_crash: bool, now: datetime) -> list[Job]:
        """Take back the jobs of dead workers; see ``Store``."""
        rescued = self._work.rescue(tokens, is_crash=is_crash, policy=self.settings().retry_policy, now=now)
        self._engine.flush()
        bells.ring_idle(self._workers, sum(job.state.is_waiting for job in rescued))
        return rescued

    def next_due(self) -> datetime | None:
        """Return when the next job becomes ready; see ``Store``."""
        return self._work.next_due()

    def flush(self) -> None:
        """Make all durable and visible; see ``Store``."""
        self._engine.flush()

    def rest(self) -> None:
        """Leave the files as everything there is, if nobody works; see ``Store``."""
        self._engine.flush()
        try:
            self._engine.rest()
        except (OSError, StoreError) as error:
            raise disk.recorded(error) from error  # all of it has been flushed

    def close(self) -> None:
        """Flush, leave the data at rest, and let go; see ``Store``."""
        try:
            self.rest()
        finally:
            self._engine.close()


def _not_found(id: str) -> JobNotFound:
    return JobNotFound(f'No job "{id}": "list" shows all jobs.', id=id)
