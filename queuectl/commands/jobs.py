"""The commands about jobs in the queue: list, show, logs, cancel, remove."""

import difflib

import click

from queuectl.commands.context import Context
from queuectl.commands.declare import Command, reads
from queuectl.commands.results import JobDetails, JobOutput, JobsCancelled, JobsRemoved, JobTable, Result
from queuectl.completion import UNFINISHED, job_ids, states
from queuectl.errors import QueueCtlError, UsageError
from queuectl.job import State

SYNONYMS = {"processing": State.IN_PROGRESS, "running": State.IN_PROGRESS}


def read_states(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[State]:
    """Return the states that an option names, in one value or several: a callback for click."""
    known = {str(state): state for state in State} | SYNONYMS
    states = []
    for word in ",".join(values).split(",") if values else ():
        name = word.strip().lower().replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"the states are {', '.join(State)}."
            msg = f'no state "{word}": {hint}'
            raise click.BadParameter(msg, ctx, param)
        states.append(known[name])
    return states


@click.command(
    "list",
    cls=Command,
    examples=("list", "list --state pending,failed", "list --state running --limit 10 --json"),
)
@click.option(
    "--state",
    "states",
    metavar="STATE",
    callback=read_states,
    multiple=True,
    shell_complete=states,
    help="Only jobs in this state; repeat it, or separate by commas.",
)
@click.option("--limit", type=click.IntRange(min=0), help="At most this many jobs.")
@reads
@click.pass_obj
def list_jobs(context: Context, states: list[State], limit: int | None) -> Result:
    """List jobs in the order of enqueueing, those of the DLQ too.

    States: pending, in_progress (also "processing" or "running"), completed, failed, dead, cancelled.
    """
    context.rescue()
    jobs = context.store.jobs(states or None, limit=limit)
    if not jobs:
        names = " or ".join(dict.fromkeys(map(str, states)))
        context.notify(f"There are no {names} jobs." if names else "There are no jobs.")
    return JobTable(jobs)


@click.command("show", cls=Command, examples=("show job1", "show job1 --json"))
@click.argument("id", shell_complete=job_ids())
@reads
@click.pass_obj
def show(context: Context, id: str) -> Result:
    """Show all there is to know of one job."""
    context.rescue()
    return JobDetails(context.store.job(id))


@click.command("logs", cls=Command, examples=("logs job1", "logs job1 --attempt 2"))
@click.argument("id", shell_complete=job_ids(*(set(State) - {State.PENDING})))
@click.option("--attempt", type=int, help="Which attempt, counted from 1; the last one if not given.")
@reads
@click.pass_obj
def logs(context: Context, id: str, attempt: int | None) -> Result:
    """Print what an attempt of a job has written.

    Its standard output goes to standard output, its standard error to standard error: unchanged into a pipe or file,
    with control characters made visible at a terminal.
    """
    job = context.store.job(id)
    if job.attempts == 0:
        msg = f'Job "{id}" has not run yet: it has no output.'
        raise QueueCtlError(msg, id=id)
    if attempt is not None and not 1 <= attempt <= job.attempts:
        last = "its only attempt is 1" if job.attempts == 1 else f"its attempts are 1 to {job.attempts}"
        msg = f'Job "{id}" has no attempt {attempt}: {last}.'
        raise UsageError(msg, id=id, attempt=attempt)
    # Here, because no other command needs to know where output is kept.
    from queuectl import logs as log_files

    chosen = attempt or job.attempts
    stdout, stderr = log_files.output_paths(context.folder, job, chosen)
    return JobOutput(id=id, attempt=chosen, stdout=stdout, stderr=stderr)


@click.command("cancel", cls=Command, examples=("cancel job1", "cancel job1 job2"))
@click.argument("ids", metavar="ID...", nargs=-1, required=True, shell_complete=job_ids(*UNFINISHED))
@click.pass_obj
def cancel(context: Context, ids: tuple[str, ...]) -> Result:
    """Cancel jobs that wait or run: all that are named, or none.

    A running command is ended by its worker at once.
    """
    context.rescue()
    return JobsCancelled(context.store.cancel(unique(ids), now=context.now()))


@click.command("remove", cls=Command, examples=("remove job1", "remove job1 job2"))
@click.argument(
    "ids",
    metavar="ID...",
    nargs=-1,
    required=True,
    shell_complete=job_ids(*(set(State) - {State.IN_PROGRESS})),
)
@click.pass_obj
def remove(context: Context, ids: tuple[str, ...]) -> Result:
    """Remove jobs that wait or have ended: all that are named, or none.

    A running job has to be cancelled first. "delete" does the same.
    """
    context.rescue()
    removed = context.store.remove(unique(ids))
    context.forget_output(removed)
    return JobsRemoved(removed)


def unique(ids: tuple[str, ...]) -> list[str]:
    """Return *ids* in their order, each once."""
    return list(dict.fromkeys(ids))
