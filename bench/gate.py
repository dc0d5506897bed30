"""Where processes wait until the clock has started."""

import os
import select
import shlex
import time
from pathlib import Path

_PATIENCE_S = 60.0


class Gate:
    """A pipe with a name, at which processes wait for one byte each. So the gate may open before all have come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bell_path = path.with_name(f"{path.name}.bell")
        os.mkfifo(path)
        os.mkfifo(self._bell_path)
        # Reading as well as writing: so each opens without anybody at the other end.
        self._fd = os.open(path, os.O_RDWR)
        self._bell = os.open(self._bell_path, os.O_RDWR | os.O_NONBLOCK)
        self._rings = 0  #: heard and not yet waited for

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        # First the names: who came later would wait for ever.
        self._path.unlink()
        self._bell_path.unlink()
        os.close(self._fd)
        os.close(self._bell)

    @property
    def ring(self) -> str:
        """A shell command that rings the bell at the gate; it starts no other process."""
        return f"echo > {shlex.quote(str(self._bell_path))}"

    @property
    def command(self) -> str:
        """A shell command that rings, waits and then succeeds; it starts no other process."""
        return f"{self.ring}; read _ < {shlex.quote(str(self._path))}"

    def fileno(self) -> int:
        """Return the descriptor from which a process reads its byte."""
        return self._fd

    @property
    def bell_fd(self) -> int:
        """The descriptor that is readable once somebody has rung."""
        return self._bell

    def await_rings(self, count: int) -> None:
        """Wait until it has rung *count* times more."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._rings < count:
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"{count - self._rings} did not come to the gate within {_PATIENCE_S:g} s"
            if select.select([self._bell], [], [], left_s)[0]:
                self._rings += len(os.read(self._bell, 4096))
        self._rings -= count

    def open(self, count: int) -> None:
        """Let *count* processes go."""
        os.write(self._fd, b"\n" * count)
