"""What is not a comparison: milliseconds, megabytes and the like, looked at once or many times."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.figures import Figure, Note, Target, number


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Figures that *look* finds."""

    title: str
    look: Callable[[Note], list[Figure]]

    def run(self, note: Note) -> "Surveyed":
        """Look."""
        surveyed = Surveyed(self.title, self.look(note))
        note(f"{self.title}: {', '.join(f'{number(one.value)} {one.unit}' for one in surveyed.found)}")
        return surveyed


@dataclass(frozen=True)
class Surveyed:
    """What was found."""

    title: str
    found: list[Figure]

    def figures(self) -> list[Figure]:
        """Return all."""
        return self.found

    def details(self) -> list[tuple[str, ...]]:
        """Return nothing: the figures are everything."""
        return []

    def raw(self) -> Mapping[str, Sequence[float]]:
        """Return the samples of each figure."""
        return {figure.subject: figure.samples for figure in self.found}


def median(subject: str, samples: Sequence[float], unit: str, target: Target | None = None) -> Figure:
    """Return the figure in the middle of *samples*."""
    return Figure(subject=subject, value=statistics.median(samples), unit=unit, samples=samples, target=target)


def percentile(subject: str, samples: Sequence[float], share: float, unit: str, target: Target | None = None) -> Figure:
    """Return the figure below which *share* of *samples* lie."""
    ordered = sorted(samples)
    value = ordered[min(len(ordered) - 1, int(share * len(ordered)))]
    return Figure(subject=subject, value=value, unit=unit, samples=samples, target=target)
