"""The commands about the dead letter queue."""

from collections.abc import Iterator

import click

from queuectl.commands import advice
from queuectl.commands.context import Context
from queuectl.commands.declare import Group, Number, reads
from queuectl.commands.results import DeadTable, JobsPurged, JobsRevived, Result
from queuectl.commands.selection import ask, is_all, number, unique
from queuectl.completion import job_ids
from queuectl.job import State


@click.group("dlq", cls=Group, examples=("dlq list", "dlq retry job2", "dlq purge --all --yes"))
def dlq() -> None:
    """List, retry or purge the jobs that have no attempt left."""


@dlq.command("list", examples=("dlq list", "dlq list --json"))
@click.option("--limit", type=Number(min=0), help="At most this many jobs.")
@reads
@click.pass_obj
def list_dead(context: Context, limit: int | None) -> Result:
    """List the dead jobs, each with its last error.

    Of a Python exception the name is shown; "show ID" and "logs ID" tell all.
    """
    context.rescue()
    jobs = context.store.jobs([State.DEAD], limit=limit)
    if not jobs:
        context.notify("There are no dead jobs.")
    context.advise(lambda: advice.on_dead_list(jobs))
    return DeadTable(jobs)


@dlq.command("retry", examples=("dlq retry job2", "dlq retry --all"))
@click.argument("ids", metavar="[ID...]", nargs=-1, shell_complete=job_ids(State.DEAD))
@click.option("--all", "takes_all", is_flag=True, help="All dead jobs.")
@click.pass_obj
def retry(context: Context, ids: tuple[str, ...], takes_all: bool) -> Result:
    """Put dead jobs back into the queue.

    They wait at its end, with no attempt counted.
    """
    revived = context.store.revive(_chosen(ids, takes_all, "retry"), now=context.now())
    if not revived:
        context.notify("There are no dead jobs.")
    context.advise(lambda: advice.after_adding(context, [job.id for job in revived]))
    return JobsRevived(revived)


@dlq.command("purge", examples=("dlq purge job2", "dlq purge --all --yes"))
@click.argument("ids", metavar="[ID...]", nargs=-1, shell_complete=job_ids(State.DEAD))
@click.option("--all", "takes_all", is_flag=True, help="All dead jobs.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask; needed for --all where nobody can be asked.")
@click.pass_obj
def purge(context: Context, ids: tuple[str, ...], takes_all: bool, yes: bool) -> Iterator[Result]:
    """Forget dead jobs for good."""
    chosen = _chosen(ids, takes_all, "purge")
    if chosen is None and not yes:
        ask(
            context,
            "dlq purge --all",
            does="forgets every dead job",
            question=lambda: _question(context),
            refusal="Nothing was purged.",
        )
    purged = context.store.purge(chosen)
    failure = context.forget_output(purged)
    if not purged:
        context.notify("There are no dead jobs.")
    yield JobsPurged(purged)
    if failure is not None:
        raise failure


def _chosen(ids: tuple[str, ...], takes_all: bool, verb: str) -> list[str] | None:
    """Return the ids that are meant, None for all."""
    hint = '"dlq list" shows the dead jobs.'
    return None if is_all(ids, takes_all, command=f"dlq {verb}", hint=hint) else unique(ids)


def _question(context: Context) -> str | None:
    count = context.store.counts()[State.DEAD]
    return f"Forget {number(count, 'dead job')} for good?" if count else None
