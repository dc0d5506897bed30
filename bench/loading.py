"""Loading: what it takes until a process can claim the first job of a large queue."""

import sys
from collections.abc import Iterator

from bench.comparison import Comparison, Measure, Side
from bench.figures import at_most
from bench.gate import Gate
from bench.intake import write_batch
from bench.program import Queue
from bench.scale import Scale
from bench.workplace import INSIDE, Workplace

_MANY = 8  #: workers


def comparisons(place: Workplace, scale: Scale) -> Iterator[Comparison]:
    """Compare loading the index with decoding its fields; and starting many workers with starting one."""
    for jobs in scale.sizes:
        with place.folder() as folder:
            queue = Queue(place, folder / "data")
            with Gate(folder / "gate") as gate:  # which stays closed: so starting many workers runs nothing else
                (folder / "first.txt").write_text(f"{gate.command}\n" * _MANY)
                queue.run("enqueue", "-f", folder / "first.txt")
                write_batch(folder / "batch.jsonl", jobs - _MANY)
                queue.run("enqueue", "-f", folder / "batch.jsonl")
                yield _index(place, queue, jobs, scale)
                yield _pool(queue, jobs, scale)


def _index(place: Workplace, queue: Queue, jobs: int, scale: Scale) -> Comparison:
    def load() -> float:
        finished = place.run([sys.executable, INSIDE / "prepare.py", queue.data])
        return float(finished.output)

    def decode() -> float:
        count, seconds = place.run_bare("heads.py", queue.jobs_path).output.split()
        assert int(count) == jobs
        return float(seconds)

    return Comparison(
        title=f"loading the index of {jobs:,} jobs, inside the process",
        items=1,
        measure=Measure.TIME,
        rounds=scale.short_rounds,
        ours=[Side(name="the store's `prepare_for_work`", records="nothing", run=load, target=at_most(1.5))],
        others=[
            Side(
                name="msgspec: read `jobs.json`, decode id, state, seq, run_at and claim", records="nothing", run=decode
            )
        ],
    )


def _pool(queue: Queue, jobs: int, scale: Scale) -> Comparison:
    def start(count: int) -> float:
        finished = queue.run("worker", "start", "--count", str(count))
        queue.run("worker", "stop", "--now")
        return finished.seconds

    return Comparison(
        title=f"`worker start` on {jobs:,} jobs, until all have reported in",
        items=1,
        measure=Measure.TIME,
        rounds=scale.rounds,
        ours=[Side(name=f"{_MANY} workers", records="the pool's and the workers' files", run=lambda: start(_MANY))],
        others=[Side(name="1 worker", records="the pool's and the worker's file", run=lambda: start(1))],
    )
