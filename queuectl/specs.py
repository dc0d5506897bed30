"""What ``enqueue`` is given, as checked job specs: JSON in any layout, relaxed JSON, or plain commands.

Pure. Typed decoding takes the bulk at its own speed; what it does not take is read with care, which also finds the
place and the words for an error. Whether an id is taken is for the store to say.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Final, NoReturn

import msgspec
from msgspec import Meta

from queuectl import relaxed
from queuectl.errors import DuplicateId, SyntaxProblem, UsageError
from queuectl.fields import (
    MAX_BASE,
    MAX_COMMAND,
    MAX_RETRIES,
    MAX_TIMEOUT_S,
    Wrong,
    read_codes,
    read_command,
    read_cwd,
    read_env,
    read_held,
    read_id,
    read_max_retries,
    read_number,
    read_on_crash,
    read_priority,
    read_start,
    read_timeout_s,
    read_wait_s,
    refuse,
    shown,
)
from queuectl.job import ID_PATTERN, OnCrash
from queuectl.later import later, pattern

#: What a whole job, as ``jobs.json`` has it, says beyond what a new one can be given.
IGNORED_FIELDS: Final = (
    *("state", "status", "attempts", "crashes", "created_at", "updated_at", "started_at", "finished_at"),
    *("exit_code", "error", "cancel_requested", "worker", "claim", "seq", "first_seq", "earlier_attempts"),
)

_NOTHING: Final[Mapping[str, Any]] = {}
_FIELDS = {name: name.replace("-", "_") for name in relaxed.FIELDS}
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
    env: dict[str, str] | None = None  # as most have none, and in a large batch each empty one would count
    cwd: Annotated[str, Meta(min_length=1)] | None = None

    def more(self) -> Mapping[str, Any]:
        """Return the fields of a job that few jobs have, by their names there: those that were given."""
        return _NOTHING


class FullSpec(JobSpec, frozen=True, kw_only=True):
    """A job that says more than most do. *run_at* is a time as a job has it."""

    priority: int | None = None
    run_at: str | None = None
    held: bool | None = None
    base: float | None = None
    max_delay: float | None = None
    jitter: float | None = None
    success_codes: tuple[int, ...] | None = None
    retry_codes: tuple[int, ...] | None = None
    fatal_codes: tuple[int, ...] | None = None
    on_crash: OnCrash | None = None

    def more(self) -> Mapping[str, Any]:
        """Return the fields of a job that few jobs have."""
        return {name: value for name in _MORE if (value := getattr(self, name)) is not None}


class _Reading(msgspec.Struct):
    """What reading needs to know, and what it comes across: names that do not count in a new job."""

    now: datetime
    ignored: set[str] = msgspec.field(default_factory=set)


class SpecBatch(msgspec.Struct, frozen=True):
    """The jobs of one ``enqueue``, all or nothing, and what the user should be told."""

    specs: list[JobSpec]
    notices: list[str]


_Scalar = str | int | float | bool | None
_Object = dict[str, _Scalar | dict[str, _Scalar] | list[_Scalar]]


def read_specs(text: str, *, allow_plain: bool, now: datetime) -> SpecBatch:
    """Return the jobs in *text*; *allow_plain*, as for a file: they may be plain commands, one a line.

    *now* is when a wait or a time of day in them begins to count.

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
    reading = _Reading(now)
    specs = _read_in_bulk(text[start:], reading)
    if specs is None:
        specs = _CarefulReader(text, start, reading, is_file=allow_plain).read()
    _check_ids(specs)
    return SpecBatch(specs, _notices(reading.ignored))


def spec_from_options(*, now: datetime, **fields: Any) -> JobSpec:
    """Return the job that *fields*, as options give them, describe, checked like one that is read.

    Raises ``UsageError`` with the option that is wrong.
    """
    try:
        return _build(fields, _Reading(now))
    except Wrong as wrong:
        raise UsageError(wrong.args[0], option=f"--{wrong.args[1].replace('_', '-')}") from None


def completed(spec: JobSpec, defaults: JobSpec) -> JobSpec:
    """Return *spec* with what it does not say itself from *defaults*."""
    said, others = (
        {name: value for name in each.__struct_fields__ if (value := getattr(each, name)) is not None}
        for each in (spec, defaults)
    )
    fields = dict.fromkeys(JobSpec.__struct_fields__) | others | said
    if spec.env and defaults.env:
        fields["env"] = defaults.env | spec.env
    return _spec(fields)


def _check_ids(specs: list[JobSpec]) -> None:
    named = [spec.id for spec in specs if spec.id is not None]
    if len(set(named)) == len(named):
        return
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
                specs.append(JobSpec(command=read_command(command)))
            if _OBJECT_BEGINS.match(command):
                refuse("a job among plain commands: put jobs and plain commands into files of their own")
        except Wrong as wrong:
            message = f"line {number}: {wrong.args[0]}"
            raise SyntaxProblem(message, text=text, offset=offset + line.index(command)) from None
        offset += len(line) + 1
    return specs


