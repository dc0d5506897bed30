"""The commands about jobs in the queue: list, show, logs, cancel, remove."""

from collections.abc import Callable, Iterator, Sequence

import click

from queuectl.commands import advice
from queuectl.commands.context import Context
from queuectl.commands.declare import Command, Number, reads
from queuectl.commands.results import JobDetails, JobOutput, JobsCancelled, JobsRemoved, JobTable, Result
from queuectl.commands.selection import act_on_all, ask, is_all, number, unique
from queuectl.completion import UNFINISHED, job_ids
from queuectl.completion import states as complete_states
from queuectl.errors import QueueCtlError, UsageError
from queuectl.job import Job, State

Handler = Callable[..., Result | Iterator[Result]]
SYNONYMS = {"processing": State.IN_PROGRESS, "running": State.IN_PROGRESS}


def read_states(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[State]:
    """Return the states that an option names, in one value or several: a callback for click."""
    known = {str(state): state for state in State} | SYNONYMS
    states = []
    for word in ",".join(values).split(",") if values else ():
        name = word.strip().lower().replace("-", "_")
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"the states are {', '.join(State)}."
            msg = f'no state "{word}": {hint}'
            raise click.BadParameter(msg, ctx, param)
        states.append(known[name])
    return states


def _choosing(*possible: State) -> Callable[[Handler], Handler]:
    """Give a command ids of jobs in *possible* states, or all jobs of certain states."""

    def decorate_all(handler: Handler) -> Handler:
        for decorate in (
            click.option("--yes", "-y", is_flag=True, help="Do not ask; needed for --all where nobody can be asked."),
            click.option(
                "--state",
                "states",
                metavar="STATE",
                callback=read_states,
                multiple=True,
                shell_complete=complete_states(*possible),
                help="With --all: only jobs in this state; repeat it, or separate by commas.",
            ),
            click.option("--all", "takes_all", is_flag=True, help="All jobs."),
            click.argument("ids", metavar="[ID...]", nargs=-1, shell_complete=job_ids(*possible)),
        ):
            handler = decorate(handler)
        return handler

    return decorate_all


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
    shell_complete=complete_states(),
    help="Only jobs in this state; repeat it, or separate by commas.",
)
@click.option("--limit", type=Number(min=0), help="At most this many jobs.")
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
        if not states and limit != 0:
            context.advise(lambda: advice.on_status({}, has_workers=False))
    return JobTable(jobs)


@click.command("show", cls=Command, examples=("show job1", "show job1 --json"))
@click.argument("id", shell_complete=job_ids())
@reads
@click.pass_obj
def show(context: Context, id: str) -> Result:
    """Show all there is to know of one job."""
    context.rescue()
    return JobDetails(context.store.job(id))


@click.command("logs", cls=Command, examples=("logs job1", "logs job1 --attempt 2", "logs job1 --raw"))
@click.argument("id", shell_complete=job_ids(*(set(State) - {State.PENDING})))
@click.option("--attempt", type=int, help="Which attempt, counted from 1; the last one if not given.")
@click.option("--raw", "is_raw", is_flag=True, help="Print it unchanged at a terminal, too, with all it may do there.")
@reads
@click.pass_obj
def logs(context: Context, id: str, attempt: int | None, is_raw: bool) -> Result:
    """Print what an attempt of a job has written.

    Its standard output goes to standard output, its standard error to standard error: unchanged into a pipe or file,
    with control characters made visible at a terminal (unless it is --raw).
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
    stdout, stderr = log_files.open_outputs(context.store, context.folder, job, chosen)
    return JobOutput(id=id, attempt=chosen, stdout=stdout, stderr=stderr, is_raw=is_raw)


@click.command(
    "cancel", cls=Command, examples=("cancel job1 job2", "cancel --all", "cancel --all --state failed --yes")
)
@_choosing(*UNFINISHED)
@click.pass_obj
def cancel(context: Context, ids: tuple[str, ...], takes_all: bool, states: list[State], yes: bool) -> Result:
    """Cancel jobs that wait or run: all that are named, or none.

    A running command is ended by its worker at once.
    """
    context.rescue()

    def act(chosen: list[str]) -> list[Job]:
        return context.store.cancel(chosen, now=context.now())

    if not _means_all("cancel", ids, takes_all, states):
        return JobsCancelled(act(unique(ids)))
    possible = [state for state in State if not state.is_final]
    chosen = _agreed(context, "cancel", _within("cancel", possible, states), yes, past="cancelled")
    return JobsCancelled(act_on_all(chosen, act))


@click.command("remove", cls=Command, examples=("remove job1 job2", "remove --all", "remove --all --state completed"))
@_choosing(*(set(State) - {State.IN_PROGRESS}))
@click.pass_obj
def remove(context: Context, ids: tuple[str, ...], takes_all: bool, states: list[State], yes: bool) -> Iterator[Result]:
    """Remove jobs that wait or have ended: all that are named, or none.

    A running job has to be cancelled first; --all leaves it. "delete" does the same.
    """
    context.rescue()
    if _means_all("remove", ids, takes_all, states):
        possible = [state for state in State if state is not State.IN_PROGRESS]
        chosen = _agreed(context, "remove", _within("remove", possible, states), yes, past="removed")
        removed = act_on_all(chosen, context.store.remove)
    else:
        removed = context.store.remove(unique(ids))
    failure = context.forget_output(removed)
    yield JobsRemoved(removed)
    if failure is not None:
        raise failure


def _means_all(verb: str, ids: tuple[str, ...], takes_all: bool, states: list[State]) -> bool:
    if states and not takes_all:
        msg = f'--state goes with --all: "{verb} --all --state {states[0]}".'
        raise UsageError(msg)
    return is_all(ids, takes_all, command=verb, hint='"list" shows the jobs.')


def _within(verb: str, possible: Sequence[State], states: Sequence[State]) -> Sequence[State]:
    """Return those of *states* (all that are *possible*, if there are none); raise for one that is not possible."""
    for state in states:
        if state not in possible:
            words = "are running: cancel them first" if state is State.IN_PROGRESS else "have ended"
            msg = f'"{verb}" is not for jobs that are {state}: they {words}.'
            raise UsageError(msg)
    return states or possible


def _agreed(context: Context, verb: str, states: Sequence[State], yes: bool, *, past: str) -> list[str]:
    """Return the ids of all jobs in *states*, once a person has agreed or has said *yes* beforehand."""
    found: list[str] = []

    def question() -> str | None:
        found.extend(job.id for job in context.store.jobs(states))
        kind = f"{states[0]} job" if len(states) == 1 else "job"
        return f"{verb.capitalize()} {number(len(found), kind)}?" if found else None

    if yes:
        question()
    else:
        ask(context, f"{verb} --all", does=f"{verb}s every job", question=question, refusal=f"Nothing was {past}.")
    if not found:
        context.notify(f"There is nothing to {verb}.")
    return found
