"""T5: 16 processes that claim at once, as fast as they can."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from queuectl.job import State
from queuectl.stores.local.store import LocalStore
from tests.at_once import run_all
from tests.real_queue import RealQueue
from tests.samples import specs
from tests.torture.conftest import Figures
from tests.waiting import until

PROCESSES, CLAIMS = 16, 500

#: Takes so many jobs, settles each, and tells how long it has waited for the lock each time.
CHAIN = """
import time
from queuectl.stores.local.lock import QueueLock
waits = []
acquire = QueueLock.acquire
def measured(lock):
    begun = time.perf_counter()
    acquire(lock)
    waits.append(time.perf_counter() - begun)
QueueLock.acquire = measured
store.prepare_for_work()
job = store.claim(claim(0), now=now())
for done in range(1, 501):
    print("job", job.id)
    settlement = store.settle(job, Outcome(exit_code=0), next_claim=claim(done) if done < 500 else None, now=now())
    assert settlement.settled is not None
    job = settlement.next
store.close()
for wait in waits:
    print("wait", wait)
"""


def test_the_workers_of_one_pool_exclude_each_other(queue: RealQueue, tmp_path: Path) -> None:
    """They have inherited all that was open in their pool."""
    ids = queue.enqueue(*[f"echo $QUEUECTL_JOB_ID >>{tmp_path}/ledger"] * 600)
    queue.start(4)
    until(lambda: queue.store.counts()[State.COMPLETED] == len(ids), 60)
    assert sorted((tmp_path / "ledger").read_text().split()) == sorted(ids)
    assert {job.attempts for job in queue.store.jobs()} == {1}


def test_of_16_processes_none_gets_a_job_of_another(data_dir: Path, figure: Figures) -> None:
    ids = [f"job{number}" for number in range(PROCESSES * CLAIMS)]
    store = LocalStore(data_dir)
    store.enqueue(specs(*ids), now=datetime.now(UTC))
    begun = datetime.now(UTC)

    lines = [line.split() for answer in run_all(data_dir, CHAIN, PROCESSES) for line in answer]

    assert Counter(word for what, word in lines if what == "job") == Counter(ids)
    assert {job.attempts for job in store.jobs()} == {1}
    waits = sorted(float(word) for what, word in lines if what == "wait")
    assert waits[-1] < 10, "nobody would wait longer"
    for share in (0.5, 0.99, 1):
        figure(f"p{share * 100:g} of waiting for the lock, ms", round(waits[int(share * (len(waits) - 1))] * 1000, 2))
    figure("claims a second", round(len(ids) / (datetime.now(UTC) - begun).total_seconds()))
    store.close()
