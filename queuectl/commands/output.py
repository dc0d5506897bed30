"""Where words go: results to standard output, all else to standard error.

The streams are looked up at each call, and every write is flushed: what a
command says is seen before the next command runs, and in the right order.
"""

import codecs
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from queuectl import render
from queuectl.commands.results import JobOutput, Result

_CHUNK = 65536  # bytes or characters written at a time


def write(answer: Result | Iterator[Result] | None) -> int:
    """Write what a command answers, each part as soon as it is known; return the exit code."""
    if answer is None:
        return 0
    if not isinstance(answer, Result):
        exit_code = 0
        for part in answer:
            exit_code = write(part)
        return exit_code
    if isinstance(answer, JobOutput):
        _copy(answer.stdout, sys.stdout)
        _copy(answer.stderr, sys.stderr)
    else:
        _write_lines(render.lines(answer), sys.stdout)
    return answer.exit_code


def write_notice(text: str) -> None:
    """Write *text*, which may have several lines, for the person."""
    # What stands in the way of results must not stand in the way of saying so.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    _write_lines(map(render.visible, text.split("\n")), sys.stderr)


def _write_lines(lines: Iterator[str], stream: TextIO) -> None:
    """Write *lines* in large pieces: one write for each would take most of the time of a long list."""
    pieces: list[str] = []
    size = 0
    for line in lines:
        pieces.append(line)
        size += len(line)
        if size > _CHUNK:
            stream.write("\n".join(pieces) + "\n")
            pieces, size = [], 0
    if pieces:
        stream.write("\n".join(pieces) + "\n")
    stream.flush()


def _copy(path: Path, stream: TextIO) -> None:
    """Copy the output of a job: its very bytes to a pipe or file, to a terminal what is safe to show."""
    if not path.exists():
        return
    stream.flush()
    shows = stream.isatty()
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    text = ""
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
            if not shows:
                stream.buffer.write(chunk)
            elif text := _safe(decode(chunk)):
                stream.write(text)
    if text and not text.endswith("\n"):
        stream.write("\n")  # the prompt follows
    stream.flush()


def _safe(text: str) -> str:
    """Return *text* with its lines and tabs as they are, and all other control characters visible."""
    return "\n".join(
        "\t".join(map(render.visible, line.split("\t"))) for line in text.replace("\r\n", "\n").split("\n")
    )
