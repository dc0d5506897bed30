"""A command line as words, quoted as in sh but with nothing expanded, and whether it goes on in the next line.

Pure, and linear in time however the lines come.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import msgspec

from queuectl.errors import SyntaxProblem, UsageError
from queuectl.later import pattern
from queuectl.relaxed import CLOSER, CURLY_FIX, CURLY_QUOTES, MAX_DEPTH, check_text

#: The longest command, continuation lines included, in bytes of UTF-8.
MAX_LINE: Final = 1024 * 1024

_BLANK = " \t\r\n\f\v"
_ESCAPABLE = frozenset(_BLANK + "\"'\\#{}")
_BLANKS = pattern(rf"(?:[{_BLANK}]+|\\\n|,(?=[{{\[]))*")  # the comma: between the objects of `{…} ,{…}`
_PLAIN = pattern(rf"[^{_BLANK}\"'\\]+")
_PLAIN_WORD = pattern(rf"[^{_BLANK}\"'\\#{{\[{CURLY_QUOTES}][^{_BLANK}\"'\\]*(?=[{_BLANK}])")
_BRACE = pattern(r"[{\[]")
_RAW_STOP = pattern(r"[{}\[\]\"'\\]")
_STOP_IN_QUOTES = {"'": pattern("'"), '"': pattern(r'["\\]')}
_Step = Callable[[str, int], int]


class Token(msgspec.Struct, frozen=True):
    """A word: what it says, and where it stands in the line as typed. *quoted* if any part of it was."""

    text: str
    start: int
    end: int
    quoted: bool = False


def split(line: str) -> list[Token]:
    """Return the words of *line*, a whole command; raise ``SyntaxProblem`` for a quote or brace that stays open."""
    _size(line)
    check_text(line)
    scanner = _Scanner()
    scanner.feed(line + "\n\n")  # the second for a line that ends in a backslash
    if problem := scanner.problem or scanner.unclosed():
        raise SyntaxProblem(problem[0], text=line, offset=problem[1])
    return scanner.tokens


class Draft(msgspec.Struct, frozen=True):
    """A line that is being typed: its words so far, and what is left open or wrong.

    *word* is the one that the end of the line touches, or a quote or bracket has left
    open; an empty one there if none. *problem_at* is where the first mistake is.
    """

    tokens: list[Token]
    word: Token
    is_open: bool
    is_comment: bool
    problem_at: int | None


def read_draft(text: str) -> Draft:
    """Return the words of *text*, the beginning of a command or a whole one; never raise."""
    scanner = _Scanner()
    scanner.feed(text + "\n\n")
    found = scanner.tokens
    problem_at = scanner.problem[1] if scanner.problem else None
    opening = scanner.unclosed()
    if opening is not None and problem_at is None:
        word = Token("".join(scanner._pieces).rstrip("\n"), scanner._start, len(text), quoted=True)
        return Draft(found, word, is_open=True, is_comment=False, problem_at=None)
    last_end = found[-1].end if found else 0
    is_comment = "#" in text[last_end:] and problem_at is None
    if found and last_end >= len(text) and problem_at is None:
        return Draft(found[:-1], found[-1], is_open=False, is_comment=False, problem_at=None)
    return Draft(found, Token("", len(text), len(text)), is_open=False, is_comment=is_comment, problem_at=problem_at)


def needs_more(text: str) -> bool:
    """Whether the command that *text* begins goes on in the next line."""
    assembler = LineAssembler()
    with suppress(UsageError):  # too long: that is for split to say
        for line in text.split("\n"):
            assembler.feed(line)
    return assembler.is_open


def commands_in(text: str) -> Iterator[str]:
    """Yield the commands in *text*: one as a rule, several when lines were pasted.

    Raise ``UsageError`` at one that is longer than ``MAX_LINE``.
    """
    assembler = LineAssembler()
    for line in text.split("\n"):
        command = assembler.feed(line)
        if command is not None:
            yield command
    if assembler.is_open:
        yield assembler.take()


class LineAssembler:
    """Puts the lines of a command together. Each line is scanned once, however many there are."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._scanner, self._bytes = _Scanner(), 0
        self._lines: list[str] = []

    @property
    def is_open(self) -> bool:
        """Whether a command has begun that goes on in the next line."""
        return bool(self._lines)

    def feed(self, line: str) -> str | None:
        """Return the command that *line* completes, for ``split``; ``None`` if it goes on.

        Drop it and raise ``UsageError`` as soon as it exceeds ``MAX_LINE``.
        """
        line = line.removesuffix("\n").removesuffix("\r")
        try:
            self._bytes = _size(line, self._bytes) + 1
        except UsageError:
            self._begin()
            raise
        self._lines.append(line)
        self._scanner.feed(line + "\n")
        return None if self._scanner.goes_on else self.take()

    def take(self) -> str:
        """Return what there is, as at the end of input, and begin anew."""
        text = "\n".join(self._lines)
        self._begin()
        return text


