"""The commands about the session itself: help, and leaving."""

import click

from queuectl.commands.context import Context
from queuectl.commands.declare import Command, UnknownCommand
from queuectl.commands.results import Result, Text
from queuectl.errors import UsageError


@click.command("help", cls=Command, examples=("help", "help enqueue", "help worker start"))
@click.argument("command", metavar="[COMMAND...]", nargs=-1)
@click.pass_context
def show_help(ctx: click.Context, command: tuple[str, ...]) -> Result:
    """List the commands, or explain one."""
    call = ctx.find_root()
    for name in command:
        group = call.command
        if not isinstance(group, click.Group):
            msg = f'"{call.command_path.strip()}" has no commands below it.'
            raise UsageError(msg)
        found = group.get_command(call, name)
        if found is None:
            raise UnknownCommand(name, group.list_commands(call), call)
        call = click.Context(found, info_name=name, parent=call, **found.context_settings)
    return Text(call.get_help())


@click.command("exit", cls=Command, examples=("exit",))
@click.pass_obj
def leave(context: Context) -> None:
    """Leave the shell, or end the script; workers go on. "quit" does the same."""
    context.leave()
