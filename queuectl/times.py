"""Points in time and durations: their text forms, both ways.

Pure: the clock is read by the caller. Points in time are aware and UTC.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from queuectl.later import pattern

_DURATION = pattern(r"(?:(\d+(?:\.\d+)?)\s*(d|h|ms|m|s))", re.IGNORECASE | re.ASCII)
EPOCH_TEXT = "1970-01-01T00:00:00.000Z"  #: for a time that nobody has noted
_LONGEST_DURATION = 40  # characters; the pattern's cost grows with the square of the length
_UNIT_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@lru_cache(maxsize=8)  # one moment is written in several places
def to_text(moment: datetime) -> str:
    """Return *moment* as RFC 3339 UTC with milliseconds; such texts sort like the moments."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


def to_local(moment: datetime) -> str:
    """Return *moment* for people, in the time zone of this machine, which is named: ``2030-01-31 09:00:00+01:00``."""
    return moment.astimezone().isoformat(sep=" ", timespec="seconds")


def from_text(text: str) -> datetime:
    """Read RFC 3339 with a zone; raise ``ValueError`` otherwise."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        msg = f"a time without a zone: {text!r}"
        raise ValueError(msg)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # in another zone it is before the first year, or after the last one
        msg = f"a time that no calendar has: {text!r}"
        raise ValueError(msg) from error


def from_epoch(seconds: float) -> datetime:
    """Return the moment *seconds* after 1970 began. Raises ``ValueError`` or ``OverflowError``."""
    return datetime.fromtimestamp(seconds, UTC)


def is_text(text: str) -> bool:
    """Whether *text* is a point in time just as ``to_text`` writes it."""
    try:
        return to_text(from_text(text)) == text
    except ValueError:
        return False


def later(moment: datetime, seconds: float) -> datetime:
    """Return the moment *seconds* after *moment*, at most the last one a date can express."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def parse_duration_s(text: str) -> float:
    """Read ``90``, ``90s``, ``1.5h`` or ``1h30m`` as seconds; raise ``ValueError`` otherwise."""
    compact = text.strip()
    if len(compact) > _LONGEST_DURATION:
        msg = "not a duration: too long a text"
        raise ValueError(msg)
    if re.fullmatch(r"\d+(\.\d+)?", compact, re.ASCII):
        return float(compact)
    parts = _DURATION.findall(compact)
    if not parts or _DURATION.sub("", compact).strip():
        msg = f"not a duration: {text!r}"
        raise ValueError(msg)
    return sum(float(number) * _UNIT_S[unit.lower()] for number, unit in parts)


def format_number(value: float) -> str:
    """Return *value* without a needless fraction: ``30``, ``0.5``."""
    return f"{value:g}" if value != int(value) else str(int(value))


def format_duration(seconds: float) -> str:
    """Return *seconds* for people: ``0.3s``, ``42s``, ``2m 5s``, ``3h 10m``, ``2d 4h``."""
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for size, unit, lesser_size, lesser in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // lesser_size
            return f"{whole // size}{unit}" + (f" {rest}{lesser}" if rest else "")
    return f"{whole}s"
