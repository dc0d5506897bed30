"""Values that are made when they are first used: every command would pay for them at its start, and few need them."""

import re
from collections.abc import Callable
from typing import Any, AnyStr, TypeVar, cast

_Value = TypeVar("_Value")


class _Later:
    """Stands for a value; from its first use on, each of its methods costs what it costs there."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Any:
        made = self._make()
        self._make = lambda: made
        found = getattr(made, name)
        setattr(self, name, found)
        return found


def later(make: Callable[[], _Value]) -> _Value:
    """Return what stands for the value that *make* returns, and has all its methods."""
    return cast("_Value", _Later(make))


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what stands for the compiled *text*."""
    return later(lambda: re.compile(text, flags))