def _size(text: str, before: int = 0) -> int:
    size = before + (len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")))
    if size <= MAX_LINE:
        return size
    message = f"a line of more than {MAX_LINE // 1024} KiB: put the jobs in a file and use enqueue -f FILE"
    raise UsageError(message, size=size)


class _Scanner:
    """The state of splitting, carried from line to line; a line ends in a newline."""

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self.problem: tuple[str, int] | None = None
        self._step: _Step = self._between
        self._base = 0  # the offset of the line
        self._is_continued = False  # by a backslash at its end
        self._begin_word(0)

    def _begin_word(self, start: int) -> None:
        self._start = start
        self._pieces: list[str] = []
        self._is_quoted = False
        self._openers: list[tuple[str, int]] = []  # the open brackets of a raw word, and the open quote
        # Whether a quote may stay open at the end of a line is judged by the word's first kind of bracket, quoted or
        # not: in '{"command": "echo it's"}' it is balanced, so that the quote is a slip and swallows no further line.
        self._bracket, self._brackets_open = "", 0

    @property
    def goes_on(self) -> bool:
        if self.problem or self._is_continued:
            return not self.problem
        return self._brackets_open > 0 if self._step == self._quoted else bool(self._openers)

    def unclosed(self) -> tuple[str, int] | None:
        """What would be wrong if this were the end."""
        if not self._openers:
            return None
        opener, offset = self._openers[-1]
        fix = f"add {CLOSER[opener]}" if opener in CLOSER else "close it, or put it all in the other quotes"
        if self._bracket and len(self._openers) == 1 and opener not in CLOSER:
            fix = "a ' inside '…' is written '\\''; or give the command after --: enqueue -- COMMAND"
        return f"this {opener} is never closed: {fix}", offset

    def feed(self, line: str) -> None:
        pos = 0
        self._is_continued = False
        while pos < len(line) and not self.problem:
            pos = self._step(line, pos)
        self._base += len(line)

    # A step reads from *pos* and returns where to go on.
    def _between(self, line: str, pos: int) -> int:
        while True:
            match = _BLANKS.match(line, pos)
            begin = match.end() if match else pos
            if begin == len(line):
                self._is_continued = begin - pos > 1 and line.endswith("\\\n")
                return begin
            match = _PLAIN_WORD.match(line, begin)
            if match is None:
                break
            pos = match.end()
            self.tokens.append(Token(match[0], self._base + begin, self._base + pos))
        if line[begin] == "#":
            return line.index("\n", begin)
        self._begin_word(self._base + begin)
        if line[begin] in CURLY_QUOTES:
            self.problem = f"{line[begin]} {CURLY_FIX}", self._start
        self._step = self._raw if line[begin] in CLOSER else self._word
        return begin

    def _word(self, line: str, pos: int) -> int:
        if match := _PLAIN.match(line, pos):
            self._add(match[0])
            pos = match.end()
        char = line[pos]
        if char in _BLANK:
            return self._end_word(line, pos)
        if char != "\\":
            return self._open_quote(char, pos)
        after = line[pos + 1]
        if after == "\n":
            self._is_continued = pos + 2 == len(line)
        else:
            self._pieces.append(after if after in _ESCAPABLE else char + after)
        return pos + 2

    def _quoted(self, line: str, pos: int) -> int:
        """Read on within quotes. In a raw word everything is kept."""
        quote = self._openers[-1][0]
        match = _STOP_IN_QUOTES[quote].search(line, pos)
        end = match.start() if match else len(line)
        if end > pos:
            self._add(line[pos:end])
        if match is None:
            return end
        if line[end] == quote:
            self._openers.pop()
            self._pieces.append(quote if self._openers else "")
            self._step = self._raw if self._openers else self._word
            return end + 1
        after = line[end + 1]
        if after == "\n":
            self._is_continued = end + 2 == len(line)
        else:
            self._pieces.append(after if after in '"\\' and len(self._openers) == 1 else "\\" + after)
        return end + 2

    def _raw(self, line: str, pos: int) -> int:
        """Read on in a word that began with a bracket, up to its end: text of a job, which ``relaxed`` will read."""
        start = pos
        while match := _RAW_STOP.search(line, pos):
            pos, char = match.end(), match[0]
            if char in "\"'":
                self._add(line[start:pos])
                return self._open_quote(char, pos - 1)
            if char == "\\":
                if line[pos] == "\n":
                    self._add(line[start : pos - 1])
                    return pos + 1
                pos += 1
            elif char in CLOSER:
                if len(self._openers) == MAX_DEPTH:
                    self.problem = f"nested more than {MAX_DEPTH} deep", self._base + pos - 1
                    return pos
                self._openers.append((char, self._base + pos - 1))
            else:
                self._openers.pop()
                if not self._openers:
                    self._add(line[start:pos])
                    return self._end_word(line, pos) + line.startswith(",", pos)
        self._add(line[start:])
        return len(line)

    def _open_quote(self, quote: str, pos: int) -> int:
        self._is_quoted = self._is_quoted or not self._openers
        self._openers.append((quote, self._base + pos))
        self._step = self._quoted
        return pos + 1

    def _add(self, piece: str) -> None:
        self._pieces.append(piece)
        if not self._bracket and (match := _BRACE.search(piece)):
            self._bracket = match[0]
            piece = piece[match.start() :]
        if self._bracket:
            self._brackets_open += piece.count(self._bracket) - piece.count(CLOSER[self._bracket])

    def _end_word(self, line: str, end: int) -> int:
        if self._pieces:
            stop = self._base + end - 2 * line.endswith("\\\n", 0, end)
            self.tokens.append(Token("".join(self._pieces), self._start, stop, self._is_quoted))
        self._step = self._between
        return end
