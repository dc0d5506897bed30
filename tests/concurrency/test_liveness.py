"""Real processes: a worker's file says whether it lives, and one rescuer at a time holds a dead one's."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from queuectl import liveness, processes
from queuectl.errors import StoreUnavailable
from queuectl.liveness import (
    RECORD_SIZE,
    WorkerDisowned,
    WorkerFile,
    WorkerInfo,
    hold_dead,
    is_alive,
    is_worker_id,
    read_workers,
    workers_folder,
)
from queuectl.stores.local import bells, latch

ROOT = Path(__file__).resolve().parents[2]
#: A worker that does nothing but live, and a command of it.
WORKER = """
import os, sys, time
from pathlib import Path
from queuectl.liveness import WorkerFile
from queuectl.runner import Runner
folder = Path(sys.argv[1])
file = WorkerFile.create(folder, pid=os.getpid(), pool_pid=os.getppid())
attempt = Runner().start("sleep 1000; :", cwd=None, env={}, token=sys.argv[2], job_id="job1", attempt_number=1,
                         out_path=str(folder / "out"), err_path=str(folder / "err"))
file.note_attempt("job1", attempt.token, attempt.pid, attempt.session_start)
print(file.worker_id, flush=True)
time.sleep(1000)
"""


def until(condition: Callable[[], object], deadline_s: float = 20.0) -> None:
    """Wait for *condition*; fail if it has not come true in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


def only(folder: Path) -> WorkerInfo:
    """Return what is known of the only worker."""
    (info,) = read_workers(folder)
    return info


def create(folder: Path) -> WorkerFile:
    return WorkerFile.create(folder, pid=os.getpid(), pool_pid=os.getppid())


@pytest.fixture
def file(data_dir: Path) -> Iterator[WorkerFile]:
    file = create(data_dir)
    yield file
    file.close_and_remove()


@pytest.fixture
def token() -> Iterator[str]:
    token = os.urandom(16).hex()
    yield token
    processes.end_all(token)


@pytest.fixture
def worker(data_dir: Path, token: str) -> Iterator[subprocess.Popen[str]]:
    """Return a worker that runs a command; it has printed its id."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, data_dir, token],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_a_new_worker_is_alive_and_known(file: WorkerFile, data_dir: Path) -> None:
    info = only(data_dir)

    assert info.worker_id == file.worker_id
    assert is_worker_id(file.worker_id)
    assert is_alive(data_dir, file.worker_id)
    assert info.is_alive
    assert (info.pid, info.pool_pid) == (os.getpid(), os.getppid())
    assert info.start_ticks == processes.start_ticks(os.getpid())
    assert info.boot_id == processes.boot_id()
    assert info.namespace == processes.pid_namespace()
    assert info.started_at is not None
    assert (info.job_id, info.token, info.session, info.session_start) == (None, None, None, None)


def test_the_file_is_private_and_a_line_of_json(file: WorkerFile, data_dir: Path) -> None:
    path = workers_folder(data_dir) / f"{file.worker_id}.lock"
    file.note_attempt("job1", "t" * 32, 4711, 815)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(path.read_bytes()) == RECORD_SIZE
    assert path.read_text().count("\n") == 1
    assert json.loads(path.read_text())["job"] == "job1"


def test_what_it_runs_is_noted(file: WorkerFile, data_dir: Path) -> None:
    file.note_attempt('a"b\\' + "x" * 251, "t" * 32, 4711, 815)
    info = only(data_dir)
    assert (info.job_id, info.token) == ('a"b\\' + "x" * 251, "t" * 32)
    assert (info.session, info.session_start) == (4711, 815)

    file.note_attempt("job2", "u", None, None)
    info = only(data_dir)
    assert (info.job_id, info.token, info.session, info.session_start) == ("job2", "u", None, None)

    file.note_idle()
    assert only(data_dir).job_id is None
    with pytest.raises(ValueError, match="a worker's record"):
        file.note_attempt("x" * RECORD_SIZE, "t", 1, 1)
    assert only(data_dir).is_alive


def test_its_end_removes_the_file_and_the_doorbell(data_dir: Path) -> None:
    file = create(data_dir)
    for suffix in bells.SUFFIXES:
        (workers_folder(data_dir) / f"{file.worker_id}{suffix}").touch()

    file.close_and_remove()

    assert list(workers_folder(data_dir).iterdir()) == []
    assert read_workers(data_dir) == []
    assert not is_alive(data_dir, file.worker_id)


def test_no_folder_means_no_workers(data_dir: Path) -> None:
    assert read_workers(data_dir) == []


def test_a_worker_whose_file_is_gone_learns_of_it(data_dir: Path) -> None:
    file = create(data_dir)
    path = workers_folder(data_dir) / f"{file.worker_id}.lock"
    file.check()
    path.unlink()

    with pytest.raises(WorkerDisowned, match="removed"):
        file.check()

    path.touch()
    with pytest.raises(WorkerDisowned):
        file.check()
    file.close_and_remove()
    assert path.exists(), "it is somebody else's file by now"


def test_a_killed_worker_is_dead_at_once_and_its_command_is_found(
    worker: subprocess.Popen[str], data_dir: Path, token: str
) -> None:
    assert worker.stdout is not None
    worker_id = worker.stdout.readline().strip()
    assert only(data_dir).is_alive
    assert hold_dead(data_dir, worker_id) is None

    worker.send_signal(signal.SIGKILL)
    worker.wait()

    info = only(data_dir)
    assert not info.is_alive
    assert (info.worker_id, info.token) == (worker_id, token)
    assert info.session in {proc.pid for proc in processes.find(token)}
    rescue = hold_dead(data_dir, worker_id)
    assert rescue is not None
    with rescue:
        assert rescue.info == info
        assert only(data_dir).is_alive, "one that is being rescued is nobody else's to rescue"
        assert hold_dead(data_dir, worker_id) is None
        assert processes.end_all(token, info.session, info.session_start) == []
        rescue.remove()
    assert processes.find(token) == set()
    assert read_workers(data_dir) == []


def test_a_rescuer_that_gives_up_leaves_the_file_to_the_next(data_dir: Path) -> None:
    """The file of a dead worker may be missing; the lock is needed all the same."""
    for _ in range(2):
        rescue = hold_dead(data_dir, "0123456789abcdef")
        assert rescue is not None
        assert rescue.info == WorkerInfo(worker_id="0123456789abcdef", is_alive=False)
        rescue.close()
    assert not only(data_dir).is_alive


def test_an_id_is_no_path(data_dir: Path) -> None:
    with pytest.raises(ValueError, match="not the id"):
        hold_dead(data_dir, "../../etc/passwd")


@pytest.mark.parametrize("contents", [b"", b"\0" * RECORD_SIZE, b"[1]", b'{"pid": "x", "started_at": "now"}', b"\xff{"])
def test_a_file_with_anything_in_it_is_still_a_worker(data_dir: Path, contents: bytes) -> None:
    """A machine that goes down may leave the file in any state."""
    workers_folder(data_dir).mkdir(parents=True)
    (workers_folder(data_dir) / "0123456789abcdef.lock").write_bytes(contents)

    assert only(data_dir) == WorkerInfo(worker_id="0123456789abcdef", is_alive=False)


def test_other_files_are_no_workers(data_dir: Path) -> None:
    folder = workers_folder(data_dir)
    folder.mkdir(parents=True)
    (folder / "0123456789abcdef.idle").touch()
    (folder / "notes.lock").touch()
    os.mkfifo(folder / "0123456789abcde0.lock")

    assert read_workers(data_dir) == []


def test_a_link_is_not_followed(data_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    workers_folder(data_dir).mkdir(parents=True)
    link = workers_folder(data_dir) / "0123456789abcdef.lock"
    link.symlink_to(target)

    assert hold_dead(data_dir, "0123456789abcdef") is None
    assert read_workers(data_dir) == []
    assert (link.readlink(), target.stat().st_size) == (target, 0)


def test_a_file_system_without_locks_is_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, *, blocking: bool) -> bool:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(latch, "lock_descriptor", refuse)

    with pytest.raises(StoreUnavailable, match="cannot hold locks"):
        create(data_dir)


def in_threads(count: int, work: Callable[[], None]) -> None:
    """Run *work* in *count* threads; the locks are of descriptors, so threads exclude each other like processes."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as problem:  # noqa: BLE001 - handed on to the test
            problems.append(problem)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_who_probes_at_the_same_time_is_not_taken_for_the_worker(data_dir: Path) -> None:
    workers_folder(data_dir).mkdir(parents=True)
    (workers_folder(data_dir) / "0123456789abcdef.lock").touch()

    def probe() -> None:
        for _ in range(300):
            assert not only(data_dir).is_alive

    in_threads(4, probe)


