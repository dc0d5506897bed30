"""Mending the files of a data folder, after a copy of it, as far as that can be done without a guess that costs a job.

For a person who has asked for it; no command comes here by itself. Nothing is
dropped: what is not taken over stays in a file of its own, word for word.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from queuectl.errors import Conflict, StoreUnavailable, UsageError
from queuectl.job import Job, State
from queuectl.settings import Value, check_value, find_setting
from queuectl.stores.local import disk, records, takeover, view
from queuectl.stores.local import folder as folders
from queuectl.stores.local.backup import Backup
from queuectl.stores.local.config import read_pairs
from queuectl.stores.local.examine import OURS, examine
from queuectl.stores.local.files import KEPT, litter
from queuectl.stores.local.findings import Finding, Severity
from queuectl.stores.local.lock import QueueLock
from queuectl.stores.local.ownership import hand_over_tree
from queuectl.stores.local.records import File, Layout
from queuectl.stores.local.salvage import Kept, distinct, salvage
from queuectl.stores.local.transactions import Transaction
from queuectl.stores.local.view import View

#: Findings that mean that the jobs have to be written anew.
_OF_JOBS = frozenset({"journal", "missing", "unreadable", "entry", "twice", "jobs"})


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, in words, in its order; where the copy is, and what could not be taken over."""

    actions: list[str]
    backup: str
    kept: str | None = None  #: the file with what was not taken over


class _Plan(msgspec.Struct):
    """What is to be written, and what will not be in it."""

    actions: list[str] = []
    kept: list[Kept] = []
    settings: bytes | None = None
    jobs: list[Job] | None = None


def repair(folder: Path, *, now: datetime, copy_to: Path | None = None) -> Repair:
    """Mend what ``examine`` finds in *folder*, after a copy of it in the folder *copy_to* (None: beside it).

    Raises ``Conflict`` while workers run, and ``StoreUnavailable`` where no
    copy can be made, and for what no repair may touch: a newer version's files,
    links, somebody else's folder. Nothing has been changed then.
    """
    _check(folder, examine(folder).findings)
    moment = f"{now:%Y%m%dT%H%M%SZ}"
    backup = Backup(folder, copy_to or folder.parent, moment)
    actions = [*_open_up(folder)]
    with QueueLock(folder):
        backup.renew()  # somebody may have changed the folder since
        findings = examine(folder, is_locked=True).findings
        _check(folder, findings)
        kinds = {finding.kind for finding in findings}
        plan = _Plan()
        if "config" in kinds:
            _mend_settings(folder / "config.json", plan)
        if not _OF_JOBS.isdisjoint(kinds):
            _collect(folder, plan)
        place = _keep(folder, moment, plan.kept)  # on the disk before anything else loses it
        if plan.settings is not None:
            disk.replace(folder / "config.json", [plan.settings])
        if plan.jobs is not None:
            _write(folder, plan.jobs)
        for path in litter(folder):
            path.unlink(missing_ok=True)
            plan.actions.append(f"{path.name}: removed; a process had died while it wrote that")
    actions += plan.actions
    if place is not None:
        pieces = "1 piece" if len(plan.kept) == 1 else f"{len(plan.kept)} pieces"
        actions.append(f"{place.name}: holds {pieces}, word for word, of what was not taken over as it stood")
    return Repair(actions=actions, backup=str(backup.path), kept=str(place) if place else None)


def _check(folder: Path, findings: list[Finding]) -> None:
    """Raise if *folder* may not be mended now."""
    if folders.has_workers(folder):
        msg = f'Workers are running on {folder}: "worker stop" first. Nothing was changed.'
        raise Conflict(msg)
    for finding in findings:
        if finding.severity is Severity.DAMAGE and not finding.can_repair:
            msg = f"{finding.path}: {finding.problem}. Nothing was changed: {finding.remedy}."
            raise StoreUnavailable(msg, path=finding.path)


def _open_up(folder: Path) -> Iterator[str]:
    """Let the owner at all, and nobody else."""
    owner = folder.stat()
    for path in (folder, *(folder / name for name in sorted(OURS))):
        with suppress(FileNotFoundError, PermissionError):
            status = path.lstat() if path != folder else path.stat()
            if os.geteuid() == 0 and status.st_uid != owner.st_uid:
                hand_over_tree(path, owner)
                yield f"{path.name}: belongs to {folders.user_name(owner.st_uid)} now, as the folder does"
            wanted = disk.FOLDER_MODE if stat.S_ISDIR(status.st_mode) else disk.FILE_MODE
            if not stat.S_ISLNK(status.st_mode) and stat.S_IMODE(status.st_mode) != wanted:
                path.chmod(wanted)
                yield f"{path.name}: is its owner's alone now (mode {wanted:o}, was {stat.S_IMODE(status.st_mode):o})"


