"""Lines and files, byte by byte."""

import json
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl import lifecycle
from queuectl.job import Claim, Job, Outcome, State
from queuectl.stores.local import records
from queuectl.stores.local.records import HEAD, RESERVE, File, Layout, Write
from tests.samples import NOW, POLICY, after, job

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
bodies = st.builds(
    lambda number, command, env, error: records.encode_job(
        job(f"j{number}", command=command, env=env, error=error or None, seq=number)
    ),
    st.integers(1, 10**6),
    texts,
    st.dictionaries(texts, texts, max_size=2),
    texts,
)
many = st.lists(bodies, max_size=8)


def whole(content: list[bytes]) -> tuple[bytes, Layout]:
    """Return a file of these jobs, and its layout as its maker knows it."""
    layout = Layout()
    return b"".join(records.whole_file(layout, content)), layout


def measure(data: bytes | bytearray) -> Layout:
    """Return the layout that the bytes of a file have."""
    layout = Layout()
    for offset, width, _ in records.scan(data):
        layout.first = offset if layout.first is None else layout.first
        layout.dead += offset - layout.tail
        layout.tail = offset + width
    layout.end = data.rindex(b"]")
    return layout


def make(data: bytearray, layout: Layout, writes: list[Write]) -> None:
    """Do to a file and its layout what a transaction does."""
    for write in writes:
        if len(data) < write.offset:
            data.extend(b" " * (write.offset - len(data)))
        data[write.offset : write.end] = write.to_bytes()
        layout.note(write)


def in_file(data: bytes | bytearray) -> list[bytes]:
    return [body for _, _, body in records.scan(data)]


@given(many)
def test_a_whole_file_is_json_and_is_read_as_it_was_written(content: list[bytes]) -> None:
    data, layout = whole(content)
    assert in_file(data) == content
    assert layout == measure(data)
    assert json.loads(data) == [json.loads(body) for body in content]
    assert data[layout.tail : layout.end].isspace()
    assert layout.end - layout.tail == RESERVE


@given(many)
def test_lines_stand_one_behind_the_other_and_are_where_scan_says(content: list[bytes]) -> None:
    data, layout = whole(content)
    place = len(HEAD)
    for number, (offset, width, body) in enumerate(records.scan(data)):
        assert offset == place
        assert data[offset : offset + 1] == (b"," if number else b" ")
        assert data[offset + 1 : offset + width] == body.ljust(width - 2) + b"\n"
        place += width
    assert place == layout.tail


@given(many, many)
def test_a_file_is_lengthened_behind_its_last_line(content: list[bytes], more: list[bytes]) -> None:
    data, layout = whole(content)
    longer = data[: layout.tail] + b"".join(records.lengthen(layout, more))
    assert in_file(longer) == content + more
    assert layout == measure(longer)
    json.loads(longer)


@given(many, st.lists(many, max_size=4))
def test_appended_lines_are_those_of_a_file_written_whole(content: list[bytes], batches: list[list[bytes]]) -> None:
    """The reserve is used up in place; a new one comes where it runs out."""
    data, layout = whole(content)
    changed = bytearray(data)
    for batch in batches:
        writes = layout.append(File.JOBS, batch)
        assert [bytes(write.body) for write in writes if write.is_line] == batch
        make(changed, layout, writes)
        assert layout == measure(changed)
    everything = content + [body for batch in batches for body in batch]
    assert in_file(changed) == everything
    assert json.loads(changed) == [json.loads(body) for body in everything]


def test_a_reserve_that_runs_out_is_made_anew_in_one_stretch() -> None:
    """So that whoever reads without the lock meets no file without its end."""
    data, layout = whole([])
    big = records.encode_job(job(command="x" * (RESERVE - 600)))
    changed = bytearray(data)
    make(changed, layout, layout.append(File.JOBS, [big]))
    assert len(changed) == len(data)
    writes = layout.append(File.JOBS, [big])
    place = layout.tail
    for write in writes:
        assert write.offset == place
        place = write.end
    make(changed, layout, writes)
    assert layout == measure(changed)
    assert place == len(changed)
    assert layout.end - layout.tail == RESERVE


