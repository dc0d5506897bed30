"""Where in a text a problem is, for people to see. Pure."""

from queuectl.render import visible

_AROUND = 60  # characters of a long line to show on each side of a problem


def point_at(text: str, offset: int) -> tuple[str, str]:
    """Return the line of *text* around *offset*, and one with a caret under that place."""
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line, column = text[start : len(text) if end < 0 else end], offset - start
    left = max(0, column - _AROUND) if len(line) > 2 * _AROUND else 0
    right = left + 2 * _AROUND if len(line) > 2 * _AROUND else len(line)
    before = ("..." if left else "") + visible(line[left:column])
    after = visible(line[column:right]) + ("..." if right < len(line) else "")
    return before + after, " " * _columns(before) + "^"


def _columns(text: str) -> int:
    """Return how many columns a terminal needs for *text*."""
    if text.isascii():
        return len(text)
    import unicodedata  # few lines need it

    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )
