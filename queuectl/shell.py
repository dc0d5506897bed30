"""Commands from a person at a terminal, one after the other, until the person leaves.

What the terminal can do is the business of ``prompt``; what a line means is decided elsewhere.
"""

import os
from collections.abc import Callable
from contextlib import suppress

from queuectl.commands.context import Context
from queuectl.commands.line import report, rest, run_line
from queuectl.errors import ExitCode, QueueCtlError, UsageError
from queuectl.tokens import commands_in, needs_more

GREETING = "Welcome to QueueCTL shell. Type 'exit' to quit."
PROMPT = "queuectl> "
CONTINUATION = "     ...> "


def run_shell(context: Context) -> int:
    """Ask for commands and run them until ``exit`` or Ctrl-D; return 0, for each command has said how it ended.

    Ctrl-C drops the line that is being typed, or ends the running command.
    """
    print(GREETING, flush=True)
    if os.environ.get("TERM", "") in ("", "dumb"):
        _run_commands(context, _plain_ask)
    else:
        # Here, because at a terminal that can do little nothing of it is of use.
        from queuectl.observer import Observer
        from queuectl.prompt import Prompt

        observer = Observer(context.folder)
        context.known_jobs = observer.known_jobs
        try:
            _run_commands(context, Prompt(context, observer).ask)
        finally:
            observer.stop()
    _take_leave(context)
    return ExitCode.OK


def _run_commands(context: Context, ask: Callable[[], str]) -> None:
    while not context.is_leaving:
        # A person may take hours to type the next line: meanwhile the files are everything.
        rest(context)
        try:
            for command in commands_in(ask()):
                if run_line(command, context) == ExitCode.INTERRUPTED or context.is_leaving:
                    break
        except KeyboardInterrupt:
            continue
        except EOFError:
            break
        except UsageError as error:
            report(error, context)


def _take_leave(context: Context) -> None:
    """Say which workers go on."""
    with suppress(QueueCtlError, OSError):
        if pids := context.live_pids():
            workers = "1 worker goes on" if len(pids) == 1 else f"{len(pids)} workers go on"
            context.notify(f'{workers}: "worker stop" stops {"it" if len(pids) == 1 else "them"}.')


def _plain_ask() -> str:
    """Ask where the cursor cannot be moved."""
    try:
        text = input(PROMPT)
        while needs_more(text):
            text += "\n" + input(CONTINUATION)
    except (KeyboardInterrupt, EOFError):
        print(flush=True)  # the keys leave the cursor in the line
        raise
    return text
