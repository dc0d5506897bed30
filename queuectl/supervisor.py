"""The pool process: keeps its workers running, takes back the jobs of those that die, does no job itself.

It ends with its last worker. Single-threaded, because it forks.
"""

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from queuectl import liveness
from queuectl.errors import ExitCode, QueueCtlError, StoreError
from queuectl.rescue import publish, rescue_dead, rescue_orphans
from queuectl.stores import open_store
from queuectl.stores.base import Store
from queuectl.waiter import CLOSE, POLL_S, StopSignals
from queuectl.worker import Worker

SETTLED_IN_S = 5.0  #: a worker that dies sooner makes the pause before its successor longer
PAUSES_S = (0.05, 1.0)  #: the shortest and the longest of these pauses
MAX_FALSE_STARTS = 10  #: so many workers in a row that did not even report in: their place stays empty
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, CLOSE)

log = logging.getLogger("queuectl")


def main(folder: Path, count: int, report_fd: int | None) -> int:
    """Be the pool of *count* workers; tell *report_fd* in JSON which workers run, or why none does.

    None if nobody waits for that: then it takes as long as others keep the queue locked.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(process)d %(message)s")
    logging.raiseExceptions = False  # where the disk is full, there is no place to complain about the log
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is something to stop: no traceback for Ctrl-C
    is_awaited = report_fd is not None
    if report_fd is None:
        report_fd = os.open(os.devnull, os.O_WRONLY)
    os.set_inheritable(report_fd, False)
    try:
        store = open_store(folder)
        if not is_awaited:
            store.patience_s = None
        store.prepare_for_work()
        rescue_orphans(store, folder)
        pool = Pool(store, folder, count, report_fd)
    except (QueueCtlError, OSError) as error:
        log.error("the pool did not start: %s", error)
        _report(report_fd, _refusal(error))
        return 1
    pool.run()
    return int(pool.has_given_up)


def _report(fd: int, answer: dict[str, object]) -> None:
    # Whoever started the pool may have gone: it works all the same.
    with contextlib.suppress(BrokenPipeError), open(fd, "wb") as pipe:
        pipe.write(json.dumps(answer).encode() + b"\n")


def _refusal(error: Exception) -> dict[str, object]:
    """Return the answer of a pool that cannot start because of *error*."""
    if isinstance(error, QueueCtlError):
        return {"error": error.message, "exit_code": error.exit_code}
    if isinstance(error, OSError):
        name = f': "{error.filename}"' if error.filename else ""
        why = f"No worker could be started. The system refused it: {error.strerror or error}{name}."
        return {"error": why, "exit_code": ExitCode.STORE}
    return {"error": "No worker could be started: logs/workers.log says why.", "exit_code": ExitCode.FAILED}


class _Slot:
    """The place of one worker in its pool, through the lives of all who fill it."""

    def __init__(self) -> None:
        self.process: BaseProcess | None = None
        self.report: Connection | None = None
        self.began_at = 0.0
        self.start_at = 0.0
        self.early_deaths = 0
        self.false_starts = 0
        self.refusal: OSError | None = None  #: why its last worker could not begin, if that has said so
        self.is_done = False

    @property
    def is_ready(self) -> bool:
        """Whether its worker has reported in."""
        return self.process is not None and self.report is None


class Pool:
    """A set of workers under one supervisor."""

    def __init__(self, store: Store, folder: Path, count: int, report_fd: int) -> None:
        """Supervise *count* workers, none of which is started yet; say to *report_fd* when they run."""
        self._store = store
        self._folder = folder
        self._slots = [_Slot() for _ in range(count)]
        self._signals = StopSignals()
        self._forwarded = False
        self._is_closing = False
        signal.signal(CLOSE, self._close)
        self._file = liveness.WorkerFile.create(folder, pid=os.getpid(), pool_pid=os.getpid())
        self.has_given_up = False
        self._report_fd: int | None = report_fd
        self._look_at = 0.0
        # Forked workers share the index that was loaded once; elsewhere forking is not safe.
        self._can_fork = sys.platform == "linux"
        self._processes = (
            multiprocessing.get_context("fork") if self._can_fork else multiprocessing.get_context("spawn")
        )

    def _close(self, _number: int, _frame: object) -> None:
        self._is_closing = True

    def run(self) -> None:
        """Keep the workers running until the last has been told to stop and has ended."""
        while active := [slot for slot in self._slots if not slot.is_done]:
            self._start_due()
            if self._report_fd is not None and all(slot.is_ready for slot in active):
                is_published = self._publish()
                pids = [slot.process.pid for slot in active if slot.process]
                log.info("workers run: %s", ", ".join(map(str, pids)))
                self._report({"pids": pids})
                if not is_published:
                    self._publish()
            self._sleep(active)
            if self._signals.is_stopping:
                self._pass_on_stop()
            if self._is_closing:
                self._close_slots()
            if self._collect() and self._report_fd is None:
                self._publish()
            self._look_for_dead()
        refusals = [slot.refusal for slot in self._slots if slot.refusal is not None]
        self._report(_refusal(refusals[0] if refusals else RuntimeError()))
        self._publish()
        self._file.close_and_remove()
        self._store.close()

    def _report(self, answer: dict[str, object]) -> None:
        """Answer whoever started the pool, once."""
        fd, self._report_fd = self._report_fd, None
        if fd is not None:
            _report(fd, answer)
        self._store.patience_s = None  # as nobody waits for this process any more

    def _start_due(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.process is None and not slot.is_done and now >= slot.start_at:
                self._start(slot)

    def _start(self, slot: _Slot) -> None:
        try:
            receiver, sender = self._processes.Pipe(duplex=False)
        except OSError as error:
            self._note_false_start(slot, error)
            return
        inherited = (self._store, self._file, self._report_fd) if self._can_fork else None
        process = self._processes.Process(target=work, args=(inherited, self._folder, os.getpid(), sender))
        # A signal that came before the worker listens would be lost in it.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            process.start()
        except OSError as error:
            receiver.close()
            self._note_false_start(slot, error)
            return
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            sender.close()
        slot.process, slot.report, slot.began_at = process, receiver, time.monotonic()
        slot.refusal = None

    def _note_false_start(self, slot: _Slot, reason: object) -> None:
        """Try again after a pause; after too many such starts in a row, leave the slot empty."""
        log.error("a worker did not start: %s", reason)
        slot.false_starts += 1
        slot.start_at = time.monotonic() + PAUSES_S[1]
        # Who waits for the answer would rather hear the reason now than after so many seconds.
        is_told = slot.refusal is not None and self._report_fd is not None
        if is_told or slot.false_starts >= MAX_FALSE_STARTS:
            slot.is_done = self.has_given_up = True

    def _close_slots(self) -> None:
        """Stop all workers, also one that nobody else can know of yet, and start no more."""
        for slot in self._slots:
            if slot.process is None:
                slot.is_done = True
            elif slot.process.pid is not None and slot.process.is_alive():
                os.kill(slot.process.pid, CLOSE)

    def _sleep(self, active: list[_Slot]) -> None:
        """Wait for a signal, a report or the end of a worker, or until something is due."""
        objects: list[Connection | int] = [self._signals.fileno()]
        due_at = self._look_at
        for slot in active:
            if slot.process is None:
                due_at = min(due_at, slot.start_at)
            else:
                objects.append(slot.process.sentinel)
                if slot.report is not None:
                    objects.append(slot.report)
        wait(objects, timeout=max(due_at - time.monotonic(), 0.0))
        self._signals.clear()

    def _collect(self) -> bool:
        """Take note of workers that have reported in or ended; return whether there was one."""
        has_changed = False
        for slot in self._slots:
            if slot.report is not None and slot.report.poll():
                with contextlib.suppress(EOFError):  # it died before it could say anything
                    slot.refusal = slot.report.recv()
                    has_changed = True
                    if slot.refusal is None:
                        slot.false_starts = 0
                        slot.report.close()
                        slot.report = None
            if slot.process is not None and slot.process.exitcode is not None:
                has_changed = True
                self._note_end(slot, slot.process)
        return has_changed

    def _note_end(self, slot: _Slot, process: BaseProcess) -> None:
        code = process.exitcode
        has_started = slot.report is None
        if slot.report is not None:
            slot.report.close()
        process.join()
        process.close()
        slot.process = slot.report = None
        self._look_at = 0.0
        if code == 0 or self._signals.is_stopping or self._is_closing:
            slot.is_done = True
            return
        if not has_started:
            self._note_false_start(slot, slot.refusal or f"it ended with {code}")
            return
        is_early = time.monotonic() - slot.began_at < SETTLED_IN_S
        slot.early_deaths = slot.early_deaths + 1 if is_early else 0
        shortest, longest = PAUSES_S
        slot.start_at = time.monotonic() + min(shortest * 1.5**slot.early_deaths, longest)
        log.warning("a worker ended with %s; another takes its place", code)

    def _look_for_dead(self) -> None:
        """Take back the jobs of dead workers: at once after one of this pool died, and now and then for all others."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + POLL_S
        try:
            rescue_dead(self._store, self._folder)
        except (QueueCtlError, OSError) as error:
            log.error("cannot take back jobs, trying again: %s", error)
        except Exception:  # whatever it is, the workers need their pool
            log.exception("cannot take back jobs, trying again")

    def _pass_on_stop(self) -> None:
        if self._forwarded and not self._signals.is_hurried:
            return
        self._forwarded = True
        for slot in self._slots:
            if slot.process is None:
                slot.is_done = True
            elif slot.process.pid is not None and slot.process.is_alive():
                os.kill(slot.process.pid, signal.SIGQUIT if self._signals.is_hurried else signal.SIGTERM)

    def _publish(self) -> bool:
        return publish(self._store, self._folder)


