"""Files that somebody else has written: reading them as jobs, or refusing them.

Only reads. What may be rewritten is returned, and who calls decides when.
"""

from collections.abc import Iterable
from typing import Any, NoReturn

import msgspec

from queuectl import times
from queuectl.errors import StoreDamaged
from queuectl.job import Job, State
from queuectl.stores.local import records
from queuectl.stores.local.files import DataFiles
from queuectl.stores.local.journal import Transaction
from queuectl.stores.local.records import File, Layout

_STATES = {"processing": State.IN_PROGRESS, "running": State.IN_PROGRESS}


def survey(files: DataFiles) -> tuple[dict[File, Layout], int] | None:
    """Read both files whole; return their layouts and the next ``seq``.

    None if either is not as we write it: its lines, its jobs, ids and places
    that are unique, dead jobs in the DLQ and all others in the queue.
    """
    ids: set[str] = set()
    seqs: set[int] = set()
    layouts = {}
    for file in File:
        data = files.read_all(file)
        layout = Layout()
        try:
            for offset, width, body in records.scan(data):
                job = records.decode_job(body)
                if job.id in ids or job.seq in seqs or job.seq < 1 or (job.state is State.DEAD) != (file is File.DLQ):
                    return None
                ids.add(job.id)
                seqs.add(job.seq)
                layout.first = offset if layout.first is None else layout.first
                layout.dead += offset - layout.tail
                layout.tail = offset + width
        except (ValueError, msgspec.MsgspecError):
            return None
        layout.end = data.rindex(b"]")
        layouts[file] = layout
    return layouts, max(seqs, default=0) + 1


def merge(files: DataFiles, transactions: Iterable[Transaction]) -> dict[File, list[bytes]]:
    """Return what both files shall hold: what they say, where *transactions* say nothing newer.

    A job that the journal has changed is taken from the file only if it was
    edited as it last stood. Raises ``StoreDamaged`` for a file that is not jobs.
    """
    edited = {file: _read_foreign(files, file) for file in File}
    latest = _latest(transactions)
    result: dict[str, Job] = {}
    for file, jobs in edited.items():
        for job in jobs:
            newer: Job | None = latest.get(job.seq, job) if job.seq else job
            if newer is None:
                continue  # removed or moved since: if it was moved, it comes below
            if (newer.updated_at, newer.state) == (job.updated_at, job.state):
                newer = job
            # Only a job that was just being moved may stand in two places.
            if newer.id in result and not (newer.seq in latest and result[newer.id].seq == newer.seq):
                _refuse(files, file, f'the id "{newer.id}" is there twice')
            result[newer.id] = newer
    for known in latest.values():
        if known is not None:
            result.setdefault(known.id, known)
    next_seq = max((job.seq for job in result.values()), default=0) + 1
    next_seq = max(next_seq, max(latest, default=0) + 1)
    bodies: dict[File, list[bytes]] = {file: [] for file in File}
    taken: set[int] = set()
    for job in result.values():
        seq = job.seq
        if not seq or seq in taken:
            seq, next_seq = next_seq, next_seq + 1
        taken.add(seq)
        file = File.DLQ if job.state is State.DEAD else File.JOBS
        bodies[file].append(records.encode_job(msgspec.structs.replace(job, seq=seq)))
    return bodies


def _latest(transactions: Iterable[Transaction]) -> dict[int, Job | None]:
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


def _read_foreign(files: DataFiles, file: File) -> list[Job]:
    """Read *file* as JSON in whatever layout; raise ``StoreDamaged`` with the place if it is not a list of jobs."""
    import json  # tells where a syntax error is, and is needed only here

    raw = bytes(files.read_all(file))
    try:
        entries = json.loads(raw.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        _refuse(files, file, f"line {error.lineno}, column {error.colno}: {error.msg}")
    except UnicodeDecodeError as error:
        _refuse(files, file, f"byte {error.start} is not UTF-8")
    if not isinstance(entries, list):
        _refuse(files, file, "it should be an array of jobs")
    jobs = []
    for number, entry in enumerate(entries, start=1):
        try:
            jobs.append(_foreign_job(entry, file))
        except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
            _refuse(files, file, f"job number {number}: {error}")
    return jobs


def _foreign_job(entry: Any, file: File) -> Job:
    """Return the job that *entry* describes, in our words and with what it leaves out."""
    if not isinstance(entry, dict):
        msg = "not an object"
        raise ValueError(msg)
    fields = dict(entry)
    if "status" in fields:
        fields.setdefault("state", fields.pop("status"))
    state = str(fields.get("state", State.DEAD if file is File.DLQ else State.PENDING))
    fields["state"] = _STATES.get(state, state)
    if file is File.DLQ:
        fields["state"] = State.DEAD
    if fields["state"] == State.IN_PROGRESS and not fields.get("claim"):
        fields["state"] = State.PENDING  # nobody can be running it
    for name in ("created_at", "updated_at", "started_at", "finished_at", "run_at"):
        if isinstance(fields.get(name), int | float):
            fields[name] = times.to_text(times.from_epoch(fields[name]))
    fields.setdefault("attempts", 0)
    fields.setdefault("max_retries", 3)
    fields.setdefault("created_at", times.EPOCH_TEXT)
    fields.setdefault("updated_at", fields["created_at"])
    return msgspec.convert(fields, Job)


def _refuse(files: DataFiles, file: File, what: str) -> NoReturn:
    path = files.path(file)
    msg = f"{path} cannot be read as jobs: {what}. Nothing was changed: mend the file, or restore it from a copy."
    raise StoreDamaged(msg, path=str(path))
