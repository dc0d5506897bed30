"""The prompt at a full terminal: keys, menu, colours, toolbar, and what is told above it.

The only module that knows prompt_toolkit. What it shows is cached or cheap:
nothing here reads the queue, for a key must not wait for a disk.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.styles import Style

from queuectl import drafting
from queuectl.commands import output
from queuectl.commands.context import Context
from queuectl.commands.results import Text
from queuectl.errors import UsageError
from queuectl.job import State
from queuectl.observer import Observer, Snapshot
from queuectl.stores.local import disk, ownership
from queuectl.stores.local.folder import HISTORY
from queuectl.tokens import commands_in, needs_more

PROMPT = "queuectl> "
CONTINUATION = "     ...> "
_TICK_S = 0.2  # between looks at what the observer has found
_MENU_LINES = 6

_STYLE = Style.from_dict(
    {
        "command": "ansigreen",
        "option": "ansicyan",
        "key": "ansibrightblue",
        "string": "ansiyellow",
        "comment": "italic",
        "program": "ansimagenta",
        "error": "ansired underline",
    }
)


class Prompt:
    """Asks for one command after the other."""

    def __init__(self, context: Context, observer: Observer) -> None:
        """Prepare for *context*; the lines of earlier sessions are at hand."""
        self._context = context
        self._observer = observer
        self._searches_history = False
        self._has_asked = False
        history = context.folder / HISTORY
        lines: History = _PrivateHistory(str(history)) if _make_private(history) else InMemoryHistory()
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            history=lines,
            auto_suggest=AutoSuggestFromHistory(),
            completer=_Words(context),
            complete_while_typing=True,
            # Only while the arrows are at work: else prompt_toolkit shows no menu while somebody types.
            enable_history_search=Condition(lambda: self._searches_history),
            search_ignore_case=True,
            lexer=_Colours(),
            style=_STYLE,
            multiline=Condition(lambda: needs_more(get_app().current_buffer.text)),
            prompt_continuation=CONTINUATION,
            bottom_toolbar=lambda: toolbar(self._observer.snapshot),
            key_bindings=self._keys(),
            enable_suspend=True,
            reserve_space_for_menu=_MENU_LINES,
        )
        self._session.app.max_render_postpone_time = 0  # draw a key at once, whatever else is to be done

    def ask(self) -> str:
        """Return what was typed. Raises ``KeyboardInterrupt`` for Ctrl-C, ``EOFError`` for Ctrl-D."""
        self._tell()
        if self._has_asked:  # the first prompt is to be there before anything else
            self._observer.start()
            self._observer.hurry()
        self._has_asked = True

        def begin() -> None:
            get_app().create_background_task(self._keep_up())

        return self._session.prompt(pre_run=begin)

    async def _keep_up(self) -> None:
        """Show what the observer finds, as long as the prompt stands."""
        shown = self._observer.snapshot
        while True:
            await asyncio.sleep(_TICK_S)
            self._observer.start()
            if self._observer.has_news:
                await run_in_terminal(self._tell)
            if self._observer.snapshot is not shown:
                shown = self._observer.snapshot
                get_app().invalidate()

    def _tell(self) -> None:
        if self._observer.has_news and (lines := self._observer.take_lines()):
            output.write_notice("\n".join(lines))

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("up")
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if buffer.complete_state is not None and buffer.complete_state.complete_index is None:
                buffer.cancel_completion()  # a menu that nobody has gone into does not take the key
            self._browse(buffer.auto_up)

        @keys.add("down")
        def _(event: KeyPressEvent) -> None:
            self._browse(event.current_buffer.auto_down)

        @keys.add("f1")
        def _(event: KeyPressEvent) -> None:
            self._help(event.current_buffer.document)

        @keys.add("?", filter=Condition(_asks))
        def _(event: KeyPressEvent) -> None:
            self._help(event.current_buffer.document)

        return keys

    def _browse(self, move: Callable[[], None]) -> None:
        """Go through the history: only lines that begin with what was typed."""
        self._searches_history = True
        move()
        self._searches_history = False

    def _help(self, document: Document) -> None:
        text = drafting.help_for(document.text_before_cursor, document.text_after_cursor, self._context)
        run_in_terminal(lambda: output.write(Text(text)))


def _asks() -> bool:
    """Whether a question mark typed now asks for help."""
    return drafting.takes_no_text(get_app().current_buffer.document.text_before_cursor)


def toolbar(snapshot: Snapshot) -> str:
    """Return the line below the prompt: how many jobs are in each state, and how many workers there are."""
    if snapshot.is_unreadable:
        return ' The queue cannot be read: "status" says why'
    if snapshot.counts is None:
        return " F1 or ? for help"
    jobs = " · ".join(f"{count} {state}" for state in State if (count := snapshot.counts[state])) or "no jobs"
    workers = f"{snapshot.workers or 'no'} worker{'s' if snapshot.workers != 1 else ''}"
    return f" {jobs} │ {workers} │ F1 or ? for help"


class _Words(Completer):
    def __init__(self, context: Context) -> None:
        self._context = context

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        for candidate in drafting.candidates(text, self._context):
            yield Completion(
                candidate.text,
                start_position=candidate.start - len(text),
                display=candidate.text.rstrip(": ") or candidate.text,
                display_meta=candidate.help,
            )


class _Colours(Lexer):
    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        styles = [""] * len(document.text)
        for span in drafting.spans(document.text):
            styles[span.start : span.end] = [f"class:{span.kind}"] * (span.end - span.start)
        starts = [0]
        for line in document.lines:
            starts.append(starts[-1] + len(line) + 1)

        def line_of(number: int) -> StyleAndTextTuples:
            try:
                line, start = document.lines[number], starts[number]
            except IndexError:
                return []
            return [(style, sign) for style, sign in zip(styles[start : start + len(line)], line, strict=True)]

        return line_of


class _PrivateHistory(FileHistory):
    """Lines in a file; a command that begins with a space is not kept, be it one of several that were pasted."""

    def append_string(self, string: str) -> None:
        kept = []
        with suppress(UsageError):  # a command that is too long is not run, nor is what comes behind it
            for command in commands_in(string):
                if not command.startswith(" "):
                    kept.append(command)
        if any(kept):
            super().append_string("\n".join(kept))

    def store_string(self, string: str) -> None:
        with suppress(OSError):  # a full disk is no reason to refuse the command
            super().store_string(string)


def _make_private(file: Path) -> bool:
    """Make *file* one that only its owner may read, for commands may hold secrets; return whether that was possible."""
    try:
        disk.make_folder(file.parent)
        fd = os.open(file, os.O_CREAT | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return False
    try:
        ownership.hand_over(fd, file.parent)
        os.fchmod(fd, 0o600)
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False
    finally:
        os.close(fd)
