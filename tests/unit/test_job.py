"""The model that all share."""

import msgspec
import pytest

from queuectl.job import Claim, Job, State
from queuectl.specs import IGNORED_FIELDS, FullSpec
from tests.samples import job


def test_every_field_of_a_job_may_be_given_or_is_ignored() -> None:
    """So that a whole job, as ``jobs.json`` or ``show --json`` has it, can be enqueued again."""
    assert set(Job.__struct_fields__) - set(FullSpec.__struct_fields__) <= set(IGNORED_FIELDS)


def test_the_fields_of_the_seed_are_always_there() -> None:
    written = msgspec.json.decode(msgspec.json.encode(job()))
    assert list(written)[:3] == ["id", "command", "state"]
    assert {"id", "command", "state", "attempts", "max_retries", "created_at", "updated_at"} <= set(written)
    assert "error" not in written


def test_a_job_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(job())[:-1] + b',"colour":1}', type=Job)


@pytest.mark.parametrize("state", list(State))
def test_a_state_waits_runs_or_is_final(state: State) -> None:
    assert state.is_waiting + state.is_final + (state is State.IN_PROGRESS) == 1


def test_claims_are_compared_by_what_they_say() -> None:
    assert Claim(1, "a.1") == Claim(1, "a.1") != Claim(1, "a.2")
