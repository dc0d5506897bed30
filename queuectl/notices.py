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


def tell(jobs: Sequence[Job], *, notify: str, now: datetime) -> list[str]:
    """Return what to say of *jobs*, which have just come into their states, as the setting *notify* wants it.

    A job that was cancelled before it ran is no news: somebody has typed that.
    """
    ended = [job for job in jobs if job.state in _TOLD[notify] and (job.state is not State.CANCELLED or job.attempts)]
    if len(ended) <= FEW:
        return [_sentence(job, now) for job in ended]
    numbers = [(state, sum(job.state is state for job in ended)) for state in State]
    return [f"{len(ended)} jobs: " + ", ".join(f"{count} {state}" for state, count in numbers if count)]


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
