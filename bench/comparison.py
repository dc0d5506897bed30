"""Paired timing: all sides of a comparison run in turns, and only ratios within one round are compared.

Knows nothing of what is measured.
"""

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum


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


@dataclass(frozen=True)
class Ratio:
    """The ratios of all rounds: one of ours to one of the others."""

    ours: Side
    other: Side
    each: Sequence[float]

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.each)


@dataclass(frozen=True)
class Measured:
    """What a comparison took: the seconds of each side, a value a round."""

    comparison: Comparison
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def ratios(self) -> list[Ratio]:
        """Return each of ours beside each of the others."""
        return [self._ratio(ours, other) for ours in self.comparison.ours for other in self.comparison.others]

    def median_s(self, side: Side) -> float:
        """Return the median of the seconds of *side*."""
        return statistics.median(self.seconds[side.name])

    def _ratio(self, ours: Side, other: Side) -> Ratio:
        pairs = zip(self.seconds[ours.name], self.seconds[other.name], strict=True)
        if self.comparison.measure is Measure.RATE:
            return Ratio(ours, other, [other_s / ours_s for ours_s, other_s in pairs])
        return Ratio(ours, other, [ours_s / other_s for ours_s, other_s in pairs])


def run(comparison: Comparison, note: Callable[[str], None]) -> Measured:
    """Measure *comparison*: after one round that does not count, all sides in turns; *note* hears of each round."""
    measured = Measured(comparison, {side.name: [] for side in comparison.sides})
    for number in range(comparison.rounds + 1):
        times = {side.name: _time(side) for side in comparison.sides}
        if number:
            for name, seconds in times.items():
                measured.seconds[name].append(seconds)
        place = f"round {number} of {comparison.rounds}" if number else "warm-up"
        note(f"{comparison.title}, {place}: {' / '.join(f'{seconds:.3f}' for seconds in times.values())} s")
    return measured


def _time(side: Side) -> float:
    # Nobody is to pay for what the one before him has left to be written.
    os.sync()
    return side.run()
