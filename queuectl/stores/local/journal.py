"""The journal: each line is one transaction, and is either wholly there or not.

Knows bytes, positions, checksums and durability; what the writes mean is the
business of its callers. All methods but ``sync`` want the queue's lock held.
"""

import contextlib
import os
import time
import zlib
from pathlib import Path

import msgspec

from queuectl.errors import StoreDamaged
from queuectl.stores.local import disk
from queuectl.stores.local.records import Outline, Write
from queuectl.stores.local.transactions import Transaction

FORMAT = 1
HEADER_SIZE = 256
_TICK_NS = 20_000_000  # within which two changes may bear the same time
_BLOCK = 512  # bytes, whatever the file system's own blocks are
RENEW_AT = 16 << 20  #: bytes at which a journal is brought into the files and begun anew
_SUM_PREFIX = b'{"sum":"%08x",'
_BEGINNING = b'{"sum":"'
_SUM_SIZE = len(_SUM_PREFIX % 0)
_encode = msgspec.json.Encoder().encode


class Header(msgspec.Struct, frozen=True):
    """The first line: which run of transactions this is, and on what files it builds."""

    queuectl: int
    generation: str
    #: generation and length of the journal before, if the files' lines have stayed where they were
    follows: tuple[str, int] | None
    inodes: dict[str, int]
    sum: str = ""


class _Format(msgspec.Struct):
    """As much of a header as all versions share."""

    queuectl: int


class Body(msgspec.Struct):
    """A transaction as it is written, behind its checksum; its writes in outline."""

    durable: int
    writes: list[Outline]


_decode_body = msgspec.json.Decoder(Body).decode
_decode_format = msgspec.json.Decoder(_Format).decode
_decode_header = msgspec.json.Decoder(Header).decode


