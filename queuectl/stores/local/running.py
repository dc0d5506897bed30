"""The lines of the jobs that workers run, for a journal to begin with.

Somebody may write ``jobs.json`` anew while workers run, from what it was before, or without what makes a claim. What
the journal says of a job is then not undone; and so every journal says of each job that runs that it does.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

from queuectl.job import State
from queuectl.stores.local import records
from queuectl.stores.local.files import DataFiles
from queuectl.stores.local.folder import has_workers
from queuectl.stores.local.journal import HEADER_SIZE, Journal
from queuectl.stores.local.picture import Picture
from queuectl.stores.local.records import File, Head, Write
from queuectl.stores.local.transactions import Transaction


def known(folder: Path, picture: Picture, journal: Journal) -> list[Write]:
    """Return these lines where they stand, by what *picture* or else the whole of *journal* says; under the lock."""
    if not has_workers(folder):
        return []
    places = picture.follower.running() if picture.follower is not None else None
    if places is None:
        places = _places(journal.read(HEADER_SIZE, journal.end))
    first = picture.layouts[File.JOBS].first
    lines = [(place, *(picture.line_at(File.JOBS, place) or (0, None))) for place in places]
    return [_line(place, width, body, first) for place, width, body in lines if body is not None]


def found(folder: Path, files: DataFiles) -> list[Write]:
    """Return these lines by a look through the whole file, which says everything; under the lock."""
    if not has_workers(folder):
        return []
    lines = list(records.scan(files.read_all(File.JOBS)))
    return [
        _line(offset, width, body, lines[0][0])
        for offset, width, body in lines
        if b'"in_progress"' in body and records.decode_head(body).state is State.IN_PROGRESS
    ]


def _line(offset: int, width: int, body: bytes, first: int | None) -> Write:
    return records.line(File.JOBS, offset, width, " " if offset == first else ",", body)


def _places(transactions: Iterable[Transaction]) -> Collection[int]:
    """Return where in the main queue's file those jobs stand that *transactions* have left in progress."""
    found: dict[int, int] = {}  # by seq
    for transaction in transactions:
        for outline in transaction.outlines:
            if outline.file is not File.JOBS or outline.body is None:
                continue
            if isinstance(outline.body, Head):
                if outline.body.state is State.IN_PROGRESS:
                    found[outline.body.seq] = outline.offset
                else:
                    found.pop(outline.body.seq, None)
            elif found.get(outline.body) == outline.offset:  # else it has moved before
                del found[outline.body]
    return found.values()
