"""What a person may have meant by an id that no job has."""

from contextlib import suppress
from itertools import islice

from queuectl.commands.context import Context
from queuectl.errors import JobNotFound, QueueCtlError
from queuectl.stores import holds_queue

_MOST = 5000  # ids that are compared: more would take longer than it helps


def is_job(word: str, context: Context) -> bool:
    """Whether *word* is the id of a job, as far as that is found out in no time."""
    with suppress(QueueCtlError, OSError):
        if holds_queue(context.folder) and context.is_small:
            return bool(context.store.job(word))
    return False


def explain(error: JobNotFound, context: Context) -> str:
    """Return the message of *error*, with the nearest id there is, that of an unfinished job first."""
    wanted = vars(error).get("id")
    # The error stands, whatever becomes of the hint.
    with suppress(QueueCtlError, OSError):
        if isinstance(wanted, str) and context.is_small:
            jobs = sorted(context.store.jobs(), key=lambda job: job.state.is_final)
            import difflib

            near = difflib.get_close_matches(wanted, [job.id for job in islice(jobs, _MOST)], n=1)
            if near:
                return f'No job "{wanted}": did you mean "{near[0]}"? "list" shows all jobs.'
    return error.message