def test_workers_come_and_go_while_others_probe(data_dir: Path) -> None:
    """Probing never makes a worker fail to lock its file, and no living worker is ever seen dead."""
    stop = threading.Event()
    alive: set[str] = set()

    def probe() -> None:
        while not stop.is_set():
            before = alive.copy()
            infos = read_workers(data_dir)
            assert before & alive <= {info.worker_id for info in infos if info.is_alive}

    def come_and_go() -> None:
        for number in range(150):
            file = create(data_dir)
            alive.add(file.worker_id)
            file.note_attempt("job", str(number), number, number)
            file.check()
            alive.remove(file.worker_id)
            file.close_and_remove()

    probing = threading.Thread(target=in_threads, args=(3, probe))
    probing.start()
    try:
        come_and_go()
    finally:
        stop.set()
        probing.join()
    assert read_workers(data_dir) == []


def test_one_rescuer_at_a_time(data_dir: Path) -> None:
    inside: list[int] = []
    held = []

    def rescue() -> None:
        for _ in range(100):
            if found := hold_dead(data_dir, "0123456789abcdef"):
                with found:
                    inside.append(threading.get_ident())
                    assert inside == [threading.get_ident()]
                    held.append(1)
                    inside.pop()
                    found.remove()

    in_threads(4, rescue)
    assert held


def test_a_rescuer_whose_file_is_removed_before_it_is_locked_takes_the_next(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another was faster: who held the lock of the removed file would exclude nobody."""
    take = liveness._lock
    paths = [workers_folder(data_dir) / "0123456789abcdef.lock"]

    def lock(fd: int, tries: int = 5) -> bool:
        while paths:
            paths.pop().unlink()
        return take(fd, tries)

    monkeypatch.setattr(liveness, "_lock", lock)
    rescue = hold_dead(data_dir, "0123456789abcdef")
    assert rescue is not None
    with rescue:
        assert hold_dead(data_dir, "0123456789abcdef") is None


def test_a_record_is_read_whole_while_it_changes(file: WorkerFile, data_dir: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            file.note_attempt(f"job{number}", f"{number}", number, number)

    file.note_attempt("job0", "0", 0, 0)
    writing = threading.Thread(target=write)
    writing.start()
    try:
        for _ in range(2000):
            info = only(data_dir)
            assert info.job_id == f"job{info.token}"
            assert info.session == info.session_start == int(info.token or -1)
    finally:
        stop.set()
        writing.join()
