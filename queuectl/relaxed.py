"""The reader of relaxed JSON: ``{id: job1, command: echo a, b}``.

Strict JSON keeps its exact meaning; only what is not strict JSON is read in the relaxed way, where bare words stay
text. Time is linear in the text. Pure: what the fields of a job mean is decided in ``specs``.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from queuectl.errors import SyntaxProblem
from queuectl.later import pattern

#: How many objects and arrays may lie in each other.
MAX_DEPTH: Final = 32
#: What a job may be given by name. Where one of these follows in a bare value, a comma was forgotten.
FIELDS: Final = (
    *("id", "command", "max_retries", "max-retries", "timeout", "env", "cwd"),
    *("priority", "run_at", "run-at", "delay", "held"),
    *("base", "max_delay", "max-delay", "jitter", "on_crash", "on-crash"),
    *("success_codes", "success-codes", "retry_codes", "retry-codes", "fatal_codes", "fatal-codes"),
)
CURLY_QUOTES: Final = "“”‘’"
CURLY_FIX: Final = "is a curly quote: use ' or \""
CLOSER: Final = {"{": "}", "[": "]"}

# `key:` as it may follow a comma. `http://`, `std::` and `C:\` belong to a command.
_COLON = r"\s*:(?!//|[:\\])"
_LABEL = rf"""(?:[^\W\d][\w.-]*|"(?:[^"\\]++|\\.)*+"|'[^']*'){_COLON}"""
_LABEL_HERE = pattern(_LABEL)
#: A blank and the label of a field: what betrays a forgotten comma in ``j command: x``.
_FIELD = rf"""\s(?=(["']?(?:{"|".join(FIELDS)})["']?{_COLON}))"""
FIELD_LABEL: Final = pattern(_FIELD)
# Where a bare value ends or has to be looked at. No part scans the same text twice (a label ends at the next comma or
# quote), so that searching stays linear.
_STOP_IN = {
    "{": pattern(rf"""[{{}}\[\]"'\\{CURLY_QUOTES}]|,(?=\s*(?:{_LABEL}|[}}\]]))|{_FIELD}"""),
    "[": pattern(rf"""[{{}}\[\],"'\\{CURLY_QUOTES}]"""),
}
_ESCAPABLE = "\"'\\{}[]"
_BARE_KEY = pattern(rf"""[^\s,:{{}}\[\]"'{CURLY_QUOTES}]+""")
_BLANKS = pattern(r"\s*")
_COMMA = pattern(r"\s*,?\s*")
_BARE_OBJECT = pattern(r"\{\s*[^\s\"}]")
_QUOTE_OR_BACKSLASH = pattern(r'["\\]')
_ESCAPE = pattern(r'\\u[0-9A-Fa-f]{4}|\\["\\/bfnrt]|\\|"')
_SURROGATE = pattern("[\ud800-\udfff]")
_MAYBE_SURROGATE = pattern(r"\\u[dD][89a-fA-F]")
_SURROGATES = pattern(r"\\[^u]|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F]..)", re.DOTALL)
_ATOM = pattern(r'"(?:[^"\\]|\\.)*"|[-\d][-+.\deE]*', re.DOTALL)  # of strict JSON: a string, a number
_NOT_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})
# A failed try at strict JSON costs time in proportion to its *offset* (the json module counts lines), hence the limit.
_MAX_FAILED_TRIES = 50


def parse(text: str) -> Any:
    """Return the one value that *text* is; raise ``SyntaxProblem`` otherwise."""
    reader = Reader(text)
    value, end = reader.read(reader.skip_blanks(0))
    reader.check_end(end)
    return value


def parse_many(text: str) -> list[tuple[Any, int]]:
    """Return each value with its offset: those of an array, or objects one after another."""
    return [(value, offset) for value, offset, _ in Reader(text).entries()]


