"""How tests wait: for a condition, with a deadline, never for time to pass."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def until(
    condition: Callable[[], _T | None], deadline_s: float = 30.0, *, what: str = "", longest_s: float = 0.05
) -> _T:
    """Return the first true value of *condition*; fail if there is none in time. It is asked each *longest_s*."""
    end = time.monotonic() + deadline_s
    pause_s = min(0.001, longest_s)
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {deadline_s:g} s in vain{' for ' if what else ''}{what}"
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.3, longest_s)
    return value
