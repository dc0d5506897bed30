"""T4: a crowd at one queue of whom somebody is killed all the time: no job lost, none twice, nothing left behind."""

import logging
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from queuectl import logs
from queuectl.errors import StoreBusy
from queuectl.job import Job, State
from queuectl.lifecycle import MAX_CRASHES
from tests.real_queue import MARK, RealQueue
from tests.torture.conftest import Figures
from tests.torture.crowd import Crowd, Run, read_ledger
from tests.waiting import until

log = logging.getLogger(__name__)

PAUSES_S = (0.05, 0.3)  #: between two kills
STOPPED_S = 11.0  #: longer than the deadline of the lock, and than any other
FINAL = (State.COMPLETED, State.DEAD)


def unfinished(queue: RealQueue) -> int:
    """Return how many jobs have not come to their end, as far as the store can be asked at the moment."""
    try:
        return sum(count for state, count in queue.store.counts().items() if state not in FINAL)
    except StoreBusy:
        return -1


def check_job(job: Job, runs: list[Run], killed_workers: set[str]) -> str | None:
    """Return what is wrong with what became of *job*; None if nothing is."""
    is_poison = job.crashes >= MAX_CRASHES
    kind = job.env.get("KIND")
    expected = State.DEAD if is_poison or kind in ("failing", "endless") else State.COMPLETED
    if job.state is not expected:
        return f"it is {job.state}, not {expected}"
    counted = job.attempts - job.crashes
    if counted != (0 if is_poison else job.max_retries if expected is State.DEAD else 1) and not (
        is_poison and counted < job.max_retries
    ):
        return f"{counted} attempts count"
    if not counted <= len(runs) <= job.attempts:
        return f"it has begun {len(runs)} times"
    if expected is State.COMPLETED and not (runs and runs[-1].has_ended):
        return "it is completed without having ended"
    repeats = [run for run in runs[:-1] if run.token.partition(".")[0] not in killed_workers]
    if len(repeats) > (job.max_retries - 1 if kind == "failing" else 0):
        return f"it ran again though nobody had killed the worker of {repeats}"
    return None


def check_outputs(queue: RealQueue, job: Job, runs: list[Run]) -> str | None:
    """Return what is wrong with the output that is kept of the attempts of *job*; None if nothing is."""
    of_number = {run.number: run for run in runs}
    if len(of_number) != len(runs):
        return f"two attempts have had the same number: {runs}"
    for number in range(1, job.attempts + 1):
        out, err = map(logs.text_of, logs.open_outputs(queue.store, queue.folder, job, number))
        kept = f"of attempt {number}, {of_number.get(number)}, {out!r} and {err!r} are kept"
        if not is_all_of(job, of_number.get(number), number, out, err):
            return kept
    return None


def is_all_of(job: Job, run: Run | None, number: int, out: str, err: str) -> bool:
    """Whether this is what *run*, the attempt *number* of *job*, has written: nothing missing, nothing of another's.

    One that was killed may have written more than it had noted.
    """
    kind = job.env.get("KIND")
    who = f"{job.id} {run.token} {number}" if run else None
    counts = job.state is State.COMPLETED and number == job.attempts
    if kind == "silent":
        return (out, err) == ("", "")
    if kind == "late":
        return err == "" and (out == f"late {who}\n" or (out == "" and not counts))
    if who is None:
        said = re.fullmatch(rf"begin ({re.escape(job.id)} \S+ {number})\n", out)
        return (out, err) == ("", "") or (said is not None and err in ("", out))
    begin, end = f"begin {who}\n", f"end {who}\n"
    has_ended = run is not None and run.has_ended
    return err == begin and (out == begin + end or (not has_ended and out == begin))


def test_kills_lose_no_job_and_run_none_twice(
    queue: RealQueue,
    tmp_path: Path,
    dice: random.Random,
    is_long: bool,
    volume: Callable[[int, int], int],
    figure: Figures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """6 workers in 2 pools, 2 programs that enqueue, a person at a terminal: each may be killed at any moment."""
    kills, least_jobs = volume(100, 10_000), volume(500, 50_000)
    monkeypatch.setenv(MARK, queue.mark)
    queue.store.set_setting("notify", "none")
    queue.store.set_setting("base", 0)
    queue.store.set_setting("kill-after", 0.5)
    crowd = Crowd(queue, tmp_path / "work", dice, pools=2, in_pool=3)
    crowd.enter(2, per_s=volume(20, 18))
    begun = time.monotonic()
    try:
        done = 0
        while crowd.total < kills or len(crowd.confirmed()) < least_jobs:
            crowd.tend()
            time.sleep(dice.uniform(*PAUSES_S))
            victim = crowd.choose()
            fate = dice.random()
            if fate < 0.01:
                crowd.kill_all()
            elif victim is not None and (fate < 0.02 or done == 10):
                crowd.stop_for(victim, STOPPED_S)
            elif victim is not None:
                crowd.kill(victim)
            done += 1
        log.warning("%d kills after %.0f s, %d jobs are left", done, time.monotonic() - begun, unfinished(queue))
        crowd.settle_down()

        def has_finished() -> bool:
            crowd.tend_workers()
            return unfinished(queue) == 0

        until(has_finished, volume(60, 600), what="all jobs to end", longest_s=0.2)
        crowd.leave()
        queue.stop()
        until(lambda: queue.started() == [], 5, what="those that write late")
    finally:
        crowd.settle_down()
        crowd.leave()
    assert crowd.person is not None
    assert crowd.person.problems == []

    jobs = {job.id: job for job in queue.store.jobs()}
    ledger = read_ledger(tmp_path / "work" / "ledger")
    confirmed = crowd.confirmed()
    for what, count in crowd.kills.items():
        figure(f"killed or stopped, {what}", count)
    figure("jobs", len(jobs))
    figure("jobs confirmed", len(confirmed))
    figure("attempts", sum(map(len, ledger.values())))
    figure("crashes charged", sum(job.crashes for job in jobs.values()))
    figure("seconds", round(time.monotonic() - begun))
    assert confirmed - jobs.keys() == set()
    assert ledger.keys() - jobs.keys() == set()
    wrong = {id: why for id, job in jobs.items() if (why := check_job(job, ledger.get(id, []), crowd.killed_workers))}
    assert wrong == {}
    mixed = {id: why for id, job in jobs.items() if (why := check_outputs(queue, job, ledger.get(id, [])))}
    assert mixed == {}
    overlaps = tmp_path / "work" / "overlaps"
    assert not overlaps.exists(), overlaps.read_text()
    assert sum(job.crashes for job in jobs.values()) <= crowd.kills["worker"]
