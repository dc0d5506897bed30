"""The command ``enqueue``: from its many forms of input to one batch of job specs."""

import os
import stat
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from queuectl import specs, times
from queuectl.commands import advice
from queuectl.commands.context import Context
from queuectl.commands.declare import Command, reads
from queuectl.commands.progress import Progress
from queuectl.commands.results import JobsAdded, Result
from queuectl.completion import files, folders
from queuectl.errors import DuplicateId, SyntaxProblem, UsageError
from queuectl.specs import JobSpec

_COMMAND = "queuectl.command"  # key of what stands after `--`
_TEXT = "queuectl.text"  # key of the words that are JSON
_OPENERS, _CLOSERS = ("{", "["), ("}", "]")
_FEW = 3  # jobs whose times are told one by one
_QUOTES = "'\"“”‘’"  # of which some shells leave one before the brace


class _EnqueueCommand(Command):
    """A command whose words may be JSON that was split at its blanks, or a command line after ``--``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set aside what is no option, so that nothing in it is taken for one."""
        options, text, command = divide(args)
        ctx.meta[_TEXT], ctx.meta[_COMMAND] = text, command
        return super().parse_args(ctx, options)


@click.command(
    "enqueue",
    cls=_EnqueueCommand,
    options_metavar="[OPTIONS]",
    examples=(
        "enqueue '{id: job1, command: \"echo Hello\"}'",
        'enqueue \'{"id": "job2", "command": "sleep 5", "max_retries": 5, "timeout": 30}\'',
        "enqueue --id job3 -- python train.py --lr 3",
        "enqueue -f jobs.json",
    ),
)
@click.argument("words", metavar="[JOB...] [-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--id", help="The job's id; one is made if it is not given.")
@click.option(
    "--max-retries", metavar="N", help='Failed attempts until the job is dead; else "config get max-retries".'
)
@click.option("--base", metavar="B", help="Base of the backoff: it waits base ** attempts seconds.")
@click.option("--max-delay", metavar="T", help="Longest wait of the backoff.")
@click.option("--jitter", metavar="SHARE", help="Share, from 0 to 1, by which waits vary at random.")
@click.option("--success-codes", metavar="CODES", help="Exit codes that mean success: 0,3,10-12; else 0.")
@click.option("--retry-codes", metavar="CODES", help="The only exit codes after which it is tried again.")
@click.option("--fatal-codes", metavar="CODES", help="Exit codes after which it is dead at once.")
@click.option("--on-crash", metavar="WHAT", help="If its worker dies: retry (else this), fail or dead.")
@click.option("--timeout", metavar="T", help="Longest run of an attempt: 90, 90s, 1h30m.")
@click.option("--env", metavar="NAME=VALUE", multiple=True, help="Set a variable for the command; may be repeated.")
@click.option("--priority", metavar="N", help="-1000 to 1000: jobs of a higher one are run first; else 0.")
@click.option("--run-at", metavar="TIME", help='Not before: 10m, 18:00, "tomorrow 9am", "fri 18:00", 2030-01-31T09:00.')
@click.option("--delay", metavar="T", help="Not before this time has passed: 90, 10m, 1h30m.")
@click.option("--hold", "held", is_flag=True, help='Keep it waiting until "release ID".')
@click.option(
    "--cwd", metavar="DIR", shell_complete=folders, help="Where the command runs; else the current directory."
)
@click.option(
    "--file",
    "-f",
    metavar="FILE",
    shell_complete=files,
    help='Read jobs from a file, or from standard input if it is "-".',
)
@reads
@click.pass_context
def enqueue(ctx: click.Context, /, words: tuple[str, ...], file: str | None, **fields: Any) -> Result:
    """Add jobs to the queue, all of them or none.

    A JOB is a JSON object, strict or relaxed as in the examples, whose fields are named like the options here, and
    command; several objects or an array are several jobs. A file holds an object or array in any layout, JSON lines, or
    plain commands, one a line. "enqueue -" reads the same from standard input.

    Options hold for every job that does not say otherwise itself. Words after "--" are a command as the shell would run
    it: one word as it is, several each kept whole.
    """
    context: Context = ctx.obj
    command: list[str] | None = ctx.meta[_COMMAND]
    text = " ".join((*words, *ctx.meta[_TEXT]))
    if file is None and text == "-":
        file, text = "-", ""
    if sum((file is not None, bool(text), command is not None)) > 1:
        msg = "Give jobs in one way: as JSON, with -f FILE, or as a command after --."
        raise UsageError(msg)
    now = context.now()
    given = {**fields, "env": _environment(fields["env"]), "held": True if fields["held"] else None}
    if command is not None:
        batch = [specs.spec_from_options(now=now, command=_as_typed(command), **given)]
    else:
        found = _read(context, file, now) if file is not None else specs.read_specs(text, allow_plain=False, now=now)
        for notice in found.notices:
            context.notify(notice)
        batch = _complete(found.specs, given, now)
    here = str(_here())
    if not batch:
        context.notify("There is no job in it: nothing was added.")
    for place, spec in enumerate(batch):  # one by one, as a second list of a million would not be small
        batch[place] = msgspec.structs.replace(spec, cwd=str(Path(here, spec.cwd)) if spec.cwd else here)
    with Progress("jobs added") as progress:
        ids = context.store.enqueue(progress.count_through(batch), now=now)
    _tell_times(context, zip(ids, batch, strict=True), now)
    context.advise(lambda: advice.after_adding(context, ids))
    return JobsAdded(ids)


