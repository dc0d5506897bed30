"""Real workers at their usual work: when they begin, when they try again, where their queue may be."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from queuectl import liveness, logs, processes
from queuectl.errors import QueueCtlError
from queuectl.job import State
from queuectl.pool import STOP_MARGIN_S
from queuectl.specs import JobSpec
from queuectl.times import from_text
from tests.real_queue import MARK, RealQueue
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]


def test_an_idle_worker_begins_at_once(queue: RealQueue) -> None:
    """It is woken by the enqueueing, and does not find the job at its next look."""
    queue.start(2)
    begun_after_s = []
    for _ in range(10):
        [id] = queue.enqueue("true")
        enqueued_at = datetime.now(UTC)
        job = queue.await_state(id, State.COMPLETED)
        begun_after_s.append((from_text(job.started_at or "") - enqueued_at).total_seconds())
    assert max(begun_after_s) < 0.5


def test_a_failed_job_is_tried_again_when_its_time_has_come(queue: RealQueue, tmp_path: Path) -> None:
    queue.store.set_setting("base", 0.5)
    queue.start(1)
    [id] = queue.enqueue(f"echo >>{tmp_path}/runs; test $(wc -l <{tmp_path}/runs) = 3 || {{ echo no >&2; exit 7; }}")
    failed = queue.await_state(id, State.FAILED)
    assert (failed.error, failed.exit_code) == ("no", 7)
    done = queue.await_state(id, State.COMPLETED)
    assert (done.attempts, done.error) == (3, None)
    waited_s = (from_text(done.started_at or "") - from_text(done.created_at)).total_seconds()
    assert 0.75 <= waited_s < 3


def test_a_job_that_keeps_failing_lands_in_the_dlq_and_comes_back(queue: RealQueue, data_dir: Path) -> None:
    queue.store.set_setting("base", 0)
    queue.start(2)
    [id] = queue.enqueue("echo 'ValueError: boom' >&2; exit 1")
    dead = queue.await_state(id, State.DEAD)
    assert (dead.attempts, dead.error) == (3, "ValueError: boom")
    until(lambda: [job["id"] for job in json.loads((data_dir / "dlq.json").read_text())] == [id], 5)
    queue.store.revive([id], now=datetime.now(UTC))
    queue.await_state(id, State.DEAD)
    queue.store.purge([id])
    assert queue.store.jobs() == []


def test_each_job_is_run_by_one_worker_of_many_pools(queue: RealQueue, tmp_path: Path) -> None:
    """Three pools, and jobs that come one by one and in batches: as many runs as jobs."""
    for count in (1, 2, 1):
        queue.start(count)
    assert len(queue.worker_pids()) == 4
    ids: list[str] = []
    for size in [1, 2, 3, 5, 8] * 5:
        ids += queue.enqueue(*[f"echo $QUEUECTL_JOB_ID >>{tmp_path}/ledger"] * size)
    until(lambda: queue.store.counts()[State.COMPLETED] == len(ids))
    assert sorted((tmp_path / "ledger").read_text().split()) == sorted(ids)
    queue.stop()
    assert queue.started() == []


@pytest.mark.parametrize("name", ["d" * 120, "ein Ordner mit 'Zeichen' & \"mehr\" $HOME *", "ördner-日本"])
def test_a_queue_may_be_in_any_folder(tmp_path: Path, name: str) -> None:
    """Even one whose path is too long for a socket: then workers look for themselves."""
    queue = RealQueue(tmp_path / name / "data")
    try:
        queue.start(1)
        [id] = queue.enqueue("true")
        enqueued_at = time.monotonic()
        queue.await_state(id, State.COMPLETED)
        assert time.monotonic() - enqueued_at < 1.0
        assert len(queue.stop()) == 1
    finally:
        queue.close()


def test_settings_hold_for_workers_that_run_already(queue: RealQueue) -> None:
    queue.start(1)
    [first] = queue.enqueue("true")
    queue.await_state(first, State.COMPLETED)
    queue.store.set_setting("timeout", 0.3)
    queue.store.set_setting("kill-after", 0.2)
    [id] = queue.store.enqueue([JobSpec(command="sleep 1000", max_retries=1)], now=datetime.now(UTC))
    assert queue.await_state(id, State.DEAD).error == "timed out after 0.3s"


def test_a_worker_without_its_pool_takes_back_the_jobs_of_others(queue: RealQueue, tmp_path: Path) -> None:
    """Nobody else looks at the queue."""
    pids = tmp_path / "pids"
    [id] = queue.enqueue(f"echo $$ >>{pids}; exec sleep 1000")
    queue.start(2)
    busy = until(lambda: next((info.pid for info in queue.workers() if info.job_id == id), None))
    for process in queue.pools():
        queue.kill(process)
    queue.kill(busy)
    until(lambda: len(pids.read_text().split()) == 2, 20.0, what="the second attempt")
    assert queue.is_gone(int(pids.read_text().split()[0]))


def test_a_cancelled_command_that_ends_well_is_cancelled_all_the_same(queue: RealQueue, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    [id] = queue.enqueue(f"trap 'exit 0' TERM; touch {ready}; sleep 1000 & wait")
    queue.start(1)
    until(ready.exists)
    queue.store.cancel([id], now=datetime.now(UTC))
    assert queue.await_state(id, State.CANCELLED, State.COMPLETED).state is State.CANCELLED


def test_a_result_is_recorded_though_its_log_folder_has_gone(queue: RealQueue, data_dir: Path) -> None:
    """A job puts a file where the folder of its own output is to be."""
    [id] = queue.enqueue(f"touch {data_dir}/logs/000000; echo for nobody")
    queue.start(1)
    assert queue.await_state(id, State.COMPLETED).attempts == 1
    assert f"the output of job {id} cannot be kept" in (data_dir / "logs" / "workers.log").read_text()


def test_what_a_running_job_has_written_can_be_read(queue: RealQueue, data_dir: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    [id, silent] = queue.enqueue(f"echo so far; read go < {gate}; echo the rest", f"read go < {gate}")
    queue.start(1)

    def shown(id: str) -> tuple[str, str]:
        job = queue.job(id)
        out, err = logs.open_outputs(queue.store, data_dir, job, job.attempts)
        return logs.text_of(out), logs.text_of(err)

    queue.await_state(id, State.IN_PROGRESS)
    until(lambda: shown(id) == ("so far\n", ""), what="its first words")
    gate.write_text("go\n")
    queue.await_state(silent, State.IN_PROGRESS)
    assert shown(id) == ("so far\nthe rest\n", "")
    assert shown(silent) == ("", "")
    gate.write_text("go\n")
    queue.await_state(silent, State.COMPLETED)
    assert shown(id) == ("so far\nthe rest\n", "")
    assert shown(silent) == ("", "")
    assert [path.name for path in sorted((data_dir / "logs" / "000000").iterdir())] == ["1-1.out"]


def begin_one_that_speaks_once(queue: RealQueue, said: Path) -> str:
    """Start a worker on a job that prints and goes on, unless there is *said*; return its id once it has printed."""
    [id] = queue.enqueue(f"test -e {said} && exit; echo partial; touch {said}; sleep 1000")
    queue.start(1)
    until(said.exists)
    return id


def completes_at_first_attempt_with_no_output(queue: RealQueue, data_dir: Path, id: str) -> None:
    job = queue.await_state(id, State.COMPLETED)
    assert job.attempts == 1
    assert logs.open_outputs(queue.store, data_dir, job, 1) == (None, None)


def test_what_an_attempt_that_does_not_count_has_written_is_not_shown_as_that_of_the_next(
    queue: RealQueue, data_dir: Path, tmp_path: Path
) -> None:
    id = begin_one_that_speaks_once(queue, tmp_path / "said")
    queue.stop(now=True)
    queue.start(1)
    completes_at_first_attempt_with_no_output(queue, data_dir, id)


def test_what_an_attempt_whose_claim_is_gone_has_written_is_not_shown_as_that_of_the_next(
    queue: RealQueue, data_dir: Path, tmp_path: Path
) -> None:
    id = begin_one_that_speaks_once(queue, tmp_path / "said")
    queue.store.rescue([queue.job(id).claim or ""], is_crash=False, now=datetime.now(UTC))
    completes_at_first_attempt_with_no_output(queue, data_dir, id)


def test_what_the_background_of_a_silent_command_writes_later_is_kept(
    queue: RealQueue, data_dir: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    [id, other] = queue.enqueue(f"(read go <{gate}; echo late) &", "true")
    queue.start(1)
    queue.await_state(other, State.COMPLETED)
    gate.write_text("go\n")
    job = queue.await_state(id, State.COMPLETED)
    until(lambda: logs.text_of(logs.open_outputs(queue.store, data_dir, job, 1)[0]) == "late\n", what="its words")


def test_what_the_job_of_a_killed_worker_has_written_is_kept(queue: RealQueue, data_dir: Path, tmp_path: Path) -> None:
    [id] = queue.enqueue(
        f"echo attempt $QUEUECTL_ATTEMPT; test $QUEUECTL_ATTEMPT = 2 || {{ touch {tmp_path}/said; sleep 1000; }}"
    )
    [pid] = queue.start(1)
    until((tmp_path / "said").exists)
    queue.kill(pid)
    job = queue.await_state(id, State.COMPLETED)

    for attempt in (1, 2):
        out, _ = logs.open_outputs(queue.store, data_dir, job, attempt)
        assert logs.text_of(out) == f"attempt {attempt}\n"
    queue.stop()
    assert list((data_dir / "workers").iterdir()) == []


def test_a_stop_while_a_worker_is_being_replaced_leaves_none(queue: RealQueue) -> None:
    first, _ = queue.start(2)
    queue.kill(first)
    queue.stop()
    until(lambda: queue.started() == [], what="all to be gone")


def test_a_stop_while_the_only_worker_is_being_replaced_leaves_none(queue: RealQueue) -> None:
    """For a moment its pool has no worker by which it could be known."""
    [worker] = queue.start(1)
    queue.kill(worker)
    until(lambda: queue.worker_pids() == [], longest_s=0.001)
    queue.stop()
    assert queue.started() == []


def test_a_queue_whose_only_worker_is_being_replaced_counts_as_served(queue: RealQueue, data_dir: Path) -> None:
    [worker] = queue.start(1)
    [pool] = queue.pools()
    pool.suspend()  # so that the moment lasts
    queue.kill(worker)

    def run(*words: str) -> tuple[str, str]:
        program = (sys.executable, ROOT / "queuectl.py", "--data", data_dir)
        done = subprocess.run([*program, *words], capture_output=True, text=True, check=False, timeout=30)
        return done.stdout, done.stderr

    queue.enqueue("true")
    assert run("wait", "--timeout", "0.1")[1] == "queuectl: Gave up after 0.1s: 1 job has not ended.\n"
    assert "No worker" not in run("worker", "list")[1]
    assert run("worker", "stop") == ("All workers stopped.\n", "")
    assert queue.started() == []


def stop_next_worker(queue: RealQueue, pool_pid: int) -> int:
    """Kill the only worker of a pool, and stop the next by SIGSTOP before it has made its file; return its PID."""
    children = Path(f"/proc/{pool_pid}/task/{pool_pid}/children")
    while True:
        old = int(children.read_text())
        queue.kill(old)
        new = until(lambda old=old: {int(pid) for pid in children.read_text().split()} - {old}, longest_s=0.0)  # type: ignore[misc]
        worker = new.pop()
        os.kill(worker, signal.SIGSTOP)
        if worker not in queue.worker_pids():
            return worker
        os.kill(worker, signal.SIGCONT)


def is_pending(pid: int, number: int) -> bool:
    """Whether a signal waits for a process."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["ShdPnd"], 16) >> (number - 1) & 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_stop_reaches_a_worker_that_is_just_being_started(queue: RealQueue, data_dir: Path) -> None:
    """It has no file yet by which it could be known: its pool tells it."""
    queue.start(1)
    [pool] = queue.pools()
    worker = stop_next_worker(queue, pool.pid)
    with ThreadPoolExecutor(1) as executor:
        stopping = executor.submit(queue.stop, limit_s=-5)
        until(lambda: is_pending(worker, signal.SIGUSR1), what="the pool to tell it")
        os.kill(worker, signal.SIGCONT)
        assert stopping.result() == []
    assert queue.started() == []


