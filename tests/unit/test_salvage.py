"""Salvaging: what can be read becomes jobs, and every other word is kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.stores.local import records
from queuectl.stores.local.records import File, Layout
from queuectl.stores.local.salvage import distinct, salvage
from tests.samples import ids_of, job

JOBS = [
    job("a", command='echo "{"', env={"X": '{"id": "x", "command": "never"}'}, seq=1),
    job("b", command="echo [1, 2], {}", seq=2),
    job("ü".encode().hex(), command="echo ü € \\", error="Traceback {…", seq=3),
]
OURS = b"".join(records.whole_file(Layout(), [records.encode_job(each) for each in JOBS])).rstrip(b"\n ]") + b"\n]\n"
INDENTED = json.dumps(json.loads(OURS), indent=4, ensure_ascii=False).encode()


@pytest.mark.parametrize("content", [OURS, INDENTED])
def test_a_whole_file_is_read_as_it_is(content: bytes) -> None:
    found = salvage(content, File.JOBS)
    assert (found.jobs, found.kept) == (JOBS, [])


@pytest.mark.parametrize("content", [OURS, INDENTED])
def test_wherever_a_file_is_cut_its_whole_jobs_are_read_and_the_rest_is_kept(content: bytes) -> None:
    for size in range(len(content)):
        found = salvage(content[:size], File.JOBS)
        assert found.jobs == JOBS[: len(found.jobs)]
        whole = [each for each in JOBS if f'"{each.id}"'.encode() in content[:size]]
        assert len(whole) - len(found.jobs) in (0, 1)
        if len(whole) > len(found.jobs):
            assert whole[-1].id in "".join(piece.text for piece in found.kept)


@given(st.integers(0, len(OURS) - 1), st.binary(max_size=40))
def test_whatever_is_put_into_a_file_the_other_jobs_are_read(place: int, garbage: bytes) -> None:
    found = salvage(OURS[:place] + garbage + OURS[place:], File.JOBS)
    lines = [(OURS.index(b'{"id":"%b"' % each.id.encode()), each) for each in JOBS]
    before = [each for start, each in lines if start + len(records.encode_job(each)) <= place]
    assert found.jobs[: len(before)] == before


def test_two_jobs_at_different_times_are_one_and_the_later_counts() -> None:
    older = job("a", created_at="2025-03-01T12:00:00.000Z", updated_at="2025-03-01T12:00:00.000Z")
    newer = job("a", created_at="2025-03-01T12:00:00.000Z", updated_at="2025-03-01T13:00:00.000Z", attempts=1)
    other = job("a", command="false")
    taken = job("a-2", command="true")
    for order in ([older, newer], [newer, older]):
        jobs, kept = distinct((File.JOBS, each) for each in [*order, other, taken, other])
        assert jobs[0] == newer
        assert sorted(ids_of(jobs)) == ["a", "a-2", "a-3"]
        assert len(kept) == 3
