"""What a person is told of jobs that have ended, above the prompt. Pure: values in, lines out."""

from collections.abc import Sequence
from datetime import datetime

from queuectl import render, times
from queuectl.job import Job, State

FEW = 3  #: of more jobs than this that end at once, one line tells the numbers

_TOLD = {
    "all": frozenset({State.COMPLETED, State.FAILED, State.DEAD, State.CANCELLED}),
    "failures": frozenset({State.FAILED, State.DEAD}),
    "none": frozenset[State](),
}
_MOST_SIGNS = 80  #: of an error


class News:
    """What has not been told yet: some sentences, and how many there would be."""

    def __init__(self) -> None:
        """Begin with nothing to tell."""
        self._sentences: list[str] = []
        self._counts: dict[State, int] = {}

    @property
    def count(self) -> int:
        """How many jobs there is something to tell of."""
        return sum(self._counts.values())

    def add(self, jobs: Sequence[Job], *, notify: str, now: datetime) -> None:
        """Take account of *jobs*, which have just come into their states, as the setting *notify* wants it.

        A job that was cancelled before it ran is no news: somebody has typed that.
        """
        for job in jobs:
            if job.state in _TOLD[notify] and (job.state is not State.CANCELLED or job.attempts):
                self._counts[job.state] = self._counts.get(job.state, 0) + 1
                if len(self._sentences) < FEW:
                    self._sentences.append(_sentence(job, now))

    def lines(self) -> list[str]:
        """Return what to say: a line for each of a few jobs, one for many."""
        if self.count <= FEW:
            return self._sentences
        numbers = ", ".join(f"{self._counts[state]} {state}" for state in State if state in self._counts)
        return [f"{self.count} jobs: {numbers}"]


def _sentence(job: Job, now: datetime) -> str:
    name = f"Job {render.visible(job.id)}"
    error = _cut(job.error or "no reason given")
    match job.state:
        case State.FAILED:
            return f"{name} failed ({error}), next attempt {_until(job, now)}"
        case State.DEAD:
            return f"{name} is dead after {job.attempts} attempt{'s' if job.attempts != 1 else ''}: {error}"
        case State.CANCELLED:
            return f"{name} was cancelled"
    return f"{name} {job.state}"


def _until(job: Job, now: datetime) -> str:
    if job.run_at is None:
        return "now"
    # Whole seconds: it is read by a person.
    seconds = round((times.from_text(job.run_at) - now).total_seconds())
    return f"in {times.format_duration(seconds)}" if seconds > 0 else "now"


def _cut(text: str) -> str:
    shown = render.visible(text)
    return shown if len(shown) <= _MOST_SIGNS else shown[: _MOST_SIGNS - 1] + "…"
