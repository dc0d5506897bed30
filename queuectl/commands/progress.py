"""How far a command is: one line on standard error, at a terminal only, once it has taken a while."""

import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Self, overload

from queuectl.commands import output
from queuectl.screen import Screen, cut
from queuectl.specs import JobSpec
from queuectl.times import format_duration

PATIENCE_S = 0.5  #: nothing is shown before
_PAUSE_S = 0.2  # between two drawings
_SHARE = 10  # finding out pauses for so many times as long as it has taken
_AT_ONCE = 500  # jobs between two looks at the clock


class Progress:
    """A line that says how much of something is done; it is gone when the block that it is in has ended."""

    def __init__(self, what: str) -> None:
        """Count *what*, such as ``jobs added``."""
        self._what = what
        self._next_s = time.monotonic() + PATIENCE_S
        self._first: tuple[float, int] | None = None
        self._drawn = ""

    @cached_property
    def _screen(self) -> Screen | None:
        """What it is drawn on; most is done before that has to be known."""
        return output.progress_screen()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def is_due(self) -> bool:
        """Whether ``show`` would be of use now; only then it is worth finding out how much is done."""
        return time.monotonic() >= self._next_s and self._screen is not None

    def show(self, done: int, total: int, *, took_s: float = 0.0) -> None:
        """Say that *done* of *total* are done; to find out has taken *took_s*."""
        now = time.monotonic()
        self._next_s = now + max(_PAUSE_S, _SHARE * took_s)
        if self._screen is None:
            return
        if self._first is None or done < self._first[1]:
            self._first = (now, done)
        elapsed_s, since = now - self._first[0], done - self._first[1]
        self._draw(describe(done, total, self._what, since / elapsed_s if elapsed_s else 0.0))

    def announce(self, text: str) -> None:
        """Say at once what is done before anything can be counted."""
        if self._screen is not None:
            self._draw(text)

    def _draw(self, text: str) -> None:
        line = cut(text, ((self._screen.columns if self._screen else None) or 80) - 1)
        if line != self._drawn:
            output.draw_progress(line)
            self._drawn = line

    def clear(self) -> None:
        """Take the line away, because something else is to be said; it comes back with the next ``show``."""
        if self._drawn:
            output.draw_progress("")
            self._drawn = ""

    def count_through(self, specs: Sequence[JobSpec]) -> Sequence[JobSpec]:
        """Return *specs*, whose reader is followed wherever progress would be seen."""
        return specs if len(specs) < _AT_ONCE or self._screen is None else _Followed(specs, self)


def describe(done: int, total: int, what: str, rate: float) -> str:
    """Return ``12/100 jobs ended, 3.4/s, 26s left``, without what is not known yet."""
    parts = [f"{done}/{total} {what}"]
    if rate > 0:
        parts.append(f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 1 else f"{rate * 60:.1f}/min")
        if total > done:
            parts.append(f"{format_duration(max(1, round((total - done) / rate)))} left")
    return ", ".join(parts)


class _Followed(Sequence[JobSpec]):
    """Job specs that note how far they have been read. Each reading begins anew; only slow ones are seen."""

    def __init__(self, specs: Sequence[JobSpec], progress: Progress) -> None:
        self._specs = specs
        self._progress = progress

    def __len__(self) -> int:
        return len(self._specs)

    @overload
    def __getitem__(self, place: int) -> JobSpec: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[JobSpec]: ...
    def __getitem__(self, place: Any) -> Any:
        return self._specs[place]

    def __iter__(self) -> Iterator[JobSpec]:
        total = len(self._specs)
        from_s = time.monotonic() + PATIENCE_S
        for place in range(0, total, _AT_ONCE):
            if self._progress.is_due() and time.monotonic() >= from_s:
                self._progress.show(place, total)
            yield from self._specs[place : place + _AT_ONCE]
