"""What a measurement says: figures, each with the target it has, if any. Measures nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Note = Callable[[str], None]  #: hears how far a measurement is


@dataclass(frozen=True)
class Target:
    """The bound of a figure."""

    bound: float
    is_least: bool  #: whether the figure may only be above it

    def is_met(self, value: float) -> bool:
        """Whether *value*, as it is shown, keeps to the bound."""
        shown = float(number(value))
        return shown >= self.bound if self.is_least else shown <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {self.bound:g}"


def at_least(bound: float) -> Target:
    """Return the target of a figure that is the better the higher."""
    return Target(bound, is_least=True)


def at_most(bound: float) -> Target:
    """Return the target of a figure that is the better the lower."""
    return Target(bound, is_least=False)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number: of *samples*, the median or what else *subject* says."""

    subject: str
    value: float
    unit: str
    samples: Sequence[float]
    beside: str = ""  #: what a ratio is a ratio to
    target: Target | None = None

    @property
    def verdict(self) -> str:
        """Whether the target is met, in words."""
        if self.target is None:
            return ""
        return "met" if self.target.is_met(self.value) else "not met"


def number(value: float) -> str:
    """Return *value* with as many digits as are worth reading."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


class Result(Protocol):
    """What a measurement has found."""

    @property
    def title(self) -> str:
        """What was measured."""
        ...

    def figures(self) -> list[Figure]:
        """Return what it says, the most important first."""
        ...

    def details(self) -> list[tuple[str, ...]]:
        """Return the rows of a table behind the figures, the first of which is its head; none if there is no more."""
        ...

    def raw(self) -> Mapping[str, Sequence[float]]:
        """Return every single measured value."""
        ...


class Measurement(Protocol):
    """Something to be measured."""

    @property
    def title(self) -> str:
        """What is measured."""
        ...

    def run(self, note: Note) -> Result:
        """Measure it."""
        ...
