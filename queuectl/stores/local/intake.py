"""How jobs enter the folder: ids that are free, then one transaction for all."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain

from queuectl import lifecycle
from queuectl.errors import DuplicateId
from queuectl.job import State
from queuectl.specs import JobSpec
from queuectl.stores.local import reading, records
from queuectl.stores.local.engine import Engine
from queuectl.stores.local.journal import RENEW_AT
from queuectl.stores.local.plan import Plan
from queuectl.stores.local.records import File, Head, Span

_ID_LENGTH = 6
_ID_LETTERS = b"abcdefghjkmnpqrstvwxyz23456789"  # none that look alike
_LETTER_OF_BYTE = bytes(_ID_LETTERS[byte % len(_ID_LETTERS)] for byte in range(256))
_COPY_SIZE = 1 << 20


class _Ids:
    """All ids that this process has seen in the folder: one that is not here is free."""

    def __init__(self, ids: set[str]) -> None:
        self.ids = ids

    def note(self, span: Span, head: Head) -> None:
        self.ids.add(head.id)

    def drop(self, span: Span, seq: int) -> None:
        """Keep the id: whether it is free again is looked up when somebody wants it."""

    def running(self) -> None:
        """Do not know."""


class Intake:
    """The entrance to one folder's queue."""

    def __init__(self, engine: Engine) -> None:
        """Add jobs through *engine*."""
        self._engine = engine
        self._calls = 0

    def enqueue(self, specs: Sequence[JobSpec], *, max_retries: int, now: datetime) -> list[str]:
        """Add *specs*, all or none, and return their ids; durable after the engine's next flush.

        A large batch goes into a new file, not through the journal.
        """
        engine = self._engine
        if self._calls and not isinstance(engine.picture.follower, _Ids):
            self._load_ids()  # the second call of one process: more are likely to come
        self._calls += 1
        is_large = sum(len(spec.command) + 2 * records.ROOM for spec in specs) > RENEW_AT
        with engine.locked():
            if is_large:
                engine.renew()  # first of all: it may find out more about the files
            ids = self._choose_ids(specs)
            jobs = (
                lifecycle.create(spec, id=id, max_retries=max_retries, seq=seq, now=now)
                for seq, (id, spec) in enumerate(zip(ids, specs, strict=True), start=engine.picture.next_seq)
            )
            if is_large:
                self._stream(map(records.encode_job, jobs), count=len(specs))
            else:
                with Plan(engine) as plan:
                    plan.add(File.JOBS, jobs)
        return ids

    def _load_ids(self) -> None:
        data = reading.snapshot(self._engine)
        self._engine.picture.follower = _Ids(set().union(*(reading.all_ids(content) for content in data.values())))

    def _choose_ids(self, specs: Sequence[JobSpec]) -> list[str]:
        """Return an id for each of *specs*, under the lock; raise ``DuplicateId`` for one that is taken."""
        follower = self._engine.picture.follower
        known = follower.ids if isinstance(follower, _Ids) else None
        wanted = {spec.id for spec in specs if spec.id is not None}
        if len(wanted) != sum(spec.id is not None for spec in specs):
            twice = Counter(spec.id for spec in specs if spec.id is not None).most_common(1)[0][0]
            msg = f'The id "{twice}" is there twice: each job needs its own.'
            raise DuplicateId(msg, id=twice)
        suspects = wanted if known is None else wanted & known
        taken = reading.find(self._engine, suspects) if suspects else {}
        for spec in specs:
            if spec.id is not None and spec.id in taken:
                state = taken[spec.id].job.state
                where = "in the dead letter queue" if state is State.DEAD else f"in the queue, {state}"
                msg = f'There is a job "{spec.id}" already ({where}): choose another id, or "remove {spec.id}" first.'
                raise DuplicateId(msg, id=spec.id)
        made = iter(self._make_ids(len(specs) - len(wanted), wanted, known))
        return [next(made) if spec.id is None else spec.id for spec in specs]

    def _make_ids(self, count: int, wanted: Collection[str], known: set[str] | None) -> list[str]:
        made: dict[str, None] = {}
        length = _ID_LENGTH
        while (missing := count - len(made)) > 0:
            letters = os.urandom(missing * length).translate(_LETTER_OF_BYTE).decode()
            fresh = {letters[place : place + length] for place in range(0, len(letters), length)}
            fresh.difference_update(made, wanted)
            fresh -= known & fresh if known is not None else reading.find(self._engine, fresh).keys()
            made.update(dict.fromkeys(fresh))
            length += 1
        return list(made)

    def _stream(self, bodies: Iterable[bytes], *, count: int) -> None:
        """Write the file anew with *bodies* at its end."""
        engine = self._engine
        layout = engine.picture.layouts[File.JOBS].copy()
        kept = self._copy(layout.tail) if layout.end else iter([records.HEAD])
        engine.picture.next_seq += count
        try:
            engine.rewrite(File.JOBS, chain(kept, records.lengthen(layout, bodies)), layout)
        except BaseException:
            engine.detach()
            raise

    def _copy(self, size: int) -> Iterator[bytes]:
        for offset in range(0, size, _COPY_SIZE):
            yield self._engine.files.read_at(File.JOBS, min(_COPY_SIZE, size - offset), offset)
