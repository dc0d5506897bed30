"""QueueCTL as its users have it: the command line, on a data folder of its own.

What the queue holds is read from its files and without its lock, so that looking disturbs nobody.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE, Popen

import msgspec

from bench.workplace import ROOT, Finished, Workplace, line

_GLANCE_S = 0.02
_QUIET_S = 0.3  #: the files are at most 0.2 s behind, so what has not changed for so long is worth reading
_PATIENCE_S = 60.0  #: nothing measured here stands still for so long


class Entry(msgspec.Struct):
    """What the measurements have to know of a job."""

    state: str
    attempts: int
    exit_code: int | None = None
    finished_at: str | None = None


_decode = msgspec.json.Decoder(list[Entry]).decode


def text_of(seconds: float) -> str:
    """Return a moment of ``time.time`` as the files have it, so that the two can be compared."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Queue:
    """The program on the data folder *data*."""

    def __init__(self, place: Workplace, data: Path) -> None:
        self._place = place
        self._argv = (sys.executable, ROOT / "queuectl.py", "--data", data)
        self.data = data
        self.jobs_path = data / "jobs.json"

    def run(self, *words: str | Path, stdin: Path | None = None) -> Finished:
        """Run one command, or the script *stdin*, as a process; a failure is an error."""
        return self._place.run([*self._argv, *words], stdin=stdin)

    def peak_mb(self, *words: str | Path) -> float:
        """Run one command and return the most memory that its process had."""
        # A process inherits the peak of the one that started it: so a small one starts it.
        finished = self._place.run_bare("peak.py", *map(str, self._argv), *words)
        return float(finished.output.splitlines()[-1])

    @contextmanager
    def session(self) -> Iterator["Session"]:
        """Have a process that is given one command after the other."""
        with self._place.started(self._argv, stdin=PIPE) as process:
            session = Session(process)
            session.say("config get max-retries")
            session.answer()  # so it has started
            yield session
            session.end()

    @contextmanager
    def workers(self, count: int, *, holds_jobs: bool = False) -> Iterator[list[int]]:
        """Have *count* workers, who are stopped at the end; at once, if they then hold jobs that do not end."""
        self.run("worker", "start", "--count", str(count))
        try:
            yield msgspec.json.decode((self.data / "worker_pids.json").read_bytes(), type=list[int])
            self.run("worker", "stop", *(["--now"] if holds_jobs else []))
        except BaseException:
            self.run("worker", "stop", "--now")
            raise

    def entries(self) -> list[Entry]:
        """Return the jobs of the main queue."""
        return _decode(self.jobs_path.read_bytes())

    def wait_until(self, is_reached: Callable[[list[Entry]], bool]) -> list[Entry]:
        """Return the jobs once *is_reached* of them; until the files are quiet, only their time is looked at."""
        mtime, since, is_known = 0, time.monotonic(), False
        while True:
            newest = self.jobs_path.stat().st_mtime_ns
            now = time.monotonic()
            if newest != mtime:
                mtime, since, is_known = newest, now, False
            elif not is_known and now - since >= _QUIET_S:
                entries = self.entries()
                if is_reached(entries):
                    return entries
                is_known = True
            assert now - since < _PATIENCE_S, f"{self.jobs_path.name} has not changed for {_PATIENCE_S:g} s"
            time.sleep(_GLANCE_S)


class Session:
    """A process of the program that reads commands from a pipe."""

    def __init__(self, process: Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input = process.stdin
        self.answer_fd = process.stdout.fileno()

    def say(self, command: str) -> None:
        """Give it *command*."""
        os.write(self._input.fileno(), command.encode() + b"\n")

    def answer(self) -> str:
        """Return the next line of what it says."""
        return line(self._process)

    def end(self) -> None:
        """Let it come to its end."""
        self._input.close()
        assert self._process.wait() == 0
