"""T10, for processes: each guard is taken out of a copy of the program, and a test that is named has to notice."""

import os
import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.torture.conftest import Figures

ROOT = Path(__file__).resolve().parents[2]
NOTICED, ALL_PASSED = 1, 0  #: what pytest ends with


class Guard(NamedTuple):
    """What keeps a promise: *there*, in a module of the program; *gone* is what stands there without it."""

    name: str
    module: str
    there: str
    gone: str
    test: str


# Statements of the program that change places.
_MOVE = (
    "        elif attempt.has_output and not self._insist(lambda: self._keep_output(attempt, job)):\n"
    "            return None\n"
)
_SETTLE = (
    "        if watch.cause is Cause.STOP:\n"
    "            self._give_back(job)\n"
    "        elif watch.cause is Cause.DISOWNED:\n"
    "            self.holds_job = False\n"
    "        elif (settlement := self._settle(job, outcome)) is not None:\n"
    "            following = settlement.next\n"
)
_TAKE_BACK = "        rescued = store.rescue(_tokens(ended), is_crash=is_crash, now=datetime.now(UTC))\n"
_OPEN = (
    "        out, err = (_written(path) for path in running_names(folder, worker_of(job)))\n"
    "        # An empty file is the next job's once this one has ended; one that was written to is not.\n"
)
_IF_CLAIMED = "        if store.job(job.id).claim == job.claim:\n"

