"""Draining a queue of commands that do nothing: what remains is what running a command costs.

The workers, and the processes of the bare loops, wait at a gate before anything is timed, so that no start-up of an
interpreter counts. The clock stops when the last command has ended.
"""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from bench.comparison import Comparison, Measure, Side
from bench.program import Entry, Queue
from bench.scale import Scale
from bench.workplace import BARE, Workplace, environment

WORKERS = 2


class Gate:
    """A pipe with a name, at which processes wait for one byte each. So the gate may open before all have come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR)  # reading as well: so it opens without anybody at the other end

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    @property
    def command(self) -> str:
        """A shell command that waits and then succeeds; it starts no other process."""
        return f"read _ < {shlex.quote(str(self._path))}"

    def fileno(self) -> int:
        """Return the descriptor from which a process reads its byte."""
        return self._fd

    def open(self, count: int) -> None:
        """Let *count* processes go."""
        os.write(self._fd, b"\n" * count)


def comparisons(place: Workplace, scale: Scale) -> Generator[Comparison, None, None]:
    """Compare draining with whatever else starts that many shells, two at a time."""
    jobs = scale.drain_jobs
    yield Comparison(
        title=f"drain {jobs:,} × `true`, {WORKERS} workers",
        items=jobs,
        measure=Measure.RATE,
        rounds=scale.rounds,
        ours=[
            Side(
                name="QueueCTL",
                records="each job's states, attempts, times and exit code, durable 0.1 s later; its output",
                run=lambda: _drain_queue(place, jobs),
            )
        ],
        others=[
            Side(
                name=f"`xargs -P{WORKERS} -n1 sh -c true`",
                records="nothing",
                run=lambda: _drain_by_xargs(place, jobs),
            ),
            Side(
                name=f"{WORKERS} bare Python loops of `subprocess.Popen`",
                records="the output of the last command",
                run=lambda: _drain_by_loops(place, jobs, "popen"),
            ),
            Side(
                name=f"{WORKERS} bare Python loops of `os.posix_spawn`",
                records="the output of the last command",
                run=lambda: _drain_by_loops(place, jobs, "spawn"),
            ),
        ],
    )


def _drain_queue(place: Workplace, jobs: int) -> float:
    with place.folder() as folder, Gate(folder / "gate") as gate:
        commands = folder / "commands.txt"
        commands.write_text("\n".join([gate.command] * WORKERS + ["true"] * jobs) + "\n")
        queue = Queue(place, folder / "data")
        queue.run("enqueue", "-f", commands)
        with queue.workers(WORKERS):
            queue.wait_until(_are_at_gate)
            began = time.time()
            gate.open(WORKERS)
            queue.wait_until(_have_ended)
        entries = queue.entries()
        outcomes = {(entry.state, entry.attempts, entry.exit_code) for entry in entries}
        assert (len(entries), outcomes) == (WORKERS + jobs, {("completed", 1, 0)})
        return max(datetime.fromisoformat(entry.finished_at or "").timestamp() for entry in entries) - began


def _are_at_gate(entries: list[Entry]) -> bool:
    return sum(entry.state == "in_progress" for entry in entries) == WORKERS


def _have_ended(entries: list[Entry]) -> bool:
    return all(entry.finished_at for entry in entries)


def _drain_by_xargs(place: Workplace, jobs: int) -> float:
    with place.folder() as folder:
        arguments = folder / "arguments.txt"
        arguments.write_text("".join(f"{number}\n" for number in range(jobs)))
        # It fails if one of the commands does.
        return place.run(["xargs", f"-P{WORKERS}", "-n1", "sh", "-c", "true"], stdin=arguments).seconds


def _drain_by_loops(place: Workplace, jobs: int, call: str) -> float:
    with place.folder() as folder, Gate(folder / "gate") as gate, ExitStack() as stack:
        shares = [len(range(number, jobs, WORKERS)) for number in range(WORKERS)]
        loops = [
            stack.enter_context(_loop(folder / str(number), call, share, gate)) for number, share in enumerate(shares)
        ]
        for loop in loops:
            assert _line(loop) == "ready"
        began = time.monotonic()
        gate.open(WORKERS)
        ended = max(float(_line(loop)) for loop in loops)
        assert [loop.wait() for loop in loops] == [0] * WORKERS
        return ended - began


@contextmanager
def _loop(outputs: Path, call: str, count: int, gate: Gate) -> Iterator[subprocess.Popen[str]]:
    """Have a process that runs *count* commands once the gate has opened."""
    outputs.mkdir()
    argv: list[str | Path] = [sys.executable, BARE / "loop.py", call, str(count)]
    with subprocess.Popen(
        argv, stdin=gate.fileno(), stdout=subprocess.PIPE, cwd=outputs, env=environment(), text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
