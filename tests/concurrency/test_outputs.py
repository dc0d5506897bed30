"""Where the output of an attempt gets to: shown as its own alone, and kept as soon as the attempt counts as ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from queuectl import liveness, logs, processes, rescue
from queuectl.job import Claim, Job, State
from queuectl.stores.local.store import LocalStore
from tests.real_queue import RealQueue
from tests.samples import OK, specs

ROOT = Path(__file__).resolve().parents[2]

#: A worker that is killed as soon as the end of its first job is recorded.
DYING_WORKER = """
import os, signal, sys
from pathlib import Path
from queuectl.liveness import WorkerFile
from queuectl.stores.local.store import LocalStore
from queuectl.worker import Worker

class Store(LocalStore):
    def settle(self, *args, **options):
        super().settle(*args, **options)
        self.flush()
        os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
store = Store(folder)
store.prepare_for_work()
file = WorkerFile.create(folder, pid=os.getpid(), pool_pid=os.getppid())
Worker(store, folder, file, pool_pid=os.getppid()).run()
"""


def shown(store: LocalStore, job: Job, attempt: int = 1) -> tuple[str, str]:
    out, err = logs.open_outputs(store, store.folder, job, attempt)
    return logs.text_of(out), logs.text_of(err)


def test_what_a_job_has_written_is_kept_before_its_end_is_recorded(queue: RealQueue) -> None:
    """Whoever dies after that takes nothing of it along."""
    [id] = queue.enqueue("echo words; echo more >&2")
    done = subprocess.run([sys.executable, "-c", DYING_WORKER, queue.folder], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    job = queue.job(id)
    assert job.state is State.COMPLETED
    assert shown(queue.store, job) == ("words\n", "more\n")
    rescue.rescue_dead(queue.store, queue.folder)
    assert shown(queue.store, job) == ("words\n", "more\n")


class Begun:
    """A job whose worker is this process, and what its command has written."""

    def __init__(self, folder: Path) -> None:
        self.store = LocalStore(folder)
        self.store.enqueue(specs("a", "b"), now=datetime.now(UTC))
        self.file = liveness.WorkerFile.create(folder, pid=os.getpid(), pool_pid=os.getppid())
        job = self.store.claim(self.claim(1), now=datetime.now(UTC))
        assert job is not None
        self.job = job
        self.out, _ = logs.running_names(folder, self.file.worker_id)
        Path(self.out).write_text("of a\n")

    def claim(self, number: int) -> Claim:
        return Claim(os.getpid(), f"{self.file.worker_id}.{number}")

    def go_on(self) -> None:
        """Settle it and begin with the next, which writes too."""
        logs.move_outputs(self.store.folder, self.job)
        self.store.settle(self.job, OK, next_claim=self.claim(2), now=datetime.now(UTC))
        Path(self.out).write_text("of b\n")


@pytest.fixture
def begun(data_dir: Path) -> Iterator[Begun]:
    made = Begun(data_dir)
    yield made
    made.store.close()


def test_a_rescuer_keeps_what_a_job_has_written_before_it_takes_the_job_back(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should it die after that, nobody would know whose it was."""
    begun.file.close()
    take_back = begun.store.rescue

    def take_back_and_die(*args: object, **options: object) -> None:
        take_back(*args, **options)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(begun.store, "rescue", take_back_and_die)
    with pytest.raises(KeyboardInterrupt):
        rescue.rescue_dead(begun.store, begun.store.folder)
    job = begun.store.job("a")
    assert (job.state, job.attempts) == (State.PENDING, 1)
    assert shown(begun.store, job) == ("of a\n", "")


def test_what_an_attempt_had_written_that_a_reboot_has_ended_is_not_that_of_the_next(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not count, so the next has its number."""
    begun.file.close()
    monkeypatch.setattr(processes, "boot_id", lambda: "the next one")
    rescue.rescue_dead(begun.store, begun.store.folder)
    job = begun.store.claim(Claim(1, "00112233445566ff.1"), now=datetime.now(UTC))
    assert job is not None
    assert (job.id, job.attempts) == ("a", 1)
    assert shown(begun.store, job) == ("", "")


def test_who_last_saw_a_job_running_is_not_shown_what_the_next_one_writes(begun: Begun) -> None:
    begun.go_on()
    assert shown(begun.store, begun.job) == ("of a\n", "")


def test_a_worker_that_goes_on_during_a_look_changes_nothing_of_what_is_shown(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = begun.store.job

    def look_and_go_on(id: str) -> Job:
        job = look(id)
        begun.go_on()
        return job

    monkeypatch.setattr(begun.store, "job", look_and_go_on)
    assert shown(begun.store, begun.job) == ("of a\n", "")


def test_what_has_its_lasting_place_already_is_shown_though_the_end_is_not_recorded_yet(begun: Begun) -> None:
    logs.move_outputs(begun.store.folder, begun.job)
    assert shown(begun.store, begun.job) == ("of a\n", "")
