"""The one way in which a line becomes a command, however it has arrived.

Whatever goes wrong ends here: as words for the person and an exit code.
"""

from collections.abc import Sequence

import click

from queuectl.commands import output
from queuectl.commands.context import Context, Mode
from queuectl.commands.declare import PROGRAM_OPTIONS, Group, UnknownCommand
from queuectl.commands.root import root
from queuectl.errors import ExitCode, JobNotFound, QueueCtlError, SyntaxProblem, UsageError, explain_refusal


def run_line(line: str | Sequence[str], context: Context) -> int:
    """Run one command, typed as a *line* or given as words, and return its exit code.

    Results and errors are written as they come. ``BrokenPipeError`` goes
    through, since nothing more can be said to whoever has left, and so does
    ``ImportError``: what is missing is a part of the program.
    """
    text = line if isinstance(line, str) else None
    context.advice = None  # of a command that failed
    try:
        if text is not None and text.lstrip().startswith("!"):
            from queuectl.commands.session import run_program

            return run_program(context, text.lstrip()[1:].strip())
        words = _split(line) if isinstance(line, str) else _checked(line)
        if not words:
            return ExitCode.OK
        with root.make_context(context.program, words, obj=context) as call:
            exit_code = output.write(root.invoke(call), clock=context.now, is_script=context.mode is Mode.SCRIPT)
        context.give_advice()
        return exit_code
    except click.exceptions.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, click.Abort):
        context.notify("Interrupted.")
        return ExitCode.INTERRUPTED
    except (BrokenPipeError, ImportError):
        raise
    except Exception as error:  # noqa: BLE001 - a person gets a sentence, never a traceback
        return report(error, context, text)


def rest(context: Context, *, closes: bool = False) -> int:
    """Bring the data to rest before waiting for input, or for good; return the exit code."""
    try:
        if closes:
            context.close()
        else:
            context.rest()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - as in run_line
        return report(error, context)
    return ExitCode.OK


def report(error: Exception, context: Context, text: str | None = None) -> int:
    """Say what went wrong with the command *text* (None: it came as words), and return the exit code."""
    if context.is_debug:
        import traceback

        traceback.print_exception(error)
    message, exit_code = _explain(error)
    from queuectl.commands import nearest  # here, as all that only mistakes need

    if isinstance(error, JobNotFound):
        message = nearest.explain(error, context)
    if isinstance(error, UnknownCommand) and nearest.is_job(error.name, context):
        message = f'No command "{error.name}", but a job: "show {error.name}" tells of it.'
    lines_below, excerpt = _excerpt(error, text)
    context.notify("\n".join([message, *excerpt]), lines_below=lines_below)
    return exit_code


def _split(line: str) -> list[str]:
    from queuectl import tokens  # here, as below: a command line of the system's shell is split already

    return [token.text for token in tokens.split(line)]


def _checked(words: Sequence[str]) -> list[str]:
    """Return the *words* of a command line; raise ``UsageError`` for one that is not UTF-8."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            msg = f'"{word}" is not UTF-8, at character {error.start + 1}.'
            raise UsageError(msg) from None
    return list(words)


def _explain(error: Exception) -> tuple[str, int]:
    """Return a message for *error*, and its exit code."""
    match error:
        case QueueCtlError():
            return error.message, error.exit_code
        case UnknownCommand():
            return error.format_message(), ExitCode.USAGE
        case click.exceptions.NoArgsIsHelpError(ctx=click.Context(command=Group() as group) as call):
            names = ", ".join(group.list_commands(call))
            return f'"{call.command_path.strip()}" needs one of these behind it: {names}.', ExitCode.USAGE
        case click.MissingParameter(param=click.Argument() as argument, ctx=click.Context() as call):
            return f"{argument.human_readable_name} is missing. {_help_hint(call)}", ExitCode.USAGE
        case click.NoSuchOption(option_name=name) if name in PROGRAM_OPTIONS:
            return f"{name} belongs before the command: queuectl {name} ... COMMAND.", ExitCode.USAGE
        case click.UsageError(ctx=call) if call is not None:
            return f"{error.format_message()} {_help_hint(call)}", ExitCode.USAGE
        case click.ClickException():
            return error.format_message(), error.exit_code
        case OSError():
            return explain_refusal(error), ExitCode.STORE
    kind = type(error).__name__
    return f'Something unexpected went wrong ({kind}: {error}): "queuectl --debug" shows where.', ExitCode.FAILED


def _help_hint(call: click.Context) -> str:
    path = call.command_path.split()
    program = path[:1] if path[:1] == ["queuectl"] else []
    return f'"{" ".join([*program, "help", *path[len(program) :]])}" shows how it is used.'


def _excerpt(error: Exception, text: str | None) -> tuple[int, list[str]]:
    """Return how many lines below the first of the command the problem is, and lines that point at it.

    A problem inside a quoted argument is shown where it stands in *text*, if
    it stands there as it is.
    """
    source, offset = "", -1
    if isinstance(error, SyntaxProblem):
        source, offset = error.text, error.offset
        if text is not None and text.count(source) == 1:
            source, offset = text, text.index(source) + offset
    elif text is not None:
        source, offset = text, _place_of(error, text)
    if offset < 0:
        return 0, []
    from queuectl import pointing

    lines_below = source.count("\n", 0, offset) if source is text else 0
    return lines_below, [f"  {line}" for line in pointing.point_at(source, offset)]


def _place_of(error: Exception, line: str) -> int:
    """Return where in *line* the word is that *error* is about, -1 if it is about none.

    Of an option with a wrong value that is the value.
    """
    match error:
        case UnknownCommand():
            return _place_of_word(error.name, line)
        case click.NoSuchOption():
            return _place_of_word(error.option_name, line)
        case click.BadParameter(param=click.Option() as option):
            return _place_of_value(option.opts, line)
        case QueueCtlError():
            facts = vars(error)
            word = facts.get("option") or facts.get("word") or facts.get("id")
            return _place_of_word(word, line) if isinstance(word, str) else -1
    return -1


def _place_of_word(wanted: str, line: str) -> int:
    from queuectl import tokens

    return next((word.start for word in tokens.split(line) if word.text.partition("=")[0] == wanted), -1)


def _place_of_value(options: Sequence[str], line: str) -> int:
    from queuectl import tokens

    words = tokens.split(line)
    for word, following in zip(words, [*words[1:], None], strict=True):
        name, equals, _ = word.text.partition("=")
        if name in options:
            return following.start if following and not equals else word.start + len(name) + bool(equals)
    return -1
