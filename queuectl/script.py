"""Commands from a pipe or file, one after the other, each read only when the one before has ended.

A line is never waited for longer than it takes to end, and never held in
memory beyond what a line may be.
"""

import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from queuectl.commands.context import Context
from queuectl.commands.line import report, rest, run_line
from queuectl.errors import ExitCode, QueueCtlError, SyntaxProblem, UsageError
from queuectl.tokens import MAX_LINE, LineAssembler

_CHUNK = 65536
_BOM = b"\xef\xbb\xbf"
_PATIENCE_S = 0.05  # without input for so long, the data is brought to rest until there is some


class Source(Protocol):
    """What a script is read from: ``read`` returns what there is, and waits only if there is nothing."""

    def read(self, size: int, /) -> bytes | None:
        """Return at most *size* bytes; none at the end."""
        ...

    def fileno(self) -> int:
        """Return the descriptor, or raise ``OSError`` if there is none."""
        ...


_MAX_DEPTH = 16  # of files that source each other


def run_file(path: Path, context: Context) -> int:
    """Run the commands in *path*, as ``source`` does; raise ``OSError`` or ``QueueCtlError`` if that cannot begin."""
    if context.source_depth >= _MAX_DEPTH:
        msg = f'"{path}" was not run: files source each other more than {_MAX_DEPTH} deep.'
        raise QueueCtlError(msg)
    with path.open("rb", buffering=0) as source:
        context.source_depth += 1
        try:
            return run_script(source, context)
        finally:
            context.source_depth -= 1


def run_script(source: Source, context: Context, *, stops_on_error: bool = False) -> int:
    """Run the commands in *source* until its end or ``exit``; return 1 if any has failed, 130 if interrupted."""
    reader = _Reader(source, before_wait=lambda: rest(context))
    has_failed = False
    try:
        for number, command in _commands(reader):
            context.line_number = number
            exit_code = run_line(command, context) if isinstance(command, str) else report(command, context)
            if exit_code == ExitCode.INTERRUPTED:
                return exit_code
            has_failed = has_failed or exit_code != ExitCode.OK
            if context.is_leaving or (has_failed and stops_on_error):
                break
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if has_failed else ExitCode.OK


def _commands(reader: "_Reader") -> Iterator[tuple[int, str | UsageError]]:
    """Yield each command with the number of its first line, or what is wrong with one of its lines."""
    assembler = LineAssembler()
    first = 0
    for number, line in enumerate(reader.lines(), start=1):
        first = first if assembler.is_open else number
        try:
            command = assembler.feed(_decode(line, is_first=number == 1))
        except UsageError as error:
            assembler = LineAssembler()
            yield number, error
        else:
            if command is not None:
                yield first, command
    if assembler.is_open:
        yield first, assembler.take()


def _decode(line: bytes | None, *, is_first: bool) -> str:
    """Return *line* as text, without its end; raise ``UsageError`` if it is not to be read as such."""
    if line is None:
        msg = f"The line is longer than {MAX_LINE // 1024} KiB: it was skipped. Use enqueue -f FILE for many jobs."
        raise UsageError(msg)
    body = line.removeprefix(_BOM) if is_first else line
    body = body.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        msg = f'The line is not UTF-8 (byte 0x{body[error.start]:02x}): save the script as "UTF-8".'
        before = body[: error.start].decode()
        text = before + body[error.start :].decode(errors="replace")
        raise SyntaxProblem(msg, text=text, offset=len(before)) from None


class _Reader:
    """Lines of bytes from *source*; *before_wait* is called before it has to wait for more."""

    def __init__(self, source: Source, *, before_wait: Callable[[], object]) -> None:
        self._source = source
        self._before_wait = before_wait
        self._descriptor: int | None = None
        with suppress(OSError):
            self._descriptor = source.fileno()

    def lines(self) -> Iterator[bytes | None]:
        """Yield each line; None as soon as one is too long, of which the rest is skipped."""
        rest = b""
        is_skipping = False
        while chunk := self._read():
            *complete, rest = (rest + chunk).split(b"\n")
            for line in complete:
                if not is_skipping:
                    yield line if len(line) <= MAX_LINE else None
                is_skipping = False
            if len(rest) > MAX_LINE or is_skipping:
                if not is_skipping:
                    yield None
                rest, is_skipping = b"", True
        if rest:
            yield rest

    def _read(self) -> bytes:
        if self._descriptor is not None and not select.select([self._descriptor], [], [], _PATIENCE_S)[0]:
            self._before_wait()
        return self._source.read(_CHUNK) or b""
