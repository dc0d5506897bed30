"""Reading: what it costs to know how the queue stands, with many jobs and with none."""

import json
import sys
from collections.abc import Callable, Generator
from pathlib import Path

from bench.comparison import Comparison, Measure, Side
from bench.intake import write_batch
from bench.program import Queue
from bench.scale import Scale
from bench.workplace import Workplace


def comparisons(place: Workplace, scale: Scale) -> Generator[Comparison, None, None]:
    """Compare ``status`` with reading the file, and with the start of Python where there is nothing to read."""
    with place.folder() as folder:
        yield _many(place, folder, scale)
    with place.folder() as folder:
        yield _none(place, folder, scale)


def _many(place: Workplace, folder: Path, scale: Scale) -> Comparison:
    jobs = scale.batch_jobs
    queue = Queue(place, folder / "data")
    write_batch(folder / "batch.jsonl", jobs)
    queue.run("enqueue", "-f", folder / "batch.jsonl")

    def count() -> float:
        finished = place.run_bare("states.py", queue.jobs_path)
        assert finished.output == f"pending {jobs}\n"
        return finished.seconds

    return Comparison(
        title=f"`status` with {jobs:,} jobs, whole process",
        items=1,
        measure=Measure.TIME,
        rounds=scale.short_rounds,
        ours=_reports(queue, jobs),
        others=[Side(name="msgspec: read `jobs.json`, decode the states, count", records="nothing", run=count)],
    )


def _none(place: Workplace, folder: Path, scale: Scale) -> Comparison:
    queue = Queue(place, folder / "data")
    queue.run("status")
    return Comparison(
        title="`status` on an empty queue, whole process",
        items=1,
        measure=Measure.TIME,
        rounds=scale.short_rounds,
        ours=_reports(queue, 0),
        others=[
            Side(
                name='`python -c "import click, msgspec"`',
                records="nothing",
                run=lambda: place.run([sys.executable, "-c", "import click, msgspec"]).seconds,
            )
        ],
    )


def _reports(queue: Queue, jobs: int) -> list[Side]:
    def as_text() -> float:
        finished = queue.run("status")
        assert finished.output.startswith(f"Total Jobs: {jobs}\n")
        return finished.seconds

    def as_json() -> float:
        finished = queue.run("status", "--json")
        assert json.loads(finished.output)["total"] == jobs
        return finished.seconds

    return [_report("`status`", as_text), _report("`status --json`", as_json)]


def _report(name: str, run: Callable[[], float]) -> Side:
    return Side(name=name, records="nothing", run=run)
