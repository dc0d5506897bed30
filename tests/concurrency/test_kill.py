"""Real workers that are killed, or end what they were told to: nothing is lost, nothing is left behind."""

import ctypes
import json
import logging
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from queuectl import liveness, processes
from queuectl.errors import StoreError
from queuectl.job import State
from queuectl.stores.local.journal import HEADER_SIZE
from queuectl.stores.local.store import LocalStore
from tests.real_queue import RealQueue
from tests.samples import spec
from tests.waiting import until

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 2.0  #: a job runs again so soon after its worker was killed


def begin_long_job(queue: RealQueue, tmp_path: Path) -> tuple[str, Path, int]:
    """Enqueue a job that lasts, and writes its PID for each attempt; return its id, that file, and its first PID."""
    pids = tmp_path / "pids"
    [id] = queue.enqueue(f"echo $$ >>{pids}; exec sleep 1000")
    queue.start(2)
    return id, pids, nth_pid(pids, 1)


def nth_pid(pids: Path, number: int, deadline_s: float = 30.0) -> int:
    """Wait for the *number*-th line of *pids*."""

    def nth() -> str | None:
        lines = pids.read_text().splitlines(keepends=True) if pids.exists() else []
        return lines[number - 1] if len(lines) >= number and lines[number - 1].endswith("\n") else None

    return int(until(nth, deadline_s, what=f"attempt {number}"))


def worker_of(queue: RealQueue, id: str) -> int:
    return until(lambda: next((info.pid for info in queue.workers() if info.job_id == id), None))


def test_a_job_whose_worker_was_killed_runs_again_at_once(queue: RealQueue, tmp_path: Path) -> None:
    id, pids, first = begin_long_job(queue, tmp_path)
    queue.kill(worker_of(queue, id))
    killed_at = time.monotonic()
    nth_pid(pids, 2)
    assert time.monotonic() - killed_at < WITHIN_S
    assert queue.is_gone(first)
    job = queue.job(id)
    assert (job.state, job.attempts, job.crashes) == (State.IN_PROGRESS, 2, 1)


def test_a_killed_worker_is_replaced_and_leaves_nothing_behind(
    queue: RealQueue, tmp_path: Path, data_dir: Path
) -> None:
    id, pids, _ = begin_long_job(queue, tmp_path)
    victim = worker_of(queue, id)
    queue.kill(victim)
    nth_pid(pids, 2)
    until(lambda: len(queue.worker_pids()) == 2 and victim not in queue.worker_pids())
    until(
        lambda: sorted(json.loads((data_dir / "worker_pids.json").read_text())) == sorted(queue.worker_pids()),
        5,
        what=f"{queue.worker_pids()} in worker_pids.json",
    )
    living = {info.worker_id for info in (*queue.workers(), *liveness.read_pools(data_dir))}
    until(
        lambda: {path.name.partition(".")[0] for path in (data_dir / "workers").iterdir()} == living,
        5,
        what=f"only files of {living} in {[path.name for path in (data_dir / 'workers').iterdir()]}",
    )


def test_all_killed_at_once_and_started_anew_run_the_job_again(queue: RealQueue, tmp_path: Path) -> None:
    """As after the out-of-memory killer or a stopped container: the next ``worker start`` finds everything."""
    id, pids, first = begin_long_job(queue, tmp_path)
    for process in queue.pools():
        queue.kill(process)
    for pid in queue.worker_pids():
        queue.kill(pid)
    until(lambda: not queue.workers())
    assert not queue.is_gone(first), "the command outlives its worker"
    started_at = time.monotonic()
    queue.start(1)
    nth_pid(pids, 2)
    assert time.monotonic() - started_at < WITHIN_S
    assert queue.is_gone(first)
    job = queue.job(id)
    assert (job.state, job.attempts, job.crashes) == (State.IN_PROGRESS, 2, 1)


def test_a_job_that_kills_its_worker_ends_in_the_dlq(queue: RealQueue) -> None:
    """The third time is the last, and other jobs go on."""
    [poison] = queue.enqueue("kill -9 $PPID; sleep 1000", max_retries=100)
    queue.start(1)
    [fine] = queue.enqueue("true")
    job = queue.await_state(poison, State.DEAD)
    assert (job.crashes, job.error) == (3, "worker crashed 3 times")
    queue.await_state(fine, State.COMPLETED)
    assert queue.commands() == []


