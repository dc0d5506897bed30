"""How a command ended, and what is shown of one that failed: the end of its stderr, or what happened."""

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from queuectl import times
from queuectl.job import MAX_ERROR

_NOT_FOUND = 127  #: a shell's exit code for a command that it has not found
_TRACEBACK = "Traceback (most recent call last):"
_MESSAGE_LINES = 5  #: so many lines of an exception's message are taken for nothing else
_TAIL = 16384  #: bytes at the end of stderr that are searched for the error
_COLOURS = re.compile(r"\x1b\[[0-9;:]*[mK]")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: *exit_code* or *signal*. *error* is what its stderr says of a failure, if anything."""

    exit_code: int | None
    signal: int | None
    duration_s: float
    error: str | None


def failure_text(ended: Ended, *, timed_out_after_s: float | None = None) -> str | None:
    """Return what to show of a failed attempt, None if it did not fail.

    A timeout is named before all that stderr may say, and so is a command that sh did not find: its own words for
    that differ from system to system.
    """
    if timed_out_after_s is not None:
        return f"timed out after {times.format_number(timed_out_after_s)}s"
    if ended.exit_code == 0:
        return None
    is_from_sh = ended.error is None or (ended.error.startswith("/bin/sh:") and "not found" in ended.error)
    if ended.exit_code == _NOT_FOUND and is_from_sh:
        return "command not found"
    if ended.error is not None:
        return ended.error
    if ended.signal is None:
        return f"exit code {ended.exit_code}"
    try:
        return f"killed by {signal.Signals(ended.signal).name}"
    except ValueError:
        return f"killed by signal {ended.signal}"


def last_line(path: Path) -> str | None:
    """Return the last line in the file *path* that is not blank, fit to be shown; None if there is none.

    Of a Python traceback it is the line that names the exception.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        tail = os.pread(descriptor, _TAIL, max(os.fstat(descriptor).st_size - _TAIL, 0))
    finally:
        os.close(descriptor)
    text = _COLOURS.sub("", tail.decode("utf-8", "replace"))
    lines = [line for line in re.split(r"[\r\n]", text) if line.strip()]
    exception = _exception_line(lines)
    return visible((lines[-1] if exception is None else exception).strip()) if lines else None


def _exception_line(lines: list[str]) -> str | None:
    """Return the line that names the exception, if *lines* end with a Python traceback.

    The exception's message may have several lines, of which the last says little.
    """
    if _TRACEBACK not in lines:
        return None
    begin = len(lines) - lines[::-1].index(_TRACEBACK)
    for number, line in enumerate(lines[begin:], start=begin):
        if not line[0].isspace():
            return line if len(lines) - number <= _MESSAGE_LINES else None
    return None


def visible(text: str) -> str:
    """Return *text* with control characters written out, and at most ``MAX_ERROR`` characters of it."""
    if not text.isprintable():
        text = "".join(
            one if one.isprintable() else " " if one.isspace() else one.encode("unicode_escape").decode()
            for one in text
        )
    return text if len(text) <= MAX_ERROR else text[: MAX_ERROR - 1] + "…"
