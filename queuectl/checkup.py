"""What is the matter with a queue as a whole: its files, its workers, and jobs that hang; and mending the latter.

The files alone are examined in ``stores/local/examine`` and mended in ``stores/local/repair``.
"""

import stat
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from queuectl import liveness, processes, rescue, strangers
from queuectl.job import Job
from queuectl.stores.base import Store
from queuectl.stores.local import bells, disk
from queuectl.stores.local.examine import examine
from queuectl.stores.local.findings import Finding, damage, warning
from queuectl.stores.local.folder import HISTORY, LOGS, WORKERS_LOG

_MANY = 20  #: jobs that are named each


def check(folder: Path) -> list[Finding]:
    """Return all that is not as it should be in the queue of *folder*, which need not exist."""
    examination = examine(folder)
    if not folder.is_dir():
        return examination.findings
    try:
        infos = {info.worker_id: info for info in liveness.read_workers(folder)}
    except OSError as error:
        why = f"it cannot be read: {error.strerror}"
        return [*examination.findings, damage("workers", liveness.workers_folder(folder), why, "look at its rights")]
    return [
        *examination.findings,
        *_forms(folder),
        *_hanging(folder, examination.claimed, infos),
        *_stale(folder, examination.claimed, infos),
        *_pids(folder, infos),
    ]


def mend(store: Store, folder: Path, *, is_sure: Callable[[int], bool]) -> list[str]:
    """Take back the jobs of dead workers, and remove what those have left; return in words what was done.

    *is_sure* is asked about so many jobs whose processes cannot be seen, or ended, from here.
    """
    actions = [f'job "{job.id}": taken back, it is {job.state}' for job in rescue.rescue_orphans(store, folder)]
    alive = {info.worker_id for info in liveness.read_workers(folder) if info.is_alive}
    left = [job for job in store.claimed() if liveness.worker_of(job) not in alive]
    if left and is_sure(len(left)):
        given_back = rescue.give_back_unseen(store, folder)
        actions += [f'job "{job.id}": given back on your word, it is {job.state}' for job in given_back]
    rescue.publish(store, folder)
    for path in bells.orphans(liveness.workers_folder(folder)):
        path.unlink(missing_ok=True)
        actions.append(f"workers/{path.name}: removed, its worker is dead")
    return actions


def _forms(folder: Path) -> Iterator[Finding]:
    """Return a finding for each name of ours that something else bears, where all can go on without that file."""
    yield from _form(folder / HISTORY, "the shell remembers no line", is_file=True)
    for path in _inside(liveness.workers_folder(folder)):
        if path.suffix in liveness.SUFFIXES:
            yield from _form(path, "it is nobody's", is_file=True)
    for path in _inside(folder / LOGS):
        if path.name == WORKERS_LOG:
            yield from _form(path, '"worker start" is refused', is_file=True)
        elif path.name.isdecimal():
            yield from _form(path, "no output is kept in it, nor shown", is_file=False)


def _inside(folder: Path) -> list[Path]:
    """Return what is in *folder*; nothing if it is none itself, or is closed, which has been said."""
    with suppress(OSError):
        if not folder.is_symlink():
            return sorted(folder.iterdir())
    return []


def _form(path: Path, consequence: str, *, is_file: bool) -> Iterator[Finding]:
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            what = f"it is a symbolic link to {path.readlink()}, which is not followed: {consequence}"
            yield warning("symlink", path, what, "move it away")
        elif not (stat.S_ISREG(mode) if is_file else stat.S_ISDIR(mode)):
            yield warning(
                "form", path, f"it is no {'plain file' if is_file else 'folder'}: {consequence}", "move it away"
            )


def _hanging(folder: Path, claimed: list[Job], infos: dict[str, liveness.WorkerInfo]) -> list[Finding]:
    """Return a finding for each job in progress whose worker is dead."""
    by_worker = defaultdict(list)
    for job in claimed:
        by_worker[liveness.worker_of(job)].append(job)
    findings = []
    for worker_id, jobs in by_worker.items():
        info = infos.get(worker_id)
        if info is not None and info.is_alive:
            continue
        unseen = None if info is None else processes.why_unseen(info.namespace)
        why = "the worker that ran it is dead" if unseen is None else f"the worker that ran it is dead, and {unseen}"
        remedy = (
            '"status", as any command that looks for dead workers, takes it back'
            if unseen is None
            else "run a command there, or, if nothing of it runs any more, give it back with --repair --yes"
        )
        findings += [
            warning("hanging", folder / "jobs.json", f'job "{job.id}" is in progress: {why}', remedy, can_repair=True)
            for job in jobs[:_MANY]
        ]
        if len(jobs) > _MANY:
            what = f"{len(jobs) - _MANY} more jobs of the same worker are in progress"
            findings.append(warning("hanging", folder / "jobs.json", what, remedy, can_repair=True))
    return findings


def _stale(folder: Path, claimed: list[Job], infos: dict[str, liveness.WorkerInfo]) -> list[Finding]:
    """Return a finding for each file that a dead worker has left, unless it still tells of a job."""
    owners = {liveness.worker_of(job) for job in claimed}
    workers = liveness.workers_folder(folder)
    findings = [
        warning(
            "stale",
            workers / f"{info.worker_id}.lock",
            f"the worker of this file{f' (PID {info.pid})' if info.pid else ''} is dead",
            '"status" removes it',
            can_repair=True,
        )
        for info in infos.values()
        if not info.is_alive and info.worker_id not in owners
    ]
    findings += [
        warning("stale", path, "its worker is dead", "it can be removed", can_repair=True)
        for path in bells.orphans(workers)
    ]
    return findings


def _pids(folder: Path, infos: dict[str, liveness.WorkerInfo]) -> list[Finding]:
    """Return a finding if ``worker_pids.json`` names what is no worker; nothing relies on that file."""
    path = folder / "worker_pids.json"
    try:
        content, _ = disk.read_file(path)
    except OSError:
        return []
    try:
        named = msgspec.json.decode(content or b"[]", type=list[int])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        named = None
    remedy = 'the next "worker start" writes it anew'
    if named is None:
        return [warning("pids", path, "it is no list of PIDs", remedy, can_repair=True)]
    running = strangers.find(folder)
    findings = [
        warning("stranger", path, f"it names {pid} ({command}), which runs, and is no worker here", strangers.WARNING)
        for pid, command in running.items()
    ]
    live = {info.pid for info in infos.values() if info.is_alive}
    gone = [pid for pid in named if pid not in live and pid not in running]
    if not gone:
        return findings
    what = f"it names {', '.join(map(str, gone[:_MANY]))}, which {'is' if len(gone) == 1 else 'are'} no worker here"
    return [*findings, warning("pids", path, what, remedy, can_repair=True)]
