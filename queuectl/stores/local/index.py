"""What of the main queue can still be claimed, in the order of claiming.

Holds places, not jobs: for each priority packed arrays with a cursor for the
bulk that waits in the order of enqueueing, small heaps for what waits for its
time or has come back. Fed with heads of lines, at loading and from the journal.
"""

import heapq
from array import array
from bisect import bisect_left, insort
from itertools import islice
from operator import attrgetter, lt, neg

from queuectl.job import State
from queuectl.stores.local.records import Head, Stretch

_standing = attrgetter("state", "run_at", "priority", "held")
_PLAIN = (State.PENDING, None, 0, False)  # what it says of a ready job of the usual priority


class Place:
    """Where a job's line stands in ``jobs.json``, and what it waits for."""

    __slots__ = ("offset", "priority", "run_at", "width")

    def __init__(self, offset: int, width: int, run_at: str | None = None, priority: int = 0) -> None:
        """Hold a place."""
        self.offset = offset
        self.width = width
        self.run_at = run_at
        self.priority = priority


class _Row:
    """The bulk of one priority: jobs that are ready, in the order of enqueueing."""

    __slots__ = ("cursor", "gone", "offsets", "seqs", "widths")

    def __init__(self) -> None:
        self.seqs = array("Q")
        self.offsets = array("Q")
        self.widths = array("I")
        self.cursor = 0
        self.gone: set[int] = set()  # beyond the cursor: claimed, moved or removed

    def takes(self, seq: int) -> bool:
        """Whether a job with this *seq* comes behind all that are here."""
        return not self.seqs or seq > self.seqs[-1]

    def first(self) -> int | None:
        """Return the ``seq`` of the first job, None if there is none."""
        seqs = self.seqs
        while self.cursor < len(seqs):
            if (seq := seqs[self.cursor]) not in self.gone:
                return seq
            self.gone.discard(seq)
            self.cursor += 1
        return None

    def find(self, seq: int) -> int | None:
        """Return the position of *seq*, if it is here and not yet passed or gone."""
        seqs = self.seqs
        if self.cursor >= len(seqs) or not seqs[self.cursor] <= seq <= seqs[-1] or seq in self.gone:
            return None
        index = bisect_left(seqs, seq, self.cursor)
        return index if seqs[index] == seq else None

    def forget(self, seq: int) -> bool:
        """Let go of *seq*; return whether it was here."""
        if self.cursor < len(self.seqs) and self.seqs[self.cursor] == seq:  # as the next to be claimed mostly is
            is_here = seq not in self.gone
            self.gone.discard(seq)
            self.cursor += 1
            return is_here
        if self.find(seq) is None:
            return False
        self.gone.add(seq)
        return True


class ReadyIndex:
    """The waiting and the running jobs of one queue, by ``seq``.

    Heaps keep entries that are out of date; an entry counts only while
    ``_places`` says the same.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._rows: dict[int, _Row] = {}  # by priority; those that may have something
        self._priorities: list[int] = []  # theirs, the highest first
        self._places: dict[int, Place] = {}  # waiting jobs that are in no row
        self._ready: list[tuple[int, int]] = []  # (-priority, seq)
        self._due: list[tuple[str, int]] = []
        self.running: dict[int, tuple[Place, str]] = {}  # seq → where, and the claim's token

    def note(self, head: Head, offset: int, width: int) -> None:
        """Take account of a job's line as it now is."""
        seq = head.seq
        if head.state is State.IN_PROGRESS:
            self._forget(seq)
            self.running[seq] = (Place(offset, width), head.claim or "")
            return
        if self.running:
            self.running.pop(seq, None)
        if not head.state.is_waiting or head.held:
            self._forget(seq)
        elif head.run_at is None and (row := self._row(head.priority)).takes(seq):
            if self._places:
                self._places.pop(seq, None)
            row.seqs.append(seq)
            row.offsets.append(offset)
            row.widths.append(width)
        else:
            self._forget(seq)
            self._places[seq] = Place(offset, width, head.run_at, head.priority)
            if head.run_at is None:
                heapq.heappush(self._ready, (-head.priority, seq))
            else:
                heapq.heappush(self._due, (head.run_at, seq))

    def _row(self, priority: int) -> _Row:
        row = self._rows.get(priority)
        if row is None:
            row = self._rows[priority] = _Row()
            insort(self._priorities, priority, key=neg)
        return row

    def extend(self, stretch: Stretch) -> None:
        """Take account of many lines, as ``note`` does of each."""
        heads = stretch.heads
        seqs = [head.seq for head in heads]
        row = self._row(0)
        are_plain = list(map(_standing, heads)).count(_PLAIN) == len(heads)
        if are_plain and row.takes(seqs[0]) and all(map(lt, seqs, islice(seqs, 1, None))):
            row.seqs.extend(seqs)
            row.offsets.extend(stretch.offsets)
            row.widths.extend(stretch.widths)
        else:
            for head, offset, width in zip(*stretch, strict=True):
                self.note(head, offset, width)

    def drop(self, seq: int, offset: int) -> None:
        """Take account of the line of job *seq* at *offset* being blanked: gone, unless it has moved before."""
        if (entry := self.running.get(seq)) is not None:
            if entry[0].offset == offset:
                del self.running[seq]
        elif (place := self._places.get(seq)) is not None:
            if place.offset == offset:
                del self._places[seq]
        else:
            for row in self._rows.values():
                if (index := row.find(seq)) is not None and row.offsets[index] == offset:
                    row.gone.add(seq)

    def first_ready(self, now: str) -> tuple[int, Place] | None:
        """Return (seq, place) of the job to claim at *now*, leaving it here until its claim is noted."""
        while self._due and self._due[0][0] <= now:
            run_at, seq = heapq.heappop(self._due)
            if self._waits_for(seq, run_at):
                heapq.heappush(self._ready, (-self._places[seq].priority, seq))
        while self._ready and not self._is_ready(*self._ready[0], now):
            heapq.heappop(self._ready)
        row, seq_in_row = self._first_in_rows()
        if self._ready and (row is None or self._ready[0] < (-self._priorities[0], seq_in_row)):
            seq = self._ready[0][1]
            return seq, self._places[seq]
        if row is None:
            return None
        return seq_in_row, Place(row.offsets[row.cursor], row.widths[row.cursor])

    def _first_in_rows(self) -> tuple[_Row | None, int]:
        """Return the row of the highest priority with a job, the first one then, and the ``seq`` of that job."""
        while self._priorities:
            row = self._rows[self._priorities[0]]
            if (seq := row.first()) is not None:
                return row, seq
            del self._rows[self._priorities.pop(0)]
        return None, 0

    def next_due(self) -> str | None:
        """Return when the first job that waits for its time becomes ready; None if none waits."""
        while self._due and not self._waits_for(self._due[0][1], self._due[0][0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def _waits_for(self, seq: int, run_at: str) -> bool:
        place = self._places.get(seq)
        return place is not None and place.run_at == run_at

    def _is_ready(self, rank: int, seq: int, now: str) -> bool:
        """Whether the entry (*rank*, *seq*) of ``_ready`` still counts."""
        place = self._places.get(seq)
        if place is None or place.priority != -rank:
            return False
        if place.run_at is not None and place.run_at > now:
            # It was ready in an earlier life, or the clock was set back: its time comes again.
            heapq.heappush(self._due, (place.run_at, seq))
            return False
        return True

    def _forget(self, seq: int) -> None:
        """Let go of *seq* as a waiting job."""
        if self._places.pop(seq, None) is None:
            for row in self._rows.values():
                if row.forget(seq):
                    return
