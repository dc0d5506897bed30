"""What a store must do: the verbs of the domain.

Nothing here knows files, locks or SQL. Each verb is one transaction: it
happens wholly or not at all, and decides nothing that ``lifecycle`` decides.
Verbs of people and programs are durable when they return; verbs of workers
are durable at the latest after the next ``flush``.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from queuectl.job import Claim, Job, Outcome, State

if TYPE_CHECKING:
    from queuectl.settings import Settings, Value
    from queuectl.specs import JobSpec


class Settlement(msgspec.Struct, frozen=True):
    """What became of a settled job (None: the claim no longer held, nothing was written), and the next one."""

    settled: Job | None
    next: Job | None


class Observation(msgspec.Struct, frozen=True):
    """The queue at one look: jobs in each state, and what has become different since the look before.

    *changed* are the jobs that have been in another state, as they now stand;
    *gone* are the ``seq`` of those no longer there.
    """

    counts: dict[State, int]
    changed: Sequence[Job] = ()
    gone: Collection[int] = ()


class Bell(Protocol):
    """What wakes an idle worker."""

    def fileno(self) -> int:
        """Return a descriptor that is readable once the worker was called."""
        ...

    def set_idle(self, *, is_idle: bool) -> None:
        """Say whether the worker waits for work; it looks for work once more after saying yes."""
        ...

    def clear(self) -> None:
        """Take note of all calls so far."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class Store(Protocol):
    """A queue's memory. Times are aware; ids are checked by whoever made them."""

    #: How long a verb waits for other processes before it raises ``StoreBusy``; None: as long as it takes.
    patience_s: float | None

    # -- people and programs: durable when they return --

    def enqueue(self, specs: "Sequence[JobSpec]", *, now: datetime) -> list[str]:
        """Add all of *specs* or none, in their order; return their ids, made where none was given.

        Raises ``DuplicateId`` if an id is taken, in the queue or the DLQ.
        """
        ...

    def revive(self, ids: Collection[str] | None, *, now: datetime) -> list[Job]:
        """Put dead jobs (all, if *ids* is None) back at the end of the queue; all or none.

        Raises ``JobNotFound`` or ``Conflict`` for the first that is not dead.
        """
        ...

    def purge(self, ids: Collection[str] | None) -> list[Job]:
        """Forget dead jobs (all, if *ids* is None); all or none. Raises as ``revive``."""
        ...

    def cancel(self, ids: Collection[str], *, now: datetime) -> list[Job]:
        """Cancel waiting jobs and ask the workers of running ones to end them; all or none.

        Returns them as they now stand: ``cancelled``, or ``in_progress`` with
        the request noted. Raises ``JobNotFound``, or ``Conflict`` if one has ended.
        """
        ...

    def hold(self, ids: Collection[str], *, now: datetime) -> list[Job]:
        """Let waiting jobs not be claimed until they are released; all or none.

        Raises ``JobNotFound``, or ``Conflict`` for one that does not wait, or is held already.
        """
        ...

    def release(self, ids: Collection[str], *, now: datetime) -> list[Job]:
        """Let held jobs go on in their old places; all or none. Raises ``JobNotFound``, or ``Conflict``."""
        ...

    def remove(self, ids: Collection[str]) -> list[Job]:
        """Forget waiting or ended jobs; all or none. Raises ``JobNotFound``, or ``Conflict`` for a running one."""
        ...

    def set_setting(self, key: str, value: "Value") -> None:
        """Choose *value*, already checked, for the setting *key*."""
        ...

    def unset_setting(self, key: str) -> None:
        """Return to the default of the setting *key*."""
        ...

    # -- reading: one moment's view, without keeping others waiting --

    def settings(self) -> "Settings":
        """Return the settings in force."""
        ...

    def job(self, id: str) -> Job:
        """Return the job called *id*, dead ones too. Raises ``JobNotFound``."""
        ...

    def jobs(self, states: Collection[State] | None = None, *, limit: int | None = None) -> list[Job]:
        """Return the first *limit* jobs in any of *states* (None: all) in the order of enqueueing."""
        ...

    def counts(self) -> dict[State, int]:
        """Return how many jobs are in each state, zero included."""
        ...

    def stamp(self) -> object:
        """Return what differs from an earlier one once anything has changed since; cheap, for who waits."""
        ...

    def observe(self) -> Observation:
        """Return what has changed since this object's last look, at a cost of what has changed.

        The first look reads all, and names of each state only the newest jobs.
        Of a job that has changed more than once, only what it is now is seen.
        """
        ...

    # -- workers --

    def prepare_for_work(self) -> None:
        """Load what claiming needs."""
        ...

    def after_fork(self) -> None:
        """Make this store usable in a process that was forked from the one that opened it."""
        ...

    def bell(self, worker_id: str) -> Bell | None:
        """Return what wakes the worker *worker_id* when there is something to do; None if only polling is to be had."""
        ...

    def publish_workers(self, running: Callable[[], Collection[int]]) -> None:
        """Say for all to read which workers are *running*, which is asked when nobody else can be saying it."""
        ...

    def claim(self, claim: Claim, *, now: datetime) -> Job | None:
        """Give *claim* the first ready job; None if there is none."""
        ...

    def settle(self, job: Job, outcome: Outcome, *, next_claim: Claim | None, now: datetime) -> Settlement:
        """Record how the attempt *job* ended and, in the same transaction, claim the next for *next_claim*."""
        ...

    def give_back(self, job: Job, *, now: datetime) -> Job | None:
        """Return *job* to the queue without counting the attempt; None if the claim no longer held."""
        ...

    def current(self, job: Job) -> Job | None:
        """Return the claimed *job* as it stands now (a cancel request?); None if the claim no longer holds."""
        ...

    def claimed(self) -> list[Job]:
        """Return the jobs that are in progress."""
        ...

    def rescue(self, tokens: Collection[str], *, is_crash: bool, now: datetime) -> list[Job]:
        """Take back the jobs of these claims, whose workers are dead and whose commands have been ended."""
        ...

    def next_due(self) -> datetime | None:
        """Return when the first waiting job becomes ready, as far as is known without asking; None if none waits."""
        ...

    def flush(self) -> None:
        """Make all that this process has recorded durable and visible to readers."""
        ...

    def rest(self) -> None:
        """Flush and, if nobody works, leave the data as people may edit them."""
        ...

    def close(self) -> None:
        """Flush, leave the data at rest if nobody else works on it, and let go of it."""
        ...
