"""What to type next, said to a person at a terminal once a command has answered.

On standard error, and only where somebody reads it: never in a pipe or script.
``$QUEUECTL_HINTS=0`` keeps it quiet. It must not cost what a command costs.
"""

from collections.abc import Mapping, Sequence

from queuectl.commands.context import Context
from queuectl.job import Job, State

_FIRST_JOB = "this adds a job: enqueue '{id: job1, command: \"echo Hello\"}'"


def after_adding(context: Context, ids: Sequence[str]) -> str | None:
    """Say what makes jobs run that now wait."""
    if not ids:
        return None
    if not context.has_workers():
        return idle(count(context))
    one = ids[0]
    if not context.is_first("one added" if len(ids) == 1 else "many added"):
        return None
    return f'"wait {one}" waits for its end, "logs {one}" shows its output.' if len(ids) == 1 else _watching()


def after_starting(context: Context) -> str | None:
    """Say how to follow workers that have just started."""
    counts = count(context)
    return _watching() if counts is None or any(counts.values()) else f"The queue is empty; {_FIRST_JOB}"


def after_stopping(context: Context) -> str | None:
    """Say what is left to do when no worker runs any more."""
    counts = count(context)
    return idle(counts) if counts is None or _waiting(counts) else None


def after_max_retries(context: Context) -> str | None:
    """Say which jobs a new number of attempts is not for."""
    counts = count(context)
    is_late = counts is not None and any(counts[state] for state in State if not state.is_final)
    return "Jobs that are in the queue already keep theirs." if is_late else None


def on_status(counts: Mapping[State, int], *, has_workers: bool) -> str | None:
    """Say what the state of the queue asks for."""
    if not any(counts.values()):
        return f"The queue is empty; {_FIRST_JOB}"
    if _waiting(counts) and not has_workers:
        return idle(counts)
    return on_dead(counts.get(State.DEAD, 0))


def on_dead(count: int) -> str | None:
    """Say what can be done about *count* dead jobs."""
    return f'{count} dead: "dlq list" shows why, "dlq retry --all" tries again.' if count else None


def on_dead_list(jobs: Sequence[Job]) -> str | None:
    """Say what can be done about the dead *jobs* that are listed."""
    if not jobs:
        return None
    last = jobs[-1].id
    return f'"show {last}" and "logs {last}" tell more, "dlq retry {last}" tries again.'


def on_ended(jobs: Sequence[Job]) -> str | None:
    """Say what can be done about those of *jobs* that have died."""
    return on_dead(sum(job.state is State.DEAD for job in jobs))


def idle(counts: Mapping[State, int] | None) -> str:
    """Say that nobody works on what waits (None: it was not counted)."""
    if counts is None:
        return 'No worker is running: "worker start"'
    waits = f"{_waiting(counts)} {'waiting' if counts.get(State.FAILED) else 'pending'}"
    return f'{waits}, no worker is running: "worker start"'


def count(context: Context) -> dict[State, int] | None:
    """Return how many jobs are in each state, None if counting would take its time."""
    return context.store.counts() if context.is_small else None


def _waiting(counts: Mapping[State, int]) -> int:
    return sum(counts.get(state, 0) for state in State if state.is_waiting)


def _watching() -> str:
    return '"status" shows how it goes, "wait" waits for the end, "logs ID" shows the output of a job.'
