"""How jobs stand in ``jobs.json`` and ``dlq.json``, and what a change writes there.

A file is ``[``, then one line a job, then a reserve of blanks, then ``]``.
A line is a space (the first) or a comma (all others), the object, padding and
a newline. Pure: works on bytes and offsets, opens nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import islice
from operator import sub
from typing import NamedTuple

import msgspec

from queuectl.job import Job, State

HEAD = b"[\n"
TAIL = b"]\n"
ROOM = 224  #: bytes that a line leaves for what a job gathers on its way
RESERVE = 64 * 1024  #: blanks before ``]``: a reader without the lock must not meet a moving end
_TAIL_LOOK = 4096  # bytes in which a file's end is looked for: a copy of it all would take as long as reading it
_NOTHING = msgspec.Raw(b"null")
_encode = msgspec.json.Encoder().encode
_decode_job = msgspec.json.Decoder(Job).decode


class File(StrEnum):
    """The two files that hold jobs."""

    JOBS = "jobs"
    DLQ = "dlq"


class Head(msgspec.Struct, frozen=True, gc=False):
    """What an index has to know of a job; decoded without the rest."""

    id: str
    state: State
    seq: int
    run_at: str | None = None
    claim: str | None = None
    priority: int = 0
    held: bool = False


class _Standing(msgspec.Struct, gc=False):
    """What is counted of a job."""

    state: State


decode_head = msgspec.json.Decoder(Head).decode
_decode_heads = msgspec.json.Decoder(list[Head]).decode
_decode_standings = msgspec.json.Decoder(list[_Standing]).decode


def head_of(job: Job) -> Head:
    """Return what ``decode_head`` would read from the line of *job*."""
    return Head(job.id, job.state, job.seq, job.run_at, job.claim, job.priority, job.held)


class Span(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One stretch of a file: *width* bytes at *offset*, which begin with *lead*."""

    file: File
    offset: int
    width: int
    lead: str

    @property
    def is_line(self) -> bool:
        """Whether it writes a job."""
        return self.lead in (" ", ",")

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + self.width


class Write(Span, frozen=True, gc=False):
    """A stretch as it shall be: *lead* and then *body*, padded with blanks, ended by a newline.

    The body of a line is a job; that of a blank is the ``seq`` whose line it was, or null.
    """

    body: msgspec.Raw

    @property
    def blanked_seq(self) -> int | None:
        """The ``seq`` of the job whose line it empties, if it is such a write."""
        return None if self.lead or self.body == _NOTHING else int(bytes(self.body))

    def to_bytes(self) -> bytes:
        """Return the *width* bytes to write."""
        text = self.lead.encode() + bytes(self.body) if self.is_line else self.lead.encode()
        return text.ljust(self.width - 1) + b"\n"


class Outline(Span, frozen=True, gc=False):
    """A ``Write`` of which no more has been decoded than decides which job is next."""

    body: Head | int | None

    @property
    def blanked_seq(self) -> int | None:
        """The ``seq`` of the job whose line it empties, if it is such a write."""
        return None if self.lead or isinstance(self.body, Head) else self.body


def line(file: File, offset: int, width: int, lead: str, body: bytes) -> Write:
    """Return the write of a job that is encoded already."""
    return Write(file, offset, width, lead, msgspec.Raw(body))


def blank(file: File, offset: int, width: int, *, seq: int | None = None) -> Write:
    """Return the write that empties a stretch, which was the line of job *seq* if that is given."""
    return Write(file, offset, width, "", _NOTHING if seq is None else msgspec.Raw(b"%d" % seq))


def tail(file: File, offset: int) -> Write:
    """Return the write of the closing bracket."""
    return Write(file, offset, len(TAIL), "]", _NOTHING)


def encode_job(job: Job) -> bytes:
    """Return *job* as one line of JSON."""
    return _encode(job)


def decode_job(body: bytes | msgspec.Raw) -> Job:
    """Read a job, checking its fields; raise ``msgspec.MsgspecError`` otherwise."""
    return _decode_job(body)


_BETWEEN = b" " * ROOM + b"\n,"  # a line and the next: as wide as ``width_of`` says
_LINES_AT_ONCE = 512
_STRETCH = 1 << 18  # bytes


def width_of(body: bytes) -> int:
    """Return the width of a new line for *body*: lead, body, room to grow, newline."""
    return len(body) + ROOM + 2


class Layout(msgspec.Struct):
    """Where the lines of one file begin and end, kept up to date by ``note``."""

    first: int | None = None  #: offset of the first job, the one without a comma
    tail: int = len(HEAD)  #: offset of the reserve
    end: int = len(HEAD)  #: offset of ``]``; 0 in a file of zero bytes
    dead: int = 0  #: bytes of lines that were blanked

    def note(self, write: Write | Outline) -> None:
        """Take account of *write*."""
        if write.is_line:
            self.tail = max(self.tail, write.end)
            if write.lead == " ":
                self.first = write.offset
        elif write.lead == "]":
            self.end = write.offset
        elif not write.lead:
            if write.offset == self.first:
                self.first = None
            if write.blanked_seq is not None:
                self.dead += write.width

    def copy(self) -> "Layout":
        """Return another one like it."""
        return msgspec.structs.replace(self)

    def append(self, file: File, bodies: Iterable[bytes]) -> list[Write]:
        """Return the writes that add *bodies* at the end, with a new reserve where the old one runs out."""
        writes = [] if self.end else [Write(file, 0, len(HEAD), "[", _NOTHING)]
        lead = " " if self.first is None else ","
        offset = self.tail
        for body in bodies:
            width = width_of(body)
            writes.append(line(file, offset, width, lead, body))
            offset += width
            lead = ","
        if offset > self.end:
            writes.append(blank(file, offset, RESERVE))
            writes.append(tail(file, offset + RESERVE))
        return writes


