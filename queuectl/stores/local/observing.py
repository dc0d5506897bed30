"""What changes in the queue between two looks: for who shows it while it happens.

A look follows the journal, and reads the files only at first and where the
journal has been emptied in between. Of each job it keeps one byte, its state.
It changes nothing.
"""

from collections import deque

import msgspec

from queuectl.job import Job, State
from queuectl.stores.base import Observation
from queuectl.stores.local import reading, records
from queuectl.stores.local.engine import Engine
from queuectl.stores.local.journal import HEADER_SIZE
from queuectl.stores.local.transactions import Transaction

_NEWEST = 200  #: jobs of each state that the first look names
_STATES = tuple(State)
_CODES = {state: code for code, state in enumerate(_STATES, start=1)}  # 0: no such job


class Observing:
    """The looks of one store."""

    def __init__(self, engine: Engine) -> None:
        """Begin with a first look."""
        self._engine = engine
        self._codes: bytearray | None = None  # the state of each job, by seq
        self._counts = dict.fromkeys(_STATES, 0)
        self._generation, self._position = "", 0
        self._mark: object = None

    def look(self) -> Observation:
        """Return what has changed since the last look."""
        mark = self._engine.journal.mark()
        if self._codes is not None and mark is not None and mark == self._mark:
            return Observation(self._counts)
        transactions = self._read_on()
        observation = self._recount() if transactions is None or self._codes is None else self._follow(transactions)
        self._mark = mark
        return observation

    def _read_on(self) -> list[Transaction] | None:
        """Return the transactions since the last look; None if there may have been others."""
        if self._codes is None:
            return None
        journal = self._engine.journal
        with self._engine.locked():
            header = journal.header
            if journal.generation == self._generation:
                start = self._position
            elif header is not None and header.follows == (self._generation, self._position):
                start = HEADER_SIZE
            else:
                return None
            transactions = journal.read(start, journal.end)
            self._generation, self._position = journal.generation, journal.end
        return transactions

    def _follow(self, transactions: list[Transaction]) -> Observation:
        changed: dict[int, Job] = {}
        gone: set[int] = set()
        for transaction in transactions:
            written = set()
            for write in transaction.writes:
                if write.is_line:
                    job = records.decode_job(write.body)
                    written.add(job.seq)
                    # A line may have been written anew, as the first of its file is, without a change of the job.
                    if self._put(job.seq, _CODES[job.state]) or job.seq in changed:
                        changed[job.seq] = job
            for write in transaction.writes:
                seq = None if write.is_line else write.blanked_seq
                if seq is not None and seq not in written:  # a job that has moved is blanked too, where it was
                    self._put(seq, 0)
                    changed.pop(seq, None)
                    gone.add(seq)
        return Observation(dict(self._counts), list(changed.values()), gone)

    def _put(self, seq: int, code: int) -> bool:
        """Note the state of a job; return whether it is another than before."""
        codes = self._codes
        if codes is None:
            return False
        if seq >= len(codes):
            codes.extend(bytes(seq + 1 - len(codes)))
        if codes[seq] == code:
            return False
        if codes[seq]:
            self._counts[_STATES[codes[seq] - 1]] -= 1
        if code:
            self._counts[_STATES[code - 1]] += 1
        codes[seq] = code
        return True

    def _recount(self) -> Observation:
        """Read everything, and compare with what was known."""
        before = self._codes
        codes = bytearray(len(before or b""))
        counts = dict.fromkeys(_STATES, 0)
        newest = {state: deque[bytes](maxlen=_NEWEST) for state in _STATES}
        changed: list[bytes] = []
        content = reading.snapshot(self._engine)
        # As of the snapshot: nothing here has read the journal since.
        journal = self._engine.journal
        generation, position = journal.generation, journal.end
        for file in list(content):
            for line in reading.lines(self._engine, file, content.pop(file)):
                seq, state = line.head.seq, line.head.state
                if seq >= len(codes):
                    codes.extend(bytes(max(seq + 1, 2 * len(codes)) - len(codes)))
                code = codes[seq] = _CODES[state]
                counts[state] += 1
                if before is None:
                    newest[state].append(line.body)
                elif seq >= len(before) or before[seq] != code:
                    changed.append(line.body)
        gone = [seq for seq, code in enumerate(before or b"") if code and not codes[seq]]
        self._codes, self._counts = codes, counts
        self._generation, self._position = generation, position
        bodies = changed if before is not None else [body for state in _STATES for body in newest[state]]
        try:
            jobs = [records.decode_job(body) for body in bodies]
        except msgspec.MsgspecError as error:
            raise self._engine.damaged(records.File.JOBS, 0) from error
        return Observation(dict(counts), jobs, gone)
