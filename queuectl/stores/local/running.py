"""The lines of the jobs that workers run, for a journal to begin with.

Somebody may write ``jobs.json`` anew while workers run, from what it was before, or without what makes a claim. What
the journal says of a job is then not undone; and so every journal says of each job that runs that it does.
"""

from collections.abc import Collection, Iterable
from mmap import ACCESS_READ, mmap
from pathlib import Path

from queuectl.job import State
from queuectl.stores.local import records
from queuectl.stores.local.journal import HEADER_SIZE, Journal
from queuectl.stores.local.picture import Picture
from queuectl.stores.local.records import File, Head, Write
from queuectl.stores.local.transactions import Transaction

_MARK = b'"state":"in_progress"'


def known(picture: Picture, journal: Journal) -> list[Write]:
    """Return these lines where they stand, by what *picture* or else the whole of *journal* says; under the lock."""
    places = picture.follower.running() if picture.follower is not None else None
    if places is None:
        places = _places(journal.read(HEADER_SIZE, journal.end))
    first = picture.layouts[File.JOBS].first
    lines = [(place, *(picture.line_at(File.JOBS, place) or (0, None))) for place in places]
    return [
        records.line(File.JOBS, place, width, " " if place == first else ",", body)
        for place, width, body in lines
        if body is not None
    ]


def found(path: Path) -> list[Write]:
    """Return these lines by a look through the file at *path*, which says everything; under the lock."""
    lines: list[Write] = []
    if not path.stat().st_size:
        return lines  # a file of zero bytes cannot be mapped
    with path.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as content:
        place = 0
        while (place := content.find(_MARK, place)) >= 0:
            offset, place = content.rfind(b"\n", 0, place) + 1, content.find(b"\n", place) + 1
            body = content[offset + 1 : place].rstrip()
            if records.decode_head(body).state is State.IN_PROGRESS:  # else it is part of an environment
                lead = content[offset : offset + 1].decode()
                lines.append(records.line(File.JOBS, offset, place - offset, lead, body))
    return lines


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
