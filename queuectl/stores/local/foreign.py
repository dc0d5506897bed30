"""What a file means that somebody else has written: from any JSON to jobs, entry by entry.

Pure. What other programs call by another name is read as what we call it; what
we have no place for is refused by name, and never dropped: a field may be a
typing error of one that matters.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from queuectl import times
from queuectl.errors import QueueCtlError
from queuectl.fields import MAX_TIMEOUT_S
from queuectl.job import ID_PATTERN, Job, State
from queuectl.stores.local.records import File, encode_job

#: What others call a state; ours are read as they are.
_STATES: Final = {
    **dict.fromkeys(("processing", "running", "active", "started", "in-progress", "inprogress"), State.IN_PROGRESS),
    **dict.fromkeys(("queued", "waiting", "enqueued", "scheduled", "delayed", "ready"), State.PENDING),
    **dict.fromkeys(("retrying", "retry"), State.FAILED),
    **dict.fromkeys(("done", "complete", "success", "succeeded", "successful", "finished"), State.COMPLETED),
    **dict.fromkeys(("dlq", "dead_letter", "dead-letter", "deadletter", "exhausted"), State.DEAD),
    "canceled": State.CANCELLED,
}
#: What others call a field, in snake case.
_NAMES: Final = {
    "status": "state",
    "job_id": "id",
    "cmd": "command",
    **dict.fromkeys(("attempt", "attempt_count", "retries", "retry_count", "attempts_made"), "attempts"),
    **dict.fromkeys(("max_attempts", "max_retry", "retry_limit"), "max_retries"),
    **dict.fromkeys(("created", "enqueued_at", "queued_at"), "created_at"),
    **dict.fromkeys(("updated", "last_updated", "last_updated_at"), "updated_at"),
    **dict.fromkeys(("next_run", "next_run_at", "next_retry", "next_retry_at", "next_attempt_at"), "run_at"),
    **dict.fromkeys(("retry_at", "available_at", "scheduled_at"), "run_at"),
    **dict.fromkeys(("started", "picked_at"), "started_at"),
    **dict.fromkeys(("finished", "completed_at", "ended_at", "failed_at"), "finished_at"),
    **dict.fromkeys(("last_error", "error_message", "error_msg"), "error"),
    **dict.fromkeys(("exit_status", "returncode", "return_code"), "exit_code"),
    **dict.fromkeys(("timeout_s", "timeout_seconds", "timeout_sec"), "timeout"),
    **dict.fromkeys(("working_dir", "working_directory", "workdir"), "cwd"),
    "environment": "env",
}
#: Who holds a job, in other programs: no such hold can be told to be alive, and none of theirs is kept.
_HOLDS: Final = frozenset(
    {
        *("locked_by", "locked_at", "lock", "lock_expires_at", "lease", "lease_until", "lease_expires_at"),
        *("claimed_by", "claimed_at", "worker_id", "worker_pid", "processing_by", "heartbeat", "heartbeat_at"),
    }
)
_FIELDS: Final = frozenset(Job.__struct_fields__)
_TIMES: Final = ("created_at", "updated_at", "started_at", "finished_at", "run_at")
_NUMBERS: Final = ("attempts", "max_retries", "exit_code", "timeout", "priority")
_COUNTS: Final = ("attempts", "max_retries", "crashes")
_MAX_SEQ: Final = 1 << 50  # leaves room for those that come after it
_MILLISECONDS_FROM = 1e11  # as seconds, this is in the year 5138
_DIGITS = re.compile(rb"[0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?")
_ZONE = re.compile(r".*(Z|z|[+-]\d\d:?\d\d)", re.DOTALL)


class Unreadable(QueueCtlError):
    """Raised when text is not a list of jobs, or an entry not a job; *fields* are those without which it may be one."""

    fields: tuple[str, ...]

    def __init__(self, message: str, *, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message, fields=fields)


class Object(dict[str, Any]):
    """An object as it was read; ``repeated`` are the names that it gives several values."""

    repeated: tuple[str, ...] = ()

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> "Object":
        """Return what *pairs* say."""
        made = cls(pairs)
        if len(made) < len(pairs):
            made.repeated = tuple(dict.fromkeys(name for name, value in pairs if made[name] != value))
        return made


def entries(content: bytes | bytearray) -> list[Any]:
    """Return the elements of the JSON array in *content*; raise ``Unreadable`` with the place if it is none."""
    found = read_json(content, Object.of)
    if not isinstance(found, list):
        msg = "it should be an array of jobs"
        raise Unreadable(msg)
    return found


def read_json(content: bytes | bytearray, make_object: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Return what *content* says; raise ``Unreadable`` with the place if it is no JSON."""
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=make_object)
    except json.JSONDecodeError as error:
        msg = f"line {error.lineno}, column {error.colno}: {error.msg}{_why(error)}"
        raise Unreadable(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{_place(content, error.start)}: byte {error.start} is not UTF-8"
        raise Unreadable(msg) from error
    except ValueError as error:
        number = max(_DIGITS.finditer(content), key=lambda match: len(match[0]))
        msg = f"{_place(content, number.start())}: a number of {len(number[0])} digits"
        raise Unreadable(msg) from error
    except RecursionError as error:
        msg = "it is nested too deeply"
        raise Unreadable(msg) from error


def _place(content: bytes | bytearray, offset: int) -> str:
    line = content.count(b"\n", 0, offset) + 1
    column = offset - content.rfind(b"\n", 0, offset)
    return f"line {line}, column {column}"


def _why(error: json.JSONDecodeError) -> str:
    """Guess from the place of *error* what has happened to the file."""
    if error.msg == "Extra data":
        return ", as if two files had been put together"
    return ", as if the end were missing" if not error.doc[error.pos :].strip() or "Unterminated" in error.msg else ""


def job(entry: Any, file: File) -> Job:
    """Return the job that *entry* of *file* describes, in our words and with what it leaves out.

    Raises ``Unreadable`` with what is wrong, and nothing has been dropped then.
    """
    if not isinstance(entry, dict):
        msg = "not an object"
        raise Unreadable(msg)
    _check_values(entry)
    fields = _named(entry)
    fields["state"] = _state(fields, file)
    if fields["state"] != State.IN_PROGRESS:
        for name in ("claim", "worker"):
            fields.pop(name, None)
    if isinstance(fields.get("id"), int) and not isinstance(fields["id"], bool):
        fields["id"] = str(fields["id"])
    for name in _NUMBERS:
        if isinstance(value := fields.get(name), str) and _NUMBER.fullmatch(value):
            fields[name] = float(value) if "." in value else int(value)
    timeout = fields.get("timeout")
    if isinstance(timeout, int | float) and not 0 < timeout <= MAX_TIMEOUT_S:
        msg = f'"timeout" is {timeout}, and has to be over 0 and at most a year in seconds: take it out for none'
        raise Unreadable(msg, fields=tuple(name for name in entry if _our_name(name) == "timeout"))
    for name in _TIMES:
        if fields.get(name) is not None:
            fields[name] = _time(name, fields[name])
    fields.setdefault("attempts", 0)
    fields.setdefault("max_retries", 3)
    fields.setdefault("created_at", times.EPOCH_TEXT)
    fields.setdefault("updated_at", fields["created_at"])
    try:
        made = msgspec.convert(fields, Job)
        encode_job(made)  # raises for text that is none
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise Unreadable(str(error)) from error
    if re.fullmatch(ID_PATTERN, made.id) is None:
        msg = f"{made.id!r} cannot be an id: letters, digits and . _ : @ - are possible"
        raise Unreadable(msg)
    for name in _COUNTS:
        if getattr(made, name) < 0:
            msg = f"{name} is {getattr(made, name)}, and cannot be less than 0"
            raise Unreadable(msg)
    return made if 0 <= made.seq <= _MAX_SEQ else msgspec.structs.replace(made, seq=0)


def _check_values(entry: Mapping[str, Any]) -> None:
    """Raise for a field of *entry* that says several things, or a number that is none: JSON readers let them pass."""
    for name, value in entry.items():
        if name in getattr(entry, "repeated", ()):
            msg = f'it gives "{name}" twice: take one of them out'
            raise Unreadable(msg, fields=(name,))
        if isinstance(value, float) and not math.isfinite(value):
            msg = f'"{name}" is {json.dumps(value)}, which is no number'
            raise Unreadable(msg, fields=(name,))
        if isinstance(value, Object) and value.repeated:
            msg = f'"{name}" gives "{value.repeated[0]}" twice: take one of them out'
            raise Unreadable(msg, fields=(name,))


def _our_name(original: str) -> str:
    name = _HUMP.sub("_", original).replace("-", "_").lower()
    return _NAMES.get(name, name)


def _named(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of *entry* by our names, without those that hold nothing; raise for any that is unknown."""
    fields: dict[str, Any] = {}
    unknown = []
    for original, value in entry.items():
        name = _our_name(original)
        if name in _HOLDS:
            continue
        if name not in _FIELDS:
            if value not in (None, "", [], {}, 0):  # 0 is False too: what holds nothing can be left out
                unknown.append(original)
            continue
        if value is None or (value == "" and name in _TIMES):
            continue
        if name in fields and fields[name] != value:
            msg = f'it says two things of "{name}": {fields[name]!r} and {value!r}'
            raise Unreadable(msg, fields=(original,))
        fields[name] = value
    if unknown:
        names = ", ".join(f'"{name}"' for name in unknown)
        what = f"there is no place for its field{'s' if len(unknown) > 1 else ''} {names}"
        msg = f"{what}: take {'them' if len(unknown) > 1 else 'it'} out"
        raise Unreadable(msg, fields=tuple(unknown))
    return fields


def _state(fields: Mapping[str, Any], file: File) -> str:
    state = str(fields.get("state", State.DEAD if file is File.DLQ else State.PENDING)).strip().lower()
    state = _STATES.get(state, state)
    if file is File.DLQ:
        return State.DEAD
    if state == State.IN_PROGRESS and not fields.get("claim"):
        return State.PENDING  # nobody can be running it
    return state


def _time(name: str, value: Any) -> Any:
    """Return the time *value* of the field *name* as we write it; raise ``Unreadable`` if it is none."""
    try:
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return times.to_text(times.from_epoch(value / 1000 if abs(value) > _MILLISECONDS_FROM else value))
        if isinstance(value, str):
            # By all but run_at nothing is decided, so that a guess does no harm.
            has_zone = name == "run_at" or _ZONE.fullmatch(value)
            return times.to_text(times.from_text(value if has_zone else f"{value}Z"))
    except (ValueError, OverflowError, OSError) as error:
        msg = f'"{name}" is no time: {error}: write it as 2025-03-01T12:00:00Z'
        raise Unreadable(msg) from error
    return value
