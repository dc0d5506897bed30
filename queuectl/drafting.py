"""What a line means while it is being typed: its colours, what it may go on with, and which help it asks for.

By the same words and declarations as the finished command. Knows no terminal;
nothing here fails, whatever has been typed so far.
"""

import os
import re
from collections.abc import Iterator

import click
import msgspec

from queuectl import relaxed, tokens
from queuectl.commands.context import Context
from queuectl.commands.declare import Group
from queuectl.commands.root import root
from queuectl.commands.session import help_text
from queuectl.completion import complete
from queuectl.specs import JobSpec

LONGEST = 8192  #: characters; what is longer is shown plainly, and goes on with nothing

_KEY = re.compile(r"[{,]\s*([\"']?)([A-Za-z_][\w-]*)\1\s*:")
_KEY_BEGUN = re.compile(r"[{,]\s*[\"']?([A-Za-z_]*)\Z")
_OPTION = re.compile(r"-[a-z]?|--[a-z-]*")
_NO_WORD = re.compile(r"[^\w.=-]")
_NEEDS_QUOTES = re.compile(r"[\s\"'\\#{\[]")
_FIELD_HELP = {
    "id": "its name; one is made if it is not given",
    "command": "what /bin/sh -c runs",
    "max_retries": "failed attempts until it is dead",
    "timeout": "longest run of an attempt",
    "env": "variables for the command",
    "cwd": "where it runs",
    "priority": "higher ones run first, from -1000 to 1000",
    "run_at": "not before 18:00, tomorrow 9am, fri 18:00",
    "delay": "not before 10m or 1h30m have passed",
    "base": "base of the backoff",
    "max_delay": "longest wait of the backoff",
    "jitter": "share by which waits vary, 0 to 1",
    "success_codes": "exit codes that mean success",
    "retry_codes": "the only ones after which it is tried again",
    "fatal_codes": "exit codes after which it is dead",
    "on_crash": "if its worker dies: retry, fail or dead",
    "held": "true: it waits until it is released",
}


class Span(msgspec.Struct, frozen=True):
    """A stretch of the line, and what it is: command, option, key, string, comment, program or error."""

    kind: str
    start: int
    end: int


class Candidate(msgspec.Struct, frozen=True):
    """What may stand from *start* to the end of the line, with a word of description."""

    text: str
    start: int
    help: str = ""


def spans(text: str) -> list[Span]:
    """Return what is to be coloured in *text*; a later span lies over an earlier one."""
    if len(text) > LONGEST:
        return []
    if text.lstrip().startswith("!"):
        return [Span("program", 0, len(text))]
    draft = tokens.read_draft(text)
    words = [*draft.tokens, draft.word] if draft.word.text or draft.is_open else draft.tokens
    found = list(_word_spans(text, words, draft.word))
    if draft.is_comment:
        end = words[-1].end if words else 0
        found.append(Span("comment", text.index("#", end), len(text)))
    if draft.problem_at is not None:
        found.append(Span("error", draft.problem_at, len(text)))
    return found


def _word_spans(text: str, words: list[tokens.Token], typed: tokens.Token) -> Iterator[Span]:
    command: click.Command | None = root
    is_text = False  # behind `--`
    for word in words:
        kind = ""
        if isinstance(command, Group):
            names = command.matching(word.text)
            kind = "command" if len(names) == 1 else "" if names and word is typed else "error"
            command = command.commands[names[0]] if len(names) == 1 else None
        elif not is_text and word.text == "--":
            is_text, kind = True, "option"
        elif not is_text and re.match(r"-[^\d.]", word.text) and not word.quoted and command is not None:
            kind = _option_kind(command, word.text.partition("=")[0], is_typed=word is typed)
        elif word.quoted or word.text[:1] in ("{", "["):
            kind = "string"
        if kind:
            yield Span(kind, word.start, word.end)
        if kind == "string":
            for match in _KEY.finditer(text, word.start, word.end):
                if match[2] in relaxed.FIELDS:
                    yield Span("key", match.start(2), match.end(2))