def _mend_settings(path: Path, plan: _Plan) -> None:
    """Keep the settings that can be read."""
    content, _ = disk.read_file(path)
    chosen: dict[str, Value] = {}
    try:
        for name, value in read_pairs(content):
            try:
                setting = find_setting(name)
                chosen.setdefault(setting.key, check_value(setting, value))
            except UsageError as error:
                plan.kept.append(Kept(path.name, error.message, f"{name}: {value!r}"))
    except UsageError as error:
        plan.kept.append(Kept(path.name, error.message, content.decode(errors="backslashreplace")))
    plan.settings = msgspec.json.format(msgspec.json.encode(chosen), indent=2) + b"\n"
    names = ", ".join(chosen) or "none"
    plan.actions.append(f"config.json: written anew with the settings that can be read ({names})")


def _collect(folder: Path, plan: _Plan) -> None:
    """Plan the jobs of both files, and what the journal says newer."""
    seen = view.read(folder)
    salvaged = {file: salvage(content, file) for file, content in seen.data.items()}
    for one in salvaged.values():
        plan.kept += one.kept
    plan.kept += [
        Kept("journal.jsonl", "no transaction", piece.decode(errors="backslashreplace")) for piece in seen.rest
    ]
    latest = takeover.latest_of(_readable(seen, plan))
    found = [
        (file, newer)
        for file, one in salvaged.items()
        for job in one.jobs
        if (newer := takeover.newer(job, latest)) is not None
    ]
    there = {job.seq for _, job in found}
    found += [
        (File.DLQ if job.state is State.DEAD else File.JOBS, job)
        for seq, job in latest.items()
        if job is not None and seq not in there
    ]
    plan.jobs, twice = distinct(found)
    plan.kept += twice
    number = len(plan.jobs)
    noun = "job" if number == 1 else "jobs"
    plan.actions.append(f"jobs.json, dlq.json: written anew with the {number} {noun} that can be read")


def _readable(seen: View, plan: _Plan) -> list[Transaction]:
    """Return the transactions whose jobs are jobs, which without a checksum need not be."""
    good = []
    for transaction in seen.transactions:
        try:
            takeover.latest_of([transaction])
            good.append(transaction)
        except (msgspec.MsgspecError, ValueError) as error:
            text = "\n".join(bytes(write.body).decode(errors="backslashreplace") for write in transaction.writes)
            plan.kept.append(Kept("journal.jsonl", str(error), text))
    return good


def _keep(folder: Path, moment: str, kept: list[Kept]) -> Path | None:
    """Write down what is not taken over; return where."""
    if not kept:
        return None
    path = folder / f"{KEPT}{moment}.txt"
    if path.exists():
        path = folder / f"{KEPT}{moment}-{os.urandom(2).hex()}.txt"
    pieces = (f"# {one.file}: {one.why}\n{one.text}\n\n".encode("utf-8", "surrogateescape") for one in kept)
    disk.replace(path, pieces)
    return path


def _write(folder: Path, jobs: list[Job]) -> None:
    """Put *jobs* into both files, then empty the journal: whoever comes next begins a new generation on them."""
    paths = {file: folder / f"{file}.json" for file in File}
    next_seq = max((job.seq for job in jobs), default=0) + 1
    taken: set[int] = set()
    bodies: dict[File, list[bytes]] = {file: [] for file in File}
    for job in jobs:
        seq = job.seq
        if seq < 1 or seq in taken:
            seq, next_seq = next_seq, next_seq + 1
        taken.add(seq)
        body = records.encode_job(msgspec.structs.replace(job, seq=seq))
        bodies[File.DLQ if job.state is State.DEAD else File.JOBS].append(body)
    # A job that goes to the DLQ is there before it is gone from the queue: the first of these writes adds it.
    for file in (File.DLQ, File.JOBS):
        disk.replace(paths[file], records.whole_file(Layout(), bodies[file]))
    fd = disk.open_file(folder / "journal.jsonl", create=True)
    try:
        disk.truncate(fd, 0)
        disk.sync(fd)
    finally:
        os.close(fd)
