"""A queue with real workers, for tests: what it starts can be found, and is ended with the test."""

import os
import secrets
import signal
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from queuectl import liveness, pool, processes
from queuectl.job import Job, State
from queuectl.specs import JobSpec
from queuectl.stores.local.store import LocalStore
from tests.waiting import until

MARK = "QUEUECTL_TEST_QUEUE"  # in the environment of all that a queue of a test starts


class RealQueue:
    """One folder, its pools and workers, and this process as one more that looks on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = secrets.token_hex(16)
        self.store = LocalStore(folder)

    # -- people --

    def enqueue(self, *commands: str, **fields: Any) -> list[str]:
        specs = [JobSpec(command=command, **fields) for command in commands]
        return self.store.enqueue(specs, now=datetime.now(UTC))

    def job(self, id: str) -> Job:
        return self.store.job(id)

    def await_state(self, id: str, *states: State, deadline_s: float = 30.0) -> Job:
        """Wait until job *id* is in one of *states*, and return it."""
        return until(
            lambda: job if (job := self.job(id)).state in states else None,
            deadline_s,
            what=f"{id} to be {' or '.join(states)}; it is {self.job(id)}",
        )

    def start(self, count: int) -> list[int]:
        before = os.environ.get(MARK)
        os.environ[MARK] = self.mark
        try:
            return pool.start(self.folder, count)
        finally:
            if before is None:
                del os.environ[MARK]

    def stop(self, *pids: int, now: bool = False, limit_s: float = 10.0) -> list[int]:
        return list(pool.stop(self.folder, pids or None, now=now, limit_s=limit_s))

    # -- processes --

    def workers(self) -> list[liveness.WorkerInfo]:
        """Return the workers that live."""
        return [info for info in liveness.read_workers(self.folder) if info.is_alive and info.pid is not None]

    def worker_pids(self) -> list[int]:
        return [info.pid for info in self.workers() if info.pid is not None]

    def started(self) -> list[psutil.Process]:
        """Return all that this queue has started and that still runs: pools, workers, commands."""
        return self._bearing(MARK)

    def commands(self) -> list[psutil.Process]:
        """Return the processes of jobs, their own and those in the background."""
        return [one for one in self._bearing(MARK) if self._claim_of(one)]

    def pools(self) -> list[psutil.Process]:
        """Return the pools that live."""
        found = []
        for process in self.started():
            with suppress(psutil.Error):
                if "_pool" in process.cmdline() and not self._is_worker(process):
                    found.append(process)
        return found

    def kill(self, process: psutil.Process | int) -> None:
        """Kill a process of this queue, and no other that may have its PID by now."""
        with suppress(psutil.NoSuchProcess):
            one = psutil.Process(process) if isinstance(process, int) else process
            if one.environ().get(MARK) == self.mark:
                one.kill()
                self.reap(one.pid)

    def is_gone(self, pid: int) -> bool:
        """Whether process *pid* of this queue runs no more."""
        return all(process.pid != pid for process in self.started())

    def close(self) -> None:
        """End all that was started, whatever state it is in."""
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in self.started():
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        until(self._is_silent, what=f"the end of {self.started()}")
        self.store._engine.close()

    def _is_silent(self) -> bool:
        for process in self.started():
            self.kill(process)
        return not self.started()

    def _bearing(self, name: str) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(name) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _claim_of(self, process: psutil.Process) -> str | None:
        with suppress(psutil.Error):
            return process.environ().get(processes.CLAIM_VARIABLE)
        return None

    def _is_worker(self, process: psutil.Process) -> bool:
        parent = process.parent()
        return process.pid in self.worker_pids() or (parent is not None and "_pool" in parent.cmdline())

    def reap(self, pid: int) -> None:
        """Let go of a process that has ended, if it is this one's child; what others have started is theirs."""

        def is_reaped() -> bool:
            try:
                return os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:
                return True

        until(is_reaped)
