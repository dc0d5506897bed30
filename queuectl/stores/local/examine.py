"""What is the matter with the files of a data folder: a list of findings, and not a byte changed.

Works where the store refuses to open. Who is alive, and which jobs hang, is
examined a layer higher, in ``checkup``.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec

from queuectl.errors import StoreDamaged, UsageError
from queuectl.job import Job, State
from queuectl.stores.local import disk, foreign, records, takeover, view
from queuectl.stores.local import folder as folders
from queuectl.stores.local.config import read_settings
from queuectl.stores.local.files import KEPT, REPLACED, litter
from queuectl.stores.local.findings import Finding, damage, note, warning
from queuectl.stores.local.journal import HEADER_SIZE
from queuectl.stores.local.lock import holder_of
from queuectl.stores.local.records import File
from queuectl.stores.local.transactions import put_over
from queuectl.stores.local.view import View

LOCK_PATIENCE_S = 2.0
MIN_FREE = 64 << 20  #: bytes that a journal, set aside for workers, and a file that is rewritten may need
_MANY = 20  #: entries of one file that are named each
_OTHERS_WRITE = 0o022
_OTHERS = 0o077
OURS = frozenset({*REPLACED, "applied", "queue.lock", folders.WORKERS, folders.LOGS})


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """All findings, and the jobs that are in progress as far as they can be read."""

    findings: list[Finding]
    claimed: list[Job]


def examine(folder: Path, *, is_locked: bool = False, lock_patience_s: float = LOCK_PATIENCE_S) -> Examination:
    """Look at all of *folder*. Holds the lock only while it reads, unless the caller does."""
    if not os.path.lexists(folder):
        return Examination(findings=[*_absent(folder)], claimed=[])
    if not folder.is_dir():
        remedy = "choose another one with --data"
        return Examination(findings=[damage("folder", folder, "it is no folder", remedy)], claimed=[])
    findings = [*_folder(folder)]
    if not os.access(folder, os.R_OK | os.X_OK):
        return Examination(findings=findings, claimed=[])
    owner = folder.stat()
    wanted = os.R_OK if folders.is_read_only(folder) else os.R_OK | os.W_OK
    if folders.foreign_owner(folder) is None:  # else all has been said
        findings += [finding for name in sorted(OURS) for finding in _file(folder / name, owner, wanted)]
    findings += _others(folder)
    findings += _config(folder / "config.json")
    with nullcontext(True) if is_locked else view.held(folder, lock_patience_s) as is_held:
        if is_held:
            seen = view.read(folder)
        else:
            what = f"it has been locked for {lock_patience_s:g} s by {holder_of(folder / 'queue.lock')}"
            remedy = "wait for that process, or end it; the jobs were not looked at"
            return Examination(findings=[*findings, warning("lock", folder / "queue.lock", what, remedy)], claimed=[])
        findings += [
            warning("litter", path, "a process died while it wrote this", "it can be removed", can_repair=True)
            for path in litter(folder)
        ]
    findings += _journal(folder / "journal.jsonl", seen)
    jobs, claimed = _jobs(folder, seen)
    return Examination(findings=[*findings, *jobs], claimed=claimed)


def _absent(folder: Path) -> Iterator[Finding]:
    """Examine where a folder that is not there yet would be made."""
    parent = folders.nearest(folder)
    remedy = "choose another folder with --data"
    if not parent.is_dir():
        yield damage("folder", folder, f"it cannot be made: {parent} is no folder", remedy)
        return
    if folders.is_read_only(parent):
        yield damage("read-only", folder, "it cannot be made: its file system is read-only", remedy)
    elif not os.access(parent, os.W_OK | os.X_OK):
        yield damage("permissions", folder, f"it cannot be made: {parent} may not be written by this user", remedy)
    else:
        yield note("new", folder, "there is no such folder yet", "the first job makes it")
    yield from _system(parent)


def _folder(folder: Path) -> Iterator[Finding]:
    status = folder.stat()
    is_read_only = folders.is_read_only(folder)
    if (owner := folders.foreign_owner(folder)) is not None:
        what = f"it belongs to somebody else ({folders.user_name(owner)}), who could run commands as you"
        yield damage("owner", folder, what, "choose a folder of your own with --data, or have it given to you")
    elif is_read_only:
        what, _, remedy = disk.READ_ONLY.partition(": ")
        yield damage("read-only", folder, f"it {what}", remedy)
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield _closed(folder, status, status, "rwx")
    elif os.geteuid() == 0 and status.st_uid:
        what = f"it belongs to {folders.user_name(status.st_uid)}, and this is the superuser: what runs, runs as root"
        yield note("owner", folder, what, "work on it as its owner")
    if not is_read_only:
        yield from _mode(folder, status)
    yield from _system(folder)
    if folders.has_own_system(folder / folders.WORKERS):
        yield from _system(folder / folders.WORKERS)
    if not is_read_only and (free := shutil.disk_usage(folder).free) < MIN_FREE:
        what = f"the disk is nearly full: {free >> 20} MiB are free"
        yield warning("disk", folder, what, f"free some space: workers want {MIN_FREE >> 20} MiB")


def _system(folder: Path) -> Iterator[Finding]:
    if (why := folders.why_unfit(folders.file_system(folder))) is not None:
        remedy = "move it to a local disk, or choose a folder on a local file system with --data"
        yield damage("network", folder, f"it is {why}", remedy)


def _mode(path: Path, status: os.stat_result) -> Iterator[Finding]:
    mode = stat.S_IMODE(status.st_mode)
    remedy = f"chmod go-rwx {path}"
    if mode & _OTHERS_WRITE:
        what = f"others may write it (mode {mode:o}), and so run commands as you"
        yield warning("permissions", path, what, remedy, can_repair=True)
    elif mode & _OTHERS:
        yield note("permissions", path, f"others may read it (mode {mode:o})", remedy, can_repair=True)


def _closed(path: Path, status: os.stat_result, owner: os.stat_result, rights: str) -> Finding:
    """Return the finding for what this user may not use, in the folder of *owner*."""
    what = f"it {disk.CLOSED}"
    if (is_own := status.st_uid == os.geteuid()) or status.st_uid == owner.st_uid:
        remedy = f"chmod u+{rights} {path}" if is_own else "its owner, or root, has to give you the right"
    else:
        what += f": it belongs to {folders.user_name(status.st_uid)}"
        remedy = f"root has to run: chown -R {owner.st_uid}:{owner.st_gid} {path}"
    return damage("permissions", path, what, remedy, can_repair=is_own)


def _file(path: Path, owner: os.stat_result, wanted: int) -> Iterator[Finding]:
    """Examine what bears the name *path* in the folder of *owner*, whatever it is; the rights *wanted* suffice."""
    if not os.path.lexists(path):
        return
    status = path.lstat()
    is_folder = path.name in (folders.WORKERS, folders.LOGS)
    if stat.S_ISLNK(status.st_mode):
        what = f"it is a symbolic link to {path.readlink()}, and changes would go elsewhere"
        yield damage("symlink", path, what, f"put the {'folder' if is_folder else 'file'} itself in its place")
        return
    if is_folder != stat.S_ISDIR(status.st_mode) or not (is_folder or stat.S_ISREG(status.st_mode)):
        what = "it is no folder" if is_folder else "it is no plain file"
        yield damage("form", path, what, "move it away")
    elif not os.access(path, wanted | os.X_OK if is_folder else wanted):
        yield _closed(path, status, owner, "rwx" if is_folder else "rw")
    elif status.st_uid != owner.st_uid and os.geteuid() == 0:
        what = f"it belongs to {folders.user_name(status.st_uid)}: {folders.user_name(owner.st_uid)} may not use it"
        yield warning("owner", path, what, f"chown -R {owner.st_uid}:{owner.st_gid} {path}", can_repair=True)
    elif wanted & os.W_OK and status.st_mode & _OTHERS_WRITE:
        yield from _mode(path, status)


def _others(folder: Path) -> Iterator[Finding]:
    """Name what is in the folder besides our own; people may keep there what they like."""
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in {*OURS, folders.HISTORY} and path.suffix != ".tmp" and not path.name.startswith(KEPT)
    )
    if names:
        shown = ", ".join(names[:_MANY]) + (f" and {len(names) - _MANY} more" if len(names) > _MANY else "")
        yield note("unknown", folder, f"not of this program: {shown}", "it does no harm")


def _config(path: Path) -> Iterator[Finding]:
    try:
        content, _ = disk.read_file(path)
    except OSError:
        return  # there is none, or what it is has been said
    try:
        read_settings(content)
    except UsageError as error:
        remedy = "mend it, or remove it to go on with the defaults"
        yield damage("config", path, f"it cannot be read as settings: {error}".rstrip("."), remedy, can_repair=True)


def _journal(path: Path, seen: View) -> Iterator[Finding]:
    if seen.is_newer:
        yield damage("newer", path, "a newer version of queuectl has written it", "use that version")
    elif seen.journal_problem is not None:
        what = seen.journal_problem.removeprefix(f"{path} ").partition(" Nothing was changed")[0].rstrip(".")
        yield damage("journal", path, what, "restore the folder from a copy", can_repair=True)
    elif seen.unfinished_at is not None:
        what = f"a process died while it wrote: from byte {seen.unfinished_at} on it is unfinished"
        yield note("unfinished", path, what, "the next command cuts it off; nothing in it was confirmed")


def _jobs(folder: Path, seen: View) -> tuple[list[Finding], list[Job]]:
    """Examine both files, with what the journal says newer; return the jobs in progress too."""
    missing = _missing(folder, seen)
    if missing or seen.journal_problem is not None:
        return [*missing, *_each(folder, seen)], []
    contents = {file: bytearray(seen.data.get(file, b"")) for file in File}
    as_they_are = {file: bytes(content) for file, content in contents.items()}
    if seen.header is not None and seen.header.inodes == seen.inodes and not seen.is_edited:
        put_over(contents, seen.transactions)
    if takeover.survey(contents) is not None:
        bodies = [body for content in contents.values() for _, _, body in records.scan(content)]
        return [], _claimed(bodies)
    paths = {file: folder / f"{file}.json" for file in File}
    try:
        merged = takeover.merge(paths, as_they_are, seen.transactions)
    except StoreDamaged as error:
        found = _each(folder, seen)
        return found or [damage("jobs", folder, error.message, "restore it from a copy", can_repair=True)], []
    changed = [file for file, content in seen.data.items() if content.strip() and not _is_ours(content)]
    notes = [
        note("foreign", paths[file], "another program or a person has written it", "the next command takes it over")
        for file in changed
    ]
    return notes, _claimed([body for bodies in merged.bodies.values() for body in bodies])


def _each(folder: Path, seen: View) -> list[Finding]:
    return [one for file in seen.data for one in _entries(folder, file, seen)] + _twice(folder, seen)


def _is_ours(content: bytes) -> bool:
    try:
        for _ in records.scan(content):
            pass
    except ValueError:
        return False
    return True


def _claimed(bodies: list[bytes]) -> list[Job]:
    heads = ((records.decode_head(body), body) for body in bodies)
    return [records.decode_job(body) for head, body in heads if head.state is State.IN_PROGRESS]


def _missing(folder: Path, seen: View) -> list[Finding]:
    """Return what the store would miss when it opens the folder (see ``DataFiles.create_missing``)."""
    is_new = seen.header is None and seen.is_unused
    has_transactions = seen.journal_size > HEADER_SIZE
    findings = []
    for file in File:
        path = folder / f"{file}.json"
        if os.path.lexists(path) and (file not in seen.data or seen.data[file] or not has_transactions):
            continue
        is_alone = file is File.JOBS and File.DLQ in seen.data
        if file in seen.data or is_alone or not is_new:
            what = f"it is {'empty' if file in seen.data else 'missing'}, but should hold jobs"
            remedy = "restore it from a copy"
            findings.append(damage("missing", path, what, remedy, can_repair=not seen.is_newer))
    return findings


def _entries(folder: Path, file: File, seen: View) -> Iterator[Finding]:
    """Examine a file entry by entry."""
    path = folder / f"{file}.json"
    content = seen.data.get(file, b"")
    can_repair = not seen.is_newer
    try:
        entries = foreign.entries(content) if content else []
    except foreign.Unreadable as error:
        yield damage("unreadable", path, error.message, "mend it, or restore it from a copy", can_repair=can_repair)
        return
    count = 0
    for number, entry in enumerate(entries, start=1):
        try:
            foreign.job(entry, file)
        except foreign.Unreadable as error:
            count += 1
            if count <= _MANY:
                what = f"{takeover.name_of(entry, number)}: {error.message}"
                yield damage("entry", path, what, "mend it there", can_repair=can_repair)
    if count > _MANY:
        what = f"{count - _MANY} more of its jobs cannot be read"
        yield damage("entry", path, what, "mend them there", can_repair=can_repair)


def _twice(folder: Path, seen: View) -> list[Finding]:
    places: dict[str, File] = {}
    findings = []
    for file, content in seen.data.items():
        for id in _ids(content):
            if id in places:
                where = f"{places[id]}.json" if places[id] is not file else "the same file"
                what = f'the id "{id}" is there twice, also in {where}'
                remedy = "give one of them another id, or remove it"
                findings.append(damage("twice", folder / f"{file}.json", what, remedy, can_repair=not seen.is_newer))
            places.setdefault(id, file)
    return findings


def _ids(content: bytes) -> Iterator[str]:
    try:
        entries: list[Any] = foreign.entries(content)
    except foreign.Unreadable:
        return
    yield from (str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry)