GUARDS = (
    Guard(
        "a result counts only while its claim holds",
        "stores/local/work.py",
        "if entry is None or entry[1] != job.claim:",
        "if entry is None:",
        "contract/test_store.py::test_a_claim_that_no_longer_holds_settles_nothing_but_claims_the_next",
    ),
    Guard(
        "a living worker holds the lock of its file",
        "liveness.py",
        "if _lock(fd) and _names(path, fd):",
        "if _names(path, fd):",
        "concurrency/test_liveness.py::test_a_new_worker_is_alive_and_known",
    ),
    Guard(
        "a file that is removed while its lock is taken is nobody's",
        "liveness.py",
        "            if _names(path, fd):\n                rescue",
        "            if True:\n                rescue",
        "concurrency/test_liveness.py::test_a_rescuer_whose_file_is_removed_before_it_is_locked_takes_the_next",
    ),
    Guard(
        "one rescuer at a time",
        "liveness.py",
        "if not _lock(fd, tries=5):",
        "if False:",
        "concurrency/test_liveness.py::test_a_killed_worker_is_dead_at_once_and_its_command_is_found",
    ),
    Guard(
        "a worker that counts as dead takes no more jobs",
        "worker.py",
        "        self._file.check()\n",
        "",
        "concurrency/test_kill.py::test_a_worker_whose_file_was_removed_takes_no_more_jobs",
    ),
    Guard(
        "a rescuer ends what is left of a command",
        "rescue.py",
        "or _end(job, info)]",
        "or True]",
        "concurrency/test_kill.py::test_all_killed_at_once_and_started_anew_run_the_job_again",
    ),
    Guard(
        "a job of which something may run is not taken back",
        "rescue.py",
        "    return not problems\n",
        "    return True\n",
        "concurrency/test_rescue.py::test_a_job_that_cannot_be_ended_is_kept_for_the_next_who_looks",
    ),
    Guard(
        "what cannot be seen may run",
        "rescue.py",
        "        problems.append(unseen)\n",
        "        pass\n",
        "concurrency/test_rescue.py::test_a_job_of_another_container_is_left_alone",
    ),
    Guard(
        "the file of a worker stays while one of its jobs is not taken back",
        "rescue.py",
        "        if len(ended) == len(jobs) and _end_unclaimed(store, jobs, info):\n",
        "        if True:\n",
        "concurrency/test_rescue.py::test_a_job_that_cannot_be_ended_is_kept_for_the_next_who_looks",
    ),
    Guard(
        "the claims of a dead worker are read once nobody else can change them",
        "rescue.py",
        "    held = liveness.hold_dead(folder, worker_id)\n    if held is None:\n        return []\n    with held:\n"
        "        jobs = _claims(store)[worker_id]",
        "    jobs = _claims(store)[worker_id]\n    held = liveness.hold_dead(folder, worker_id)\n"
        "    if held is None:\n        return []\n    with held:\n        pass",
        "concurrency/test_rescue.py::test_a_worker_that_dies_with_another_job_than_it_was_seen_with_loses_none",
    ),
    Guard(
        "a job that kills its workers ends in the DLQ",
        "lifecycle.py",
        "if freed.crashes >= MAX_CRASHES:",
        "if False:",
        "unit/test_lifecycle.py",
    ),
    Guard(
        "the lock of the queue",
        "stores/local/lock.py",
        "                if not latch.lock_descriptor(self._fd, blocking=False):\n                    self._wait()\n",
        "",
        "concurrency/test_claims.py::test_no_job_is_claimed_twice",
    ),
    Guard(
        "each worker has a lock of its own",
        "supervisor.py",
        "        store.after_fork()\n",
        "",
        "torture/test_contention.py::test_the_workers_of_one_pool_exclude_each_other",
    ),
    Guard(
        "a lock file that was deleted keeps nobody out",
        "stores/local/lock.py",
        "if os.fstat(self._fd).st_nlink:",
        "if True:",
        "torture/test_locks.py::test_who_has_a_deleted_lock_file_and_who_makes_it_anew_exclude_each_other",
    ),
    Guard(
        "whoever waits for the lock gives up at last",
        "stores/local/lock.py",
        "if time.monotonic() > self._patient_until:",
        "if False:",
        "torture/test_locks.py::test_a_stopped_holder_is_named_after_the_deadline",
    ),
    Guard(
        "whoever is next for the lock and stopped is passed by",
        "stores/local/lock.py",
        "self._poll((self._gate, self._fd), ",
        "self._poll((self._gate,), ",
        "torture/test_locks.py::test_one_who_was_stopped_at_the_gate_keeps_nobody_out",
    ),
    Guard(
        "a signal goes to the process that is meant",
        "processes.py",
        "            if start_ticks(proc.pid) != proc.start:\n",
        "            if False:\n",
        "concurrency/test_processes.py::test_a_pid_that_is_anothers_by_now_is_not_signalled",
    ),
    Guard(
        "a session is known by its start",
        "processes.py",
        " and seen[self._command.pid].proc == self._command:\n            known.add(self._command)",
        ":\n            known.add(seen[self._command.pid].proc)",
        "concurrency/test_rescue.py::test_a_session_that_is_anothers_by_now_is_not_ended",
    ),
    Guard(
        "what starts something with a job's token is not the job's",
        "processes.py",
        "        led = {seen[proc.pid].session for proc in known if seen[proc.pid].session == proc.pid}\n",
        "        led = {seen[proc.pid].session for proc in known}\n",
        "concurrency/test_processes.py::test_an_outsider_that_starts_something_with_the_token_is_left_alone",
    ),
    Guard(
        "a process between two programs is looked at again",
        "processes.py",
        "            if time.monotonic() > until:\n                self._without",
        "            if True:\n                self._without",
        "concurrency/test_processes.py::test_a_process_in_the_middle_of_exec_is_looked_at_again",
    ),
    Guard(
        "nobody ends itself as part of a job",
        "processes.py",
        "if any(proc.pid == os.getpid() for proc in self.look()):",
        "if False:",
        "concurrency/test_processes.py::test_who_is_one_of_them_does_not_end_them",
    ),
    Guard(
        "all processes are stopped before one gets a signal",
        "processes.py",
        "            self._stop(stopped, time.monotonic() + _STOP_LIMIT_S)\n",
        "            stopped |= {one for one in self.look() if one.pid != os.getpid()}\n",
        "concurrency/test_processes.py::test_a_signal_misses_none_that_is_just_being_started",
    ),
    Guard(
        "a worker's lock is held until its command can be known",
        "runner.py",
        "            return os.posix_spawn(\n",
        "            fds = [self._null, *(one.fd for one in streams)]\n"
        "            return _spawn_carelessly(argv, environment, *fds)\n            os.posix_spawn(\n",
        "torture/test_exec_window.py::test_a_kill_between_fork_and_exec_misses_no_command",
    ),
    Guard(
        "what has ended by force leaves nothing behind",
        "watch.py",
        "            self._end_rest()\n",
        "            pass\n",
        "concurrency/test_kill.py::test_a_timeout_ends_also_what_does_not_obey",
    ),
    Guard(
        "a stopped worker outlives its pool",
        "supervisor.py",
        "    signal.signal(signal.SIGHUP, signal.SIG_IGN)\n",
        "",
        "concurrency/test_workers.py::test_a_stopped_worker_outlives_its_pool",
    ),
    Guard(
        "a pool is known without its workers",
        "pool.py",
        "for info in liveness.read_pools(folder)",
        "for info in list[liveness.WorkerInfo]()",
        "concurrency/test_workers.py::test_a_stop_while_the_only_worker_is_being_replaced_leaves_none",
    ),
    Guard(
        "a pool tells also the workers of which nobody knows yet",
        "supervisor.py",
        "                os.kill(slot.process.pid, CLOSE)\n",
        "                pass\n",
        "concurrency/test_workers.py::test_a_stop_reaches_a_worker_that_is_just_being_started",
    ),
    Guard(
        "a worker whose pool has died does not begin",
        "supervisor.py",
        "    if os.getppid() != pool_pid:\n        # Its",
        "    if False:\n        # Its",
        "concurrency/test_workers.py::test_a_worker_whose_pool_died_while_it_was_started_does_not_begin",
    ),
    Guard(
        "a PID of another container is not signalled",
        "pool.py",
        "            if info.is_elsewhere:\n",
        "            if False:\n",
        "concurrency/test_workers.py::test_the_pid_of_a_worker_in_another_container_is_not_signalled",
    ),
    Guard(
        "a timeout is no matter of the wall clock",
        "watch.py",
        "        now = time.monotonic()\n",
        "        now = time.monotonic() + float((Path(self._job.cwd or '/') / 'offset').read_text() or 0)\n",
        "torture/test_clock.py::test_the_timeout_of_a_command_does_not_follow_the_clock",
    ),
    Guard(
        "who has the lock while a queue at rest is first looked at is waited for",
        "stores/local/reading.py",
        "if engine.lock.is_taken() or (generation",
        "if (generation",
        "contract/test_at_rest.py::test_who_lets_go_of_the_lock_during_a_look_was_waited_for",
    ),
    Guard(
        "who takes the lock during a look at rest is waited for",
        "stores/local/reading.py",
        "return data if is_same and not engine.lock.is_taken() else None",
        "return data if is_same else None",
        "contract/test_at_rest.py::test_who_takes_the_lock_during_a_look_is_waited_for",
    ),
    Guard(
        "a file that was edited is not read without the lock",
        "stores/local/reading.py",
        "engine.files.marks() == applied.marks and ",
        "",
        "contract/test_at_rest.py::test_a_file_that_is_edited_during_a_look_is_read_anew",
    ),
    Guard(
        "a journal that is another after a look at rest is noticed",
        "stores/local/reading.py",
        " and _resting_generation(engine) == generation",
        "",
        "contract/test_at_rest.py::test_a_job_that_changes_its_file_during_a_look_is_in_one_of_them",
    ),
    Guard(
        "a queue is at rest only if its journal ends with its header",
        "stores/local/reading.py",
        "disk.read_at(fd, HEADER_SIZE + 1, 0)",
        "disk.read_at(fd, HEADER_SIZE, 0)",
        "contract/test_at_rest.py::test_a_claim_is_seen_before_it_is_in_the_files",
    ),
    Guard(
        "a job is found only where a line begins",
        "stores/local/reading.py",
        'if data[place - 2 : place] in (b"\\n ", b"\\n,"):',
        "if True:",
        "contract/test_at_rest.py::test_text_like_an_id_is_no_job",
    ),
    Guard(
        "a large queue is not read whole to find one job",
        "stores/local/reading.py",
        "if limit is not None and any(",
        "if False and any(",
        "contract/test_at_rest.py::test_a_large_queue_is_searched_without_being_read_whole",
    ),
    Guard(
        "a file that the background may write to is not the next command's",
        "outputs.py",
        "has_writers = _has_writers(output.read_fd)",
        "has_writers = False",
        "concurrency/test_runner.py::test_a_file_that_the_background_may_write_to_is_not_left_to_the_next",
    ),
    Guard(
        "whether a file is empty is asked once nobody can write to it",
        "outputs.py",
        "        has_writers = _has_writers(output.read_fd)\n"
        "        if has_writers or os.fstat(output.read_fd).st_size:",
        "        size = os.fstat(output.read_fd).st_size\n        has_writers = _has_writers(output.read_fd)\n"
        "        if has_writers or size:",
        "concurrency/test_runner.py::test_what_the_background_writes_before_it_is_looked_for_is_seen",
    ),
    Guard(
        "no file is used twice where nobody can tell who may write to it",
        "outputs.py",
        "        if has_writers is None:\n",
        "        if False:\n",
        "concurrency/test_runner.py::test_where_nobody_can_tell_who_may_write_the_next_command_has_files_of_its_own",
    ),
    Guard(
        "who opens a file that is looked at ends no worker",
        "outputs.py",
        "        fcntl.fcntl(read_fd, fcntl.F_SETSIG, signal.SIGURG)\n",
        "        pass\n",
        "concurrency/test_runner.py::test_who_opens_a_file_while_it_is_looked_at_ends_nobody",
    ),
    Guard(
        "a journal begins with the claims that hold",
        "stores/local/engine.py",
        "        if is_worked_on := has_workers(self.folder):\n",
        "        if is_worked_on := False:\n",
        "concurrency/test_workers.py::test_no_number_of_edits_undoes_a_claim",
    ),
    Guard(
        "whatever a file says of a job that runs, its claim stays",
        "stores/local/takeover.py",
        "    if known.state is not State.IN_PROGRESS:\n        return job\n",
        "    if known.state is known.state:\n        return job\n",
        "concurrency/test_workers.py::test_no_number_of_edits_undoes_a_claim",
    ),
    Guard(
        "what a failed attempt leaves running is ended",
        "watch.py",
        "        if self.cause is not None or self._asks_rest_to_end(ended):\n",
        "        if self.cause is not None:\n",
        "concurrency/test_kill.py::test_a_failed_attempt_leaves_no_process_to_run_beside_the_next",
    ),
    Guard(
        "what a dead worker ran is ended though no job has its claim",
        "rescue.py",
        "        if len(ended) == len(jobs) and _end_unclaimed(store, jobs, info):\n",
        "        if len(ended) == len(jobs):\n",
        "concurrency/test_rescue.py::test_what_a_dead_worker_ran_is_ended_though_its_claim_was_edited_away",
    ),
    Guard(
        "output is kept before its job is settled",
        "worker.py",
        _MOVE + "        following = None\n" + _SETTLE,
        "        following = None\n" + _SETTLE + textwrap.indent(_MOVE.replace("elif", "if"), "    "),
        "concurrency/test_outputs.py::test_what_a_job_has_written_is_kept_before_its_end_is_recorded",
    ),
    Guard(
        "the output of a dead worker's job is kept before the job is taken back",
        "rescue.py",
        "            logs.keep_outputs(job, partial(logs.move_outputs, folder, job))\n" + _TAKE_BACK,
        "            pass\n" + _TAKE_BACK + "        for job in ended if is_crash else ():\n"
        "            logs.keep_outputs(job, partial(logs.move_outputs, folder, job))\n",
        "concurrency/test_outputs.py::test_a_rescuer_keeps_what_a_job_has_written_before_it_takes_the_job_back",
    ),
    Guard(
        "an attempt that a reboot has ended leaves no output to the next",
        "rescue.py",
        "for job in ended if is_crash else ():",
        "for job in ended:",
        "concurrency/test_outputs.py::test_what_an_attempt_had_written_that_a_reboot_has_ended_is_not_that_of_the_next",
    ),
    Guard(
        "an attempt that was stopped leaves no output to the next",
        "worker.py",
        "if watch.cause in (Cause.STOP, Cause.DISOWNED):",
        "if watch.cause is Cause.DISOWNED:",
        "concurrency/test_workers.py::test_what_an_attempt_that_does_not_count_has_written_is_not_shown_as_that_of_the_next",
    ),
    Guard(
        "an attempt whose claim is gone leaves no output to the next",
        "worker.py",
        "if watch.cause in (Cause.STOP, Cause.DISOWNED):",
        "if watch.cause is Cause.STOP:",
        "concurrency/test_workers.py::test_what_an_attempt_whose_claim_is_gone_has_written_is_not_shown_as_that_of_the_next",
    ),
    Guard(
        "what a worker writes now is shown only of the job that it has claimed",
        "logs.py",
        "        if store.job(job.id).claim == job.claim:\n",
        "        if True:\n",
        "concurrency/test_outputs.py::test_who_last_saw_a_job_running_is_not_shown_what_the_next_one_writes",
    ),
    Guard(
        "what a worker writes is opened before its claim is looked at",
        "logs.py",
        _OPEN + _IF_CLAIMED,
        _IF_CLAIMED + textwrap.indent(_OPEN, "    "),
        "concurrency/test_outputs.py::test_a_worker_that_goes_on_during_a_look_changes_nothing_of_what_is_shown",
    ),
)
#: What some of the copies need besides.
ADDED = {
    "runner.py": """

def _spawn_carelessly(
    argv: tuple[bytes, ...], environment: dict[bytes, bytes], null: int, out: int, err: int
) -> int:
    pid = os.fork()
    if not pid:
        os.setsid()
        for number, descriptor in enumerate((null, out, err)):
            os.dup2(descriptor, number)
        os.closerange(3, 100)
        time.sleep(0.5)
        os.execve(_SHELL, argv, environment)
    return pid
""",
}


