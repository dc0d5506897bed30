"""T9: workers that go on and on, with somebody who enqueues all the time, and somebody who clears up."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
import pytest

from queuectl.job import State
from tests.real_queue import RealQueue
from tests.torture.conftest import Figures
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
WORKERS, BATCH, WAITING = 4, 100, 200
SAMPLES, TENTH = 50, 5
PAIRS, TRIES = 10, 3


class Sample(NamedTuple):
    """What the queue takes at one moment; all sums over its pool and workers.

    But *most_memory* and *files* are the most of one of them.
    """

    jobs: int
    at: float
    cpu_s: float
    memory: int
    most_memory: int
    files: int
    folder: int


def sample(queue: RealQueue, processes: list[psutil.Process], jobs: int) -> Sample:
    memory = [process.memory_info().rss for process in processes]
    times = [process.cpu_times() for process in processes]
    return Sample(
        jobs=jobs,
        at=time.monotonic(),
        cpu_s=sum(one.user + one.system + one.children_user + one.children_system for one in times),
        memory=sum(memory),
        most_memory=max(memory),
        files=max(process.num_fds() for process in processes),
        folder=sum(blocks(path) for path in (queue.folder, *queue.folder.rglob("*"))) * 512,
    )


def blocks(path: Path) -> int:
    with suppress(FileNotFoundError):  # outputs come and go
        return path.lstat().st_blocks
    return 0


def clear_up(queue: RealQueue) -> None:
    subprocess.run(
        [
            sys.executable,
            ROOT / "queuectl.py",
            "--data",
            queue.folder,
            "remove",
            "--all",
            "--state",
            "completed",
            "--yes",
        ],
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=600,
    )


def work_through(queue: RealQueue, processes: list[psutil.Process], jobs: int, clear_at: int) -> list[Sample]:
    """Have *processes*, the queue's, do so many jobs; return what they take meanwhile.

    What waits is never much; what has ended is removed now and then, so that the folder could stay as it is.
    """
    samples: list[Sample] = []
    removed = 0
    enqueued = 0
    while not samples or samples[-1].jobs < jobs:
        counts = queue.store.counts()
        done = removed + counts[State.COMPLETED]
        if counts[State.PENDING] < WAITING and enqueued < jobs:
            queue.enqueue(*[":"] * BATCH)
            enqueued += BATCH
        if counts[State.COMPLETED] >= clear_at or done == jobs:
            clear_up(queue)
            removed = enqueued - sum(queue.store.counts().values())
        if done >= len(samples) * jobs / SAMPLES:
            samples.append(sample(queue, processes, done))
        time.sleep(0.01)
    return samples


def jobs_a_second(queue: RealQueue, jobs: int) -> float:
    """Have so many jobs done, and leave nothing of them; return their rate by the clock."""
    is_done = queue.folder.parent / f"{queue.folder.name} is done"
    begun = time.monotonic()
    ids = queue.enqueue(*[":"] * (jobs - 1), f"touch '{is_done}'")
    until(is_done.exists, 300, longest_s=0.001)  # reading the queue would slow it down, the more so the larger it is
    took_s = time.monotonic() - begun
    until(lambda: queue.store.counts()[State.COMPLETED] == jobs)
    queue.store.remove(ids)
    is_done.unlink()
    return jobs / took_s


def compare(old: RealQueue, new: RealQueue, jobs: int) -> float:
    """Return the rate of *old* as a share of that of *new*, if both do so many jobs by turns.

    So what else the machine does befalls both alike.
    """
    shares = [jobs_a_second(old, jobs // PAIRS) / jobs_a_second(new, jobs // PAIRS) for _ in range(PAIRS)]
    return median(shares)


def show_rates(samples: list[Sample], figure: Figures) -> None:
    """Say how fast it was; that depends on what else the machine does."""
    steps = list(pairwise(samples[::TENTH]))
    by_clock = [(after.jobs - before.jobs) / (after.at - before.at) for before, after in steps]
    by_processor = [(after.jobs - before.jobs) / (after.cpu_s - before.cpu_s) for before, after in steps]
    figure("jobs a second, in each tenth", " ".join(f"{rate:.0f}" for rate in by_clock))
    figure("jobs a second of processor time, in each tenth", " ".join(f"{rate:.0f}" for rate in by_processor))


def check_sizes(samples: list[Sample], figure: Figures, folder_limit: float) -> None:
    """Compare what the queue takes in the last two tenths with the first two, in which all gets its size."""
    shown = samples[::TENTH]
    figure("memory of the pool and its workers, MB", " ".join(f"{each.memory / 1e6:.1f}" for each in shown))
    figure("most memory of one, MB", " ".join(f"{each.most_memory / 1e6:.1f}" for each in shown))
    figure("most open files of one", " ".join(str(each.files) for each in shown))
    figure("folder, kB", " ".join(f"{each.folder / 1e3:.0f}" for each in shown))
    early, late = samples[1 : 1 + 2 * TENTH], samples[-2 * TENTH :]
    # Each worker grows once, when it is its turn to write a file anew; that may be late.
    assert max(each.memory for each in late) < max(each.memory for each in early) * 1.2
    assert max(each.most_memory for each in late) < max(each.most_memory for each in early) * 1.15
    # Some come and go with every job; what stays open is there at the best of moments, too.
    assert min(each.files for each in late) <= min(each.files for each in early) + 1
    assert max(each.folder for each in late) < max(each.folder for each in early) * folder_limit


@pytest.mark.timeout(600)  # a minute where nothing else runs
def test_nothing_grows_and_nothing_slows_down(
    queue: RealQueue, tmp_path: Path, volume: Callable[[int, int], int], is_long: bool, figure: Figures
) -> None:
    """What is slower in the end than a queue that begins anew is so each time it is tried, a busy machine is not."""
    jobs = volume(20_000, 1_000_000)
    queue.start(WORKERS)
    processes = [psutil.Process(pid) for pid in queue.worker_pids()] + queue.pools()
    samples = work_through(queue, processes, jobs, clear_at=volume(1000, 10_000))
    show_rates(samples, figure)
    # The journal is renewed, and the files with it, after some 17,000 jobs: once in the short form, near its end.
    check_sizes(samples, figure, folder_limit=1.1 if is_long else 1.3)
    new = RealQueue(tmp_path / "new")
    try:
        new.start(WORKERS)
        shares: list[float] = []
        while len(shares) < TRIES and max(shares, default=0) < 0.9:
            shares.append(compare(queue, new, jobs // 10))
    finally:
        new.close()
    figure("rate by the clock, as a share of that of a new queue", " ".join(f"{share:.2f}" for share in shares))
    assert max(shares) >= 0.9
    assert all(process.is_running() for process in processes), "none had to be replaced"
    queue.stop()
    until(lambda: queue.started() == [])
    assert sum(queue.store.counts().values()) == 0
