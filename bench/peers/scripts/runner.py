"""What the scripts share: the gate, and the command."""

import os
import subprocess
import time
from collections.abc import Callable

_COMMAND = ("sh", "-c", "true")


def say(text: str) -> None:
    """Print one line; whole, though others do the same."""
    os.write(1, text.encode() + b"\n")


def await_gate() -> None:
    """Wait until the gate opens for this runner."""
    os.read(0, 1)


def command() -> int:
    """Run the command; return its exit code."""
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(_COMMAND, stdin=nowhere, stdout=nowhere, stderr=nowhere).wait()


def drain(run_next: Callable[[], bool]) -> None:
    """Be a runner: *run_next* until there is nothing more to do."""
    say("ready")
    await_gate()
    while run_next():
        pass
    say(str(time.monotonic()))
