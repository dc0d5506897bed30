"""Showing more lines than a screen has, a page at a time.

Only for a person who can press keys. ``$PAGER`` is the person's choice (empty
or ``cat``: none); without one it is ``less`` where there is one.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from itertools import chain, islice

from queuectl.screen import Screen, width

_LESS = ("less", "-FRX", "-P?e(end, q to leave):space for more, b to go back, q to leave.")
_NOT_STARTED = frozenset({126, 127})  # what sh ends with when it cannot run the program
_PIPE = 1 << 20  # characters, more than any pipe holds: what has taken as many was started


def program(environment: Mapping[str, str]) -> list[str] | None:
    """Return what shows pages, None if nothing does."""
    chosen = environment.get("PAGER")
    if chosen is not None:
        return ["/bin/sh", "-c", chosen] if chosen.strip() not in ("", "cat") else None
    return list(_LESS) if shutil.which(_LESS[0]) else None


def is_needed(lines: Iterator[str], screen: Screen) -> tuple[bool, Iterator[str]]:
    """Tell whether *lines* are more than *screen* shows above a prompt, and return all of them again."""
    if screen.columns is None:
        return False, lines
    first: list[str] = []
    rows = 0
    for line in lines:
        first.append(line)
        rows += max(1, -(-_shown_width(line) // screen.columns))
        if rows > screen.rows - 1:
            return True, chain(first, lines)
    return False, iter(first)


def show(lines: Iterator[str], command: list[str]) -> Iterator[str] | None:
    """Show *lines* by *command*, until the person leaves it; return all of them again if it could not be started.

    Keys that interrupt are the pager's own business meanwhile.
    """
    environment = {"LESS": "FRX", "LV": "-c"} | os.environ
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    except OSError:
        return lines
    taken: list[str] = []
    size = 0
    try:
        while process.stdin and (piece := list(islice(lines, 1000))):
            if size <= _PIPE:
                size += sum(map(len, piece))
                taken += piece
            process.stdin.write(("\n".join(piece) + "\n").encode(errors="backslashreplace"))
    except (BrokenPipeError, KeyboardInterrupt):
        pass
    is_started = _end(process) not in _NOT_STARTED or size > _PIPE
    return None if is_started else chain(taken, lines)


def _end(process: "subprocess.Popen[bytes]") -> int:
    while True:
        try:
            if process.stdin is not None:
                process.stdin.close()
            return process.wait()
        except (BrokenPipeError, KeyboardInterrupt):
            continue


def _shown_width(line: str) -> int:
    """Return the columns of *line* without its colours."""
    if "\x1b" in line:
        line = "".join(part.partition("m")[2] if place else part for place, part in enumerate(line.split("\x1b[")))
    return width(line)
