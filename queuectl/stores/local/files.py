"""``jobs.json`` and ``dlq.json`` on the disk, and ``applied``: how far the journal is in them.

Brings writes into the files, in order, and notices when somebody else has
changed a file. All methods want the queue's lock held; decisions about what a
foreign change means are made elsewhere.
"""

import os
import re
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from queuectl.errors import StoreDamaged
from queuectl.later import pattern
from queuectl.stores.local import disk, records
from queuectl.stores.local.records import File, Layout, Write
from queuectl.stores.local.transactions import Transaction, combined

APPLIED_SIZE = 1024
_CHECKSUM_SIZE = 9
REPLACED = ("jobs.json", "dlq.json", "config.json", "worker_pids.json", "journal.jsonl")  #: by ``disk.replace``
KEPT = "kept-"  #: the beginning of the name of what a repair has not taken over, and replaces too
_LITTER = pattern(rf"\.({'|'.join(map(re.escape, REPLACED))}|{KEPT}[-0-9a-zTZ]+\.txt)\.[0-9]+\.tmp")


class FileMark(msgspec.Struct, frozen=True):
    """What a file looked like when it was last written by us."""

    inode: int
    size: int
    mtime_ns: int


class Applied(msgspec.Struct, frozen=True):
    """How far the journal is in the files; holds for its boot and generation only.

    *is_applying* says that a process was about to write more: if it died there,
    the writes from *position* on are simply made again. *sync_failed* says that
    the journal's own file can no longer be relied on.
    """

    boot: str
    generation: str
    position: int
    next_seq: int
    marks: dict[File, FileMark]
    layouts: dict[File, Layout]
    is_applying: bool = False
    sync_failed: bool = False

    @property
    def is_unsettled(self) -> bool:
        """Whether the journal's writes have to be made again before anything else."""
        return self.is_applying or self.sync_failed


def _checksum(text: bytes) -> bytes:
    return b"%08x\n" % zlib.crc32(text)


_decode_applied = msgspec.json.Decoder(Applied).decode


