"""Many processes at one folder, with nothing but the store between them: no job is claimed twice, no id given twice."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from queuectl.job import State
from queuectl.stores.local.journal import HEADER_SIZE
from queuectl.stores.local.store import LocalStore
from tests.at_once import run_all
from tests.samples import ids_of, specs

PROCESSES = 8

ONE_BY_ONE = """
done = 0
store.prepare_for_work()
while job := store.claim(claim(done), now=now()):
    done += 1
    print(job.id, job.claim)
store.close()
"""
IN_A_CHAIN = """
done = 0
store.prepare_for_work()
job = store.claim(claim(done), now=now())
while job:
    done += 1
    print(job.id, job.claim)
    outcome = Outcome(exit_code=done % 2, error="x" * (done % 501))
    settlement = store.settle(job, outcome, next_claim=claim(done), now=now())
    assert settlement.settled is not None
    job = settlement.next
    if done % 20 == 0:
        store.flush()
store.close()
"""
SAME_IDS = """
for n in range(60):
    try:
        store.enqueue([JobSpec(id=f"{letter}{n}", command=f"echo {number}") for letter in "ab"], now=now())
        print(f"a{n}")
    except DuplicateId:
        pass
store.close()
"""
EVERYTHING = """
mine = []
for n in range(40):
    mine += store.enqueue([JobSpec(command="x" * (n * 7)), JobSpec(command="true", max_retries=1)], now=now())
    job = store.claim(claim(2 * n), now=now())
    after = store.settle(job, Outcome(exit_code=n % 3, error="y" * n), next_claim=claim(2 * n + 1), now=now()).next
    if after:
        store.give_back(after, now=now()) if n % 2 else store.rescue([after.claim], is_crash=True, now=now())
    if n % 10 == 9:
        for job in store.revive(None, now=now())[:2]:
            pass
        store.rest()
        print(len(store.jobs()))
print(*mine)
store.close()
"""


def check_files(folder: Path, store: LocalStore) -> None:
    """At rest, any program reads the same as the store."""
    assert (folder / "journal.jsonl").stat().st_size == HEADER_SIZE
    found = [job for name in ("jobs.json", "dlq.json") for job in json.loads((folder / name).read_bytes())]
    found.sort(key=lambda job: int(job["seq"]))
    assert [(job["id"], job["state"]) for job in found] == [(job.id, job.state.value) for job in store.jobs()]


@pytest.mark.parametrize("code", [ONE_BY_ONE, IN_A_CHAIN], ids=["one by one", "settling"])
def test_no_job_is_claimed_twice(data_dir: Path, code: str) -> None:
    """8 processes take 1,000 jobs: each job goes to one of them, and each of them gets its jobs in their order."""
    ids = [f"job{number}" for number in range(1000)]
    store = LocalStore(data_dir)
    store.enqueue(specs(*ids), now=datetime.now(UTC))

    answers = [[line.split() for line in lines] for lines in run_all(data_dir, code, PROCESSES)]

    assert Counter(id for answer in answers for id, _ in answer) == Counter(ids)
    for answer in answers:
        numbers = [int(id.removeprefix("job")) for id, _ in answer]
        assert numbers == sorted(numbers)
    if code is ONE_BY_ONE:
        claims = {id: token for answer in answers for id, token in answer}
        assert {job.id: job.claim for job in store.claimed()} == claims
    else:
        assert store.counts()[State.COMPLETED] + store.counts()[State.FAILED] == 1000
        assert {job.attempts for job in store.jobs()} == {1}
    store.close()
    check_files(data_dir, store := LocalStore(data_dir))
    store.close()


def test_of_many_who_want_an_id_one_gets_it(data_dir: Path) -> None:
    """Each process enqueues the same pairs of ids: each pair is one process's alone, and there once."""
    answers = run_all(data_dir, SAME_IDS, PROCESSES)
    assert Counter(id for answer in answers for id in answer) == Counter(f"a{number}" for number in range(60))
    store = LocalStore(data_dir)
    commands = {job.id: job.command for job in store.jobs()}
    assert len(commands) == len(store.jobs()) == 120
    for number, answer in enumerate(answers):
        for id in answer:
            assert commands[id] == commands["b" + id[1:]] == f"echo {number}"
    store.close()
    check_files(data_dir, store := LocalStore(data_dir))
    store.close()


def test_many_who_do_everything_at_once_lose_nothing(data_dir: Path) -> None:
    """Enqueueing, claiming, settling, giving back, rescuing, reviving, resting and reading, all at the same time."""
    answers = run_all(data_dir, EVERYTHING, PROCESSES)
    store = LocalStore(data_dir)
    made = [id for answer in answers for id in answer[-1].split()]
    assert len(made) == PROCESSES * 80
    assert sorted(ids_of(store.jobs())) == sorted(made)
    assert store.claimed() == []
    store.close()
    check_files(data_dir, store := LocalStore(data_dir))
    store.close()