def excerpt(text: str, limit: int = 40) -> str:
    """Return the beginning of *text* as it can be shown in a message: one line, no control characters."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:limit])
    return shown + "…" if len(text) > limit else shown


def check_text(text: str) -> None:
    """Raise ``SyntaxProblem`` where *text* holds a NUL or is no valid Unicode (bytes that were not UTF-8)."""
    message, offset = "a NUL byte: remove it", text.find("\0")
    if offset < 0:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            message, offset = "bytes that are not UTF-8: save the text as UTF-8", error.start
    if offset >= 0:
        raise SyntaxProblem(message, text=text, offset=offset)


class Reader:
    """One text, read value by value."""

    def __init__(self, text: str) -> None:
        check_text(text)
        self.text = text
        self._failed_tries = 0
        self._places: dict[Any, tuple[int, int]] = {}

    def entries(self, start: int = 0) -> Iterator[tuple[Any, int, int]]:
        """Yield value, offset and the offset to go on from, for each object from *start*, or each value of an array."""
        pos = self.skip_blanks(start)
        if self.text.startswith("[", pos):
            yield from self._array_entries(pos)
            return
        while pos < len(self.text):
            if self.text[pos] != "{":
                self._refuse_here(pos, None)
            value, end = self.read(pos)
            end = self._skip(_COMMA, end)
            yield value, pos, end
            pos = end

    def _array_entries(self, opener: int) -> Iterator[tuple[Any, int, int]]:
        pos = self.skip_blanks(opener + 1)
        while not self.text.startswith("]", pos):
            value, end = self.read(pos, opener)
            end = self._after_value(end, opener)
            yield value, pos, end
            pos = end
        self.check_end(pos + 1)

    def read(self, offset: int, opener: int | None = None) -> tuple[Any, int]:
        """Return the value at *offset* and where it ends; *opener* is the place of the array it is in, if any."""
        # Here, because it loads the json module: most programs never come here.
        from queuectl.strict import VALUE, Refused

        depth = 0 if opener is None else 1
        if _BARE_OBJECT.match(self.text, offset):
            return self._value(offset, opener, depth)
        # Within an array a scalar may be the beginning of bare text (`5 apples`).
        is_whole = opener is None or self.text[offset : offset + 1] in CLOSER
        if not is_whole or self._failed_tries >= _MAX_FAILED_TRIES:
            value, end = self._value(offset, opener, depth)
            try:
                strict, length = VALUE.raw_decode(self.text[offset:end])
            except (ValueError, RecursionError):
                return value, end
            return (strict if length == end - offset else value), end
        try:
            value, end = VALUE.raw_decode(self.text, offset)
        except Refused as refused:
            self._value(offset, opener, depth)  # knows the place of everything but a number
            self._refuse_number("".join(refused.args), offset)
        except (ValueError, RecursionError):
            self._failed_tries += 1
            return self._value(offset, opener, depth)
        brackets = self.text.count("{", offset, end) + self.text.count("[", offset, end)
        if brackets + depth > MAX_DEPTH or _MAYBE_SURROGATE.search(self.text, offset, end):
            self._value(offset, opener, depth)  # refuses what the json module lets pass
        return value, end

    def places(self, offset: int) -> dict[str, tuple[int, int]]:
        """Return where each name and its value begin in the (readable) object at *offset*."""
        self._places = {}
        self._value(offset, None, 0)
        return self._places

    def skip_blanks(self, pos: int) -> int:
        """Return the offset of the first character from *pos* that is not blank."""
        return self._skip(_BLANKS, pos)

    def _skip(self, what: re.Pattern[str], pos: int) -> int:
        match = what.match(self.text, pos)
        return match.end() if match else pos

    def check_end(self, pos: int) -> None:
        """Raise ``SyntaxProblem`` unless nothing follows *pos*."""
        pos = self.skip_blanks(pos)
        if pos < len(self.text):
            self.refuse(f"`{excerpt(self.text[pos:])}` after the end: remove it, or put all in one array", pos)

    def refuse(self, message: str, offset: int) -> NoReturn:
        """Raise ``SyntaxProblem`` for this text."""
        raise SyntaxProblem(message, text=self.text, offset=offset)

    # Each of these takes the place where its part begins, and returns it and where it ends; MAX_DEPTH bounds recursion.

    def _value(self, pos: int, opener: int | None, depth: int) -> tuple[Any, int]:
        match self.text[pos : pos + 1]:
            case "{" | "[":
                return self._container(pos, depth)
            case '"':
                return self._double_quoted(pos)
            case "'":
                return self._single_quoted(pos)
        if opener is None:
            self._refuse_here(pos, None)
        return self._bare(pos, opener, depth)

    def _container(self, opener: int, depth: int) -> tuple[dict[str, Any] | list[Any], int]:
        self._check_depth(opener, depth)
        closer = CLOSER[self.text[opener]]
        found: dict[Any, Any] = {}  # by number, if an array
        pos = self.skip_blanks(opener + 1)
        while not self.text.startswith(closer, pos):
            key, value_at = self._key(pos, opener) if closer == "}" else (len(found), pos)
            if key in found:
                self.refuse(f"`{excerpt(str(key))}` is given twice: remove one", pos)
            if depth == 0:
                self._places[key] = (pos, value_at)
            found[key], end = self._value(value_at, opener, depth + 1)
            pos = self._after_value(end, opener)
        return (found if closer == "}" else list(found.values())), pos + 1

    def _key(self, pos: int, opener: int) -> tuple[Any, int]:
        """Return the key and where its value begins."""
        if match := _BARE_KEY.match(self.text, pos):
            key, end = match[0], match.end()
        elif self.text.startswith(("'", '"'), pos):
            key, end = self._value(pos, opener, 0)
        elif self.text.startswith((",", ":"), pos):
            self.refuse("a name is missing here: write {id: job1, command: …}", pos)
        else:
            self._refuse_here(pos, opener)
        colon = self.skip_blanks(end)
        if colon == len(self.text):
            self._refuse_open(opener)
        if self.text[colon] != ":":
            self.refuse(f"a `:` is missing after `{excerpt(key)}`: write {{id: job1, command: …}}", colon)
        return key, self.skip_blanks(colon + 1)

    def _double_quoted(self, opener: int) -> tuple[str, int]:
        from queuectl.strict import STRING  # here, as in ``read``

        try:
            value, end = STRING.raw_decode(self.text, opener)
        except ValueError:
            self._refuse_string(opener)
        if _SURROGATE.search(value):
            lone = next(match for match in _SURROGATES.finditer(self.text, opener, end) if match[1])
            self.refuse(f"`{lone[1]}` is half a character: write both halves, or the character itself", lone.start())
        return value, end

    def _single_quoted(self, opener: int) -> tuple[str, int]:
        end = self.text.find("'", opener + 1)
        if end < 0:
            self._refuse_open(opener)
        return self.text[opener + 1 : end], end + 1

    def _bare(self, start: int, opener: int, depth: int) -> tuple[str, int]:
        """Read bare text. Quotes in it hide what they hold, as they will in the shell that runs it."""
        text = self.text
        search = _STOP_IN[text[opener]].search
        openers = [opener]
        char, pos = "", start
        while match := search(text, pos):
            pos = match.start()
            char = text[pos]
            if char in "\"'":
                pos = self._end_of_quoted(pos)
            elif char == "\\":
                pos += 2 if text[pos + 1 : pos + 2] in _ESCAPABLE else 1
            elif char in "{[":
                self._check_depth(pos, depth + len(openers) - 1)
                openers.append(pos)
                pos += 1
            elif len(openers) == 1 or char in CURLY_QUOTES:
                break
            else:  # within brackets a comma or a label is text
                if char in "}]" and CLOSER[text[openers.pop()]] != char:
                    self._refuse_here(pos, opener)
                pos += 1
        else:
            self._refuse_open(openers[-1])
        if char not in (",", CLOSER[text[opener]]):
            self._refuse_here(self.skip_blanks(pos), opener)
        value = text[start:pos].rstrip()
        if not value or value[0] == ",":
            self.refuse("a value is missing here: add it, or remove the comma or the name before it", start)
        if value in _NOT_NUMBERS:
            self.refuse(f'{value} is no number: write a number, or "{value}" for the text', start)
        return value, pos

    def _end_of_quoted(self, opener: int) -> int:
        if self.text[opener] == "'":
            return self._single_quoted(opener)[1]
        pos = opener + 1
        while match := _QUOTE_OR_BACKSLASH.search(self.text, pos):
            if match[0] == '"':
                return match.end()
            pos = match.end() + 1
        self._refuse_open(opener)

    def _after_value(self, pos: int, opener: int) -> int:
        """Return the place of the next member, or of the closing bracket."""
        end = self._skip(_COMMA, pos)
        if not self.text.startswith(CLOSER[self.text[opener]], end) and "," not in self.text[pos:end]:
            self._refuse_here(end, opener)
        return end

    # What is wrong, in words.

    def _check_depth(self, opener: int, depth: int) -> None:
        if depth >= MAX_DEPTH:
            self.refuse(f"nested more than {MAX_DEPTH} deep: put the whole value in quotes", opener)

    def _refuse_here(self, pos: int, opener: int | None) -> NoReturn:
        """Refuse what stands at *pos*, in the object or array that began at *opener*."""
        char = self.text[pos : pos + 1]
        shown = f"`{excerpt(self.text[pos:])}`" if char else "nothing"
        if char and char in CURLY_QUOTES:
            self.refuse(f"{char} {CURLY_FIX}", pos)
        if char and char in "}]":
            self.refuse(f"`{char}` closes nothing here: remove it, or put the value it is in in quotes", pos)
        if opener is None:
            self.refuse(f'{shown} begins no job: write {{id: job1, command: "echo Hello"}}', pos)
        if not char:
            self._refuse_open(opener)
        label = _LABEL_HERE.match(self.text, pos)
        if self.text[opener] == "{" and label:
            self.refuse(f"a comma is missing before `{excerpt(label[0])}`: add it, or put the value in quotes", pos)
        if self.text[opener] == "[" and char in "{[\"'":
            self.refuse(f"a comma is missing before `{char}`: add it", pos)
        self.refuse(f"{shown} after the end of the value: put the whole value in quotes", pos)

    def _refuse_open(self, opener: int) -> NoReturn:
        char = self.text[opener]
        fix = f"add `{CLOSER[char]}`" if char in CLOSER else "close it, or put the whole value in the other quotes"
        self.refuse(f"this {char} is never closed: {fix}", opener)

    def _refuse_string(self, opener: int) -> NoReturn:
        """Refuse a "…" that does not end, or holds an escape that JSON does not know."""
        found = next((m for m in _ESCAPE.finditer(self.text, opener + 1) if m[0] in {"\\", '"'}), None)
        if found is None or found.end() == len(self.text):
            self._refuse_open(opener)
        escape = excerpt(self.text[found.start() : found.start() + 2])
        fix = "write ' alone" if escape == "\\'" else f"write `\\{escape}` for a backslash"
        what = "takes four hex digits" if escape == "\\u" else 'is no escape in "…"'
        self.refuse(f"`{escape}` {what}: {fix}, or use '…'", found.start())

    def _refuse_number(self, literal: str, start: int) -> NoReturn:
        offset = next((match.start() for match in _ATOM.finditer(self.text, start) if match[0] == literal), start)
        self.refuse(f'`{excerpt(literal)}` is no number that can be kept: write a smaller one, or "…" for text', offset)
