"""Draining a queue of commands that do nothing: what remains is what running a command costs.

The workers, and the processes of the bare loops, wait at a gate before anything is timed, so that no start-up of an
interpreter counts. The clock stops when the last command has ended.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime

from bench import peers
from bench.comparison import Comparison, Measure, Side
from bench.figures import Target, at_least
from bench.gate import Gate
from bench.program import Entry, Queue
from bench.scale import Scale
from bench.workplace import BARE, Workplace, line

WORKERS = 2
OURS = "QueueCTL"
XARGS = f"`xargs -P{WORKERS} -n1 sh -c true`"
_POPEN = f"{WORKERS} bare Python loops of `subprocess.Popen`"


def comparisons(place: Workplace, scale: Scale) -> Iterator[Comparison]:
    """Compare draining with whatever else starts shells, two at a time; and with itself in a crowd."""
    yield _beside_others(place, scale)
    yield _in_a_crowd(place, scale)


def _beside_others(place: Workplace, scale: Scale) -> Comparison:
    jobs = scale.drain_jobs
    return Comparison(
        title=f"drain {jobs:,} × `true`, {WORKERS} workers",
        items=jobs,
        measure=Measure.RATE,
        rounds=scale.rounds,
        ours=[_queue(place, OURS, jobs, WORKERS, targets={XARGS: at_least(1.1), _POPEN: at_least(0.95)})],
        others=[
            Side(name=XARGS, records="nothing", run=lambda: _drain_by_xargs(place, jobs)),
            Side(
                name=_POPEN, records="the output of the last command", run=lambda: _drain_by_loops(place, jobs, "popen")
            ),
            Side(
                name=f"{WORKERS} bare Python loops of `os.posix_spawn`",
                records="the output of the last command",
                run=lambda: _drain_by_loops(place, jobs, "spawn"),
            ),
            *peers.sides(place, scale.peer_jobs, WORKERS),
        ],
    )


def _in_a_crowd(place: Workplace, scale: Scale) -> Comparison:
    jobs = scale.crowd_jobs
    return Comparison(
        title=f"drain {jobs:,} × `true`, many workers",
        items=jobs,
        measure=Measure.RATE,
        rounds=scale.rounds,
        ours=[_queue(place, f"{count} workers", jobs, count, target=at_least(0.9)) for count in scale.crowds],
        others=[_queue(place, f"{WORKERS} workers", jobs, WORKERS)],
    )


def _queue(
    place: Workplace,
    name: str,
    jobs: int,
    workers: int,
    *,
    target: Target | None = None,
    targets: dict[str, Target] | None = None,
) -> Side:
    return Side(
        name=name,
        records="each job's states, attempts, times and exit code, durable 0.1 s later; its output",
        run=lambda: _drain_queue(place, jobs, workers),
        target=target,
        targets=targets or {},
    )


def _drain_queue(place: Workplace, jobs: int, workers: int) -> float:
    with place.folder() as folder, Gate(folder / "gate") as gate:
        commands = folder / "commands.txt"
        commands.write_text("\n".join([gate.command] * workers + ["true"] * jobs) + "\n")
        queue = Queue(place, folder / "data")
        queue.run("enqueue", "-f", commands)
        with queue.workers(workers):
            queue.wait_until(lambda entries: are_held(entries, workers))
            began = time.time()
            gate.open(workers)
            queue.wait_until(_have_ended)
        entries = queue.entries()
        outcomes = {(entry.state, entry.attempts, entry.exit_code) for entry in entries}
        assert (len(entries), outcomes) == (workers + jobs, {("completed", 1, 0)})
        return max(datetime.fromisoformat(entry.finished_at or "").timestamp() for entry in entries) - began


def are_held(entries: list[Entry], workers: int) -> bool:
    """Whether each of so many *workers* has a job."""
    return sum(entry.state == "in_progress" for entry in entries) == workers


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
        loops = []
        for number in range(WORKERS):
            outputs, share = folder / str(number), len(range(number, jobs, WORKERS))
            outputs.mkdir()
            argv = [sys.executable, str(BARE / "loop.py"), call, str(share)]
            loops.append(stack.enter_context(place.started(argv, stdin=gate, cwd=outputs)))
        for loop in loops:
            assert line(loop) == "ready"
        began = time.monotonic()
        gate.open(WORKERS)
        ended = max(float(line(loop)) for loop in loops)
        assert [loop.wait() for loop in loops] == [0] * WORKERS
        return ended - began
