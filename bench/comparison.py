"""Paired timing: all sides of a comparison run in turns, and only ratios within one round are compared.

Knows nothing of what is measured.
"""

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from bench.figures import Figure, Note, Target, number


class Measure(Enum):
    """What a ratio says of QueueCTL beside something else."""

    RATE = "rate"  #: above 1: more in the same time
    TIME = "time"  #: above 1: takes longer


@dataclass(frozen=True, kw_only=True)
class Side:
    """One way to do the work. *run* does it once, checks the result, and returns the seconds it took."""

    name: str
    records: str  #: what is on the disk afterwards
    run: Callable[[], float]
    items: int | None = None  #: how many things it handles in a run, if not as many as the others
    target: Target | None = None  #: for the ratio to the first of the others, if it is one of ours
    targets: Mapping[str, Target] = field(default_factory=dict)  #: for the ratio to another one, by its name


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The same work done by *ours* and, for comparison, by *others*."""

    title: str
    items: int  #: how many things one run handles
    measure: Measure
    rounds: int
    ours: Sequence[Side]
    others: Sequence[Side]

    @property
    def sides(self) -> list[Side]:
        """All of them, in the order of their turns."""
        return [*self.ours, *self.others]

    def run(self, note: Note) -> "Measured":
        """Measure: after one round that does not count, all sides in turns."""
        measured = Measured(self, {side.name: [] for side in self.sides})
        for turn in range(self.rounds + 1):
            times = {side.name: _time(side) for side in self.sides}
            if turn:
                for name, seconds in times.items():
                    measured.seconds[name].append(seconds)
            place = f"round {turn} of {self.rounds}" if turn else "warm-up"
            note(f"{self.title}, {place}: {' / '.join(f'{seconds:.3f}' for seconds in times.values())} s")
        return measured


@dataclass(frozen=True)
class Measured:
    """What a comparison took: the seconds of each side, a value a round."""

    comparison: Comparison
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What was compared."""
        return self.comparison.title

    def figures(self) -> list[Figure]:
        """Return the ratios of each of ours to each of the others."""
        return [self._figure(ours, other) for ours in self.comparison.ours for other in self.comparison.others]

    def ratios(self, one: Side, other: Side) -> list[float]:
        """Return the ratio of *one* to *other* in each round."""
        per_item = self._each(one), self._each(other)
        if self.comparison.measure is Measure.RATE:
            return [other_s / one_s for one_s, other_s in zip(*per_item, strict=True)]
        return [one_s / other_s for one_s, other_s in zip(*per_item, strict=True)]

    def details(self) -> list[tuple[str, ...]]:
        """Return how long each side took, and what it leaves on the disk."""
        rows: list[tuple[str, ...]] = [("", "median", "that is", "leaves on the disk")]
        for side in self.comparison.sides:
            seconds, items = statistics.median(self.seconds[side.name]), self._items(side)
            rate = f"{items / seconds:,.0f}/s" if items > 1 else ""
            count = f" for {items:,}" if side.items else ""
            time = f"{seconds:.3f} s" if seconds >= 1 else f"{number(seconds * 1000)} ms"
            rows.append((side.name, time + count, rate, side.records))
        return rows

    def raw(self) -> Mapping[str, Sequence[float]]:
        """Return the seconds of each side."""
        return self.seconds

    def _items(self, side: Side) -> int:
        return side.items or self.comparison.items

    def _each(self, side: Side) -> list[float]:
        """Return what one thing took, for each round."""
        return [seconds / self._items(side) for seconds in self.seconds[side.name]]

    def _figure(self, ours: Side, other: Side) -> Figure:
        comparison = self.comparison
        name = f": {ours.name}" if len(comparison.ours) > 1 else ""
        is_first = other is comparison.others[0]
        ratios = self.ratios(ours, other)
        return Figure(
            subject=comparison.title + name,
            value=statistics.median(ratios),
            unit=f"× the {comparison.measure.value} of",
            samples=ratios,
            beside=other.name,
            target=ours.targets.get(other.name, ours.target if is_first else None),
        )


def _time(side: Side) -> float:
    # Nobody is to pay for what the one before him has left to be written.
    os.sync()
    return side.run()
