"""A job and the words for what can be said of it.

The one model that files, stores, workers and commands share. Fields at their
default are left out of the JSON; what has no default is always there.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

MAX_PRIORITY: Final = 1000  #: the highest priority; the lowest is as far below 0
MAX_ERROR = 500  #: characters of an error that a job keeps
ID_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,254}"  #: what an id is
_Count = Annotated[int, Meta(ge=0)]
_Number = Annotated[float, Meta(ge=0)]
_Codes = tuple[Annotated[int, Meta(ge=0, le=255)], ...]


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


class OnCrash(StrEnum):
    """What the death of its worker means for a job."""

    RETRY = "retry"  #: no failure: it runs again at once, until it has taken too many workers down with it
    FAIL = "fail"  #: a failed attempt like any other
    DEAD = "dead"  #: its last attempt


class Claim(msgspec.Struct, frozen=True):
    """A worker's hold on one attempt.

    *token* is ``WORKER_ID.NUMBER`` and never used twice.
    """

    pid: int
    token: str


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A shell command to run, and how far it has come.

    A higher *priority* comes first; a *held* job waits until it is released.
    *base*, *max_delay* and *jitter* are settings that it has for itself (None:
    those in force hold), *success_codes* and so on exit codes (none: 0 is a
    success, every other a failure that may be tried again).
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
    priority: Annotated[int, Meta(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    held: bool = False
    run_at: str | None = None
    timeout: Annotated[float, Meta(gt=0)] | None = None
    base: _Number | None = None
    max_delay: _Number | None = None
    jitter: Annotated[float, Meta(ge=0, le=1)] | None = None
    success_codes: _Codes = ()
    retry_codes: _Codes = ()
    fatal_codes: _Codes = ()
    on_crash: OnCrash = OnCrash.RETRY
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
