"""Where words go: results to standard output, all else to standard error.

The streams are looked up at each call, and every write is flushed: what a
command says is seen before the next command runs, and in the right order.
"""

import codecs
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO, TextIO

from queuectl import render, screen
from queuectl.commands.results import JobOutput, Result
from queuectl.errors import AnswerNotWritten

_CHUNK = 65536  # bytes or characters written at a time


def write(
    answer: Result | Iterator[Result] | None,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    is_script: bool = False,
) -> int:
    """Write what a command answers, each part as soon as it is known; return the exit code.

    Raises ``AnswerNotWritten``, but not before the command has been done.
    """
    if answer is None:
        return 0
    if isinstance(answer, Result):
        return _write_part(answer, clock=clock, is_script=is_script)
    exit_code = 0
    failure: AnswerNotWritten | None = None
    for part in answer:  # which is what does the command: to the end, also where nobody can be told of it
        try:
            exit_code = _write_part(part, clock=clock, is_script=is_script)
        except AnswerNotWritten as error:
            failure = error
    if failure is not None:
        raise failure
    return exit_code


def _write_part(answer: Result, *, clock: Callable[[], datetime], is_script: bool) -> int:
    shows = screen.detect(sys.stdout, os.environ, is_script=is_script)
    has_person = shows is not None and not is_script and sys.stdin.isatty()
    if isinstance(answer, JobOutput):
        pages = has_person and sys.stderr.isatty() and not answer.is_raw
        if not (shows and pages and _show_in_pages(_output_lines(answer), shows) is None):
            _copy(answer.stdout, sys.stdout, is_raw=answer.is_raw)
            _copy(answer.stderr, sys.stderr, is_raw=answer.is_raw)
    elif shows is None:
        _write_lines(render.lines(answer), sys.stdout)
    else:
        # Here, because programs, which read from pipes, should not wait for what they have no use for.
        from queuectl import display

        # Made once: there may be what a job has written among them, which is read as they are made.
        lines = display.lines(answer, shows, clock())
        rest = _show_in_pages(lines, shows) if has_person else lines
        if rest is not None:
            _write_lines(rest, sys.stdout)
    return answer.exit_code


def _show_in_pages(lines: Iterator[str], shows: screen.Screen) -> Iterator[str] | None:
    """Show *lines* by a pager if they are more than the screen holds; return all of them again if that was not done."""
    from queuectl import pager  # only for who sits at a terminal

    is_long, lines = pager.is_needed(lines, shows)
    command = pager.program(os.environ) if is_long else None
    if command is None:
        return lines
    with _writing():
        sys.stdout.flush()
    return pager.show(lines, command)


def write_notice(text: str, *, is_advice: bool = False) -> None:
    """Write *text*, which may have several lines, for the person; *is_advice* stands back a little."""
    # What stands in the way of results must not stand in the way of saying so.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    lines: Iterator[str] = map(render.visible, text.split("\n"))
    if is_advice and (shows := screen.detect(sys.stderr, os.environ, is_script=False)):
        lines = (shows.paint(line, screen.DIM) for line in lines)
    with contextlib.suppress(AnswerNotWritten):  # the exit code still says what this was about
        _write_lines(lines, sys.stderr)


def shows_advice() -> bool:
    """Whether somebody reads, and wants to read, what is said beside results."""
    return sys.stderr.isatty() and os.environ.get("QUEUECTL_HINTS", "1").lower() not in ("0", "no", "off")


def progress_screen() -> screen.Screen | None:
    """Return what progress can be drawn on, None if nobody would see it."""
    shows = screen.detect(sys.stderr, os.environ, is_script=True)
    return shows if shows and shows.columns else None


def draw_progress(line: str) -> None:
    """Put *line*, instead of the one before, where the cursor is; not if the terminal takes nothing just now.

    The caller may hold the lock of the queue, and a person may have stopped the terminal with Ctrl-S.
    """
    import select  # only where progress is seen

    with contextlib.suppress(OSError, ValueError):
        if select.select([], [sys.stderr], [], 0)[1]:
            sys.stderr.write(f"\r{line}\x1b[K" if line else "\r\x1b[K")
            sys.stderr.flush()


def _write_lines(lines: Iterator[str], stream: TextIO) -> None:
    """Write *lines* in large pieces: one write for each would take most of the time of a long list."""
    pieces: list[str] = []
    size = 0
    for line in lines:
        pieces.append(line)
        size += len(line)
        if size > _CHUNK:
            with _writing():
                stream.write("\n".join(pieces) + "\n")
            pieces, size = [], 0
    with _writing():
        if pieces:
            stream.write("\n".join(pieces) + "\n")
        stream.flush()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Raise ``AnswerNotWritten`` where the system refuses to write; ``BrokenPipeError`` goes through."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        msg = f"The command was done, but its answer could not be written: {error.strerror or error}."
        raise AnswerNotWritten(msg) from error


def _output_lines(answer: JobOutput) -> Iterator[str]:
    """Yield what a job has written, stdout before stderr, fit for a terminal; very long lines in pieces."""
    for source in (answer.stdout, answer.stderr):
        if source is None:
            continue
        # A descriptor of its own: what turns out to be short is copied from the start.
        with open(os.dup(source.fileno()), encoding="utf-8", errors="replace", newline="\n") as text:  # noqa: PTH123
            while line := text.readline(_CHUNK):
                yield _safe(line.rstrip("\r\n"))


def _copy(source: BinaryIO | None, stream: TextIO, *, is_raw: bool) -> None:
    """Copy the output of a job: its very bytes to a pipe or file, to a terminal what is safe to show."""
    if source is None:
        return
    shows = stream.isatty() and not is_raw
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    text = ""
    with _writing():
        stream.flush()
    with source:
        source.seek(0)
        while chunk := source.read(_CHUNK):
            with _writing():
                if not shows:
                    stream.buffer.write(chunk)
                elif text := _safe(decode(chunk)):
                    stream.write(text)
    with _writing():
        if text and not text.endswith("\n"):
            stream.write("\n")  # the prompt follows
        stream.flush()


def _safe(text: str) -> str:
    """Return *text* with its lines and tabs as they are, and all other control characters visible."""
    return "\n".join(
        "\t".join(map(render.visible, line.split("\t"))) for line in text.replace("\r\n", "\n").split("\n")
    )