def test_workers_go_on_without_their_pool_and_end_when_stopped(queue: RealQueue, data_dir: Path) -> None:
    pids = queue.start(2)
    for process in queue.pools():
        queue.kill(process)
    [id] = queue.enqueue("true")
    queue.await_state(id, State.COMPLETED)
    assert sorted(queue.stop()) == sorted(pids)
    until(lambda: queue.started() == [])
    assert json.loads((data_dir / "worker_pids.json").read_text()) == []


STOP = """
import sys
from pathlib import Path
from queuectl import pool
print(*pool.stop(Path(sys.argv[1]), None, now=False, limit_s=1.0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to another process than the first")
def test_a_worker_that_nobody_reaps_counts_as_stopped(queue: RealQueue, data_dir: Path) -> None:
    """In many containers process 1 does not look after orphans: a worker without its pool stays a zombie there."""
    become_the_parent_of_orphans(is_so=True)
    try:
        pids = queue.start(2)
        for process in queue.pools():
            queue.kill(process)
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", STOP, data_dir], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
        )
        assert (done.returncode, sorted(map(int, done.stdout.split()))) == (0, sorted(pids)), done.stderr
        assert time.monotonic() - begun < 10
        for pid in pids:
            queue.reap(pid)
    finally:
        become_the_parent_of_orphans(is_so=False)


def become_the_parent_of_orphans(*, is_so: bool) -> None:
    """See prctl(2), PR_SET_CHILD_SUBREAPER."""
    assert ctypes.CDLL(None).prctl(36, int(is_so), 0, 0, 0) == 0


def test_worker_pids_json_forgets_workers_that_were_all_killed(queue: RealQueue, data_dir: Path) -> None:
    """Nobody was left to take them out; whoever looks at the queue next does."""
    pids = queue.start(2)
    path = data_dir / "worker_pids.json"
    assert sorted(json.loads(path.read_text())) == sorted(pids)
    for process in queue.pools():
        queue.kill(process)
    for pid in pids:
        queue.kill(pid)
    subprocess.run(
        [sys.executable, ROOT / "queuectl.py", "--data", data_dir, "status"],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(path.read_text()) == []


def test_a_worker_without_a_pool_is_rescued_by_another_pool(queue: RealQueue, tmp_path: Path) -> None:
    id, pids, first = begin_long_job(queue, tmp_path)
    for process in queue.pools():
        queue.kill(process)
    queue.start(1)
    queue.kill(worker_of(queue, id))
    nth_pid(pids, 2)
    assert queue.is_gone(first)
    assert queue.job(id).crashes == 1


def test_workers_do_not_start_on_damaged_data(queue: RealQueue, data_dir: Path) -> None:
    queue.enqueue("true")
    queue.store.rest()
    (data_dir / "jobs.json").write_text("[oops]")
    with pytest.raises(StoreError, match=r"jobs\.json.*line 1, column 2"):
        queue.start(2)
    until(lambda: queue.started() == [])
    assert (data_dir / "jobs.json").read_text() == "[oops]"


def test_a_worker_whose_file_was_removed_takes_no_more_jobs(queue: RealQueue, tmp_path: Path, data_dir: Path) -> None:
    """Others take it for dead: it ends, another takes its place, and no job runs twice at once."""
    id, pids, first = begin_long_job(queue, tmp_path)
    old = set(queue.worker_pids())
    for path in (data_dir / "workers").glob("*.lock"):
        path.unlink()
    queue.start(1)  # which looks for jobs whose workers have left nothing
    nth_pid(pids, 2)
    assert queue.is_gone(first)
    until(lambda: not old & {process.pid for process in queue.started()}, what=f"the end of {old}")
    # Whether its old worker settles the killed attempt or the rescuer takes the job back is a matter of who is faster.
    job = queue.job(id)
    assert (job.state, job.crashes) == (State.IN_PROGRESS, 0)
    assert job.attempts in (1, 2)


# -- ends that are asked for --

FAMILY = "sleep 99 & setsid sleep 99 & nohup sleep 99 & wait"


def begin_family(queue: RealQueue, **fields: float) -> str:
    queue.store.set_setting("kill-after", 0.5)
    queue.store.set_setting("grace", 0.3)
    [id] = queue.enqueue(f"sh -c '{FAMILY}'", **fields)
    queue.start(1)
    until(lambda: sum("sleep" in process.name() for process in queue.commands()) == 3)
    return id


def test_a_timeout_leaves_no_process_of_the_command(queue: RealQueue) -> None:
    id = begin_family(queue, timeout=1.0, max_retries=1)
    job = queue.await_state(id, State.DEAD)
    assert job.error == "timed out after 1s"
    assert queue.commands() == []


def test_a_timeout_ends_also_what_does_not_obey(queue: RealQueue, tmp_path: Path) -> None:
    """The command itself obeys, what it has started in a session of its own does not."""
    queue.store.set_setting("kill-after", 0.5)
    stubborn = f"trap '' TERM; touch {tmp_path}/ready; sleep 99; sleep 99"
    [id] = queue.enqueue(f'setsid sh -c "{stubborn}" & sleep 99', timeout=1.0, max_retries=1)
    queue.start(1)
    until((tmp_path / "ready").exists)
    queue.await_state(id, State.DEAD)
    assert queue.commands() == []


@pytest.mark.parametrize("end", ["exit 1", "kill -KILL $$"])
def test_a_failed_attempt_leaves_no_process_to_run_beside_the_next(queue: RealQueue, tmp_path: Path, end: str) -> None:
    beats = tmp_path / "beats"
    queue.store.set_setting("base", 0)
    left = f"setsid nohup sh -c 'while :; do echo $QUEUECTL_ATTEMPT >>{beats}; sleep 0.01; done'"
    [id] = queue.enqueue(f"{left} & until grep $QUEUECTL_ATTEMPT {beats}; do sleep 0.01; done; {end}", max_retries=3)
    queue.start(2)
    assert queue.await_state(id, State.DEAD).attempts == 3
    assert queue.commands() == []
    attempts = [int(line) for line in beats.read_text().split()]
    assert attempts == sorted(attempts)
    assert set(attempts) == {1, 2, 3}


def test_what_a_completed_job_leaves_in_the_background_may_stay(queue: RealQueue, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    [id] = queue.enqueue(f"setsid sleep 1000 & echo $! >{pid}")
    queue.start(1)
    queue.await_state(id, State.COMPLETED)
    queue.enqueue("true", id="last")
    queue.await_state("last", State.COMPLETED)
    queue.stop()
    assert psutil.Process(int(pid.read_text())).is_running()


def test_a_cancel_leaves_no_process_of_the_command(queue: RealQueue) -> None:
    id = begin_family(queue)
    asked_at = time.monotonic()
    queue.store.cancel([id], now=datetime.now(UTC))
    job = queue.await_state(id, State.CANCELLED)
    assert time.monotonic() - asked_at < WITHIN_S
    assert (job.attempts, job.claim) == (1, None)
    assert queue.commands() == []


def test_a_rescue_leaves_no_process_of_the_command(queue: RealQueue) -> None:
    id = begin_family(queue)
    before = queue.commands()
    queue.kill(worker_of(queue, id))
    until(lambda: queue.job(id).crashes == 1)
    until(lambda: sum("sleep" in process.name() for process in queue.commands()) == 3)
    assert set(queue.commands()) & set(before) == set()


@pytest.mark.parametrize("now", [False, True])
def test_a_stop_gives_the_job_back_with_the_attempt_not_counted(queue: RealQueue, data_dir: Path, now: bool) -> None:
    id = begin_family(queue)
    if now:
        queue.store.set_setting("grace", 1000)
    queue.stop(now=now)
    assert queue.started() == []
    job = queue.job(id)
    assert (job.state, job.attempts, job.crashes, job.claim) == (State.PENDING, 0, 0, None)
    assert (data_dir / "journal.jsonl").stat().st_size == HEADER_SIZE
    assert json.loads((data_dir / "jobs.json").read_text())[0]["state"] == "pending"


def test_a_stop_lets_a_command_finish_within_the_grace(queue: RealQueue, tmp_path: Path) -> None:
    [id, other] = queue.enqueue(f"touch {tmp_path}/begun; until test -e {tmp_path}/go; do sleep 0.01; done", "true")
    [pid] = queue.start(1)
    until((tmp_path / "begun").exists)
    psutil.Process(pid).terminate()
    (tmp_path / "go").touch()
    until(lambda: queue.started() == [])
    assert queue.job(id).state is State.COMPLETED
    assert queue.job(other).state is State.PENDING


def test_the_data_are_at_rest_once_the_last_worker_has_stopped(queue: RealQueue, data_dir: Path) -> None:
    """Even if it has done nothing itself, and those that did were stopped before."""
    [id] = queue.enqueue("true")
    first = queue.start(1)
    queue.await_state(id, State.COMPLETED)
    queue.start(2)
    queue.stop(*first)
    queue.stop()
    assert queue.started() == []
    assert (data_dir / "journal.jsonl").stat().st_size == HEADER_SIZE


# -- kills of those who enqueue --

ENQUEUE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from queuectl.specs import JobSpec
from queuectl.stores.local.store import LocalStore
folder, prefix, size = sys.argv[1:]
specs = [JobSpec(id=f"{prefix}.{number}", command="x" * int(size)) for number in range(20_000)]
store = LocalStore(Path(folder))
print("ready", flush=True)
sys.stdin.readline()
store.enqueue(specs, now=datetime.now(UTC))
print("done", flush=True)
sys.stdin.readline()
"""


