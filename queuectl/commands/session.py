"""The commands about the session itself: help, other scripts, other programs, and leaving."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from queuectl.commands.context import Context
from queuectl.commands.declare import Command, Group
from queuectl.commands.results import Result, Text
from queuectl.completion import command_words
from queuectl.errors import ExitCode, QueueCtlError, UsageError


@click.command("help", cls=Command, examples=("help", "help enqueue", "help worker start"))
@click.argument("command", metavar="[COMMAND...]", nargs=-1, shell_complete=command_words)
@click.pass_context
def show_help(ctx: click.Context, command: tuple[str, ...]) -> Result:
    """List the commands, or explain one."""
    return Text(help_text(ctx.find_root(), command))


def help_text(call: click.Context, words: Iterable[str]) -> str:
    """Return the help for the command that *words* name, below *call*; raise ``UsageError`` if there is none."""
    for name in words:
        group = call.command
        if not isinstance(group, Group):
            msg = f'"{call.command_path.strip()}" has no commands below it.'
            raise UsageError(msg)
        full_name = group.full_name(call, name)
        found = group.commands[full_name]
        call = click.Context(found, info_name=full_name, parent=call, **found.context_settings)
    return call.get_help()


@click.command("source", cls=Command, examples=("source nightly.txt",))
@click.argument("file", metavar="FILE", type=click.Path())
@click.pass_obj
def source(context: Context, file: str) -> None:
    """Run the commands in a file, as if they were typed here.

    It goes on after a command that fails; "exit" in it leaves the shell.
    """
    if context.run_file is None:
        msg = "Commands from a file cannot be run here."
        raise QueueCtlError(msg)
    before = context.sourced, context.line_number
    context.sourced = file
    try:
        exit_code = context.run_file(Path(file))
    finally:
        context.sourced, context.line_number = before
    if exit_code == ExitCode.INTERRUPTED:
        raise click.exceptions.Exit(exit_code)  # it has been said
    if exit_code:
        msg = f'Not all commands in "{file}" went well.'
        raise QueueCtlError(msg)


def run_program(context: Context, command: str) -> int:
    """Run a shell *command* in the foreground, as a line that begins with ``!`` asks for; return the exit code."""
    # Here, because they cost time that other commands can do without.
    import signal
    import subprocess

    if not command:
        msg = 'A shell command belongs behind the "!": !ls -l'
        raise UsageError(msg)
    sys.stdout.flush()
    # Ctrl-C is for the program; a handler, because it would inherit a signal that is ignored.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL if context.reads_script else None,
            env=os.environ | {"QUEUECTL_DATA": str(context.folder)},
            check=False,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    if done.returncode == -signal.SIGINT:
        raise KeyboardInterrupt
    if done.returncode:
        ending = f"exit code {done.returncode}" if done.returncode > 0 else signal.Signals(-done.returncode).name
        msg = f"The command ended with {ending}."
        raise QueueCtlError(msg)
    return ExitCode.OK


@click.command("exit", cls=Command, examples=("exit",))
@click.pass_obj
def leave(context: Context) -> None:
    """Leave the shell, or end the script; workers go on. "quit" does the same."""
    context.leave()
