"""The command ``status``."""

import click

from queuectl.commands import advice
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
    report = StatusReport(context.store.counts(), context.live_pids())
    context.advise(lambda: advice.on_status(report.counts, has_workers=context.has_workers()))
    return report