def _tell_times(context: Context, jobs: Iterable[tuple[str, JobSpec]], now: datetime) -> None:
    """Say when those of *jobs*, by their ids, will run that are not to run at once."""
    moment = times.to_text(now)
    chosen = [(id, run_at) for id, spec in jobs if (run_at := spec.more().get("run_at")) not in (None, moment)]
    for is_past in (False, True):
        found = {id: times.from_text(run_at) for id, run_at in chosen if (run_at < moment) == is_past}
        if len(found) > _FEW:
            first, last = times.to_local(min(found.values())), times.to_local(max(found.values()))
            end = "a time that is past: they run now." if is_past else f"their time, {first} to {last}."
            context.notify(f"{len(found)} jobs {'were' if is_past else 'are'} to wait for {end}")
            continue
        for id, start in found.items():
            wait = times.format_duration(round((start - now).total_seconds()))
            end = "is past: it runs now." if is_past else f"comes in {wait}."
            context.notify(
                f'Job "{id}" {"was to wait" if is_past else "waits"} for {times.to_local(start)}, which {end}'
            )


def divide(args: Sequence[str]) -> tuple[list[str], list[str], list[str] | None]:
    """Return the options among *args*, the words of JSON, and the words after ``--`` (None: there is no ``--``).

    JSON goes from a word that opens a brace to the one that closes it, blanks
    and dashes in between and all; options may stand on both sides of it.
    """
    options: list[str] = []
    text: list[str] = []
    depth = 0
    latest = options
    for place, word in enumerate(args):
        if depth <= 0 and word == "--":
            return options, text, list(args[place + 1 :])
        if depth > 0 or word.lstrip(_QUOTES).startswith(_OPENERS):
            latest = text
            depth += sum(map(word.count, _OPENERS)) - sum(map(word.count, _CLOSERS))
        elif word.startswith("-"):
            latest = options
        latest.append(word)  # one that is neither belongs to what came before it
    return options, text, None


def _as_typed(command: list[str]) -> str:
    """Return the words of a command as one line that a shell splits into the same words."""
    if len(command) == 1:
        return command[0]
    import shlex  # only here

    return shlex.join(command)


def _environment(pairs: Sequence[str]) -> dict[str, str]:
    environment = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            msg = f'--env takes NAME=VALUE, not "{pair}".'
            raise UsageError(msg)
        environment[name] = value
    return environment


def _read(context: Context, file: str, now: datetime) -> specs.SpecBatch:
    """Read the jobs in *file*; a problem in it is told with its place."""
    if context.reads_script and _is_standard_input(file):
        msg = f"The script comes from standard input: enqueue {file} would eat the rest of it. Use enqueue -f FILE."
        raise UsageError(msg)
    name = "standard input" if file == "-" else file
    text = _text(name, sys.stdin.buffer.read() if file == "-" else _content(Path(file)))
    try:
        return specs.read_specs(text, allow_plain=True, now=now)
    except SyntaxProblem as problem:
        line, column = problem.place
        msg = f"{name}:{line}:{column}: {problem.message}"
        raise SyntaxProblem(msg, text=problem.text, offset=problem.offset) from None
    except DuplicateId as error:
        msg = f"{name}: {error.message}"
        raise DuplicateId(msg, id=error.id) from None


def _is_standard_input(file: str) -> bool:
    """Whether *file* is another name for what this program reads its script from."""
    if file in ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
        return True
    try:
        status = Path(file).stat()
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.fstat(0))


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        msg = f"The current directory cannot be used ({error.strerror}): change to another one first."
        raise UsageError(msg) from None


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        msg = f'The file "{file}" cannot be read: {error.strerror}.'
        raise UsageError(msg) from None


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        msg = f'{name}:{line}: byte 0x{content[error.start]:02x} is not UTF-8: save the file as "UTF-8".'
        raise UsageError(msg) from None


def _complete(found: list[JobSpec], given: dict[str, Any], now: datetime) -> list[JobSpec]:
    """Return the specs with what they do not say themselves as *given* by options."""
    if not any(given.values()):
        return found
    # The command is only there to have the options checked.
    options = specs.spec_from_options(now=now, command="true", **given)
    if options.id is not None and (len(found) != 1 or found[0].id is not None):
        msg = "--id names a single job that has no id yet." if found else "--id names a job, and there is none."
        raise UsageError(msg)
    return [specs.completed(spec, options) for spec in found]
