"""Where measurements take place: a folder of their own on a real disk, and processes that are timed as a whole.

What is made here is removed at the end; only processes that were started here are ended.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from queuectl.stores.local.folder import file_system

ROOT = Path(__file__).resolve().parent.parent
BARE = ROOT / "bench" / "bare"  #: scripts that do the same work and nothing more
INSIDE = ROOT / "bench" / "inside"  #: scripts that use the store itself, in a process of their own
LIMIT_S = 600.0  #: a process that runs longer hangs

_MEMORY_SYSTEMS = frozenset({"tmpfs", "ramfs"})


class HasDescriptor(Protocol):
    """Something that a process can read from."""

    def fileno(self) -> int:
        """Return its descriptor."""
        ...


@dataclass(frozen=True)
class Finished:
    """A process that has ended well: how long it took as a whole, and what it wrote on stdout."""

    seconds: float
    output: str


class Workplace:
    """A temporary folder, and what runs in it."""

    def __init__(self, path: Path, *, peers_python: str = sys.executable) -> None:
        """Work in *path*; *peers_python* has the packages that are measured beside this one."""
        self.path = path
        self.peers_python = peers_python

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give a fresh folder, removed at the end."""
        path = Path(tempfile.mkdtemp(dir=self.path, prefix="run-"))
        try:
            yield path
        finally:
            shutil.rmtree(path)

    def run(
        self, argv: Sequence[str | Path], *, stdin: Path | None = None, variables: Mapping[str, str] | None = None
    ) -> Finished:
        """Run *argv* to its end; a failure is an error. The time is that of the whole process."""
        with (
            tempfile.TemporaryFile(dir=self.path) as out,
            tempfile.TemporaryFile(dir=self.path) as err,
            (stdin or Path(os.devnull)).open("rb") as source,
        ):
            begun = time.perf_counter()
            with (
                subprocess.Popen(
                    argv, stdin=source, stdout=out, stderr=err, cwd=self.path, env=environment() | dict(variables or {})
                ) as process,
                _ended_after(LIMIT_S, process),
            ):
                exit_code = process.wait()  # with a time limit of its own it would look only every 50 ms
            seconds = time.perf_counter() - begun
            err.seek(0)
            assert exit_code == 0, f"exit code {exit_code} of {argv}: {err.read().decode()}"
            out.seek(0)
            return Finished(seconds, out.read().decode())

    def run_bare(self, script: str, *arguments: str | Path) -> Finished:
        """Run one of the bare scripts to its end."""
        return self.run([sys.executable, BARE / script, *arguments])

    @contextmanager
    def started(
        self,
        argv: Sequence[str | Path],
        *,
        stdin: HasDescriptor | int = subprocess.DEVNULL,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Iterator[subprocess.Popen[str]]:
        """Have the process *argv*, whose stdout is to be read with ``line``; it is killed at the end."""
        with subprocess.Popen(
            argv,
            stdin=stdin if isinstance(stdin, int) else stdin.fileno(),
            stdout=subprocess.PIPE,
            cwd=cwd or self.path,
            env=environment() | dict(variables or {}),
            text=True,
        ) as process:
            timer = threading.Timer(LIMIT_S, process.kill)
            timer.start()
            try:
                yield process
            finally:
                timer.cancel()
                process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line that *process* has written."""
    assert process.stdout is not None
    text = process.stdout.readline()
    assert text, f"{process.args!r} has ended too early"
    return text.strip()


@contextmanager
def _ended_after(limit_s: float, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill *process* if it is still there after *limit_s*, or when waiting for it is given up."""
    timer = threading.Timer(limit_s, process.kill)
    timer.start()
    try:
        yield
    except BaseException:
        process.kill()
        raise
    finally:
        timer.cancel()


def environment() -> dict[str, str]:
    """Return what processes are started with: nothing that changes how Python or QueueCTL work."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "QUEUECTL_"))}


@contextmanager
def workplace(parent: Path, *, peers_python: str = sys.executable) -> Iterator[Workplace]:
    """Make a workplace below *parent*, which has to be on a disk: in memory a sync costs nothing."""
    system = file_system(parent)
    if system in _MEMORY_SYSTEMS:
        msg = f"the folder for the measurements is on {system}, not on a disk: choose another one with --folder"
        raise SystemExit(msg)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".bench-") as path:
        yield Workplace(Path(path), peers_python=peers_python)
