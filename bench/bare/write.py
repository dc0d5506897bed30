"""Write jobs down with no queue around them: the fields that a waiting job has in ``jobs.json``, without room to grow.

``write.py batch INPUT OUTPUT``: decode a file of jobs, encode their records, write them at once, fsync.
``write.py append COUNT OUTPUT``: append records one by one, each durable before the next.
"""

import os
import sys
from datetime import UTC, datetime

import msgspec


class Spec(msgspec.Struct):
    """What a line of the input says."""

    id: str
    command: str


class Record(msgspec.Struct):
    """What is remembered of it."""

    id: str
    command: str
    state: str
    attempts: int
    max_retries: int
    cwd: str
    created_at: str
    updated_at: str
    seq: int


def batch(source: str, target: str) -> None:
    """Write all jobs in the file *source*."""
    with open(source, "rb") as file:  # noqa: PTH123 - nothing that a bare script can do without
        specs = msgspec.json.Decoder(Spec).decode_lines(file.read())
    cwd, now = os.getcwd(), _now()  # noqa: PTH109 - the same
    records = [_record(spec, seq, cwd, now) for seq, spec in enumerate(specs, start=1)]
    with open(target, "wb") as file:  # noqa: PTH123 - the same
        file.write(msgspec.json.Encoder().encode_lines(records))
        file.flush()
        os.fsync(file.fileno())


def append(count: str, target: str) -> None:
    """Write *count* jobs of its own, one by one."""
    encode = msgspec.json.Encoder().encode
    sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the other
    cwd = os.getcwd()  # noqa: PTH109 - the same
    output = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    for number in range(1, int(count) + 1):
        record = _record(Spec(f"job-{number}", f"echo {number}"), number, cwd, _now())
        os.write(output, encode(record) + b"\n")
        sync(output)


def _record(spec: Spec, seq: int, cwd: str, now: str) -> Record:
    return Record(spec.id, spec.command, "pending", 0, 3, cwd, now, now, seq)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    {"batch": batch, "append": append}[sys.argv[1]](sys.argv[2], sys.argv[3])
