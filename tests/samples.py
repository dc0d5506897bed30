"""Jobs, claims and moments as tests of stores and of the lifecycle use them."""

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from queuectl.job import Claim, Job, Outcome, State
from queuectl.lifecycle import RetryPolicy
from queuectl.specs import FullSpec, JobSpec

NOW = datetime(2025, 3, 1, 12, 0, 0, tzinfo=UTC)
POLICY = RetryPolicy(base=2.0, max_delay_s=3600.0, jitter=0.0)
OK = Outcome(exit_code=0)
FAILED = Outcome(exit_code=3, error="exit code 3")

_claims = itertools.count(1)


def after(seconds: float) -> datetime:
    """Return the moment *seconds* after ``NOW``."""
    return NOW + timedelta(seconds=seconds)


def spec(id: str | None = None, command: str = "true", **fields: Any) -> JobSpec:
    kind = FullSpec if fields.keys() - set(JobSpec.__struct_fields__) else JobSpec
    return kind(id=id, command=command, **fields)


def specs(*ids: str) -> list[JobSpec]:
    return [spec(id) for id in ids]


def new_claim(pid: int = 4711) -> Claim:
    """Return a claim that no other test or call has."""
    return Claim(pid, f"00112233445566ff.{next(_claims)}")


def job(id: str = "job1", **fields: Any) -> Job:
    """Return a job as it stands right after it was enqueued at ``NOW``, changed by *fields*."""
    moment = "2025-03-01T12:00:00.000Z"
    made: dict[str, Any] = {
        "id": id,
        "command": "true",
        "state": State.PENDING,
        "attempts": 0,
        "max_retries": 3,
        "created_at": moment,
        "updated_at": moment,
        "seq": 1,
    }
    return Job(**(made | fields))


def ids_of(jobs: Iterable[Job]) -> list[str]:
    return [job.id for job in jobs]


def plain(value: object) -> object:
    """Return *value* without what two stores may well disagree about: the numbers of places."""
    if isinstance(value, Job):
        return msgspec.structs.replace(value, seq=0, first_seq=min(value.first_seq, 1))
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    return value
