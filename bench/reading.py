"""Reading: what it costs to know how the queue stands, with many jobs and with none; and how long the lock is held."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.comparison import Comparison, Measure, Side
from bench.figures import Target, at_most
from bench.intake import write_batch
from bench.program import Queue
from bench.scale import Scale
from bench.workplace import INSIDE, Workplace

_LIMIT = 50  #: of the jobs that are listed


@dataclass(frozen=True, kw_only=True)
class _Look:
    """One way to look at a large queue, and what does the same without one."""

    words: tuple[str, ...]
    shows: Callable[[str], bool]  #: whether its output is right
    bare: tuple[str, ...]
    needs: str  #: what is decoded


def comparisons(place: Workplace, scale: Scale) -> Iterator[Comparison]:
    """Compare looking with reading the file, and with the start of Python where there is nothing to read."""
    for jobs in scale.sizes:
        with place.folder() as folder:
            yield from _many(place, folder, jobs, scale)
    with place.folder() as folder:
        yield _none(place, folder, scale)


def _many(place: Workplace, folder: Path, jobs: int, scale: Scale) -> Iterator[Comparison]:
    queue = Queue(place, folder / "data")
    write_batch(folder / "batch.jsonl", jobs)
    queue.run("enqueue", "-f", folder / "batch.jsonl")
    last = f"job-{jobs - 1}"
    looks = (
        _Look(
            words=("status",),
            shows=lambda output: output.startswith(f"Total Jobs: {jobs}\n"),
            bare=("states.py",),
            needs="the states, count them",
        ),
        _Look(
            words=("list", "--state", "pending", "--limit", str(_LIMIT)),
            shows=lambda output: output.count(" pending ") == _LIMIT,
            bare=("look.py", "list", "pending", str(_LIMIT)),
            needs=f"state and seq, show {_LIMIT}",
        ),
        _Look(
            words=("show", last),
            shows=lambda output: last in output,
            bare=("look.py", "show", last),
            needs="the ids, show one",
        ),
    )
    for one in looks:
        yield _look(place, queue, jobs, scale, one)


def _look(place: Workplace, queue: Queue, jobs: int, scale: Scale, one: _Look) -> Comparison:
    def look() -> float:
        finished = queue.run(*one.words)
        assert one.shows(finished.output), finished.output[:500]
        return finished.seconds

    def hold() -> float:
        return float(place.run([sys.executable, INSIDE / "held.py", queue.data, *one.words]).output.splitlines()[-1])

    def decode() -> float:
        return place.run_bare(*one.bare, queue.jobs_path).seconds

    return Comparison(
        title=f"`{' '.join(one.words)}` with {jobs:,} jobs",
        items=1,
        measure=Measure.TIME,
        rounds=scale.short_rounds,
        ours=[
            _report("whole process", look, at_most(2)),
            _report("while it holds the lock", hold, at_most(0.1)),
        ],
        others=[_report(f"msgspec: read `jobs.json`, decode {one.needs}, whole process", decode)],
    )


def _none(place: Workplace, folder: Path, scale: Scale) -> Comparison:
    queue = Queue(place, folder / "data")
    queue.run("status")

    def as_text() -> float:
        finished = queue.run("status")
        assert finished.output.startswith("Total Jobs: 0\n")
        return finished.seconds

    def as_json() -> float:
        finished = queue.run("status", "--json")
        assert json.loads(finished.output)["total"] == 0
        return finished.seconds

    def start() -> float:
        return place.run([sys.executable, "-c", "import click, msgspec"]).seconds

    return Comparison(
        title="`status` on an empty queue, whole process",
        items=1,
        measure=Measure.TIME,
        rounds=scale.short_rounds,
        ours=[_report("`status --json`", as_json, at_most(1.3)), _report("`status`", as_text)],
        others=[_report('`python -c "import click, msgspec"`', start)],
    )


def _report(name: str, run: Callable[[], float], target: Target | None = None) -> Side:
    return Side(name=name, records="nothing", run=run, target=target)
