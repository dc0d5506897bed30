"""Transactions of the journal, and what several of them in a row come to.

Each is a list of writes at places of the data files, to be made in this order.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property

import msgspec

from queuectl.stores.local import records
from queuectl.stores.local.records import File, Outline, Span, Write


class _Body(msgspec.Struct):
    """What of a transaction's JSON makes the files."""

    writes: list[Write]


_decode_writes = msgspec.json.Decoder(_Body).decode


class Transaction:
    """Writes that are made all or not at all; *end* is the position of the journal behind them.

    Of what others have written, a worker needs hardly more than outlines: *text*, the JSON, is decoded when somebody
    wants it all.
    """

    def __init__(self, end: int, outlines: Sequence[Outline], text: bytes) -> None:
        self.end = end
        self.outlines = outlines
        self._text = text

    @property
    def spans(self) -> Sequence[Span]:
        """What it writes to."""
        return self.outlines

    @cached_property
    def writes(self) -> list[Write]:
        """The writes in full."""
        return _decode_writes(self._text).writes

    def write_at(self, file: File, offset: int) -> Write:
        """Return the last write at *offset*, where there is one."""
        return self._newest[file, offset]

    @cached_property
    def _newest(self) -> dict[tuple[File, int], Write]:
        return {(write.file, write.offset): write for write in self.writes}


class OwnTransaction(Transaction):
    """One that this process has written itself."""

    def __init__(self, end: int, writes: list[Write]) -> None:
        super().__init__(end, (), b"")
        self.writes = writes

    @property
    def spans(self) -> Sequence[Span]:
        return self.writes


def combined(transactions: Iterable[Transaction]) -> list[Write]:
    """Return all writes in their order; a line that was written several times, only as it is at last.

    It stands where it stood first: a reader of the file without the lock meets no older state of one job beside
    newer ones of others for longer than before, and never a job that is in neither file.
    """
    found: list[Write] = []
    places: dict[tuple[File, int], int] = {}
    for transaction in transactions:
        for write in transaction.writes:
            key = write.file, write.offset
            place = places.get(key)
            if place is not None and write.is_line:
                before = found[place]
                if (before.lead, before.width) == (write.lead, write.width):
                    found[place] = write
                    continue
            places[key] = len(found)
            found.append(write)
    return found


def newest(transactions: Iterable[Transaction]) -> list[Write]:
    """Return the last write of each place, in the order in which these were made."""
    found: dict[tuple[File, int, int], Write] = {}
    for transaction in transactions:
        for write in transaction.writes:
            # The width tells a reserve from the line that was written into it later.
            key = (write.file, write.offset, write.width)
            found.pop(key, None)
            found[key] = write
    return list(found.values())


def put_over(data: dict[File, bytearray], transactions: Iterable[Transaction]) -> None:
    """Make the writes of *transactions* in *data*, the contents of one or both files."""
    for transaction in transactions:
        for file, content in data.items():
            records.put_over(content, (write for write in transaction.writes if write.file is file))
