"""A job and the words for what can be said of it.

The one model that files, stores, workers and commands share. Fields at their
default are left out of the JSON; what has no default is always there.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec

MAX_ERROR = 500  #: characters of an error that a job keeps
ID_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,254}"  #: what an id is
_Count = Annotated[int, msgspec.Meta(ge=0)]


class State(StrEnum):
    """Where a job stands; a report prints them in this order."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    DEAD = "dead"
    CANCELLED = "cancelled"

    @property
    def is_waiting(self) -> bool:
        """Whether a worker may claim such a job, now or later."""
        return self in (State.PENDING, State.FAILED)

    @property
    def is_final(self) -> bool:
        """Whether such a job changes only by a person's command."""
        return self in (State.COMPLETED, State.DEAD, State.CANCELLED)


class Claim(msgspec.Struct, frozen=True):
    """A worker's hold on one attempt.

    *token* is ``WORKER_ID.NUMBER`` and never used twice.
    """

    pid: int
    token: str


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A shell command to run, and how far it has come.

    Times are texts as ``times.to_text`` makes them, durations seconds.
    *seq* is its place in the order of enqueueing, and no two jobs share one.
    A revived job has a new one; *first_seq* (if not 0) is the one that it had
    at first, and *earlier_attempts* are those before it was revived.
    """

    id: str
    command: str
    state: State
    attempts: _Count
    max_retries: _Count
    run_at: str | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0)] | None = None
    env: dict[str, str] = {}
    cwd: str | None = None
    created_at: str
    updated_at: str
    started_at: str | None = None
    finished_at: str | None = None
    exit_code: int | None = None
    error: str | None = None
    crashes: _Count = 0
    cancel_requested: bool = False
    worker: int | None = None
    claim: str | None = None
    first_seq: int = 0
    earlier_attempts: int = 0
    seq: int = 0

    @property
    def failures(self) -> int:
        """How many of its ended attempts failed by the command's own doing."""
        return self.attempts - self.crashes - (1 if self.state is State.IN_PROGRESS else 0)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended.

    One of *exit_code* and *signal* is set, unless the command could not be
    started. *error* is what to show of a failure, already chosen.
    """

    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    error: str | None = None
    duration_s: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether the command ended by itself with exit code 0."""
        return self.exit_code == 0 and not self.timed_out
