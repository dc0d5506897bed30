"""A terminal with the program in it, and what stands on its screen."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import pexpect
import pyte
import pytest

from tests.acceptance.conftest import PROGRAM, QueueCtl

PROMPT = "queuectl> "


class _Screen(pyte.Screen):
    """A screen that answers where its cursor is."""

    def __init__(self, terminal: "Terminal", columns: int, rows: int) -> None:
        super().__init__(columns, rows)
        self._terminal = terminal

    def write_process_input(self, data: str) -> None:
        self._terminal.type(data)


class Terminal:
    """A terminal with the shell in it."""

    def __init__(self, queuectl: QueueCtl, *args: str, program: Sequence[str] = PROGRAM, **environment: str) -> None:
        self._screen = _Screen(self, 100, 40)
        self._stream = pyte.Stream(self._screen)
        self.child = pexpect.spawn(
            program[0],
            [*program[1:], *args],
            cwd=str(queuectl.here),
            env=queuectl.environment | {"TERM": "xterm-256color"} | environment,
            dimensions=(40, 100),
            encoding="utf-8",
            timeout=20,
        )
        self.child.delaybeforesend = None  # a person's pause; the program needs none

    @property
    def lines(self) -> list[str]:
        """Return what stands on the screen down to the cursor."""
        return self.screen[: self._screen.cursor.y + 1]

    @property
    def screen(self) -> list[str]:
        """Return all that stands on the screen: menu and toolbar are below the cursor."""
        return [line.rstrip() for line in self._screen.display]

    def type(self, text: str) -> None:
        self.child.send(text)

    def until(self, holds: Callable[[list[str]], Any], deadline_s: float = 20) -> list[str]:
        """Return the screen once it is as *holds* says."""
        end = time.monotonic() + deadline_s
        while not holds(self.lines):
            self.read(max(end - time.monotonic(), 0))
        return self.lines

    def read(self, limit_s: float = 20) -> None:
        """Bring to the screen what the program has written; fail if that is nothing."""
        try:
            self._stream.feed(self.child.read_nonblocking(65536, timeout=limit_s))
        except (pexpect.TIMEOUT, pexpect.EOF) as error:
            pytest.fail(f"{type(error).__name__} with this on the screen:\n" + "\n".join(self.screen))

    def until_prompt(self) -> list[str]:
        """Return the screen once an empty prompt is its last line."""
        return self.until(lambda lines: lines[-1] == PROMPT.rstrip())

    def run(self, line: str) -> list[str]:
        """Type *line*, and return what is on the screen when the next prompt has come."""
        before = len([row for row in self.until_prompt() if row.startswith(PROMPT.rstrip())])
        self.type(f"{line}\r")
        return self.until(
            lambda lines: (
                lines[-1] == PROMPT.rstrip() and len([row for row in lines if row.startswith(PROMPT.rstrip())]) > before
            )
        )

    def cell(self, row: int, column: int) -> Any:
        """Return a sign on the screen, with its colour."""
        return self._screen.buffer[row][column]

    @property
    def toolbar(self) -> str:
        """Return the last line of the screen."""
        return self.screen[-1].strip()

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self._screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def end(self) -> int:
        """Return the exit code, once the shell has ended."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        code = self.child.exitstatus
        assert code is not None
        return code
