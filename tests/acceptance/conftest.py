"""The real program, as a user starts it, on a queue of the test's own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, str(ROOT / "queuectl.py"))
LIMIT_S = 60.0  #: for one run of the program


@dataclass(frozen=True)
class Result:
    """What a run has written, and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class QueueCtl:
    """The program and its data folder; *here* is the directory that it is started in."""

    data: Path
    here: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of every run; `python` in a job is this one.

        Whether colours, pages and hints come is decided by the tests that are about them.
        """
        mine = {
            "QUEUECTL_HINTS": "0",
            "PAGER": "cat",
            "NO_COLOR": "",
            "FORCE_COLOR": "",
            "CLICOLOR_FORCE": "",
            "QUEUECTL_DATA": str(self.data),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        return os.environ | mine

    def start(
        self, *args: str | bytes, here: Path | None = None, env: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start the program with pipes for all its streams, and *env* beside the usual environment."""
        return subprocess.Popen(
            [*PROGRAM, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=here or self.here,
            env=self.environment | dict(env or {}),
        )

    def run(
        self,
        script: str | bytes = b"",
        *args: str | bytes,
        here: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run the program with *script* as its standard input."""
        with self.start(*args, here=here, env=env) as process:
            data = script if isinstance(script, bytes) else script.encode()
            try:
                out, err = process.communicate(data, timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return Result(process.returncode, out.decode(), err.decode())


@pytest.fixture
def queuectl(data_dir: Path, tmp_path: Path) -> Iterator[QueueCtl]:
    """Return the program; whatever workers the test has started are stopped at its end."""
    program = QueueCtl(data_dir, tmp_path)
    yield program
    if data_dir.exists():
        program.run("worker stop --now\n")
