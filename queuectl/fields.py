"""What each field of a new job may be, and the words for what it may not.

Pure. Each function returns a value as it is kept, and takes the other forms that people write.
"""

from contextlib import suppress
from typing import Any, Final, NoReturn

from queuectl import relaxed, times
from queuectl.job import ID_PATTERN
from queuectl.later import pattern

#: The longest command, and the longest ``NAME=value`` of an environment, in bytes: Linux passes no longer argument.
MAX_COMMAND: Final = 131_071
MAX_RETRIES: Final = 1_000_000
#: The longest timeout: a year, in seconds.
MAX_TIMEOUT_S: Final = 31_536_000
_ID = pattern(ID_PATTERN)
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