def lengthen(layout: Layout, bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what stands behind ``layout.tail`` when *bodies* are added there, reserve and end included.

    In pieces of some hundred lines; *layout* is that of the whole file once all have been taken.
    """
    bodies = iter(bodies)
    while chunk := list(islice(bodies, _LINES_AT_ONCE)):
        lead = b","
        if layout.first is None:
            layout.first = layout.tail
            lead = b" "
        piece = lead + _BETWEEN.join(chunk) + _BETWEEN[:-1]
        layout.tail += len(piece)
        yield piece
    layout.end = layout.tail + RESERVE
    yield b" " * (RESERVE - 1) + b"\n" + TAIL


def whole_file(layout: Layout, bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a file in which *bodies* are the jobs; *layout*, a fresh one, becomes its layout."""
    yield HEAD
    yield from lengthen(layout, bodies)


def put_over(content: bytearray, writes: Iterable[Write]) -> None:
    """Make *writes*, all of one file, in its *content*."""
    for write in writes:
        if len(content) < write.offset:
            content.extend(b" " * (write.offset - len(content)))
        content[write.offset : write.end] = write.to_bytes()


def states(data: bytes | bytearray) -> Counter[State]:
    """Count the jobs in *data*, a whole file, by state. Raises ``msgspec.MsgspecError`` if they are not an array."""
    return Counter([each.state for each in _decode_standings(data)])


class Stretch(NamedTuple):
    """Some jobs that follow each other in a file: their heads, and where each line begins and how wide it is."""

    heads: list[Head]
    offsets: list[int]
    widths: list[int]


def stretches(data: bytes | bytearray) -> Iterator[Stretch]:
    """Yield all jobs in *data*, as ``scan`` finds them, many at once; that costs little more than decoding them.

    For files as we have left them, with no blanks in their JSON. Raises ``ValueError`` or ``msgspec.MsgspecError``
    where ``scan`` or ``decode_head`` would.
    """
    offset, stop = _span(data)
    lead = b" "
    while offset < stop:
        end = data.find(b"\n", min(offset + _STRETCH, stop - 1)) + 1 or stop
        with memoryview(data) as view:
            text = bytearray(view[offset:end])
        position = 0
        ends = [position := text.find(b"\n", position) + 1 for _ in range(text.count(b"\n,{") + 1)]
        starts = [0, *ends[:-1]]
        if position != len(text) or text[:2] != lead + b"{":  # blank lines are among them, or what should not be there
            lines = [one for one in _lines(text) if text[one[0] : one[1]].rstrip(b" \n")]
            starts, ends = [one[0] for one in lines], [one[1] for one in lines]
            for start in starts:
                if text[start : start + 2] != lead + b"{":
                    msg = f"unexpected line behind byte {offset}"
                    raise ValueError(msg)
                lead = b","
        if starts:
            text[starts[0]], text[ends[-1] - 1] = b"[]"
            heads = _decode_heads(text)
            if len(heads) != len(starts) or text.count(b",{") >= len(starts):
                # Two jobs in a line, be it that another is in two; or such a text in one, which is rare enough.
                heads = [decode_head(text[start + 1 : end - 1]) for start, end in zip(starts, ends, strict=True)]
            yield Stretch(heads, [offset + start for start in starts], list(map(sub, ends, starts)))
            lead = b","
        offset = end


def _lines(text: bytearray) -> Iterator[tuple[int, int]]:
    """Yield where each line of *text* begins and ends, its newline included."""
    start = 0
    while end := text.find(b"\n", start) + 1:
        yield start, end
        start = end


def scan(data: bytes | bytearray) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset, width, body) of each job in *data*, a whole file in our own form.

    Raises ``ValueError`` at the first line that is not in that form; what the
    bodies hold is not checked.
    """
    offset, stop = _span(data)
    lead = b" "
    while offset < stop:
        following = data.index(b"\n", offset) + 1
        text = bytes(data[offset:following]).rstrip(b" \n")  # Python knows more blanks than JSON does
        if text:
            if text[:1] != lead or text[1:2] != b"{":
                msg = f"unexpected line at byte {offset}"
                raise ValueError(msg)
            yield offset, following - offset, text[1:]
            lead = b","
        offset = following


def _span(data: bytes | bytearray) -> tuple[int, int]:
    """Return where the lines of *data*, a whole file, begin and end; raise ``ValueError`` if it is not in our form."""
    if not data:
        return 0, 0  # emptied by somebody, who may be about to fill it: it stays as it is until there is a job to write
    if not data.startswith(HEAD) or not data[-_TAIL_LOOK:].rstrip(b"\n").endswith(b"\n]"):
        msg = "not in the form that queuectl writes"
        raise ValueError(msg)
    return len(HEAD), data.rindex(b"]")