def work(
    inherited: tuple[Store, liveness.WorkerFile, int | None] | None, folder: Path, pool_pid: int, report: Connection
) -> None:
    """Be a worker of the pool *pool_pid*.

    *inherited* are the pool's store, its file and its open report, None where processes cannot be forked.
    """
    # At a terminal, Ctrl-C is for the pool alone, which passes it on once: a second signal would mean to hurry.
    os.setpgid(0, 0)
    # To such a group the kernel sends a hangup if it is stopped when its pool dies. Commands start without this.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if inherited is None:
        store = open_store(folder)
        store.patience_s = None
        store.prepare_for_work()
    else:
        store, pool_file, report_fd = inherited
        pool_file.close()
        store.after_fork()
        store.patience_s = None
        if report_fd is not None:
            os.close(report_fd)  # or the report would end only with the last worker
    # If this process ends otherwise than below, its file stays, and its job is taken back.
    try:
        file = liveness.WorkerFile.create(folder, pid=os.getpid(), pool_pid=pool_pid)
    except OSError as error:
        report.send(error)
        sys.exit(1)
    if os.getppid() != pool_pid:
        # Its pool was killed meanwhile. Whoever stops all workers may have looked before there was this file.
        file.close_and_remove()
        return
    worker = Worker(store, folder, file, pool_pid=pool_pid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    report.send(None)
    report.close()
    worker.run()
    if worker.holds_job:
        file.close()
    else:
        file.close_and_remove()
    if os.getppid() != pool_pid:
        publish(store, folder)  # nobody is left to do it
    try:
        store.close()
    except (StoreError, OSError) as error:
        log.error("the data were not brought to rest: %s", error)
