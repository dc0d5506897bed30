"""All commands together: what the first word of a line may be."""

import click

from queuectl.commands.context import Context, Mode
from queuectl.commands.declare import Group, Places

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
    commands=Places(
        __package__,
        {
            "enqueue": "enqueue.enqueue",
            "list": "jobs.list_jobs",
            "show": "jobs.show",
            "logs": "jobs.logs",
            "status": "status.status",
            "wait": "wait.wait",
            "cancel": "jobs.cancel",
            "remove": "jobs.remove",
            "delete": "jobs.remove",
            "hold": "holding.hold",
            "release": "holding.release",
            "dlq": "dlq.dlq",
            "worker": "workers.worker",
            "config": "config.config",
            "doctor": "doctor.doctor",
            "source": "session.source",
            "service": "service.service",
            "completion": "completion_script.completion",
            "help": "session.show_help",
            "exit": "session.leave",
            "quit": "session.leave",
        },
    ),
)
