"""The program: it finds out how commands arrive, and ends with an exit code."""

import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import click

from queuectl._version import __version__
from queuectl.commands.context import Context, Mode
from queuectl.commands.declare import CONTEXT_SETTINGS, Command
from queuectl.commands.line import report, rest, run_line
from queuectl.commands.root import root
from queuectl.completion import VARIABLE, folders
from queuectl.errors import ExitCode


def main(argv: Sequence[str] | None = None, *, begin: Callable[[], None] = lambda: None) -> int:
    """Run the program with *argv* (None: as it was called) and return its exit code.

    *begin* is called when all is loaded, and Ctrl-C is to be an exception from then on.
    """
    _open_streams()
    os.umask(os.umask(0) & 0o077)  # one that takes rights from the owner would leave files that nobody can use
    if VARIABLE in os.environ:
        from queuectl.commands import completion_script

        return completion_script.answer(program, root, os.environ[VARIABLE])
    words = [_as_utf8(word) for word in sys.argv[1:]] if argv is None else list(argv)
    # What holds until the options say otherwise.
    context = Context(Path(), mode=Mode.ONE_SHOT)
    try:
        with program.make_context("queuectl", words, obj=context) as call:
            options: dict[str, Any] = program.invoke(call)
        context = _make_context(options)
        context.run_file = lambda path: _run_file(path, context)
        begin()
        exit_code = _run(context, options)
    except click.exceptions.Exit as end:
        return end.exit_code
    except KeyboardInterrupt:
        exit_code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has left, as `head` does: nobody is there to be told, and only a script is cut short.
        _discard_output()
        exit_code = ExitCode.FAILED if context.mode is Mode.SCRIPT else ExitCode.OK
    except ImportError:
        raise  # a package is missing: `queuectl.py` knows what to say
    except Exception as error:  # noqa: BLE001 - as in run_line: a sentence, never a traceback
        exit_code = report(error, context)
    rest_code = rest(context, closes=True)  # whatever has failed
    _let_go_of_output()
    return exit_code or rest_code


def _run(context: Context, options: dict[str, Any]) -> int:
    """Run what the options ask for, in the mode they ask for."""
    if options["commands"]:
        exit_codes = []
        for command in options["commands"]:
            if context.is_leaving:
                break
            exit_codes.append(run_line(command, context))
        return next(filter(None, exit_codes), ExitCode.OK)
    if options["line"]:
        return run_line(options["line"], context)
    if context.mode is Mode.SHELL:
        # Here, because only a person at a terminal has use for what it loads.
        from queuectl.shell import run_shell

        return run_shell(context)
    from queuectl.script import run_script

    return run_script(_raw_input(), context, stops_on_error=options["stop_on_error"])


def _run_file(path: Path, context: Context) -> int:
    from queuectl.script import run_file  # here, as each way in which commands arrive

    return run_file(path, context)


def _make_context(options: dict[str, Any]) -> Context:
    has_person = sys.stdin.isatty() and sys.stdout.isatty()
    is_one_shot = bool(options["commands"] or options["line"])
    mode = Mode.ONE_SHOT if is_one_shot else Mode.SHELL if has_person else Mode.SCRIPT
    return Context(
        Path(options["data"]).absolute(),
        mode=mode,
        confirm=_confirm if has_person else None,
        reads_script=mode is Mode.SCRIPT,
        is_debug=options["debug"],
    )


class _Program(Command):
    """The program itself; its help lists the commands as well."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the commands."""
        super().format_options(ctx, formatter)
        root.format_commands(ctx, formatter)


@click.command(
    "queuectl",
    cls=_Program,
    context_settings={**CONTEXT_SETTINGS, "allow_interspersed_args": False},
    options_metavar="[OPTIONS]",
    examples=("", "status", "-c 'worker start' -c 'wait'", "--data /srv/jobs list", "< script.txt"),
)
@click.option(
    "--data",
    metavar="DIR",
    envvar="QUEUECTL_DATA",
    default="data",
    shell_complete=folders,
    help="The folder of the queue; else $QUEUECTL_DATA, else ./data.",
)
@click.option("-c", "commands", metavar="COMMAND", multiple=True, help="Run this command; may be repeated.")
@click.option("--stop-on-error", is_flag=True, help="End a script at the first command that fails.")
@click.option("--debug", is_flag=True, help="Show where in the program an error comes from.")
@click.version_option(__version__, prog_name="queuectl", message="%(prog)s %(version)s")
@click.argument("line", metavar="[COMMAND [ARGS]...]", nargs=-1, type=click.UNPROCESSED)
def program(**options: Any) -> dict[str, Any]:
    """Run shell commands in the background: a job queue that is a folder.

    Without a command, QueueCTL is a shell at a terminal, and otherwise runs the commands on standard input, one a line.
    """
    if options["commands"] and options["line"]:
        msg = f'-c and "{options["line"][0]}" are two ways to give a command: use one of them.'
        raise click.UsageError(msg)
    if not options["data"]:
        msg = "--data takes a folder, and its name cannot be empty."
        raise click.UsageError(msg)
    return options


def _raw_input() -> io.RawIOBase:
    """Return standard input without a buffer, which would wait until it is full."""
    return open(0, "rb", buffering=0, closefd=False)


def _confirm(question: str) -> bool:
    return click.confirm(question, err=True)


def _open_streams() -> None:
    """Make the three standard streams usable, whatever the caller has closed and whatever the locale is."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Otherwise a file of the queue would get this number, and be printed to.
            os.open(os.devnull, os.O_RDWR)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:
            descriptor = ("stdin", "stdout", "stderr").index(name)
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace" if mode == "r" else "backslashreplace")


def _as_utf8(word: str) -> str:
    """Return a word of the command line as UTF-8, in whatever encoding Python has taken it."""
    return os.fsencode(word).decode("utf-8", "surrogateescape")


def _let_go_of_output() -> None:
    """Drop what could not be written, and was reported: Python would else try again at its end, and complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _discard_output() -> None:
    """Send what is still buffered nowhere, or Python would complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