def _read_in_bulk(text: str, reading: _Reading) -> list[JobSpec] | None:
    """Return the jobs, or ``None`` unless all of it is strict JSON and right: then it has to be read with care."""
    is_array = text.startswith("[")
    for arrays, lines, build in _BULK_READERS:
        trial = _Reading(reading.now)
        with suppress(msgspec.MsgspecError, ValueError, OverflowError, RecursionError, Wrong):
            values = arrays.decode(text) if is_array else lines.decode_lines(text)
            specs = [build(value, trial) for value in values]
            if _repeats_no_name(text, values):
                reading.ignored |= trial.ignored
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

    def __init__(self, text: str, start: int, reading: _Reading, *, is_file: bool) -> None:
        self._text, self._start, self._reading, self._is_file = text, start, reading, is_file
        self._reader = relaxed.Reader(text)
        self._specs: list[JobSpec] = []

    def read(self) -> list[JobSpec]:
        pos, end = self._start, len(self._text)
        is_array = self._text.startswith("[", pos)
        while pos < end:
            newline = -1 if is_array else self._text.find("\n", pos + _LINES_AT_ONCE)
            stop = end if newline < 0 else newline + 1
            is_whole = pos == self._start and stop == end  # which has been tried
            specs = None if is_whole else _read_in_bulk(self._text[pos:stop], self._reading)
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
                self._specs.append(_build(value, self._reading))
            except Wrong as wrong:
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


def _build(fields: Any, reading: _Reading) -> JobSpec:
    """Return the job that *fields*, as they were read, describe."""
    if not isinstance(fields, dict):
        refuse(f"{shown(fields)} is no job: write {{id: job1, command: …}}")
    given: dict[str, Any] = {}
    for name, value in fields.items():
        field = _FIELDS.get(name)
        if field in given:
            refuse(f"{field} is given twice: remove one", name, is_name=True)
        if field is not None:
            given[field] = None if value == "null" and field not in _TEXTS else value
        elif name in IGNORED_FIELDS:
            reading.ignored.add(name)
        else:
            refuse(_unknown(name), name, is_name=True)
    usual = {
        "id": read_id(given.get("id")),
        "command": read_command(given.get("command")),
        "max_retries": read_max_retries(given.get("max_retries")),
        "timeout": read_timeout_s(given.get("timeout")),
        "env": read_env(given.get("env")),
        "cwd": read_cwd(given.get("cwd")),
    }
    more = {
        "priority": read_priority(given.get("priority")),
        "run_at": read_start(given.get("run_at"), given.get("delay"), reading.now),
        "held": read_held(given.get("held")),
        "base": read_number(given.get("base"), "base", MAX_BASE),
        "max_delay": read_wait_s(given.get("max_delay"), "max_delay"),
        "jitter": read_number(given.get("jitter"), "jitter", 1),
        **read_codes(given),
        "on_crash": read_on_crash(given.get("on_crash")),
    }
    return _spec(usual | more)


def _spec(fields: Mapping[str, Any]) -> JobSpec:
    is_full = any(fields.get(name) is not None for name in _MORE)
    return FullSpec(**fields) if is_full else JobSpec(**{name: fields[name] for name in JobSpec.__struct_fields__})


def _unknown(name: str) -> str:
    import difflib

    shown, names = relaxed.excerpt(name), dict.fromkeys(_FIELDS.values())
    near = difflib.get_close_matches(name[:64].lower(), names, n=1)
    fix = f"a job has {', '.join(names)}; a command that holds `{shown}:` has to be in quotes"
    return f'unknown field "{shown}": ' + (f'did you mean "{near[0]}"?' if near else fix)


def _check(spec: JobSpec, _reading: _Reading) -> JobSpec:
    """Check what the types of ``JobSpec`` cannot say."""
    command = spec.command
    if spec.cwd is None and spec.env is None and command.isascii() and command.isprintable() and not command.isspace():
        return spec  # as most are: there is nothing in it that could be wrong
    read_command(command)
    read_env(spec.env)
    read_cwd(spec.cwd)
    return spec


_MORE: Final = tuple(name for name in FullSpec.__struct_fields__ if name not in JobSpec.__struct_fields__)

# Jobs in strict JSON with each field as it is kept; then whole jobs, and fields in their other forms.
_BULK_READERS: Final[tuple[tuple[Any, Any, Callable[[Any, _Reading], JobSpec]], ...]] = (
    (later(lambda: msgspec.json.Decoder(list[JobSpec])), later(lambda: msgspec.json.Decoder(JobSpec)), _check),
    (later(lambda: msgspec.json.Decoder(list[_Object])), later(lambda: msgspec.json.Decoder(_Object)), _build),
)
