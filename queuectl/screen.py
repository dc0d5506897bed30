"""What a terminal can show, and how wide text is on it. It writes nothing, and knows no result.

Nothing here is used in a pipe, unless its reader asks for colours.
"""

import os
from collections.abc import Mapping
from typing import TextIO

import msgspec

from queuectl.job import State

_USUAL_SIZE = (80, 24)
ELLIPSIS = "…"
BOLD, DIM = "1", "2"

#: How a state looks; the word always stands there too.
COLOURS = {
    State.PENDING: "36",
    State.IN_PROGRESS: "34",
    State.COMPLETED: "32",
    State.FAILED: "33",
    State.DEAD: "1;31",
    State.CANCELLED: "2",
}


class Screen(msgspec.Struct, frozen=True):
    """What lines are laid out for; without *columns* they are as in a pipe, never cut and never paged."""

    columns: int | None
    rows: int
    has_colour: bool

    def paint(self, text: str, style: str | None) -> str:
        """Return *text* in a *style* (the numbers of an escape code), where there are colours."""
        return f"\x1b[{style}m{text}\x1b[0m" if style and text and self.has_colour else text


def detect(stream: TextIO, environment: Mapping[str, str], *, is_script: bool) -> Screen | None:
    """Return what *stream* leads to, None if it gets plain lines: a pipe, a file, a terminal that can do little.

    NO_COLOR counts for more than FORCE_COLOR and CLICOLOR_FORCE. These two give a
    pipe colours, and nothing else; the answers of a script never.
    """
    is_terminal = stream.isatty() and environment.get("TERM", "") not in ("", "dumb")
    is_forced = any(environment.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    refuses = bool(environment.get("NO_COLOR"))
    if is_terminal:
        columns, rows = _size(stream)
        return Screen(columns, rows, has_colour=not refuses)
    if is_forced and not refuses and not is_script:
        return Screen(None, 0, has_colour=True)
    return None


def _size(stream: TextIO) -> tuple[int, int]:
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return _USUAL_SIZE
    return columns or _USUAL_SIZE[0], rows or _USUAL_SIZE[1]


def width(text: str) -> int:
    """Return how many columns *text*, which holds no control character, takes."""
    if text.isascii():
        return len(text)
    # Here, because few lines need it. It is what prompt_toolkit measures with.
    from wcwidth import wcswidth

    columns = wcswidth(text)
    return columns if columns >= 0 else len(text)


def cut(text: str, columns: int) -> str:
    """Return *text*, shortened to *columns* with an ellipsis if it takes more; no sign is cut in two."""
    longest = 8 * columns  # a sign may have several characters, but not many
    if len(text) <= longest and width(text) <= columns:
        return text
    if columns < 1:
        return ""
    end = min(columns - 1, len(text)) if text[:columns].isascii() else 0
    while end < min(longest, len(text)) and width(text[: end + 1]) < columns:
        end += 1
    return text[:end] + ELLIPSIS


def pad(text: str, columns: int) -> str:
    """Return *text* with blanks up to *columns*."""
    return text + " " * (columns - width(text))
