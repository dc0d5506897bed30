"""What one process knows of the lines in the data files, the newest transactions included.

The files may be behind the journal: what the journal says of a place wins.
Opens nothing; everything here is valid only under the lock, after a refresh.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from queuectl.stores.local.files import DataFiles
from queuectl.stores.local.records import File, Head, Layout, Span, Write
from queuectl.stores.local.transactions import OwnTransaction, Transaction

_LINE_GUESS = 4096  #: bytes first read of a line whose width is not known


class Follower(Protocol):
    """Who wants to know of every line that changes."""

    def note(self, span: Span, head: Head) -> None:
        """Take account of a job's line."""
        ...

    def drop(self, span: Span, seq: int) -> None:
        """Take account of the line of job *seq* having been blanked."""
        ...

    def running(self) -> Collection[int] | None:
        """Return where in the main queue's file the jobs in progress stand; None if that is not known here."""
        ...


class Picture:
    """Layouts of both files, and the lines that the journal has changed."""

    def __init__(self, files: DataFiles) -> None:
        """Begin with nothing known of *files*."""
        self._files = files
        self.layouts: dict[File, Layout] = {}
        self.next_seq = 1
        self.follower: Follower | None = None
        # The newest write of each place, or the transaction that it is in.
        self._recent: dict[tuple[File, int], Write | Transaction] = {}
        self._log: deque[Transaction] = deque()

    def reset(self, layouts: dict[File, Layout], next_seq: int) -> None:
        """Begin anew with files that are as *layouts* say; a number once used is not used again."""
        self.layouts = {file: layout.copy() for file, layout in layouts.items()}
        self.next_seq = max(self.next_seq, next_seq)
        self.follower = None
        self.forget_recent()

    def forget_recent(self) -> None:
        """Rely on the files alone: they hold everything."""
        self._recent.clear()
        self._log.clear()

    def preview(self, write: Write) -> None:
        """Take account of a write that is part of a transaction to come."""
        self.layouts[write.file].note(write)
        self._recent[write.file, write.offset] = write

    def confirm(self, writes: list[Write], heads: Iterable[Head], end: int) -> None:
        """Take account of *writes*, previewed before, having become a transaction that ends at *end* of the journal.

        *heads* are those of the lines among them, in their order.
        """
        next_head = iter(heads).__next__
        for write in writes:
            self._tell(write, next_head() if write.is_line else write.blanked_seq)
        self._log.append(OwnTransaction(end, writes))

    def follow(self, transaction: Transaction) -> None:
        """Take account of a transaction that another process has written."""
        for outline in transaction.outlines:
            self.layouts[outline.file].note(outline)
            self._recent[outline.file, outline.offset] = transaction
            self._tell(outline, outline.body)
        self._log.append(transaction)

    def _tell(self, span: Span, body: Head | int | None) -> None:
        if isinstance(body, Head):
            if body.seq >= self.next_seq:
                self.next_seq = body.seq + 1
            if self.follower is not None:
                self.follower.note(span, body)
        elif body is not None and self.follower is not None:
            self.follower.drop(span, body)

    def since(self, position: int, stop: int) -> list[Transaction]:
        """Return the transactions behind *position* of the journal, up to *stop*; none of them was pruned."""
        return [transaction for transaction in self._log if position < transaction.end <= stop]

    def prune(self, position: int) -> None:
        """Let go of what is in the files: everything up to *position* of the journal."""
        while self._log and self._log[0].end <= position:
            transaction = self._log.popleft()
            for span in transaction.spans:
                entry = self._recent.get((span.file, span.offset))
                if entry is span or entry is transaction:
                    del self._recent[span.file, span.offset]

    def recent(self) -> Iterator[Write]:
        """Yield the newest write of each place that the files may be behind in."""
        for (file, offset), entry in self._recent.items():
            yield entry if isinstance(entry, Write) else entry.write_at(file, offset)

    def _write_at(self, file: File, offset: int) -> Write | None:
        """Return the newest write at *offset*, unless the files are not behind in it."""
        entry = self._recent.get((file, offset))
        return entry.write_at(file, offset) if isinstance(entry, Transaction) else entry

    def is_recent(self, file: File, offset: int) -> bool:
        """Whether the files may be behind in the line at *offset*."""
        return (file, offset) in self._recent

    def body_at(self, file: File, offset: int, width: int) -> bytes | None:
        """Return the JSON of the job whose line is at *offset*, or None if there is none."""
        write = self._write_at(file, offset)
        if write is not None:
            return bytes(write.body) if write.is_line else None
        text = self._files.read_at(file, width, offset).rstrip()
        return text[1:] if text[1:2] == b"{" else None

    def line_at(self, file: File, offset: int) -> tuple[int, bytes | None] | None:
        """Return (width, JSON or None) of the line at *offset*; None behind the end of the file."""
        write = self._write_at(file, offset)
        if write is not None:
            return write.width, bytes(write.body) if write.is_line else None
        size = _LINE_GUESS
        while (newline := (text := self._files.read_at(file, size, offset)).find(b"\n")) < 0:
            if len(text) < size:
                return None
            size *= 4
        body = text[:newline].rstrip()[1:]
        return newline + 1, body if body.startswith(b"{") else None

    def next_line(self, file: File, offset: int) -> tuple[int, int, bytes] | None:
        """Return (offset, width, JSON) of the first job at or behind *offset*."""
        while offset < self.layouts[file].tail and (found := self.line_at(file, offset)) is not None:
            width, body = found
            if body is not None:
                return offset, width, body
            offset += width
        return None
