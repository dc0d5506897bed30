"""A job that writes much: its output goes to a file, as it would without a queue."""

import time
from collections.abc import Iterator
from datetime import datetime

from bench import linux
from bench.comparison import Comparison, Measure, Side
from bench.drain import are_held
from bench.figures import Figure, Note, at_least, at_most
from bench.gate import Gate
from bench.program import Queue
from bench.scale import Scale
from bench.survey import Survey, median
from bench.workplace import Workplace


def measurements(place: Workplace, scale: Scale) -> Iterator[Comparison | Survey]:
    """Compare it with the same command redirected to a file, and look at the worker's memory."""
    size = scale.output_bytes
    yield Comparison(
        title=f"a job that writes {size / 1e6:,.0f} MB",
        items=1,
        measure=Measure.RATE,
        rounds=scale.rounds,
        ours=[
            Side(
                name=f"job `head -c {size} /dev/zero`",
                records="the output, and all that is kept of a job",
                run=lambda: _write(place, size)[0],
                target=at_least(0.9),
            )
        ],
        others=[
            Side(name=f"`head -c {size} /dev/zero > file`", records="the output", run=lambda: _redirect(place, size))
        ],
    )
    if linux.IS_THERE:

        def grown(_: Note) -> list[Figure]:
            subject = f"more memory (peak) of a worker for a job that writes {size / 1e6:,.0f} MB"
            return [median(subject, [_write(place, size)[1]], "MB", at_most(1))]

        yield Survey(title="memory for much output", look=grown)


def _write(place: Workplace, size: int) -> tuple[float, float]:
    """Return how long the job took, from a gate before it, and by how many MB its worker's peak has grown."""
    with place.folder() as folder, Gate(folder / "gate") as gate:
        queue = Queue(place, folder / "data")
        commands = folder / "commands.txt"
        commands.write_text(f"{gate.command}\nhead -c {size} /dev/zero\n")
        queue.run("enqueue", "-f", commands)
        with queue.workers(1) as (pid,):
            queue.wait_until(lambda entries: are_held(entries, 1))
            before = _peak_mb(pid)
            began = time.time()
            gate.open(1)
            entries = queue.wait_until(lambda entries: all(entry.finished_at for entry in entries))
            grown = _peak_mb(pid) - before
        assert [(entry.state, entry.exit_code) for entry in entries] == [("completed", 0)] * 2
        assert sum(path.stat().st_size for path in (queue.data / "logs").rglob("*.out")) == size
        return datetime.fromisoformat(entries[1].finished_at or "").timestamp() - began, grown


def _peak_mb(pid: int) -> float:
    return linux.peak_mb(pid) if linux.IS_THERE else 0.0


def _redirect(place: Workplace, size: int) -> float:
    with place.folder() as folder:
        target = folder / "file"
        finished = place.run(["sh", "-c", f'exec head -c {size} /dev/zero > "$0"', target])
        assert target.stat().st_size == size
        return finished.seconds