def try_without(guard: Guard, folder: Path) -> tuple[int, str]:
    """Run the test of *guard* on a copy of the program without it; return how pytest ended, and what it has said."""
    for name in ("queuectl", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "queuectl.py"):
        shutil.copy(ROOT / name, folder / name)
    module = folder / "queuectl" / guard.module
    text = module.read_text()
    assert text.count(guard.there) == 1, f'"{guard.name}" is no longer where it was: {guard.there}'
    module.write_text(text.replace(guard.there, guard.gone) + ADDED.get(guard.module, ""))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", "--timeout=20", f"tests/{guard.test}"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout


def test_each_guard_is_missed_when_it_is_gone(
    tmp_path: Path, dice: random.Random, is_long: bool, volume: Callable[[int, int], int], figure: Figures
) -> None:
    """In the short form a few of them, others every time."""
    chosen = dice.sample(GUARDS, volume(4, len(GUARDS)))
    folders = [tmp_path / str(number) for number in range(len(chosen))]
    with ThreadPoolExecutor(2) as executor:
        answers = list(executor.map(try_without, chosen, folders))
    figure("guards taken out", ", ".join(guard.name for guard in chosen))
    figure("of these noticed", sum(code == NOTICED for code, _ in answers))
    unnoticed = {
        guard.name: text[-1000:] for guard, (code, text) in zip(chosen, answers, strict=True) if code != NOTICED
    }
    assert unnoticed == {}
