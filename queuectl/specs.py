"""What ``enqueue`` is given, as checked job specs: JSON in any layout, relaxed JSON, or plain commands.

Pure. Typed decoding takes the bulk at its own speed; what it does not take is read with care, which also finds the
place and the words for an error. Whether an id is taken is for the store to say.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any, Final, NoReturn

import msgspec
from msgspec import Meta

from queuectl import relaxed, times
from queuectl.errors import DuplicateId, SyntaxProblem, UsageError
from queuectl.job import ID_PATTERN
from queuectl.later import later, pattern

#: The longest command, and the longest ``NAME=value`` of an environment, in bytes: Linux passes no longer argument.
MAX_COMMAND: Final = 131_071
MAX_RETRIES: Final = 1_000_000
MAX_TIMEOUT_S: Final = 31_536_000  #: a year
#: What a whole job, as ``jobs.json`` has it, says beyond what a new one can be given.
IGNORED_FIELDS: Final = (
    *("state", "status", "attempts", "crashes", "created_at", "updated_at", "started_at", "finished_at", "run_at"),
    *("exit_code", "error", "cancel_requested", "worker", "claim", "seq", "first_seq", "earlier_attempts"),
)

_FIELDS = {name: name.replace("-", "_") for name in relaxed.FIELDS}
_ID = pattern(ID_PATTERN)
_INTEGER = pattern(r"[+-]?[0-9]{1,20}")
_MAX_DURATION_TEXT = 40  # times.parse_duration_s takes the square of the length
_TEXTS = ("id", "command", "cwd")  # elsewhere the word null, which relaxed JSON keeps as text, means not given
_JSON_BEGINS = pattern(r"(?:\s++|#[^\n]*+)*+(?P<quote>'?)\s*(?P<bracket>[{\[])")  # after any comments
_OBJECT_BEGINS = pattern(r"""\{\s*["']?[\w-]+["']?\s*:""")
_LINES_AT_ONCE, _VALUES_AT_ONCE = 256 * 1024, 10_000  # characters; objects


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What a new job is to be. *timeout* is in seconds; ``None`` means that the settings decide."""

    id: Annotated[str, Meta(pattern=rf"\A{ID_PATTERN}\Z")] | None = None
    command: Annotated[str, Meta(min_length=1, max_length=MAX_COMMAND)]
    max_retries: Annotated[int, Meta(ge=0, le=MAX_RETRIES)] | None = None
    timeout: Annotated[float, Meta(gt=0, le=MAX_TIMEOUT_S)] | None = None
    env: dict[str, str] = {}
    cwd: Annotated[str, Meta(min_length=1)] | None = None


class SpecBatch(msgspec.Struct, frozen=True):
    """The jobs of one ``enqueue``, all or nothing, and what the user should be told."""

    specs: list[JobSpec]
    notices: list[str]


_Scalar = str | int | float | bool | None
_Object = dict[str, _Scalar | dict[str, _Scalar]]


class _Wrong(Exception):
    """Raised with message, field, and whether its name is meant, not its value; who reads the text knows the place."""


def _refuse(message: str, field: str = "", *, is_name: bool = False) -> NoReturn:
    raise _Wrong(message, field, is_name)


def read_specs(text: str, *, allow_plain: bool) -> SpecBatch:
    """Return the jobs in *text*; *allow_plain*, as for a file: they may be plain commands, one a line.

    Raise ``UsageError`` (where there is a place, a ``SyntaxProblem``) for the first thing that is wrong, and
    ``DuplicateId`` for an id that is given twice.
    """
    text = text.removeprefix("\ufeff")
    begin = _JSON_BEGINS.match(text)
    if begin is None and allow_plain:
        return SpecBatch(_read_plain(text), [])
    if not text or text.isspace():
        message = "no job is given: write enqueue '{id: job1, command: \"echo Hello\"}'"
        raise UsageError(message)
    if begin and begin["quote"]:  # cmd.exe, which has no single quotes, leaves a pair of them round the jobs
        begin, text = (begin, text.rstrip()[:-1]) if text.rstrip().endswith("'") else (None, text)
    start = begin.start("bracket") if begin else 0
    ignored: set[str] = set()
    specs = _read_in_bulk(text[start:], ignored)
    if specs is None:
        specs = _CarefulReader(text, start, ignored, is_file=allow_plain).read()
    _check_ids(specs)
    return SpecBatch(specs, _notices(ignored))


def spec_from_options(
    *,
    command: str,
    id: str | None = None,
    max_retries: int | str | None = None,
    timeout: float | str | None = None,
    env: dict[str, str] | None = None,
    cwd: str | None = None,
) -> JobSpec:
    """Return the job that options describe, checked like one that was read; raise ``UsageError``."""
    fields = {"id": id, "command": command, "max_retries": max_retries, "timeout": timeout, "env": env, "cwd": cwd}
    try:
        return _build(fields, set())
    except _Wrong as wrong:
        raise UsageError(wrong.args[0], option=f"--{wrong.args[1].replace('_', '-')}") from None


def _check_ids(specs: list[JobSpec]) -> None:
    numbers: dict[str | None, int] = {}
    for number, spec in enumerate(specs, 1):
        first = numbers.setdefault(spec.id, number)
        if first != number and spec.id is not None:
            message = f'entries {first} and {number} have the same id "{spec.id}": give each its own'
            raise DuplicateId(message, id=spec.id, positions=(first, number))


def _notices(ignored: set[str]) -> list[str]:
    names = ", ".join(name for name in IGNORED_FIELDS if name in ignored)
    verb = "are" if "," in names else "is"
    return [f"{names} {verb} ignored: a new job starts as pending"] if names else []


def _read_plain(text: str) -> list[JobSpec]:
    relaxed.check_text(text)
    specs: list[JobSpec] = []
    offset = 0
    for number, line in enumerate(text.split("\n"), 1):
        command = line.strip()
        try:
            if command and command[0] != "#":
                specs.append(JobSpec(command=_command(command)))
            if _OBJECT_BEGINS.match(command):
                _refuse("a job among plain commands: put jobs and plain commands into files of their own")
        except _Wrong as wrong:
            message = f"line {number}: {wrong.args[0]}"
            raise SyntaxProblem(message, text=text, offset=offset + line.index(command)) from None
        offset += len(line) + 1
    return specs


def _read_in_bulk(text: str, ignored: set[str]) -> list[JobSpec] | None:
    """Return the jobs, or ``None`` unless all of it is strict JSON and right: then it has to be read with care."""
    is_array = text.startswith("[")
    for arrays, lines, build in _BULK_READERS:
        found: set[str] = set()
        with suppress(msgspec.MsgspecError, ValueError, OverflowError, RecursionError, _Wrong):
            values = arrays.decode(text) if is_array else lines.decode_lines(text)
            specs = [build(value, found) for value in values]
            if _repeats_no_name(text, values):
                ignored |= found
                return specs
    return None


def _repeats_no_name(text: str, values: Sequence[Any]) -> bool:
    """Whether no object in *text* had a name twice, of which msgspec keeps the last in *values*.

    Written anew, they have as many double quotes as *text* unless a name was dropped.
    """
    if "\\\\u0022" in text:  # an escaped backslash, or a quote written as an escape? Rare enough for the careful way
        return False
    quotes = text.count('"') + text.count("\\u0022")
    parts = (values[begin : begin + _VALUES_AT_ONCE] for begin in range(0, len(values), _VALUES_AT_ONCE))
    return quotes == sum(msgspec.json.encode(part).count(b'"') for part in parts)


class _CarefulReader:
    """Reads entry by entry what is not all strict and right; long runs of lines that are, still in bulk."""

    def __init__(self, text: str, start: int, ignored: set[str], *, is_file: bool) -> None:
        self._text, self._start, self._ignored, self._is_file = text, start, ignored, is_file
        self._reader = relaxed.Reader(text)
        self._specs: list[JobSpec] = []

    def read(self) -> list[JobSpec]:
        pos, end = self._start, len(self._text)
        is_array = self._text.startswith("[", pos)
        while pos < end:
            newline = -1 if is_array else self._text.find("\n", pos + _LINES_AT_ONCE)
            stop = end if newline < 0 else newline + 1
            is_whole = pos == self._start and stop == end  # which has been tried
            specs = None if is_whole else _read_in_bulk(self._text[pos:stop], self._ignored)
            self._specs += specs or []
            pos = stop if specs is not None else self._read_entries(pos, stop)
        return self._specs

    def _read_entries(self, pos: int, stop: int) -> int:
        """Read the entries that begin before *stop*; return where the next one begins."""
        entries = self._reader.entries(pos)
        while pos < stop:
            try:
                entry = next(entries, None)
            except SyntaxProblem as problem:
                self._fail(problem.message, problem.offset, is_one_of_many=False)
            if entry is None:
                return len(self._text)
            value, offset, pos = entry
            try:
                self._specs.append(_build(value, self._ignored))
            except _Wrong as wrong:
                message, field, is_name = wrong.args
                places = self._reader.places(offset) if isinstance(value, dict) else {}
                place = places.get(field) or places.get(field.replace("_", "-")) or (offset, offset)
                is_one_of_many = self._text[pos : pos + 1] not in ("", "]")
                self._fail(message, place[0 if is_name else 1], is_one_of_many=is_one_of_many)
        return pos

    def _fail(self, message: str, offset: int, *, is_one_of_many: bool) -> NoReturn:
        number = len(self._specs) + 1
        if number > 1 or is_one_of_many:
            message = f"entry {number}: {message}"
        elif self._is_file and not _OBJECT_BEGINS.search(self._text, self._start):
            message += " (a file that begins with { or [ is read as JSON)"
        raise SyntaxProblem(message, text=self._text, offset=offset) from None


def _build(fields: Any, ignored: set[str]) -> JobSpec:
    """Return the job that *fields*, as they were read, describe; add to *ignored* the names that do not count."""
    if not isinstance(fields, dict):
        _refuse(f"{_shown(fields)} is no job: write {{id: job1, command: …}}")
    given: dict[str, Any] = {}
    for name, value in fields.items():
        field = _FIELDS.get(name)
        if field in given:
            _refuse(f"{field} is given twice: remove one", name, is_name=True)
        if field is not None:
            given[field] = None if value == "null" and field not in _TEXTS else value
        elif name in IGNORED_FIELDS:
            ignored.add(name)
        else:
            _refuse(_unknown(name), name, is_name=True)
    return JobSpec(
        id=_id(given.get("id")),
        command=_command(given.get("command")),
        max_retries=_max_retries(given.get("max_retries")),
        timeout=_timeout_s(given.get("timeout")),
        env=_env(given.get("env")),
        cwd=_cwd(given.get("cwd")),
    )


def _unknown(name: str) -> str:
    import difflib

    shown, names = relaxed.excerpt(name), dict.fromkeys(_FIELDS.values())
    near = difflib.get_close_matches(name[:64].lower(), names, n=1)
    fix = f"a job has {', '.join(names)}; a command that holds `{shown}:` has to be in quotes"
    return f'unknown field "{shown}": ' + (f'did you mean "{near[0]}"?' if near else fix)


def _shown(value: object) -> str:
    import json

    return relaxed.excerpt(f'"{value}"' if isinstance(value, str) else json.dumps(value))


def _checked(value: str, field: str, what: str) -> str:
    """Return *value* if a program can be given it."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        size = -1
    if 0 <= size <= MAX_COMMAND and "\0" not in value:
        return value
    shown = relaxed.excerpt(what) + (" in env" if field == "env" else "")
    if size < 0:
        _refuse(f"{shown} holds bytes that are not UTF-8: write it in UTF-8", field)
    if "\0" in value:
        _refuse(f"{shown} holds a NUL: remove it", field)
    _refuse(f"{shown} has {size} bytes, of {MAX_COMMAND} possible: put it into a file and run that", field)


def _id(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and _ID.fullmatch(value)):
        return value
    fix = "use up to 255 letters, digits and . _ : @ -, the first a letter or digit"
    if not isinstance(value, str):
        fix = "put it in quotes"
    elif label := relaxed.FIELD_LABEL.search(value):
        fix = f"a comma is missing before `{label[1]}`"
    _refuse(f"{_shown(value)} cannot be an id: {fix}", "id")


def _command(value: Any) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        _refuse('the command is missing: add command: "echo Hello"', "command")
    if not isinstance(value, str):
        _refuse(f"the command has to be text, not {_shown(value)}: put it in quotes", "command")
    return _checked(value, "command", "the command")


def _max_retries(value: Any) -> int | None:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_RETRIES):
        return value
    _refuse(f"max_retries has to be a whole number from 0 to {MAX_RETRIES}, not {_shown(value)}", "max_retries")


def _timeout_s(value: Any) -> float | None:
    if value is None:
        return None
    seconds = value
    if isinstance(value, str) and len(value) <= _MAX_DURATION_TEXT:
        with suppress(ValueError):
            seconds = times.parse_duration_s(value)
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds <= MAX_TIMEOUT_S:
        return float(seconds)
    _refuse(f"timeout has to be over 0 and at most a year, as in 90, 30s or 1h30m, not {_shown(value)}", "timeout")


def _env(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        _refuse(f"env has to be an object like {{NAME: value}}, not {_shown(value)}", "env")
    env: dict[str, str] = {}
    for name, content in value.items():
        if not name or "=" in name:
            _refuse(f"{_shown(name)} cannot name a variable: a name is not empty and has no =", "env")
        if type(content) not in (str, int, float):
            _refuse(f"{relaxed.excerpt(name)} in env has to be text, not {_shown(content)}: put it in quotes", "env")
        env[name] = str(content)
        _checked(f"{name}={content}", "env", name)
    return env


def _cwd(value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        _refuse(f"cwd has to be the path of a directory, not {_shown(value)}", "cwd")
    return value if value is None else _checked(value, "cwd", "cwd")


def _check(spec: JobSpec, _ignored: set[str]) -> JobSpec:
    """Check what the types of ``JobSpec`` cannot say."""
    _command(spec.command)
    _env(spec.env)
    _cwd(spec.cwd)
    return spec


# Jobs in strict JSON with each field as it is kept; then whole jobs, and fields in their other forms.
_BULK_READERS: Final[tuple[tuple[Any, Any, Callable[[Any, set[str]], JobSpec]], ...]] = (
    (later(lambda: msgspec.json.Decoder(list[JobSpec])), later(lambda: msgspec.json.Decoder(JobSpec)), _check),
    (later(lambda: msgspec.json.Decoder(list[_Object])), later(lambda: msgspec.json.Decoder(_Object)), _build),
)
