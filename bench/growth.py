"""What a job costs beside many others: many that wait, and many that have ended and are still in the file.

One queue serves all rounds, since a large one takes long to make. It begins with blocks of jobs, each with jobs in
front of it that wait at a gate. In a round the workers come to the first of these, drain one block, and come to the
gate of the next one; being stopped there, they give those jobs back for the next round. Loading counts for nobody.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from bench.comparison import Comparison, Measure, Side
from bench.drain import WORKERS, are_held
from bench.figures import Target, at_most
from bench.gate import Gate
from bench.program import Entry, Queue, text_of
from bench.scale import Scale
from bench.workplace import Workplace

_LONG_AGO = "2020-01-01T00:00:00.000Z"


def comparisons(place: Workplace, scale: Scale) -> Iterator[Comparison]:
    """Compare a block of jobs in a large queue with the same in a small one."""
    many, few = scale.sizes[-1], scale.little
    with ExitStack() as stack:

        def side(name: str, *, waiting: int = few, completed: int = 0, target: Target | None = None) -> Side:
            gate = stack.enter_context(Gate(stack.enter_context(place.folder()) / "gate"))
            queue = Queue(place, stack.enter_context(place.folder()) / "data")
            _fill(queue, gate, scale, waiting=waiting, completed=completed)
            return Side(
                name=name,
                records="each job's states, attempts, times and exit code; its output",
                run=lambda: _drain_block(queue, gate, scale.crowd_jobs),
                target=target,
            )

        yield Comparison(
            title=f"a drained job in a large queue, {WORKERS} workers, loading apart",
            items=scale.crowd_jobs,
            measure=Measure.TIME,
            rounds=scale.rounds,
            ours=[
                side(f"{many:,} waiting", waiting=many, target=at_most(1.15)),
                side(f"{many:,} completed in the file", completed=many, target=at_most(1.15)),
            ],
            others=[side(f"{few:,} waiting")],
        )


def write_completed(path: Path, count: int) -> None:
    """Write *count* completed jobs as an array that a queue takes over."""
    with path.open("w") as file:
        file.write("[\n")
        for number in range(1, count + 1):
            file.write(
                f'{"," if number > 1 else " "}{{"id":"old-{number}","command":"true","state":"completed","attempts":1,'
                f'"max_retries":3,"created_at":"{_LONG_AGO}","updated_at":"{_LONG_AGO}","started_at":"{_LONG_AGO}",'
                f'"finished_at":"{_LONG_AGO}","exit_code":0,"seq":{number}}}\n'
            )
        file.write("]\n")


def _fill(queue: Queue, gate: Gate, scale: Scale, *, waiting: int, completed: int) -> None:
    if completed:
        queue.data.mkdir(mode=0o700)
        write_completed(queue.jobs_path, completed)
    block = [*[gate.command] * WORKERS, *["true"] * scale.crowd_jobs]
    lines = [*block * (scale.rounds + 1), *[gate.command] * WORKERS, *["true"] * waiting]
    commands = queue.data.parent / "commands.txt"
    commands.write_text("\n".join(lines) + "\n")
    queue.run("enqueue", "-f", commands)
    commands.unlink()


def _drain_block(queue: Queue, gate: Gate, jobs: int) -> float:
    with queue.workers(WORKERS, holds_jobs=True):
        queue.wait_until(lambda entries: are_held(entries, WORKERS))
        began = time.time()
        since = text_of(began)
        gate.open(WORKERS)

        def is_drained(entries: list[Entry]) -> bool:
            return are_held(entries, WORKERS) and len(_ended(entries, since)) == WORKERS + jobs

        ended = _ended(queue.wait_until(is_drained), since)
    assert {(entry.state, entry.attempts, entry.exit_code) for entry in ended} == {("completed", 1, 0)}
    return max(datetime.fromisoformat(entry.finished_at or "").timestamp() for entry in ended) - began


def _ended(entries: list[Entry], since: str) -> list[Entry]:
    return [entry for entry in entries if (entry.finished_at or "") >= since]
