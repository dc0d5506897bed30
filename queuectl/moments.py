"""Points in time as people write them: ``10m``, ``18:00``, ``tomorrow 9am``, ``fri 18:00``, RFC 3339.

Pure, but for the time zone of this machine: that of all times which name none.
"""

import re
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from queuectl import times

#: How far ahead a wait may reach, in seconds: ten years. A count of seconds since 1970 is no wait.
MAX_WAIT_S: Final = 315_576_000
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAMED_TIMES = {"noon": time(12), "midnight": time(0)}
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?!\d).*", re.ASCII)
_CLOCK = re.compile(r"(?P<hour>\d{1,2})(:(?P<minute>\d\d)(:(?P<second>\d\d))?)?(?P<half>[ap]m)?", re.ASCII)


def parse(text: str, now: datetime) -> datetime:
    """Return the moment in UTC that *text* means when it is written at *now*; raise ``ValueError`` if it is none.

    A time of day is the next one; a day alone is its beginning. A time that the clocks skip in spring is as much later
    as they are set forward; of one that comes twice in autumn, the first is meant.
    """
    try:
        return _parse(text.strip(), now)
    except (ValueError, OverflowError):  # what no calendar has
        msg = f"not a time: {text!r}"
        raise ValueError(msg) from None


def _parse(text: str, now: datetime) -> datetime:
    words = text.lower().replace(",", " ").split()
    if _DATE.fullmatch(text):
        with suppress(ValueError):
            return _to_utc(datetime.fromisoformat(text.upper()))
        return _local(date.fromisoformat(words[0]), _clock("".join(words[1:])))
    if words[:1] == ["in"] or text[:1].isdigit():
        with suppress(ValueError):
            return _after(times.parse_duration_s("".join(words[words[0] == "in" :])), now)
    return _on_a_day([word for word in words if word not in ("at", "on")], now)


def _after(wait_s: float, now: datetime) -> datetime:
    if wait_s > MAX_WAIT_S:
        raise OverflowError
    return now + timedelta(seconds=wait_s)


def _on_a_day(words: list[str], now: datetime) -> datetime:
    """Return the moment that a day, a time of day or both, in either order, mean at *now*."""
    days = [place for place, word in enumerate(words) if _is_day(word)]
    day = words.pop(days[0]) if days else None
    clock = _clock("".join(words)) if words or day in (None, "today") else time(0)
    today = now.astimezone().date()
    if day == "today":
        return _local(today, clock)
    if day == "tomorrow":
        return _local(today + timedelta(days=1), clock)
    if day is None:
        first, step = today, 1
    else:
        number = next(number for number, name in enumerate(_WEEKDAYS) if name.startswith(day))
        first, step = today + timedelta(days=(number - today.weekday()) % 7), 7
    moment = _local(first, clock)
    return moment if moment > now else _local(first + timedelta(days=step), clock)


def _is_day(word: str) -> bool:
    return word in ("today", "tomorrow") or (len(word) >= 3 and any(name.startswith(word) for name in _WEEKDAYS))


def _clock(text: str) -> time:
    """Return the time of day in *text*; a bare number is none. Raises ``ValueError``."""
    if text in _NAMED_TIMES:
        return _NAMED_TIMES[text]
    match = _CLOCK.fullmatch(text)
    if match is None or not (match["minute"] or match["half"]):
        raise ValueError(text)
    hour = int(match["hour"])
    if match["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + (12 if match["half"] == "pm" else 0)
    return time(hour, int(match["minute"] or 0), int(match["second"] or 0))


def _local(day: date, clock: time) -> datetime:
    return _to_utc(datetime.combine(day, clock))


def _to_utc(moment: datetime) -> datetime:
    # Not by ``astimezone``, which takes a local time that the clocks skip for an earlier one.
    return datetime.fromtimestamp(moment.timestamp(), UTC)