def read_applied(record: bytes, boot: str, generation: str) -> Applied | None:
    """Return what *record*, the content of ``applied``, says of *generation* in the run *boot* of the machine."""
    text, checksum = record[:-_CHECKSUM_SIZE], record[-_CHECKSUM_SIZE:]
    if checksum != _checksum(text):
        return None  # it may be lost without harm; who reads without the lock may meet half of two
    try:
        applied = _decode_applied(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return applied if (applied.boot, applied.generation) == (boot, generation) else None


def mark_of(status: os.stat_result) -> FileMark:
    """Return the mark of a file whose status is *status*."""
    return FileMark(status.st_ino, status.st_size, status.st_mtime_ns)


class DataFiles:
    """The open data files of one folder."""

    def __init__(self, folder: Path) -> None:
        """Open what is there; create what is not where that is a new queue (see ``create_missing``)."""
        self.paths = {file: folder / f"{file}.json" for file in File}
        self._names = {file: str(path) for file, path in self.paths.items()}
        self._fds: dict[File, int] = {}
        self._applied_path = folder / "applied"
        self._applied_fd = disk.open_file(self._applied_path, create=True)
        self._boot = disk.boot_id()

    def close(self) -> None:
        """Let go of the descriptors."""
        os.close(self._applied_fd)
        self.release()

    def reopen_applied(self) -> None:
        """Open ``applied`` anew if somebody has deleted it, so that all processes use the same one."""
        if os.fstat(self._applied_fd).st_nlink == 0:
            fd = disk.open_file(self._applied_path, create=True)
            os.close(self._applied_fd)
            self._applied_fd = fd

    def release(self) -> None:
        """Close the data files, to be opened anew at the next use."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def path(self, file: File) -> Path:
        """Return where *file* is."""
        return self.paths[file]

    def _fd(self, file: File) -> int:
        if file not in self._fds:
            self._fds[file] = disk.open_file(self.paths[file])
        return self._fds[file]

    def is_unused(self) -> bool:
        """Whether no process has ever finished a change here."""
        return os.fstat(self._applied_fd).st_size == 0

    def create_missing(self, *, may_be_missing: bool, may_be_empty: bool) -> None:
        """Create the files of a new queue. A file of zero bytes is a queue without jobs.

        Raises ``StoreDamaged`` for a file that should be there, or should hold something.
        """
        for file, path in self.paths.items():
            if path.is_symlink():
                disk.open_file(path)  # which says what is wrong with it
            exists = path.exists()
            if exists and (may_be_empty or path.stat().st_size):
                continue
            # The DLQ alone is no queue: its jobs have come from the main one, which is made first.
            is_alone = file is File.JOBS and self.paths[File.DLQ].exists()
            if exists or is_alone or not may_be_missing:
                msg = (
                    f"{path} is {'empty' if exists else 'missing'}, but the folder says that it should hold jobs: "
                    "restore it from a copy. Nothing was changed."
                )
                raise StoreDamaged(msg, path=str(path))
            disk.replace(path, records.whole_file(Layout(), []))

    def sync_names(self, *, is_new: bool = False) -> None:
        """Make sure of the names in the folder: whoever made them may have died, or failed, before that.

        With *is_new* also of those of the folder and of all above it, as far as they may be read.
        """
        folder = self._applied_path.parent
        disk.sync_folder(folder)
        for above in folder.parents if is_new else ():
            with suppress(PermissionError):
                disk.sync_folder(above)

    def read_all(self, file: File) -> bytearray:
        """Return the whole of *file* as it is at this moment; wants no lock."""
        fd = self._fd(file)
        data = bytearray(os.fstat(fd).st_size)
        view = memoryview(data)
        done = 0
        while done < len(data) and (count := os.preadv(fd, [view[done : done + (1 << 30)]], done)):
            done += count
        view.release()
        del data[done:]
        return data

    def read_at(self, file: File, size: int, offset: int) -> bytes:
        """Return *size* bytes of *file* from *offset*."""
        return disk.read_at(self._fd(file), size, offset)

    def damaged(self, file: File, offset: int) -> StoreDamaged:
        """Return the error for a line of *file* that is not the job that it should be."""
        path = self.paths[file]
        msg = (
            f"{path} is damaged at byte {offset}: the line there is not the job that it should be. "
            "Nothing was changed: restore the folder from a copy."
        )
        return StoreDamaged(msg, path=str(path), offset=offset)

    def are_as(self, marks: dict[File, FileMark]) -> bool:
        """Whether the files look as *marks* say. Raises ``StoreDamaged`` if one is missing."""
        for file, mark in marks.items():
            status = self._status(file)
            if (status.st_mtime_ns, status.st_size, status.st_ino) != (mark.mtime_ns, mark.size, mark.inode):
                return False
        return True

    def _status(self, file: File) -> os.stat_result:
        try:
            return os.stat(self._names[file])  # noqa: PTH116 - at every locking: a Path costs as much as the call
        except FileNotFoundError as error:
            msg = f"{self.paths[file]} is missing: restore it from a copy. Nothing was changed."
            raise StoreDamaged(msg, path=str(self.paths[file])) from error

    def marks(self) -> dict[File, FileMark]:
        """Return what the files look like now. Raises ``StoreDamaged`` if one is missing."""
        marks = {}
        for file in self.paths:
            marks[file] = mark_of(self._status(file))
        return marks

    def inodes(self) -> dict[str, int]:
        """Return the files' inodes, as a journal's header names them."""
        return {file.value: mark.inode for file, mark in self.marks().items()}

    def applied(self, generation: str) -> Applied | None:
        """Return how far *generation* is in the files, or None if that is not known."""
        return read_applied(disk.read_at(self._applied_fd, APPLIED_SIZE, 0), self._boot, generation)

    def note_applied(self, generation: str, position: int, next_seq: int, layouts: dict[File, Layout]) -> Applied:
        """Record that *generation* is in the files, as they are now, up to *position*."""
        applied = Applied(
            boot=self._boot,
            generation=generation,
            position=position,
            next_seq=next_seq,
            marks=self.marks(),
            layouts={file: layout.copy() for file, layout in layouts.items()},
        )
        self._write_applied(applied)
        return applied

    def note_failed_sync(self, applied: Applied) -> None:
        """Tell every process that the journal's file cannot be relied on."""
        self._write_applied(msgspec.structs.replace(applied, sync_failed=True))

    def _write_applied(self, applied: Applied) -> None:
        text = msgspec.json.encode(applied).ljust(APPLIED_SIZE - _CHECKSUM_SIZE)
        disk.write_at(self._applied_fd, text + _checksum(text), 0)

    def apply(self, applied: Applied, transactions: Sequence[Transaction], next_seq: int) -> Applied:
        """Bring *transactions*, which are durable and follow *applied*, into the files."""
        self._write_applied(msgspec.structs.replace(applied, is_applying=True))
        writes = combined(transactions)
        try:
            self.write(writes)
        except OSError:
            # All of it stays in the journal, to be written again, and everybody can go on.
            self.note_applied(applied.generation, applied.position, next_seq, applied.layouts)
            raise
        layouts = {file: layout.copy() for file, layout in applied.layouts.items()}
        for write in writes:
            layouts[write.file].note(write)
        return self.note_applied(applied.generation, transactions[-1].end, next_seq, layouts)

    def write(self, writes: list[Write]) -> None:
        """Make *writes*, neighbours in one piece, so that a reader without the lock meets whole changes."""
        index = 0
        while index < len(writes):
            first = writes[index]
            piece = [first.to_bytes()]
            end = first.end
            index += 1
            while index < len(writes) and (writes[index].file, writes[index].offset) == (first.file, end):
                piece.append(writes[index].to_bytes())
                end = writes[index].end
                index += 1
            disk.write_at(self._fd(first.file), b"".join(piece), first.offset)

    def sync(self) -> None:
        """Make both files durable; until the next ``note_applied`` it is not known how far the journal is in them.

        For if this fails, what was written to them since they were last synced
        counts as lost, whatever a later sync may say; and then it may be too
        late to write that down.
        """
        disk.write_at(self._applied_fd, b" " * APPLIED_SIZE, 0)
        try:
            for file in File:
                disk.sync(self._fd(file))
        except OSError:
            self.release()
            raise

    def remove_litter(self) -> None:
        """Remove what processes that died in ``disk.replace`` have left."""
        for path in litter(self._applied_path.parent):
            path.unlink(missing_ok=True)

    def replace(self, file: File, chunks: Iterable[bytes]) -> None:
        """Put *chunks* in the place of *file*, durable on return; the journal must be empty."""
        disk.replace(self.paths[file], chunks)
        if file in self._fds:
            os.close(self._fds.pop(file))


def litter(folder: Path) -> list[Path]:
    """Return what processes that died in ``disk.replace`` have left; under the lock. Other people's files stay."""
    return sorted(path for path in folder.glob(".*.tmp") if _LITTER.fullmatch(path.name))
