"""What of the main queue can still be claimed, in the order of claiming.

Holds places, not jobs: packed arrays with a cursor for the bulk that waits in
the order of enqueueing, small heaps for what waits for its time or has come
back. Fed with heads of lines, at loading and from the journal.
"""

import heapq
from array import array
from bisect import bisect_left
from itertools import islice
from operator import lt

from queuectl.job import State
from queuectl.stores.local.records import Head, Stretch


class Place:
    """Where a job's line stands in ``jobs.json``, and what it waits for."""

    __slots__ = ("offset", "run_at", "width")

    def __init__(self, offset: int, width: int, run_at: str | None = None) -> None:
        """Hold a place."""
        self.offset = offset
        self.width = width
        self.run_at = run_at


class ReadyIndex:
    """The waiting and the running jobs of one queue, by ``seq``.

    Heaps keep entries that are out of date; an entry counts only while
    ``_places`` says the same.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._seqs = array("Q")
        self._offsets = array("Q")
        self._widths = array("I")
        self._cursor = 0
        self._gone: set[int] = set()  # of the bulk beyond the cursor: claimed, moved or removed
        self._places: dict[int, Place] = {}  # waiting jobs that are not in the bulk
        self._ready: list[int] = []
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
        if not head.state.is_waiting:
            self._forget(seq)
        elif head.run_at is None and (not self._seqs or seq > self._seqs[-1]):
            self._seqs.append(seq)
            self._offsets.append(offset)
            self._widths.append(width)
        else:
            self._forget(seq)
            self._places[seq] = Place(offset, width, head.run_at)
            if head.run_at is None:
                heapq.heappush(self._ready, seq)
            else:
                heapq.heappush(self._due, (head.run_at, seq))

    def extend(self, stretch: Stretch) -> None:
        """Take account of many lines, as ``note`` does of each."""
        heads = stretch.heads
        seqs = [head.seq for head in heads]
        last = self._seqs[-1] if self._seqs else -1
        are_pending = [head.state for head in heads].count(State.PENDING) == len(heads)
        are_pending = are_pending and [head.run_at for head in heads].count(None) == len(heads)
        if are_pending and last < seqs[0] and all(map(lt, seqs, islice(seqs, 1, None))):
            self._seqs.extend(seqs)
            self._offsets.extend(stretch.offsets)
            self._widths.extend(stretch.widths)
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
        elif (index := self._find(seq)) is not None and self._offsets[index] == offset:
            self._gone.add(seq)

    def first_ready(self, now: str) -> tuple[int, Place] | None:
        """Return (seq, place) of the job to claim at *now*, leaving it here until its claim is noted."""
        while self._due and self._due[0][0] <= now:
            run_at, seq = heapq.heappop(self._due)
            if self._waits_for(seq, run_at):
                heapq.heappush(self._ready, seq)
        while self._ready and not self._is_ready(self._ready[0], now):
            heapq.heappop(self._ready)
        seqs = self._seqs
        while self._cursor < len(seqs) and seqs[self._cursor] in self._gone:
            self._gone.discard(seqs[self._cursor])
            self._cursor += 1
        in_bulk = seqs[self._cursor] if self._cursor < len(seqs) else None
        if self._ready and (in_bulk is None or self._ready[0] < in_bulk):
            seq = self._ready[0]
            return seq, self._places[seq]
        if in_bulk is None:
            return None
        return in_bulk, Place(self._offsets[self._cursor], self._widths[self._cursor])

    def next_due(self) -> str | None:
        """Return when the first job that waits for its time becomes ready; None if none waits."""
        while self._due and not self._waits_for(self._due[0][1], self._due[0][0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def _waits_for(self, seq: int, run_at: str) -> bool:
        place = self._places.get(seq)
        return place is not None and place.run_at == run_at

    def _is_ready(self, seq: int, now: str) -> bool:
        place = self._places.get(seq)
        if place is None:
            return False
        if place.run_at is not None and place.run_at > now:
            # It was ready in an earlier life, or the clock was set back: its time comes again.
            heapq.heappush(self._due, (place.run_at, seq))
            return False
        return True

    def _find(self, seq: int) -> int | None:
        """Return the position of *seq* in the bulk, if it is there and not yet passed or gone."""
        seqs = self._seqs
        if self._cursor >= len(seqs) or not seqs[self._cursor] <= seq <= seqs[-1] or seq in self._gone:
            return None
        index = bisect_left(seqs, seq, self._cursor)
        return index if seqs[index] == seq else None

    def _forget(self, seq: int) -> None:
        """Let go of *seq* as a waiting job."""
        if self._places.pop(seq, None) is not None:
            return
        if self._cursor < len(self._seqs) and self._seqs[self._cursor] == seq:  # as the next to be claimed mostly is
            self._gone.discard(seq)
            self._cursor += 1
        elif self._find(seq) is not None:
            self._gone.add(seq)
