"""The data of a folder as they stand, read without changing a byte, and also where the store refuses to open.

Makes no file, cuts nothing, follows no link. What it means is judged in
``examine`` and ``repair``.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from queuectl.errors import StoreDamaged
from queuectl.stores.local import disk, latch
from queuectl.stores.local.files import FileMark, mark_of, read_applied
from queuectl.stores.local.journal import HEADER_SIZE, Body, Header, Journal
from queuectl.stores.local.records import File
from queuectl.stores.local.transactions import Transaction

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_LOOK_AGAIN_S = 0.005
_BEGINNING = re.compile(rb'(?=\{"sum":"[0-9a-f]{8}",)')
_decode_body = msgspec.json.Decoder(Body).decode


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What the files hold at one moment; a file that is missing, or cannot be read, is not in *data*."""

    data: dict[File, bytes]
    inodes: dict[str, int]
    is_edited: bool  #: whether somebody else has written a file since the store last did, as far as it remembers
    is_unused: bool  #: whether no process has ever finished a change here
    journal_size: int
    header: Header | None
    transactions: list[Transaction]  #: all that can be read
    journal_problem: str | None  #: why the journal is refused
    is_newer: bool  #: whether that is because a newer version has written it
    unfinished_at: int | None  #: where the unfinished append of a process that died begins
    rest: list[bytes]  #: pieces of the journal that are no transactions


class JournalView(Journal):
    """A journal that is only looked at."""

    def __init__(self, path: Path) -> None:
        """Open the journal at *path*, which exists."""
        self.path = path
        self._fd = os.open(path, _OPEN)
        self._raw_header = b""
        self.header = None
        self.end = self.durable = 0
        self.unfinished_at: int | None = None

    def reopen(self) -> None:
        """Stay with the file that is open."""

    def _truncate(self, size: int) -> None:
        self.unfinished_at = size

    def salvage(self) -> tuple[list[Transaction], list[bytes]]:
        """Return all that can be read, whatever lies between, and the pieces that cannot.

        Without its header the checksums cannot be told; then the form has to do.
        """
        size = os.fstat(self._fd).st_size
        data = disk.read_at(self._fd, size - HEADER_SIZE, HEADER_SIZE) if size > HEADER_SIZE else b""
        transactions: list[Transaction] = []
        rest: list[bytes] = []
        end = HEADER_SIZE
        for text in data.split(b"\n"):
            end += len(text) + 1
            for piece in [text] if self._body(text) else _BEGINNING.split(text):
                if (body := self._body(piece)) is not None:
                    transactions.append(Transaction(end, body.writes, piece))
                elif piece.strip(b"\0 \r"):
                    rest.append(piece)
        return transactions, rest

    def _body(self, text: bytes) -> Body | None:
        if self.header is not None:
            return self._parse(text)
        try:
            return _decode_body(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None


@contextmanager
def held(folder: Path, deadline_s: float) -> Iterator[bool]:
    """Hold the queue's lock if it can be had within *deadline_s*; say whether it is held, or there is none yet."""
    try:
        fd = os.open(folder / "queue.lock", _OPEN)
    except OSError:
        yield True  # nobody has ever worked here, or nobody can: the file is examined as all others
        return
    until = time.monotonic() + deadline_s
    try:
        while not (is_held := latch.lock_descriptor(fd, blocking=False)) and time.monotonic() < until:
            time.sleep(_LOOK_AGAIN_S)
        try:
            yield is_held
        finally:
            if is_held:
                latch.unlock_descriptor(fd)
    finally:
        os.close(fd)


def read(folder: Path) -> View:
    """Read the data of *folder*; to be called under the lock."""
    data: dict[File, bytes] = {}
    marks: dict[File, FileMark] = {}
    for file in File:
        with suppress(OSError):
            data[file], status = disk.read_file(folder / f"{file}.json")
            marks[file] = mark_of(status)
    record = b""
    with suppress(OSError):
        record, _ = disk.read_file(folder / "applied")
    journal, applied, problem, is_newer = None, None, None, False
    transactions: list[Transaction] = []
    rest: list[bytes] = []
    with suppress(OSError):
        journal = JournalView(folder / "journal.jsonl")
    size = 0
    if journal is not None:
        size = (folder / "journal.jsonl").lstat().st_size
        try:
            journal.attach()
            applied = read_applied(record, disk.boot_id(), journal.generation)
            if journal.header is not None:
                transactions = journal.read(HEADER_SIZE)
            if applied is not None and applied.position > size:
                raise journal.damaged(size)  # it has been cut off
        except StoreDamaged as error:
            problem, is_newer = error.message, "format" in vars(error)
            transactions, rest = journal.salvage()
        journal.close()
    return View(
        data=data,
        inodes={file.value: mark.inode for file, mark in marks.items()},
        is_edited=applied is not None and not applied.is_unsettled and applied.marks != marks,
        is_unused=not record,
        journal_size=size,
        header=journal.header if journal else None,
        transactions=transactions,
        journal_problem=problem,
        is_newer=is_newer,
        unfinished_at=journal.unfinished_at if journal else None,
        rest=rest,
    )
