"""docs/commands.md, from the declarations."""

from collections.abc import Iterator, Sequence

from queuectl.settings import SETTINGS
from tools import declarations
from tools.declarations import Entry

_HEAD = """\
# Commands

<!-- Made from the declarations by "make docs": change queuectl/commands/, not this page. -->

The same words work at the prompt, as a line of a script, and as arguments: `queuectl status`, or
`python queuectl.py status` in a checkout. `help COMMAND` shows what stands here. See also the [guide](guide.md).
"""


def page() -> str:
    """Return the page."""
    return "\n".join(_lines()).rstrip("\n") + "\n"


def _lines() -> Iterator[str]:
    entries = declarations.of_commands()
    yield _HEAD
    for entry in entries:
        if " " not in entry.path:
            yield f"* [`{entry.path}`](#{entry.path}): {_escaped(entry.paragraphs[0])}"
    yield ""
    yield "## The program"
    yield ""
    yield from _body(declarations.of_program(), program="queuectl ")
    for entry in entries:
        yield f"{'###' if ' ' in entry.path else '##'} `{entry.path}`"
        yield ""
        yield from _body(entry)
    yield from _settings()
    yield "## Exit codes"
    yield ""
    yield from _table(("code", "meaning"), [(str(int(code)), text) for code, text in declarations.EXIT_CODES.items()])
    yield "## Environment"
    yield ""
    yield from _table(("variable", "meaning"), [(f"`{name}`", text) for name, text in declarations.VARIABLES.items()])


def _body(entry: Entry, program: str = "") -> Iterator[str]:
    for paragraph in entry.paragraphs:
        yield _escaped(paragraph)
        yield ""
    yield from ("```", entry.usage, "```", "")
    if entry.aliases:
        yield f"Also: {', '.join(f'`{alias}`' for alias in entry.aliases)}."
        yield ""
    if entry.options:
        yield from _table(("option", ""), [(f"`{names}`", text) for names, text in entry.options])
    if entry.examples:
        yield from ("Examples:", "", "```")
        yield from (f"{program}{example}".rstrip() for example in entry.examples)
        yield from ("```", "")


def _settings() -> Iterator[str]:
    yield "## Settings"
    yield ""
    rows = [(f"`{one.key}`", one.show(one.default), one.allowed, one.help) for one in SETTINGS]
    yield from _table(("key", "default", "values", "meaning"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _cell(text: str) -> str:
    """Return *text* for a table; code is shown as it is, but a bar would end the cell even there."""
    return text.replace("|", "\\|") if text.startswith("`") else _escaped(text)


def _escaped(text: str) -> str:
    """Return *text* so that Markdown shows every sign of it."""
    return "".join("\\" + sign if sign in "\\*<[|`" else sign for sign in text)
