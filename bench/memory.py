"""Memory: of an idle worker, and what it needs more when many jobs wait. Linux only."""

import time
from collections.abc import Iterator

from bench import linux
from bench.drain import are_held
from bench.figures import Figure, Note, at_most
from bench.gate import Gate
from bench.program import Queue
from bench.scale import Scale
from bench.survey import Survey, median
from bench.workplace import Workplace

_WORKERS = 4
_SETTLE_S = 1.0


def surveys(place: Workplace, scale: Scale) -> Iterator[Survey]:
    """Look at the workers of an empty queue, and at those of a large one."""
    if not linux.IS_THERE:
        return
    jobs = scale.sizes[-1]

    def of_idle(_: Note) -> list[Figure]:
        with place.folder() as folder, Queue(place, folder / "data").workers(_WORKERS) as pids:
            time.sleep(_SETTLE_S)
            each = [linux.proportional_mb(pid) for pid in pids]
            pool = linux.proportional_mb(linux.parent(pids[0]))
        return [
            median(f"memory (PSS) of one of {_WORKERS} idle workers", each, "MB", at_most(20)),
            median("memory (PSS) of their pool", [pool], "MB"),
        ]

    def of_many(_: Note) -> list[Figure]:
        few, many = _at_gate(place, 0), _at_gate(place, jobs)
        more = [one - other for one, other in zip(many, few, strict=True)]
        return [
            median(
                f"more memory (PSS) of one of {_WORKERS} workers for {jobs:,} waiting jobs", more[1:], "MB", at_most(60)
            ),
            median(f"more memory (PSS) of their pool for {jobs:,} waiting jobs", more[:1], "MB"),
        ]

    yield Survey(title="idle workers", look=of_idle)
    yield Survey(title="workers with many jobs waiting", look=of_many)


def _at_gate(place: Workplace, waiting: int) -> list[float]:
    """Return the memory of the pool and its workers, who each run a job while so many are *waiting*."""
    with place.folder() as folder, Gate(folder / "gate") as gate:
        queue = Queue(place, folder / "data")
        commands = folder / "commands.txt"
        commands.write_text("\n".join([gate.command] * _WORKERS + ["true"] * waiting) + "\n")
        queue.run("enqueue", "-f", commands)
        with queue.workers(_WORKERS, holds_jobs=True) as pids:
            queue.wait_until(lambda entries: are_held(entries, _WORKERS))
            return [linux.proportional_mb(pid) for pid in (linux.parent(pids[0]), *pids)]