ORPHAN = """
import multiprocessing, sys
from pathlib import Path
from queuectl import supervisor
receiver, sender = multiprocessing.Pipe(duplex=False)
gone = 2**22 + 1  # no process has such a number
supervisor.work(None, Path(sys.argv[1]), gone, sender)
print(receiver.poll())
"""


def test_a_worker_whose_pool_died_while_it_was_started_does_not_begin(data_dir: Path) -> None:
    """Whoever stops all workers at that moment can know neither of them."""
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN, data_dir], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("False\n", "")
    assert liveness.read_workers(data_dir) == []


def test_a_stopped_worker_outlives_its_pool(queue: RealQueue, tmp_path: Path) -> None:
    """The kernel hangs up on it, and lets it go on."""
    [id] = queue.enqueue(f"touch {tmp_path}/begun; until test -e {tmp_path}/go; do sleep 0.01; done")
    [worker] = queue.start(1)
    until((tmp_path / "begun").exists)
    os.kill(worker, signal.SIGSTOP)
    for pool in queue.pools():
        queue.kill(pool)
    (tmp_path / "go").touch()
    job = queue.await_state(id, State.COMPLETED)
    assert (job.attempts, job.crashes) == (1, 0)
    assert queue.worker_pids() == [worker]


@pytest.fixture(params=["another container", "the machine itself"])
def elsewhere(request: pytest.FixtureRequest, queue: RealQueue, monkeypatch: pytest.MonkeyPatch) -> int:
    """Have a worker run in one PID namespace, and this process in another, from which one may see it; return its PID.

    From the machine itself the processes of all containers are seen, but under other numbers.
    """
    [pid] = queue.start(1)
    monkeypatch.setattr(processes, "pid_namespace", lambda: "pid:[17]")
    if request.param == "the machine itself":
        monkeypatch.setattr(processes, "_INITIAL_NAMESPACE", "pid:[17]")
    return pid


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("now", [True, False])
def test_the_pid_of_a_worker_in_another_container_is_not_signalled(
    queue: RealQueue, elsewhere: int, is_named: bool, now: bool
) -> None:
    """Here that number is somebody else's, or nobody's: nothing is stopped, and that is said."""
    with pytest.raises(QueueCtlError, match=rf"Nothing was stopped: worker {elsewhere} of .* another container"):
        queue.stop(*[elsewhere] * is_named, now=now)
    assert queue.worker_pids() == [elsewhere]