def start_enqueueing(folder: Path, prefix: str, size: int) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", ENQUEUE, folder, prefix, str(size)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("size", [10, 500], ids=["through the journal", "as a new file"])
def test_a_killed_enqueue_of_20000_jobs_adds_all_or_none(data_dir: Path, size: int) -> None:
    """Killed at any moment, most often while it writes; the queue goes on working after each."""
    seed = random.randrange(10**6)
    log.warning("seed %d", seed)
    dice = random.Random(seed)
    store = LocalStore(data_dir)
    store.enqueue([spec()], now=datetime.now(UTC))
    store.close()
    expected = 1
    outcomes = []
    for moment in range(6):
        with start_enqueueing(data_dir, f"k{moment}", size) as process:
            go(process)
            if moment:
                until(lambda: writes_something(data_dir), longest_s=0.0)
            kill_at = time.monotonic() + dice.choice([0.0, 0.005, 0.05, 0.5]) * dice.random()
            until(lambda kill_at=kill_at: time.monotonic() >= kill_at, longest_s=0.0)  # type: ignore[misc]
            process.kill()
            assert process.stdout is not None
            is_confirmed = process.stdout.read() == "done\n"
        store = LocalStore(data_dir)
        added = store.counts()[State.PENDING] - expected
        assert added == 20_000 if is_confirmed else added in (0, 20_000)
        outcomes.append((added, is_confirmed))
        [id] = store.enqueue([spec()], now=datetime.now(UTC))
        expected += added + 1
        assert store.job(id).state is State.PENDING
        store.close()
        assert len(json.loads((data_dir / "jobs.json").read_text())) == expected
    log.warning("jobs added at each kill, and whether that was confirmed: %s", outcomes)


def writes_something(data_dir: Path) -> bool:
    """Whether somebody has begun to write what is more than one job."""
    return (data_dir / "journal.jsonl").stat().st_size > 10_000 or any(data_dir.glob(".jobs.json.*.tmp"))


def test_a_worker_that_ends_at_once_when_stopped_is_stopped(queue: RealQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle worker may have ended before a second signal is sent to it: that signal meets nobody."""
    pids = queue.start(2)
    real = processes.send

    def send(proc: processes.Proc, number: int) -> bool:
        is_allowed = real(proc, number)
        if proc.pid in pids:
            until(lambda: not processes.is_running(proc))
        return is_allowed

    monkeypatch.setattr(processes, "send", send)
    assert sorted(queue.stop()) == sorted(pids)