@given(st.lists(bodies, min_size=2, max_size=8), st.data())
def test_a_blanked_line_is_dead_and_counted(content: list[bytes], data: st.DataObject) -> None:
    raw, layout = whole(content)
    changed = bytearray(raw)
    lines = list(records.scan(raw))
    victim = data.draw(st.integers(1, len(lines) - 1))
    offset, width, _ = lines[victim]
    make(changed, layout, [records.blank(File.JOBS, offset, width, seq=7)])
    assert in_file(changed) == content[:victim] + content[victim + 1 :]
    assert layout.dead == width
    assert (layout.first, layout.end) == (len(HEAD), raw.rindex(b"]"))
    json.loads(changed)


@given(st.lists(bodies, min_size=1, max_size=4))
def test_the_first_line_goes_with_the_comma_of_the_next(content: list[bytes]) -> None:
    raw, layout = whole(content)
    changed = bytearray(raw)
    lines = list(records.scan(raw))
    offset, width, _ = lines[0]
    writes = [records.blank(File.JOBS, offset, width, seq=1)]
    if len(lines) > 1:
        writes.append(records.line(File.JOBS, lines[1][0], lines[1][1], " ", lines[1][2]))
    make(changed, layout, writes)
    assert in_file(changed) == content[1:]
    assert layout.first == (lines[1][0] if len(lines) > 1 else None)
    json.loads(changed)
    make(changed, layout, layout.append(File.JOBS, content[:1]))
    assert in_file(changed) == [*content[1:], content[0]]
    json.loads(changed)


@pytest.mark.parametrize(
    "write",
    [
        records.line(File.DLQ, 70_000_000_000, 300, " ", '{"id":"ü"}'.encode()),
        records.line(File.JOBS, 2, 12, ",", b'{"id":"a"}'),
        records.blank(File.JOBS, 5, 100),
        records.blank(File.JOBS, 5, 100, seq=2**40),
        records.tail(File.DLQ, 7),
    ],
)
def test_a_write_survives_the_journal_and_fills_its_place(write: Write) -> None:
    again = msgspec.json.decode(msgspec.json.encode(write), type=Write)
    assert again == write
    assert (again.is_line, again.blanked_seq, again.end) == (write.is_line, write.blanked_seq, write.end)
    assert len(write.to_bytes()) == write.width
    assert write.to_bytes().endswith(b"\n")


def test_only_the_blank_of_a_job_names_it() -> None:
    assert records.blank(File.JOBS, 5, 100, seq=9).blanked_seq == 9
    assert records.blank(File.JOBS, 5, 100).blanked_seq is None
    assert records.tail(File.JOBS, 5).blanked_seq is None
    assert records.line(File.JOBS, 5, 100, ",", b"{}").blanked_seq is None


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "[\n]",
        " [\n]\n",
        "[\n",
        '[\n {"id":"a"}\n',
        '[\n{"id":"a"}\n]\n',
        '[\n,{"id":"a"}\n]\n',
        '[\n {"id":"a"}\n {"id":"b"}\n]\n',
        '[\n {"id":"a"},\n {"id":"b"}\n]\n',
        "[\n 7\n]\n",
        '[\n  {"id":"a"}\n]\n',
        '{\n {"id":"a"}\n}\n',
        '[\n {"id":"a"}\n]\n[\n]\n',
        '[\n {"id":"a"}\n]\nx',
        '[\n {"id":"a"}\n \v \n]\n',
    ],
)
def test_what_is_not_our_form_is_not_scanned(text: str) -> None:
    """Only the frame is looked at; an empty array on one line is not ours, the same on two is."""
    data = text.encode()
    is_ours = text == "[\n]"
    if is_ours:
        assert list(records.scan(data)) == []
    else:
        with pytest.raises(ValueError, match=r".+"):
            list(records.scan(data))
        for id in ("a", "b"):
            data = data.replace(b'"id":"%b"' % id.encode(), b'"id":"%b","state":"pending","seq":1' % id.encode())
        with pytest.raises(ValueError, match=r".+"):  # a msgspec error is one, too
            list(records.stretches(data))


