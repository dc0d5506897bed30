"""What the declarations say of every command, as plain values: the source of all pages about commands."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import click

from queuectl.cli import program
from queuectl.commands.declare import Command, Group
from queuectl.commands.root import root
from queuectl.errors import ExitCode

EXIT_CODES = {
    ExitCode.OK: "All went well.",
    ExitCode.FAILED: "It failed, or a line of the script did, or a job that was waited for is dead or cancelled.",
    ExitCode.USAGE: "The command could not be understood; nothing has changed.",
    ExitCode.NOT_FOUND: "There is no such job, or no such worker.",
    ExitCode.CONFLICT: "The job is in a state that does not allow it, or the id is taken; nothing has changed.",
    ExitCode.STORE: "The data are busy, damaged or cannot be used; or a command was done, but its answer not written.",
    ExitCode.TIMED_OUT: '"wait" gave up before the jobs had ended.',
    ExitCode.INTERRUPTED: "Ctrl-C.",
}

#: What the program looks up in its environment, and what it puts into that of a job.
VARIABLES = {
    "QUEUECTL_DATA": "The folder of the queue, where --data does not name it.",
    "QUEUECTL_JOB_ID": "In the environment of a job: its id.",
    "QUEUECTL_ATTEMPT": "In the environment of a job: the number of this attempt, from 1.",
    "QUEUECTL_CLAIM": "In the environment of a job: the token by which all of its processes are found.",
}


@dataclass(frozen=True)
class Entry:
    """One command, as its help describes it."""

    path: str
    usage: str
    paragraphs: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    examples: tuple[str, ...]
    is_group: bool = False
    aliases: list[str] = field(default_factory=list)


def of_program() -> Entry:
    """Return the entry of the program itself."""
    return _entry(program, "queuectl")


def of_commands() -> list[Entry]:
    """Return all commands in the order of ``help``, those of a group behind it."""
    entries: list[Entry] = []
    seen: dict[int, Entry] = {}
    for path, command in walk(root):
        if id(command) in seen:
            seen[id(command)].aliases.append(path)
        else:
            seen[id(command)] = entry = _entry(command, path)
            entries.append(entry)
    return entries


def walk(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield the full name of every command below *group*, hidden ones aside."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        yield prefix + name, command
        if isinstance(command, click.Group):
            yield from walk(command, f"{prefix}{name} ")


def _entry(command: click.Command, path: str) -> Entry:
    call = click.Context(command, info_name=path, **command.context_settings)
    records = [record for param in command.get_params(call) if (record := param.get_help_record(call)) is not None]
    text = (command.help or "").strip()
    return Entry(
        path=path,
        usage=" ".join((path, *command.collect_usage_pieces(call))),
        paragraphs=tuple(" ".join(part.split()) for part in text.split("\n\n") if part.strip()),
        options=tuple((names, " ".join(words.split())) for names, words in records if words and "--help" not in names),
        examples=tuple(command.examples) if isinstance(command, Command | Group) else (),
        is_group=isinstance(command, click.Group),
    )
