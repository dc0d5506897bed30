"""Idle workers: how soon they start a job that comes, and how often they wake while none comes."""

import random
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from bench import linux
from bench.figures import Figure, Note, at_most
from bench.gate import Gate
from bench.peers.programs import is_in_path
from bench.program import Queue, Session
from bench.scale import Scale
from bench.survey import Survey, median, percentile
from bench.workplace import Workplace

_T = TypeVar("_T")
_PAUSES_S = (0.03, 0.15)  #: between two jobs, so that the worker idles again, at no regular moment
_SETTLE_S = 1.0
_LIMIT_S = 10.0
_WORKERS = 4


def surveys(place: Workplace, scale: Scale) -> Iterator[Survey]:
    """Look at workers that have just become idle, at some that have been so for long, and at task-spooler's."""
    yield Survey(title="an idle worker", look=partial(_just_idle, place, scale))
    yield Survey(title=f"a worker that was idle for {scale.idle_s:g} s", look=partial(_long_idle, place, scale))
    if is_in_path("tsp"):
        yield Survey(title="an idle task-spooler", look=partial(_tsp, place, scale))
    if linux.IS_THERE:
        yield Survey(title="wake-ups", look=partial(_wakeups, place, scale))


def _just_idle(place: Workplace, scale: Scale, note: Note) -> list[Figure]:
    with place.folder() as folder, Gate(folder / "gate") as gate:
        queue = Queue(place, folder / "data")
        with queue.workers(1), queue.session() as session:
            each = _repeat(lambda: _latency(session, gate), scale.latencies, note)
    return [
        *_percentiles("enqueue confirmed → command started", [one for _, one in each], is_goal=True),
        *_percentiles("`enqueue` given to a running session → command started", [one for one, _ in each]),
    ]


def _long_idle(place: Workplace, scale: Scale, note: Note) -> list[Figure]:
    with ExitStack() as stack:
        gate = stack.enter_context(Gate(stack.enter_context(place.folder()) / "gate"))
        queues = [Queue(place, stack.enter_context(place.folder()) / "data") for _ in range(scale.idle_queues)]
        for queue in queues:
            stack.enter_context(queue.workers(1))
        note(f"{len(queues)} workers idle for {scale.idle_s:g} s")
        time.sleep(scale.idle_s)
        each = []
        for queue in queues:
            with queue.session() as session:
                each.append(_latency(session, gate)[1])
    return _percentiles(f"enqueue confirmed → command started, after {scale.idle_s:g} s of idling", each, is_goal=True)


def _latency(session: Session, gate: Gate) -> tuple[float, float]:
    """Enqueue a job that rings; return the milliseconds from saying so, and from the confirmation, to the ring."""
    said = time.perf_counter()
    session.say(f"enqueue -- '{gate.ring}'")
    times: dict[int, float] = {}
    while waiting := {session.answer_fd, gate.bell_fd} - set(times):
        ready, _, _ = select.select(waiting, [], [], _LIMIT_S)
        assert ready, f"nothing has happened for {_LIMIT_S:g} s"
        times |= dict.fromkeys(ready, time.perf_counter())
    assert session.answer().startswith("Job added")
    gate.await_rings(1)
    rung, confirmed = times[gate.bell_fd], times[session.answer_fd]
    return (rung - said) * 1000, max(0.0, rung - confirmed) * 1000


def _tsp(place: Workplace, scale: Scale, note: Note) -> list[Figure]:
    with place.folder() as folder, Gate(folder / "gate") as gate:
        variables = {"TS_SOCKET": str(folder / "s"), "TMPDIR": str(folder)}
        place.run(["tsp", "-S", "1"], variables=variables)

        def latency() -> float:
            called = time.perf_counter()
            with place.started(["tsp", "sh", "-c", gate.ring], variables=variables) as process:
                gate.await_rings(1)
                rung = time.perf_counter()
                assert process.wait() == 0
            return (rung - called) * 1000

        try:
            each = _repeat(latency, scale.latencies, note)
        finally:
            place.run(["tsp", "-K"], variables=variables)
    return _percentiles("task-spooler: `tsp` called → command started", each)


def _repeat(one: Callable[[], _T], count: int, note: Note) -> list[_T]:
    found = []
    for number in range(count):
        time.sleep(random.uniform(*_PAUSES_S))
        found.append(one())
        if number % 50 == 0:
            note(f"{number + 1} of {count}")
    return found


def _percentiles(subject: str, each: Sequence[float], *, is_goal: bool = False) -> list[Figure]:
    middle, late = (at_most(3), at_most(6)) if is_goal else (None, None)
    return [
        percentile(f"{subject}, p50", each, 0.5, "ms", middle),
        percentile(f"{subject}, p95", each, 0.95, "ms", late),
    ]


def _wakeups(place: Workplace, scale: Scale, _: Note) -> list[Figure]:
    with place.folder() as folder, Queue(place, folder / "data").workers(_WORKERS) as pids:
        all_pids = [linux.parent(pids[0]), *pids]
        time.sleep(_SETTLE_S)
        before, begun = linux.wakeups(all_pids), time.monotonic()
        time.sleep(scale.wakeups_s)
        rate = (linux.wakeups(all_pids) - before) / (time.monotonic() - begun)
    return [median(f"wake-ups of {_WORKERS} idle workers and their pool", [rate], "a second", at_most(3))]
