"""The command ``status``."""

import click

from queuectl.commands.context import Context
from queuectl.commands.declare import Command, reads
from queuectl.commands.results import Result, StatusReport


@click.command("status", cls=Command, examples=("status", "status --json"))
@reads
@click.pass_obj
def status(context: Context) -> Result:
    """Count the jobs in each state, and the workers.

    The total includes the DLQ.
    """
    context.rescue()
    return StatusReport(context.store.counts(), context.live_pids())
