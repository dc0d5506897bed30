"""The writes of one transaction, planned line by line under the lock.

A plan changes this process's picture as it goes, so that its later steps see
the earlier ones. One that is dropped half-way makes the picture be built anew.
"""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from queuectl.job import Job
from queuectl.stores.local import records
from queuectl.stores.local.engine import Engine
from queuectl.stores.local.records import File, Head, Write


class Plan:
    """Collects writes; the end of its ``with`` block appends them as one transaction."""

    def __init__(self, engine: Engine) -> None:
        """Plan on *engine*, which is locked and refreshed."""
        self._engine = engine
        self.writes: list[Write] = []
        self._heads: list[Head] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.writes:
            return
        if error is not None:
            self._engine.detach()
        else:
            self._engine.append(self.writes, self._heads)

    def _add(self, write: Write) -> None:
        self.writes.append(write)
        self._engine.picture.preview(write)

    def add(self, file: File, jobs: Iterable[Job]) -> None:
        """Add *jobs* at the end of *file*."""
        for write in self._engine.picture.layouts[file].append(file, map(self._encode, jobs)):
            self._add(write)

    def _encode(self, job: Job) -> bytes:
        """Encode *job*, whose line is the next to be written."""
        self._heads.append(records.head_of(job))
        return records.encode_job(job)

    def change(self, job: Job, offset: int, width: int) -> bytes:
        """Write *job* anew in ``jobs.json``, where its line is at *offset*; it moves if it has outgrown that.

        Return its JSON.
        """
        body = records.encode_job(job)
        if len(body) + 2 <= width:
            lead = " " if offset == self._engine.picture.layouts[File.JOBS].first else ","
            self._heads.append(records.head_of(job))
            self._add(records.line(File.JOBS, offset, width, lead, body))
        else:
            self.add(File.JOBS, [job])
            self.erase(File.JOBS, job.seq, offset, width)
        return body

    def move(self, job: Job, source: File, seq: int, offset: int, width: int) -> None:
        """Write *job* into the other file, then blank its line in *source*, which bore *seq*."""
        self.add(File.DLQ if source is File.JOBS else File.JOBS, [job])
        self.erase(source, seq, offset, width)

    def erase(self, file: File, seq: int, offset: int, width: int) -> None:
        """Blank the line of job *seq*; the line behind the first one becomes the first."""
        if offset != self._engine.picture.layouts[file].first:
            self._add(records.blank(file, offset, width, seq=seq))
            return
        following = self._engine.picture.next_line(file, offset + width)
        self._add(records.blank(file, offset, width, seq=seq))
        if following is None:
            return
        next_offset, next_width, body = following
        # One stretch without a gap reaches the file in one write: a reader meets no array that begins with a comma.
        if next_offset > offset + width:
            self._add(records.blank(file, offset + width, next_offset - offset - width))
        self._heads.append(records.decode_head(body))
        self._add(records.line(file, next_offset, next_width, " ", body))
