"""docs/queuectl.1, from the declarations: for ``man queuectl`` once the program is installed."""

import re
from collections.abc import Iterator

from queuectl._version import __version__
from queuectl.settings import SETTINGS
from tools import declarations
from tools.declarations import Entry

_FILES = {
    "jobs.json": "The main queue: a JSON array, one job a line.",
    "dlq.json": "The dead letter queue, in the same form.",
    "config.json": "The settings that were set.",
    "worker_pids.json": "The PIDs of the running workers.",
    "journal.jsonl": "Changes on their way into the files above; empty when nothing runs.",
    "logs/": "The output of each attempt, and workers.log.",
}


def page() -> str:
    """Return the page, in the man macros."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    program = declarations.of_program()
    yield '.\\" Made from the declarations by "make docs".'
    yield f'.TH QUEUECTL 1 "" "queuectl {__version__}" "User Commands"'
    yield from (".SH NAME", "queuectl \\- a job queue that is a folder")
    yield from (".SH SYNOPSIS", _text(program.usage))
    yield ".SH DESCRIPTION"
    yield from _paragraphs(program)
    yield ".SH OPTIONS"
    yield from _list(dict(program.options))
    yield ".SH COMMANDS"
    for entry in declarations.of_commands():
        yield f'.SS "{_text(entry.usage)}"'
        yield from _paragraphs(entry)
        if entry.aliases:
            yield from (".PP", _text(f"Also: {', '.join(entry.aliases)}."))
        yield from _list(dict(entry.options))
        if entry.examples:
            yield from _examples(entry.examples)
    yield ".SH SETTINGS"
    yield from _list({f"{one.key} ({one.show(one.default)})": f"{one.help}: {one.allowed}." for one in SETTINGS})
    yield ".SH EXIT STATUS"
    yield from _list({str(int(code)): text for code, text in declarations.EXIT_CODES.items()})
    yield ".SH ENVIRONMENT"
    yield from _list(declarations.VARIABLES)
    yield ".SH FILES"
    yield "All is in the folder of the queue:"
    yield from _list(_FILES)
    yield ".SH EXAMPLES"
    yield from _examples(tuple(f"queuectl {example}".rstrip() for example in program.examples))


def _paragraphs(entry: Entry) -> Iterator[str]:
    for number, paragraph in enumerate(entry.paragraphs):
        if number:
            yield ".PP"
        yield _text(paragraph)


def _list(items: dict[str, str]) -> Iterator[str]:
    for name, text in items.items():
        yield from (".TP", f"\\fB{_text(name)}\\fR", _text(text))


def _examples(examples: tuple[str, ...]) -> Iterator[str]:
    yield from (".PP", ".nf", ".RS 4", *map(_text, examples), ".RE", ".fi")


def _text(text: str) -> str:
    """Return *text* as a line that roff shows as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace('"', "\\(dq")
    text = text.replace("~", "\\(ti").replace("^", "\\(ha").replace("`", "\\(ga")
    text = re.sub(r"[^\x00-\x7f]", lambda sign: f"\\[u{ord(sign[0]):04X}]", text)
    return "\\&" + text if text.startswith(".") else text