def _option_kind(command: click.Command, name: str, *, is_typed: bool) -> str:
    call = click.Context(command, **command.context_settings)  # click keeps the help option that it first makes
    known = [option for param in command.get_params(call) for option in (*param.opts, *param.secondary_opts)]
    if name in known:
        return "option"
    is_begun = is_typed and any(option.startswith(name) for option in known)
    return "" if is_begun or command.ignore_unknown_options else "error"


def candidates(text: str, context: Context) -> list[Candidate]:
    """Return what the word at the end of *text* may become."""
    if len(text) > LONGEST or text.lstrip().startswith("!"):
        return []
    draft = tokens.read_draft(text)
    if draft.is_comment or draft.problem_at is not None:
        return []
    word, before = draft.word, [token.text for token in draft.tokens]
    if word.text[:1] in ("{", "["):
        return list(_fields(text, before))
    if "--" in before or not _is_understood(before):
        return []
    found = []
    for item in complete(root, before, word.text, context):
        if item.type in ("file", "dir"):
            paths = _paths(word.text, only_folders=item.type == "dir")
            found += [Candidate(_quoted(path), word.start) for path in paths]
        else:
            found.append(Candidate(item.value, word.start, item.help or ""))
    return found


def _is_understood(words: list[str]) -> bool:
    """Whether *words*, as far as they should be names of commands, are."""
    command: click.Command = root
    for name in _path(words):
        command = command.commands[name] if isinstance(command, Group) else command
    return not isinstance(command, Group) or len(_path(words)) == len(words)


def _fields(text: str, before: list[str]) -> Iterator[Candidate]:
    match = _KEY_BEGUN.search(text)
    if match is None or not before or root.matching(before[0]) != ["enqueue"]:
        return
    for name in JobSpec.__struct_fields__:
        if name.startswith(match[1]):
            yield Candidate(f"{name}: ", match.start(1), _FIELD_HELP.get(name, ""))


def _paths(begun: str, *, only_folders: bool) -> list[str]:
    folder, name = os.path.split(begun)
    try:
        with os.scandir(folder or ".") as entries:
            found = [
                (os.path.join(folder, entry.name) + ("/" if entry.is_dir() else ""))  # noqa: PTH118 - as it was typed
                for entry in entries
                if entry.name.startswith(name) and (name or not entry.name.startswith("."))
                if entry.is_dir() or not only_folders
            ]
    except OSError:
        return []
    return sorted(found)[:200]


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'" if _NEEDS_QUOTES.search(word) else word


def takes_no_text(text: str) -> bool:
    """Whether *text* ends in the name of a command or option, or behind one, so that ``?`` asks and is no argument."""
    words = text.split()
    names = len(_path(words))
    is_option = names == len(words) - 1 and _OPTION.fullmatch(words[-1]) is not None and not text[-1].isspace()
    return is_option or names == len(words)


def help_for(before: str, after: str, context: Context) -> str:
    """Return the help for the word between *before* and *after* the cursor.

    An option, state, key, field or id is explained by itself; else it is the
    help of the command: the longest that the words up to there name.
    """
    text = before + _NO_WORD.split(after, maxsplit=1)[0]
    draft = tokens.read_draft(text)
    words = [token.text for token in (*draft.tokens, draft.word)]
    path = _path(words)
    call = click.Context(root, info_name=context.program, obj=context, **root.context_settings)
    page = help_text(call, path)
    if draft.word.text and len(path) < len(words):
        for found in candidates(text, context):
            name = found.text.removesuffix(": ")
            if found.help and text[found.start :] == name:
                return f"{name}: {found.help}\n\n{page}"
    return page


def _path(words: list[str]) -> list[str]:
    command: click.Command = root
    path = []
    for word in words:
        names = command.matching(word) if isinstance(command, Group) else []
        if len(names) != 1 or not isinstance(command, Group):
            break
        path += names
        command = command.commands[names[0]]
    return path