def test_a_pool_in_another_container_is_not_signalled(queue: RealQueue, elsewhere: int) -> None:
    """For a moment it may have no worker."""
    [process] = queue.pools()
    process.suspend()
    queue.kill(elsewhere)
    until(lambda: queue.worker_pids() == [])
    with pytest.raises(QueueCtlError, match=rf"Nothing was stopped: pool {process.pid} of .* another container"):
        queue.stop()
    assert process.is_running()


def test_a_worker_is_stopped_though_one_in_another_container_has_its_pid(
    queue: RealQueue, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [pid] = queue.start(1)
    [process] = queue.pools()
    own = processes.pid_namespace()
    monkeypatch.setattr(processes, "pid_namespace", lambda: "pid:[17]")
    other = liveness.WorkerFile.create(data_dir, pid=pid, pool_pid=process.pid)
    monkeypatch.setattr(processes, "pid_namespace", lambda: own)
    with pytest.raises(QueueCtlError, match="Nothing was stopped"):
        queue.stop()
    assert queue.stop(pid) == [pid]
    assert queue.started() == []
    other.close_and_remove()


def test_a_worker_that_cannot_be_seen_has_not_ended(queue: RealQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc is that of another container, it may not show a process that runs."""
    [pid] = queue.start(1)
    with monkeypatch.context() as patched:
        patched.setattr(processes, "start_ticks", lambda pid: None)
        patched.setattr(processes, "is_running", lambda proc: False)
        with pytest.raises(QueueCtlError, match=f"Not stopped in time: {pid}"):
            queue.stop(limit_s=-STOP_MARGIN_S)
    assert queue.worker_pids() == [pid]


def test_no_variable_is_set_that_nobody_has_set(queue: RealQueue, data_dir: Path) -> None:
    """Python sets LC_CTYPE for itself in a locale without UTF-8."""
    [id] = queue.enqueue("env")
    with subprocess.Popen(
        [sys.executable, ROOT / "queuectl.py", "--data", data_dir, "worker", "start"],
        env={"PATH": os.environ["PATH"], MARK: queue.mark},
        stdout=subprocess.DEVNULL,
    ) as starter:
        assert starter.wait(60) == 0
    queue.await_state(id, State.COMPLETED)
    out, _ = map(Path, logs.output_names(data_dir, queue.job(id), 1))
    names = {line.partition("=")[0] for line in out.read_text().splitlines()}
    assert "LC_CTYPE" not in names
    assert "QUEUECTL_JOB_ID" in names


def edit(queue: RealQueue, **changes: object) -> None:
    """Write jobs.json anew as a program does that knows nothing of claims, and let somebody notice it."""
    path = queue.folder / "jobs.json"
    jobs = [{name: value for name, value in job.items() if name not in ("claim", "worker")} for job in read(path)]
    path.write_text(json.dumps([{**job, **changes} if job["id"] == "r" else job for job in jobs]))
    queue.enqueue("true")


def read(path: Path) -> list[dict[str, object]]:
    jobs: list[dict[str, object]] = json.loads(path.read_bytes())
    return jobs


@pytest.mark.parametrize("changes", [{}, {"state": "pending", "attempts": 0}, {"claim": "0011223344556677.1"}])
def test_no_number_of_edits_undoes_a_claim(queue: RealQueue, tmp_path: Path, changes: dict[str, object]) -> None:
    """Each edit is taken over, and empties the journal that knew of the claim."""
    done = tmp_path / "done"
    queue.enqueue(f"until [ -e {done} ]; do sleep 0.01; done", id="r")
    queue.start(2)
    before = queue.await_state("r", State.IN_PROGRESS)
    for _ in range(3):
        edit(queue, **changes)
        job = queue.job("r")
        assert (job.state, job.claim, job.attempts) == (State.IN_PROGRESS, before.claim, 1)
    with queue.store._engine.locked():
        queue.store._engine.renew()
    edit(queue, **changes)
    queue.enqueue("true", id="last")
    queue.await_state("last", State.COMPLETED)
    done.touch()
    assert queue.await_state("r", *(state for state in State if state.is_final)).attempts == 1
    assert queue.job("r").state is State.COMPLETED
