"""The commands ``hold`` and ``release``."""

from collections.abc import Callable

import click

from queuectl.commands.context import Context
from queuectl.commands.declare import Command
from queuectl.commands.results import JobsHeld, JobsReleased, Result
from queuectl.commands.selection import act_on_all, is_all, unique
from queuectl.completion import WAITING, job_ids
from queuectl.job import Job

_Verb = Callable[[list[str]], list[Job]]


@click.command("hold", cls=Command, examples=("hold job1 job2", "hold --all"))
@click.argument("ids", metavar="[ID...]", nargs=-1, shell_complete=job_ids(*WAITING, held=False))
@click.option("--all", "takes_all", is_flag=True, help="All jobs that wait.")
@click.pass_obj
def hold(context: Context, ids: tuple[str, ...], takes_all: bool) -> Result:
    """Keep waiting jobs from being run until they are released: all that are named, or none.

    They keep their state and their place. A job can be enqueued like that: "enqueue --hold".
    """
    context.rescue()
    return JobsHeld(_apply(context, "hold", ids, takes_all, lambda ids: context.store.hold(ids, now=context.now())))


@click.command("release", cls=Command, examples=("release job1 job2", "release --all"))
@click.argument("ids", metavar="[ID...]", nargs=-1, shell_complete=job_ids(*WAITING, held=True))
@click.option("--all", "takes_all", is_flag=True, help="All jobs that are held.")
@click.pass_obj
def release(context: Context, ids: tuple[str, ...], takes_all: bool) -> Result:
    """Let held jobs run again: all that are named, or none."""
    return JobsReleased(
        _apply(context, "release", ids, takes_all, lambda ids: context.store.release(ids, now=context.now()))
    )


def _apply(context: Context, name: str, ids: tuple[str, ...], takes_all: bool, verb: _Verb) -> list[Job]:
    if not is_all(ids, takes_all, command=name, hint='"list" shows the jobs.'):
        return verb(unique(ids))
    chosen = [job.id for job in context.store.jobs(WAITING) if job.held == (name == "release")]
    if not chosen:
        context.notify(f"There is nothing to {name}.")
    return act_on_all(chosen, verb)