def test_two_jobs_in_one_line_do_not_make_up_for_one_in_two() -> None:
    """So many lines, so many jobs; and yet no line is what it should be."""
    one, two, broken = (
        b'{"id":"%b","state":"pending","seq":1%b' % pair
        for pair in ((b"a", b"}"), (b"b", b"}"), (b"c", b',"env":[{"A":1}'))
    )
    data = b"[\n " + one + b"," + two + b"\n," + broken + b'\n,{"B":2}]}\n' + b"]\n"
    assert len(json.loads(data)) == 3
    with pytest.raises(ValueError, match=r".+"):
        list(records.stretches(data))


def test_a_text_that_looks_like_two_jobs_is_one() -> None:
    data, _ = whole([records.encode_job(job("a", command='echo "},{"'))])
    assert [head.id for stretch in records.stretches(data) for head in stretch.heads] == ["a"]


@given(st.lists(bodies, max_size=30), st.data())
def test_many_at_once_are_as_one_by_one(content: list[bytes], draw: st.DataObject) -> None:
    data, layout = whole(content)
    changed = bytearray(data)
    for number, (offset, width, _) in enumerate(records.scan(data)):
        if number and draw.draw(st.booleans()):
            make(changed, layout, [records.blank(File.JOBS, offset, width)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "_STRETCH", draw.draw(st.sampled_from([1, 300, 2000, 1 << 18])))
        found = [one for stretch in records.stretches(changed) for one in zip(*stretch, strict=True)]
    assert found == [(records.decode_head(body), offset, width) for offset, width, body in records.scan(changed)]
    assert records.states(changed) == Counter(head.state for head, _, _ in found)


def test_a_job_lives_its_whole_life_in_its_place() -> None:
    """Claimed, failed with a usual error, tried again and done: its line has room for all of that."""
    created = job("job1", command="python train.py --lr 3", seq=123_456)
    width = records.width_of(records.encode_job(created))
    stages = [created]

    def then(stage: Job) -> Job:
        stages.append(stage)
        return stage

    claim = Claim(4_194_304, "0123456789abcdef.123456")
    error = "ValueError: invalid literal"
    failed = then(lifecycle.settle(then(lifecycle.claim(created, claim, now=NOW)), Outcome(exit_code=1, error=error),
                                   policy=POLICY, now=after(60)))  # fmt: skip
    again = then(lifecycle.claim(failed, claim, now=after(90)))
    then(lifecycle.cancel(again, now=after(91)))
    done = then(lifecycle.settle(again, Outcome(exit_code=0), policy=POLICY, now=after(100)))
    assert done.state is State.COMPLETED
    assert all(len(records.encode_job(stage)) + 2 <= width for stage in stages)


@given(bodies)
def test_a_head_is_what_an_index_has_to_know(body: bytes) -> None:
    found = records.decode_job(body)
    head = records.decode_head(body)
    assert (head.id, head.state, head.seq, head.run_at, head.claim) == (
        found.id,
        found.state.value,
        found.seq,
        found.run_at,
        found.claim,
    )
    assert records.encode_job(found) == body


def test_a_file_without_a_byte_has_no_jobs_and_gets_its_brackets_with_the_first() -> None:
    """Somebody has emptied it, and may be about to fill it: until there is a job to write it stays as it is."""
    assert list(records.scan(b"")) == []
    layout = records.Layout(end=0)
    writes = layout.append(File.JOBS, [b'{"id":"a"}'])
    content = bytearray()
    records.put_over(content, writes)
    assert [body for _, _, body in records.scan(content)] == [b'{"id":"a"}']
