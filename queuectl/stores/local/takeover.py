"""Files that somebody else has written: reading them as jobs, or refusing them.

Only reads. What may be rewritten is returned, and who calls decides when.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from queuectl import times
from queuectl.errors import StoreDamaged
from queuectl.job import ID_PATTERN, Job, State
from queuectl.stores.local import records
from queuectl.stores.local.records import File, Layout
from queuectl.stores.local.transactions import Transaction

_MAX_SEQ = 1 << 53  # beyond it, JSON numbers are not exact for every reader


class Merged(msgspec.Struct, frozen=True):
    """What both files shall hold, in our form."""

    bodies: dict[File, list[bytes]]
    dying: list[bytes]  #: those of the DLQ that are in the main queue's file until now
    next_seq: int


def survey(data: Mapping[File, bytes | bytearray]) -> tuple[dict[File, Layout], int] | None:
    """Return the layouts of both files, whose contents are *data*, and the next ``seq``.

    None if either is not as we write it, to the byte: its lines, its jobs, ids
    and places that are unique, dead jobs in the DLQ and all others in the queue.
    """
    ids: set[str] = set()
    seqs: set[int] = set()
    layouts = {}
    for file, content in data.items():
        layout = Layout()
        try:
            for offset, width, body in records.scan(content):
                job = records.decode_job(body)
                if job.id in ids or job.seq in seqs or not _is_ours(job, body, file):
                    return None
                ids.add(job.id)
                seqs.add(job.seq)
                layout.first = offset if layout.first is None else layout.first
                layout.dead += offset - layout.tail
                layout.tail = offset + width
        except (ValueError, msgspec.MsgspecError):
            return None
        layout.end = content.rindex(b"]") if content else 0
        layouts[file] = layout
    return layouts, max(seqs, default=0) + 1


def _is_ours(job: Job, body: bytes, file: File) -> bool:
    """Whether *job*, which stands in *file* as *body*, is as a store leaves it."""
    return (
        1 <= job.seq <= _MAX_SEQ
        and (job.state is State.DEAD) == (file is File.DLQ)
        and (job.state is State.IN_PROGRESS) == (job.claim is not None)
        and re.fullmatch(ID_PATTERN, job.id) is not None
        and all(times.is_text(moment) for moment in _moments(job))
        and records.encode_job(job) == body
    )


def _moments(job: Job) -> Iterator[str]:
    for moment in (job.created_at, job.updated_at, job.run_at, job.started_at, job.finished_at):
        if moment is not None:
            yield moment


def merge(
    paths: Mapping[File, Path], data: Mapping[File, bytes | bytearray], transactions: Iterable[Transaction]
) -> Merged:
    """Return what both files shall hold: what *data* say, where *transactions* say nothing newer.

    A job that the journal has changed is taken from the file only if it was
    edited as it last stood. Raises ``StoreDamaged`` for a file that is not jobs.
    """
    latest = latest_of(transactions)
    # Zero bytes are a queue without jobs, but only at rest: else the file has lost them.
    edited = {
        file: _read_foreign(paths[file], content, file) if content or latest else [] for file, content in data.items()
    }
    edited = _recognized(edited, latest)
    result: dict[str, Job] = {}
    came_from: dict[str, File] = {}
    for file, jobs in edited.items():
        for job in jobs:
            current = newer(job, latest)
            if current is None:
                continue
            # One job may be met twice while it moves: to a longer line, as the journal knows, or to the other file.
            moves = current.seq in latest or file is not came_from.get(current.id)
            if current.id in result and not (moves and current.seq == result[current.id].seq != 0):
                _refuse(paths[file], f'the id "{current.id}" is there twice')
            result[current.id] = current
            came_from.setdefault(current.id, file)
    for known in latest.values():
        if known is not None:
            result.setdefault(known.id, known)
    next_seq = max([job.seq for job in result.values()] + [*latest, 0]) + 1
    bodies: dict[File, list[bytes]] = {file: [] for file in File}
    dying = []
    taken: set[int] = set()
    for job in result.values():
        seq = job.seq
        if not seq or seq in taken:
            seq, next_seq = next_seq, next_seq + 1
        taken.add(seq)
        body = records.encode_job(msgspec.structs.replace(job, seq=seq))
        bodies[File.DLQ if job.state is State.DEAD else File.JOBS].append(body)
        if job.state is State.DEAD and came_from.get(job.id) is File.JOBS:
            dying.append(body)
    return Merged(bodies, dying, next_seq)


def _recognized(edited: dict[File, list[Job]], latest: Mapping[int, Job | None]) -> dict[File, list[Job]]:
    """Return *edited* with the numbers of jobs that *latest* knows by their ids.

    Who has written the file may have no place for numbers; and whoever has two jobs under one id means no other.
    """
    seqs = {job.id: seq for seq, job in latest.items() if job is not None}
    counts = Counter(job.id for jobs in edited.values() for job in jobs)

    def known(job: Job) -> Job:
        is_lost = job.seq not in latest and job.id in seqs and counts[job.id] == 1
        return msgspec.structs.replace(job, seq=seqs[job.id]) if is_lost else job

    return {file: [known(job) for job in jobs] for file, jobs in edited.items()}


def newer(job: Job, latest: Mapping[int, Job | None]) -> Job | None:
    """Return the edited *job*, or what the journal knows better; None if it was removed or has moved since."""
    if job.seq not in latest:
        return job
    known = latest[job.seq]
    if known is None:
        return None
    if known.id != job.id:
        return msgspec.structs.replace(job, seq=0)  # a copy of its line, made into another job
    if (known.updated_at, known.state) != (job.updated_at, job.state):
        return known
    if known.state is not State.IN_PROGRESS:
        return job
    # Its worker runs it, whatever the file says of that.
    return msgspec.structs.replace(
        job, worker=known.worker, claim=known.claim, attempts=known.attempts, crashes=known.crashes
    )


def latest_of(transactions: Iterable[Transaction]) -> dict[int, Job | None]:
    """Return the newest that *transactions* say of each job, by ``seq``; None for one that is no longer there."""
    latest: dict[int, tuple[File, int, Job] | None] = {}
    for transaction in transactions:
        for write in transaction.writes:
            if write.is_line:
                job = records.decode_job(write.body)
                latest[job.seq] = (write.file, write.offset, job)
            elif (seq := write.blanked_seq) is not None:
                entry = latest.get(seq)
                # The old line of a job that has moved is blanked too: that is not the end of the job.
                if entry is None or entry[:2] == (write.file, write.offset):
                    latest[seq] = None
    return {seq: entry[2] if entry else None for seq, entry in latest.items()}


def _read_foreign(path: Path, content: bytes | bytearray, file: File) -> list[Job]:
    """Read *content* as JSON in whatever layout; raise ``StoreDamaged`` with the place if it is not a list of jobs."""
    from queuectl.stores.local import foreign  # here: hardly any queue has been edited

    jobs: list[Job] = []
    try:
        entries = foreign.entries(content)
    except foreign.Unreadable as error:
        _refuse(path, error.message)
    for number, entry in enumerate(entries, start=1):
        try:
            jobs.append(foreign.job(entry, file))
        except foreign.Unreadable as error:
            _refuse(path, f"{name_of(entry, number)}: {error.message}")
    return jobs


def name_of(entry: Any, number: int) -> str:
    """Return words for the entry that stands in a file as *number*."""
    id = entry.get("id") if isinstance(entry, dict) else None
    return f'job number {number} ("{id}")' if isinstance(id, str) else f"job number {number}"


def _refuse(path: Path, what: str) -> NoReturn:
    msg = (
        f"{path} cannot be read as jobs: {what}. Nothing was changed: mend the file, restore it from a copy, "
        'or see "doctor".'
    )
    raise StoreDamaged(msg, path=str(path))
