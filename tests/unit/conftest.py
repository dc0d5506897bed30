"""Fixtures of unit tests: nothing here starts a process."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from queuectl import liveness, logs, pool, rescue
from queuectl.commands.context import Context, Mode
from queuectl.errors import WorkerNotFound
from queuectl.job import Job
from queuectl.liveness import WorkerInfo
from queuectl.stores.base import Store
from tests.memory_store import MemoryStore
from tests.program import Program
from tests.samples import NOW


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Program:
    """Return a program whose commands come one-shot, and whose clock ticks at every look."""
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    store = MemoryStore()
    ticks = itertools.count()
    context = Context(
        tmp_path,
        mode=Mode.ONE_SHOT,
        open_store=lambda folder: store,
        clock=lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(ticks)),
    )
    program = Program(store, context, capsys)

    def start(folder: Path, count: int) -> list[int]:
        pids = [12345 + len(program.workers) + number for number in range(count)]
        program.workers += pids
        return pids

    def stop(folder: Path, pids: list[int] | None, *, now: bool, limit_s: float) -> Iterator[int]:
        program.stop_limits_s.append(limit_s)
        for pid in pids or list(program.workers):
            if pid not in program.workers:
                msg = f"No worker has PID {pid}."
                raise WorkerNotFound(msg, pid=pid)
            program.workers.remove(pid)
            yield pid

    def read_workers(folder: Path) -> list[WorkerInfo]:
        live = [
            WorkerInfo(worker_id=str(pid), is_alive=True, pid=pid, pool_pid=12344, started_at=NOW)
            for pid in program.workers
        ]
        return [*live, WorkerInfo(worker_id="dead", is_alive=False, pid=1)]

    def rescue_dead(store: Store, folder: Path) -> list[Job]:
        program.rescues += 1
        return []

    monkeypatch.setattr(pool, "start", start)
    monkeypatch.setattr(pool, "stop", stop)
    monkeypatch.setattr(liveness, "read_workers", read_workers)
    monkeypatch.setattr(rescue, "rescue_dead", rescue_dead)
    return program


@pytest.fixture
def write_output(program: Program) -> Callable[[Job, bytes, bytes], None]:
    """Return what stands for an attempt's output."""

    def write(job: Job, out: bytes, err: bytes) -> None:
        paths = map(Path, logs.output_names(program.context.folder, job, job.attempts))
        for path, content in zip(paths, (out, err), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return write
