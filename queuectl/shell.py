"""Commands from a person at a terminal: prompt, history, and what the keys do.

The only module that knows prompt_toolkit; what a line means is decided elsewhere.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from queuectl.commands.context import Context
from queuectl.commands.line import report, rest, run_line
from queuectl.errors import ExitCode, UsageError
from queuectl.tokens import LineAssembler, needs_more

GREETING = "Welcome to QueueCTL shell. Type 'exit' to quit."
PROMPT = "queuectl> "
CONTINUATION = "     ...> "


def run_shell(context: Context) -> int:
    """Ask for commands and run them until ``exit`` or Ctrl-D; return 0, for each command has said how it ended.

    Ctrl-C drops the line that is being typed, or ends the running command.
    """
    print(GREETING, flush=True)
    ask = _plain_ask if os.environ.get("TERM", "") in ("", "dumb") else _rich_ask(context.folder / "history")
    while not context.is_leaving:
        # A person may take hours to type the next line: meanwhile the files are everything.
        rest(context)
        try:
            for command in _commands(ask()):
                if run_line(command, context) == ExitCode.INTERRUPTED or context.is_leaving:
                    break
        except KeyboardInterrupt:
            continue
        except EOFError:
            break
        except UsageError as error:
            report(error, context)
    return ExitCode.OK


def _commands(text: str) -> Iterator[str]:
    """Yield the commands in *text*: one as a rule, several when lines were pasted."""
    assembler = LineAssembler()
    for line in text.split("\n"):
        command = assembler.feed(line)
        if command is not None:
            yield command
    if assembler.is_open:
        yield assembler.take()


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


def _rich_ask(history: Path) -> Callable[[], str]:
    """Return what asks at a full terminal, with the lines of earlier sessions at hand."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.application import get_app
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory

    class PrivateHistory(FileHistory):
        """Lines in a file; one that begins with a blank is not kept."""

        def append_string(self, string: str) -> None:
            if not string.startswith(" "):
                super().append_string(string)

        def store_string(self, string: str) -> None:
            with suppress(OSError):  # a full disk is no reason to refuse the command
                super().store_string(string)

    lines: History = PrivateHistory(str(history)) if _make_private(history) else InMemoryHistory()
    session: PromptSession[str] = PromptSession(
        PROMPT,
        history=lines,
        enable_history_search=True,
        multiline=Condition(lambda: needs_more(get_app().current_buffer.text)),
        prompt_continuation=CONTINUATION,
    )
    return session.prompt


def _make_private(file: Path) -> bool:
    """Make *file* one that only its owner may read, for commands may hold secrets; return whether that was possible."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC, 0o600))
        file.chmod(0o600)
    except OSError:
        return False
    return True
