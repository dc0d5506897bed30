"""Strict JSON, read by the json module, less what that lets pass: names that come twice, and what is no number."""

import json
from typing import Any, NoReturn


class Refused(ValueError):
    """Strict JSON in form, but with a meaning that is refused; *args* is the number in question, if it is one."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused
    return found


def _constant(literal: str) -> NoReturn:
    raise Refused(literal)


def _float(literal: str) -> float:
    value = float(literal)
    return value if abs(value) != float("inf") else _constant(literal)


def _integer(literal: str) -> int:
    try:
        return int(literal)
    except ValueError:  # more digits than Python converts
        _constant(literal)


#: What reads a value; and a string, in which there may be line breaks.
VALUE = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_float, parse_int=_integer)
STRING = json.JSONDecoder(strict=False)
