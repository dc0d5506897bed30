"""Where a folder stops being the right tool: the most jobs a second that its store can hand out and take back, and the
size and loading time of a million jobs."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from bench.figures import Figure, Note
from bench.gate import Gate
from bench.intake import write_batch
from bench.program import Queue
from bench.scale import Scale
from bench.survey import Survey, median
from bench.workplace import INSIDE, Workplace, line

MILLION = 1_000_000
VERBS = "settled and claimed by"  #: followed by the number of processes
FILE = "jobs.json for each million jobs"
LOADING = "loading the index, for each million jobs"
ROUND_TRIPS = 3  #: how often each number of processes is tried


def surveys(place: Workplace, scale: Scale) -> Iterator[Survey]:
    """Look at the store alone, with no command run, and at the size of a large queue."""
    for count in scale.verb_processes:
        yield Survey(title=f"the store alone, {count} processes", look=partial(_exchange, place, scale, count))
    yield Survey(title="a large queue", look=partial(_size, place, scale))


def _exchange(place: Workplace, scale: Scale, processes: int, _: Note) -> list[Figure]:
    rates = [_rate(place, scale.verb_jobs, processes) for _ in range(ROUND_TRIPS)]
    return [median(f"{VERBS} {processes} processes that run nothing", rates, "jobs a second")]


def _rate(place: Workplace, jobs: int, processes: int) -> float:
    with place.folder() as folder, Gate(folder / "gate") as gate, ExitStack() as stack:
        queue = Queue(place, folder / "data")
        write_batch(folder / "batch.jsonl", jobs)
        queue.run("enqueue", "-f", folder / "batch.jsonl")
        argv = [sys.executable, str(INSIDE / "exchange.py"), str(queue.data)]
        running = [
            stack.enter_context(place.started([*argv, f"process{number}"], stdin=gate)) for number in range(processes)
        ]
        assert [line(process) for process in running] == ["ready"] * processes
        began = time.monotonic()
        gate.open(processes)
        ends = [line(process).split() for process in running]
        assert [process.wait() for process in running] == [0] * processes
        assert sum(int(settled) for settled, _ in ends) == jobs
        assert {(entry.state, entry.attempts) for entry in queue.entries()} == {("completed", 1)}
        return jobs / (max(float(ended) for _, ended in ends) - began)


def _size(place: Workplace, scale: Scale, _: Note) -> list[Figure]:
    jobs = scale.sizes[-1]
    with place.folder() as folder:
        queue = Queue(place, folder / "data")
        write_batch(folder / "batch.jsonl", jobs)
        queue.run("enqueue", "-f", folder / "batch.jsonl")
        size_mb = queue.jobs_path.stat().st_size / 1e6
        loads_s = [
            float(place.run([sys.executable, INSIDE / "prepare.py", queue.data]).output) for _ in range(ROUND_TRIPS)
        ]
    share = MILLION / jobs
    return [
        median(f"{FILE} (from {jobs:,})", [size_mb * share], "MB"),
        median(f"{LOADING} (from {jobs:,})", [seconds * share for seconds in loads_s], "s"),
    ]
