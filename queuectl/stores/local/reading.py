"""Reading the queue as it is at one moment, without keeping others waiting."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from queuectl.job import Job
from queuectl.stores.local import disk, records
from queuectl.stores.local.engine import Engine
from queuectl.stores.local.journal import HEADER_SIZE, Header
from queuectl.stores.local.records import File, Head
from queuectl.stores.local.transactions import put_over

if TYPE_CHECKING:
    from mmap import mmap

_SMALL = 4 << 20  # bytes that are read at once to find one job
_FEW = 16  #: up to so many ids are searched for one by one
_ANY_ID = rb'(?m)^[ ,]\{"id":"([^"]+)"'


class Found(msgspec.Struct, frozen=True):
    """A job and where its line stands."""

    job: Job
    file: File
    offset: int
    width: int


class Line(NamedTuple):
    """A job's line in a snapshot."""

    head: Head
    offset: int
    width: int
    body: bytes


def glance(engine: Engine, id: str) -> Job | None:
    """Return the job called *id* if it can be found without the lock; None says nothing."""
    raw = id.encode(errors="surrogatepass")
    for data in (_at_rest(engine, tuple(File), limit=_SMALL) or {}).values():
        for offset in _places(data, raw):
            with suppress(msgspec.MsgspecError, ValueError):  # whoever holds the lock knows the words for it
                return records.decode_job(data[offset + 1 : data.index(b"\n", offset)])
    return None


def content(engine: Engine, which: Collection[File] = tuple(File)) -> Mapping[File, bytes | bytearray]:
    """Return the files as they stand during the call; what the engine knows is not always brought up to date."""
    return _at_rest(engine, which) or snapshot(engine, which)


def _at_rest(engine: Engine, which: Collection[File], *, limit: int | None = None) -> dict[File, bytes] | None:
    """Return the files if they are everything there is, None unless that can be told without the lock.

    None also if one has more than *limit* bytes.

    Nothing becomes part of the files that was not in the journal before, and an
    empty journal that has had anything in it is of another generation. So under
    one generation, empty before and after, no process of ours has written to the
    files, and anybody else's lock and changes show.
    """
    with suppress(OSError):  # whoever holds the lock can say what is wrong
        if engine.lock.is_taken() or (generation := _resting_generation(engine)) is None:
            return None
        applied = engine.files.applied(generation)
        if applied is None or applied.is_unsettled:
            return None
        if limit is not None and any(mark.size > limit for mark in applied.marks.values()):
            return None
        data = {file: disk.read_file(engine.files.path(file))[0] for file in which}
        is_same = engine.files.marks() == applied.marks and _resting_generation(engine) == generation
        return data if is_same and not engine.lock.is_taken() else None
    return None


def _resting_generation(engine: Engine) -> str | None:
    """Return the generation of the journal if it is empty."""
    fd = disk.open_to_read(engine.journal.path)
    try:
        raw = disk.read_at(fd, HEADER_SIZE + 1, 0)
    finally:
        os.close(fd)
    if len(raw) != HEADER_SIZE:
        return None
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(raw, type=Header).generation
    return None


def snapshot(engine: Engine, which: Collection[File] = tuple(File)) -> dict[File, bytearray]:
    """Return the files as they stand at the end of the call, the journal's changes included.

    The bytes are read without the lock; what changed meanwhile is known from
    the journal and put over them. The engine has read up to that same moment.
    """
    for _ in range(3):
        with engine.locked():
            generation = engine.journal.generation
            start = engine.applied_position()
        data = {file: engine.files.read_all(file) for file in which}
        with engine.locked():
            if engine.journal.generation == generation:
                put_over(data, engine.journal.read(start, engine.journal.end))
                return data
    with engine.locked():  # it was renewed each time: look while nobody can
        return {file: whole(engine, file) for file in which}


def whole(engine: Engine, file: File) -> bytearray:
    """Return *file* as it stands; to be called under the lock."""
    data = {file: engine.files.read_all(file)}
    put_over(data, engine.journal.read(engine.applied_position(), engine.journal.end))
    return data[file]


def lines(engine: Engine, file: File, content: bytes | bytearray) -> Iterator[Line]:
    """Yield the jobs in *content*, a snapshot of *file*. Raises ``StoreDamaged`` at a line that is none."""
    offset = 0
    try:
        for offset, width, body in records.scan(content):
            yield Line(records.decode_head(body), offset, width, body)
    except (ValueError, msgspec.MsgspecError) as error:
        raise engine.damaged(file, offset) from error


def find(engine: Engine, ids: Collection[str]) -> dict[str, Found]:
    """Return those of the jobs called *ids* that there are; to be called under the lock."""
    wanted = {id.encode(errors="surrogatepass"): id for id in ids}
    found: dict[str, Found] = {}
    for write in engine.picture.recent():
        if write.is_line and (id := wanted.get(_id_of(bytes(write.body)))) is not None:
            found[id] = Found(records.decode_job(write.body), write.file, write.offset, write.width)
    for file in File:
        missing = {raw: id for raw, id in wanted.items() if id not in found}
        if not missing:
            break
        for raw, offset in _search(engine, file, missing):
            if engine.picture.is_recent(file, offset):
                continue  # the journal says that it is no longer there
            line = engine.picture.line_at(file, offset)
            if line is not None and line[1] is not None and _id_of(line[1]) == raw:
                found[missing[raw]] = Found(records.decode_job(line[1]), file, offset, line[0])
    return found


def _id_of(body: bytes) -> bytes:
    """Return the id of a job in JSON: in our form it comes first, and needs no escapes."""
    return body[7 : body.index(b'"', 7)]


def _search(engine: Engine, file: File, wanted: Collection[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield (id, offset) of the lines of *file* that begin with one of *wanted*."""
    if not engine.picture.layouts[file].end:
        return  # a file of zero bytes cannot be mapped
    from mmap import ACCESS_READ, mmap  # here, because most commands look for no job under the lock

    with engine.files.path(file).open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as data:
        if len(wanted) > _FEW:
            for match in re.finditer(_ANY_ID, data):
                if match[1] in wanted:
                    yield match[1], match.start()
            return
        for raw in wanted:
            yield from ((raw, offset) for offset in _places(data, raw))


def _places(data: "bytes | mmap", raw: bytes) -> Iterator[int]:
    """Yield the offsets of the lines in *data* that begin with the id *raw*."""
    needle = b'{"id":"%b"' % raw
    place = -1
    while (place := data.find(needle, place + 1)) >= 0:
        # Such text can stand in the middle of a line too, as an environment.
        if data[place - 2 : place] in (b"\n ", b"\n,"):
            yield place - 1


def all_ids(data: bytes | bytearray) -> set[str]:
    """Return the ids of all jobs in *data*, a file in our form."""
    return {raw.decode() for raw in re.findall(_ANY_ID, data)}
