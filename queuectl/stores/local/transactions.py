"""Transactions of the journal, and what several of them in a row come to.

Each is a list of writes at places of the data files, to be made in this order.
"""

from collections.abc import Iterable

import msgspec

from queuectl.stores.local import records
from queuectl.stores.local.records import File, Write


class Transaction(msgspec.Struct, frozen=True):
    """A transaction as it was read; *end* is the position behind it."""

    end: int
    writes: list[Write]


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