class Journal:
    """The open journal of one data folder, read up to ``end``."""

    def __init__(self, path: Path) -> None:
        """Open or create the journal at *path*; call ``attach`` before anything else."""
        self.path = path
        self._name = str(path)
        self._fd = disk.open_file(path, create=True)
        self._inode = os.fstat(self._fd).st_ino
        self._raw_header = b""
        self.header: Header | None = None
        self.end = 0
        self.durable = 0
        self.failed: str | None = None  # the generation whose file cannot be relied on: a sync of it has failed

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self._fd)

    @property
    def generation(self) -> str:
        """The name of this run of transactions; empty before the first."""
        return self.header.generation if self.header else ""

    @property
    def is_empty(self) -> bool:
        """Whether it holds no transaction: the files are everything."""
        return self.end <= HEADER_SIZE

    def has_transactions(self) -> bool:
        """Whether there is anything behind the header, read or not."""
        return os.fstat(self._fd).st_size > HEADER_SIZE

    def size(self) -> int | None:
        """Return the size of the journal, or None if its generation is not the one attached, or has to be left."""
        if self.failed is not None and self.failed == self.generation:
            return None
        try:
            status = os.stat(self._name)  # noqa: PTH116 - a Path costs more than the call
        except FileNotFoundError:
            return None
        if status.st_ino != self._inode or disk.read_at(self._fd, HEADER_SIZE, 0) != self._raw_header:
            return None
        return status.st_size

    def mark(self) -> object:
        """Return what differs once the journal has changed since, None while it may change unseen; wants no lock."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        if 0 <= time.time_ns() - status.st_mtime_ns < _TICK_NS:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def reopen(self) -> None:
        """Open the file anew; whether it is still the same one, ``has_changed`` finds out."""
        fd = disk.open_file(self.path, create=True)
        os.close(self._fd)
        self._fd = fd

    def attach(self) -> None:
        """Read the header anew. Raises ``StoreDamaged`` for one that is neither whole nor unfinished."""
        self.reopen()
        self._inode = os.fstat(self._fd).st_ino
        raw = disk.read_at(self._fd, HEADER_SIZE, 0)
        self.header = self._read_header(raw)
        self._raw_header = raw
        self.end = self.durable = HEADER_SIZE if self.header else 0

    def _read_header(self, raw: bytes) -> Header | None:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            _check_format(self.path, raw)
        if (header := whole_header(raw)) is not None:
            return header
        if os.fstat(self._fd).st_size <= HEADER_SIZE:
            return None  # a renewal that was cut short: the files were synced before it began
        msg = (
            f"{self.path} is damaged in its first line. Nothing was changed: "
            "restore the folder from a copy, or move that file away to go on with jobs.json and dlq.json as they are."
        )
        raise StoreDamaged(msg, path=str(self.path))

    def read(self, start: int, stop: int | None = None) -> list[Transaction]:
        """Return the transactions from *start*, up to *stop* or to the end.

        Reading to the end cuts off what a process left unfinished, and moves
        ``end``. Raises ``StoreDamaged`` for a bad line that is known to have
        been durable: its transaction was confirmed.
        """
        size = os.fstat(self._fd).st_size if stop is None else stop
        if size < start:
            raise self.damaged(size)
        data = disk.read_at(self._fd, size - start, start) if size > start else b""
        transactions = []
        position = start
        place = 0
        while (newline := data.find(b"\n", place)) >= 0:
            text = data[place:newline]
            body = self._parse(text)
            if body is None:
                break
            place = newline + 1
            position = start + place
            if body.durable > self.durable:
                self.durable = body.durable
            transactions.append(Transaction(position, body.writes, text))
        if stop is not None:
            if position != stop:
                raise self.damaged(position)
            return transactions
        if position < size:
            self._cut(position, data[place:])
        self.end = position
        return transactions

    def _parse(self, text: bytes) -> Body | None:
        if text[:_SUM_SIZE] != _SUM_PREFIX % self._checksum(text[_SUM_SIZE:]):
            return None
        try:
            return _decode_body(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _checksum(self, rest: bytes) -> int:
        return zlib.crc32(rest, zlib.crc32(self.generation.encode()))

    def _cut(self, position: int, rest: bytes) -> None:
        """Cut the journal at *position*, where *rest* begins with a bad line."""
        known = self.durable
        place = 0
        # Not by lines alone: it may be a newline that is bad.
        while (place := rest.find(_BEGINNING, place + 1)) >= 0:
            text, newline, _ = rest[place:].partition(b"\n")
            if newline and (body := self._parse(text)) is not None:
                known = max(known, body.durable)
        if known > position:
            raise self.damaged(position)
        self._truncate(position)

    def _truncate(self, size: int) -> None:
        has_reserve = os.fstat(self._fd).st_blocks * _BLOCK > RENEW_AT
        disk.truncate(self._fd, size)
        if has_reserve:
            self.preallocate()  # cutting has given the space back

    def damaged(self, position: int) -> StoreDamaged:
        """Return the error for a journal in which what was confirmed does not stand at *position*."""
        msg = (
            f"{self.path} is damaged at byte {position}, in a part that had been confirmed. Nothing was changed: "
            "restore the folder from a copy, or keep a copy of it and ask for help with this message."
        )
        return StoreDamaged(msg, path=str(self.path), position=position)

    def append(self, writes: list[Write]) -> None:
        """Add one transaction at the end; what could not be written whole is cut back."""
        text = self._line(writes)
        try:
            disk.write_at(self._fd, text, self.end)
        except BaseException:
            self._truncate(self.end)
            raise
        self.end += len(text)

    def _line(self, writes: list[Write]) -> bytes:
        rest = b'"durable":%d,"writes":%b}' % (self.durable, _encode(writes))
        return _SUM_PREFIX % self._checksum(rest) + rest + b"\n"

    def sync(self) -> int:
        """Make durable what has been read or appended, and return how far that is. Wants no lock."""
        end = self.end
        try:
            disk.sync(self._fd)
        except OSError:
            self.failed = self.generation
            raise
        return end

    def begin(self, writes: list[Write], *, inodes: dict[str, int], keeps_places: bool) -> None:
        """Empty the journal and begin a new generation with *writes*, durable on return.

        To be called when the files hold everything, these *writes* too, and
        are durable. *keeps_places* lets processes that have read all go on
        without loading the files again.
        """
        follows = (self.generation, self.end) if keeps_places and self.header else None
        raw = encode_header(inodes, follows)
        if writes:
            self._begin_anew(raw, [writes])
            return
        disk.truncate(self._fd, 0)
        # Before the header: one that only half reaches the disk is a beginning that was cut short, and does no harm,
        # but with the old transactions behind it, it would be damage.
        disk.sync(self._fd)
        disk.write_at(self._fd, raw, 0)
        disk.sync(self._fd)
        self.header = _decode_header(raw)
        self._raw_header = raw
        self.end = self.durable = HEADER_SIZE

    def rescue_to_new_file(self) -> None:
        """Put all transactions into a new journal in the place of this one, durable on return.

        For when a sync has failed: the old file's pages can no longer be
        trusted to reach the disk, whatever later syncs may say.
        """
        old = self.header
        if old is None:
            return
        transactions = self.read(HEADER_SIZE, self.end)
        self._begin_anew(encode_header(old.inodes, None), [transaction.writes for transaction in transactions])

    def _begin_anew(self, raw: bytes, transactions: list[list[Write]]) -> None:
        """Put a file with the header *raw* and with *transactions* in the place of the journal, durable on return."""
        before = self.header, self.durable
        self.header, self.durable = _decode_header(raw), 0
        try:
            disk.replace(self.path, [raw, *map(self._line, transactions)])
        except BaseException:
            self.header, self.durable = before
            raise
        self.attach()

    def preallocate(self) -> None:
        """Set aside the space of a whole journal, so that a full disk cannot stop a result from being recorded.

        A disk that is full already is no reason not to go on.
        """
        with contextlib.suppress(OSError):
            disk.preallocate(self._fd, RENEW_AT + (1 << 20))


def whole_header(raw: bytes) -> Header | None:
    """Return the header that *raw* is, None if it is not wholly one of ours."""
    try:
        header = _decode_header(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    is_whole = header.sum == _header_sum(header) and len(raw) == HEADER_SIZE and raw.endswith(b"\n")
    return header if is_whole and header.queuectl <= FORMAT else None


def refuse_newer(path: Path) -> None:
    """Raise ``StoreDamaged`` if a newer version has written the journal at *path*; all else is left to others."""
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _check_format(path, disk.read_at(fd, HEADER_SIZE, 0))
        finally:
            os.close(fd)


def _check_format(path: Path, raw: bytes) -> None:
    number = _decode_format(raw).queuectl
    if number > FORMAT:
        msg = (
            f"{path} was written by a newer queuectl (format {number}; this one knows {FORMAT}): "
            "use that version. Nothing was changed."
        )
        raise StoreDamaged(msg, path=str(path), format=number)


def encode_header(inodes: dict[str, int], follows: tuple[str, int] | None) -> bytes:
    """Return the first line of a new generation."""
    header = Header(FORMAT, os.urandom(8).hex(), follows, inodes)
    signed = msgspec.structs.replace(header, sum=_header_sum(header))
    return _encode(signed).ljust(HEADER_SIZE - 1) + b"\n"


def _header_sum(header: Header) -> str:
    return f"{zlib.crc32(_encode(msgspec.structs.replace(header, sum=''))):08x}"
