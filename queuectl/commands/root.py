"""All commands together: what the first word of a line may be."""

import click

from queuectl.commands.completion_script import completion
from queuectl.commands.config import config
from queuectl.commands.context import Context, Mode
from queuectl.commands.declare import Group
from queuectl.commands.dlq import dlq
from queuectl.commands.doctor import doctor
from queuectl.commands.enqueue import enqueue
from queuectl.commands.jobs import cancel, list_jobs, logs, remove, show
from queuectl.commands.service import service
from queuectl.commands.session import leave, show_help, source
from queuectl.commands.status import status
from queuectl.commands.wait import wait
from queuectl.commands.workers import worker

_KEYS = (
    ("Tab, →", "complete a word; take the suggestion from the history"),
    ("↑, Ctrl-R", "earlier lines that begin like this one; search in all of them"),
    ("F1, ?", "help on the command, option or id at the cursor"),
    ("Ctrl-C, Ctrl-D", "drop the line, or end the running command; leave, while workers go on"),
    ("st", "a name may be cut short: this is status"),
    ("!CMD", "run a command of the system's shell now, not as a job"),
    ("a leading space", "keeps a line out of the history"),
)
_LEAVING = frozenset({"exit", "quit"})


class _Root(Group):
    """The commands, less those that mean nothing where no session is to be left."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as help lists them here."""
        context = ctx.find_object(Context)
        hidden = _LEAVING if context is not None and context.mode is Mode.ONE_SHOT else frozenset()
        return [name for name in super().list_commands(ctx) if name not in hidden]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and, for who sits at a prompt, what its keys do."""
        super().format_epilog(ctx, formatter)
        context = ctx.find_object(Context)
        if context is not None and context.mode is Mode.SHELL:
            with formatter.section("At the prompt"):
                formatter.write_dl(_KEYS)


root = _Root(
    "queuectl",
    help="Run shell commands in the background: enqueue them, start workers, look at what became of them.",
    examples=("enqueue '{id: job1, command: \"echo Hello\"}'", "worker start --count 2", "status"),
    subcommand_metavar="COMMAND [ARGS]...",
)
for _name, _command in (
    ("enqueue", enqueue),
    ("list", list_jobs),
    ("show", show),
    ("logs", logs),
    ("status", status),
    ("wait", wait),
    ("cancel", cancel),
    ("remove", remove),
    ("delete", remove),
    ("dlq", dlq),
    ("worker", worker),
    ("config", config),
    ("doctor", doctor),
    ("source", source),
    ("service", service),
    ("completion", completion),
    ("help", show_help),
    ("exit", leave),
    ("quit", leave),
):
    root.add_command(_command, _name)
