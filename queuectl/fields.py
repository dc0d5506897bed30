"""What each field of a new job may be, and the words for what it may not.

Pure. Each function returns a value as it is kept, and takes the other forms that people write.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NoReturn

from queuectl import relaxed, times
from queuectl.job import ID_PATTERN, MAX_PRIORITY, OnCrash
from queuectl.later import pattern

#: The longest command, and the longest ``NAME=value`` of an environment, in bytes: Linux passes no longer argument.
MAX_COMMAND: Final = 131_071
MAX_RETRIES: Final = 1_000_000
MAX_BASE: Final = 3600
#: The longest timeout: a year, in seconds.
MAX_TIMEOUT_S: Final = 31_536_000
_ID = pattern(ID_PATTERN)
_DECIMAL = pattern(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_CODE_RANGE = pattern(r"([0-9]{1,3})(?:-([0-9]{1,3}))?")
_CODES = ("success_codes", "retry_codes", "fatal_codes")
_INTEGER = pattern(r"[+-]?[0-9]{1,20}")
_MAX_DURATION_TEXT = 40  # times.parse_duration_s takes the square of the length


class Wrong(Exception):
    """Raised with message, field, and whether its name is meant, not its value; who reads the text knows the place."""


def refuse(message: str, field: str = "", *, is_name: bool = False) -> NoReturn:
    raise Wrong(message, field, is_name)


def shown(value: object) -> str:
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
        refuse(f"{shown} holds bytes that are not UTF-8: write it in UTF-8", field)
    if "\0" in value:
        refuse(f"{shown} holds a NUL: remove it", field)
    refuse(f"{shown} has {size} bytes, of {MAX_COMMAND} possible: put it into a file and run that", field)


def read_id(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and _ID.fullmatch(value)):
        return value
    fix = "use up to 255 letters, digits and . _ : @ -, the first a letter or digit"
    if not isinstance(value, str):
        fix = "put it in quotes"
    elif label := relaxed.FIELD_LABEL.search(value):
        fix = f"a comma is missing before `{label[1]}`"
    refuse(f"{shown(value)} cannot be an id: {fix}", "id")


def read_command(value: Any) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        refuse('the command is missing: add command: "echo Hello"', "command")
    if not isinstance(value, str):
        refuse(f"the command has to be text, not {shown(value)}: put it in quotes", "command")
    return _checked(value, "command", "the command")


def read_max_retries(value: Any) -> int | None:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_RETRIES):
        return value
    refuse(f"max_retries has to be a whole number from 0 to {MAX_RETRIES}, not {shown(value)}", "max_retries")


def read_timeout_s(value: Any) -> float | None:
    if value is None:
        return None
    seconds = value
    if isinstance(value, str) and len(value) <= _MAX_DURATION_TEXT:
        with suppress(ValueError):
            seconds = times.parse_duration_s(value)
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds <= MAX_TIMEOUT_S:
        return float(seconds)
    refuse(f"timeout has to be over 0 and at most a year, as in 90, 30s or 1h30m, not {shown(value)}", "timeout")


def read_priority(value: Any) -> int | None:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_PRIORITY):
        return value
    refuse(f"priority has to be a whole number from {-MAX_PRIORITY} to {MAX_PRIORITY}, not {shown(value)}", "priority")


def read_held(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    refuse(f"held is true or false, not {shown(value)}", "held")


def read_number(value: Any, field: str, maximum: float) -> float | None:
    """Return *value*, a number from 0 to *maximum*."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= maximum):
        return value if value is None else float(value)
    refuse(f"{field} has to be a number from 0 to {maximum}, not {shown(value)}", field)


def read_wait_s(value: Any, field: str) -> float | None:
    """Return *value*, a duration, in seconds."""
    seconds = value
    if isinstance(value, str) and len(value) <= _MAX_DURATION_TEXT:
        with suppress(ValueError):
            seconds = times.parse_duration_s(value)
    if value is None or (
        isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds <= MAX_TIMEOUT_S
    ):
        return None if value is None else float(seconds)
    refuse(f"{field} has to be at most a year, as in 90, 10m or 1h30m, not {shown(value)}", field)


def read_codes(given: Mapping[str, Any]) -> dict[str, tuple[int, ...] | None]:
    """Return the lists of exit codes among *given*; no code may be in two of them."""
    found = {field: _read_codes(given.get(field), field) for field in _CODES}
    where: dict[int, str] = {}
    for field, codes in found.items():
        for code in codes or ():
            if where.setdefault(code, field) != field:
                refuse(f"exit code {code} is in {where[code]}, too: keep it in one of them", field)
    return found


def _read_codes(value: Any, field: str) -> tuple[int, ...] | None:
    if value is None:
        return None
    parts = value if isinstance(value, list) else value.split(",") if isinstance(value, str) else [value]
    codes = {code for part in parts for code in _codes_in(part)}
    if codes and all(0 <= code <= 255 for code in codes):
        return tuple(sorted(codes))
    refuse(f"{field} has to be exit codes from 0 to 255, as in 0,3,10-12 or [0, 3], not {shown(value)}", field)


def _codes_in(part: Any) -> range | list[int]:
    """Return the codes that *part*, a number or a text like 3 or 10-12, means; one that there is not if it is none."""
    if isinstance(part, int) and not isinstance(part, bool):
        return [part]
    match = _CODE_RANGE.fullmatch(part.strip()) if isinstance(part, str) else None
    return (range(int(match[1]), int(match[2] or match[1]) + 1) if match else None) or [-1]


def read_on_crash(value: Any) -> OnCrash | None:
    if value is None:
        return None
    if isinstance(value, str) and value.lower() in set(OnCrash):
        return OnCrash(value.lower())
    refuse(f"on_crash is {', '.join(list(OnCrash)[:-1])} or {list(OnCrash)[-1]}, not {shown(value)}", "on_crash")


def read_start(run_at: Any, delay: Any, now: datetime) -> str | None:
    """Return when the job may start, as ``times.to_text`` writes it; None: at once."""
    if run_at is not None and delay is not None:
        refuse("run_at and delay are both given: keep one", "delay", is_name=True)
    if run_at is None and delay is None:
        return None
    from queuectl import moments  # few jobs are for later

    field, value = ("run_at", run_at) if delay is None else ("delay", delay)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and len(value) <= _MAX_DURATION_TEXT:
        with suppress(ValueError):
            return times.to_text(moments.parse(value if delay is None else f"in {value}", now))
    forms = "10m, 18:00, tomorrow 9am, fri 18:00 or 2030-01-31T09:00" if delay is None else "90, 10m or 1h30m"
    refuse(f"{field} has to be a time, at most ten years ahead, as in {forms}, not {shown(value)}", field)


def read_env(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        refuse(f"env has to be an object like {{NAME: value}}, not {shown(value)}", "env")
    env: dict[str, str] = {}
    for name, content in value.items():
        if not name or "=" in name:
            refuse(f"{shown(name)} cannot name a variable: a name is not empty and has no =", "env")
        if type(content) not in (str, int, float):
            refuse(f"{relaxed.excerpt(name)} in env has to be text, not {shown(content)}: put it in quotes", "env")
        env[name] = str(content)
        _checked(f"{name}={content}", "env", name)
    return env


def read_cwd(value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        refuse(f"cwd has to be the path of a directory, not {shown(value)}", "cwd")
    return value if value is None else _checked(value, "cwd", "cwd")
