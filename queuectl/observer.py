"""An eye on the queue while a person is at the prompt: counts, workers, jobs worth naming, and what to tell.

Looks in a thread of its own, with a store of its own, and only reads. The
prompt takes what it has found and never waits for it.
"""

import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from queuectl import liveness, notices, times
from queuectl.errors import QueueCtlError
from queuectl.job import Job, State
from queuectl.notices import News
from queuectl.stores import holds_queue, open_store
from queuectl.stores.base import Store

_PAUSE_S = 0.5  # between looks
_SHARE = 9  # a pause lasts at least so many times as long as the look has kept a core busy
_LONGEST_PAUSE_S = 5.0  # so that nobody is shown what was true long ago
_SWITCH_S = 0.0005  # after which Python lets the thread that draws a key go on
_QUIET_S = 5.0  # after a line about many: else a busy queue would push the screen away
_MOST_KNOWN = 1200  #: jobs worth naming; the oldest are forgotten first


class Snapshot(msgspec.Struct, frozen=True):
    """The queue as it was a moment ago; no *counts* while there is no queue yet, or it *is_unreadable*."""

    counts: dict[State, int] | None = None
    is_unreadable: bool = False
    workers: int = 0
    #: newest first
    jobs: Sequence[Job] = ()


class Observer:
    """Keeps ``snapshot`` up to date, and gathers the lines to tell."""

    def __init__(
        self,
        folder: Path,
        *,
        open_store: Callable[[Path], Store] = open_store,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Watch the queue in *folder* from ``start`` to ``stop``."""
        self.snapshot = Snapshot()
        self._folder = folder
        self._open_store = open_store
        self._now = clock
        self._store: Store | None = None
        self._since = times.to_text(clock())  # what has ended before is no news
        self._known: dict[int, Job] = {}
        self._news = News()
        self._is_quiet_until = 0.0
        self._guard = threading.Lock()
        self._is_over = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def start(self) -> None:
        """Begin to look, unless that has begun."""
        if self._thread.ident is None:
            sys.setswitchinterval(_SWITCH_S)
            self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._is_over = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def hurry(self) -> None:
        """Look now: a command may have changed something."""
        self._wake.set()

    @property
    def has_news(self) -> bool:
        """Whether there is something to tell now: after many at once it is quiet for a while."""
        return self._news.count > 0 and time.monotonic() >= self._is_quiet_until

    def take_lines(self) -> list[str]:
        """Return what is to be told, once."""
        with self._guard:
            news, self._news = self._news, News()
        if news.count > notices.FEW:
            self._is_quiet_until = time.monotonic() + _QUIET_S
        return news.lines()

    def known_jobs(self) -> Sequence[Job]:
        """Return the jobs worth naming, newest first."""
        return self.snapshot.jobs

    def _run(self) -> None:
        try:
            while not self._is_over:
                began = time.thread_time()
                self._wake.clear()
                self.look()
                self._wake.wait(min(max(_PAUSE_S, _SHARE * (time.thread_time() - began)), _LONGEST_PAUSE_S))
        finally:
            self._let_go()

    def look(self) -> None:
        """Take one look. What goes wrong is for the next command to say: here it is only not known."""
        try:
            self._look()
        except Exception:  # noqa: BLE001 - nothing that goes wrong here may disturb who types
            self.snapshot = Snapshot(is_unreadable=True)
            self._let_go()

    def _look(self) -> None:
        if self._store is None:
            if not holds_queue(self._folder):
                return
            self._store = self._open_store(self._folder)
        seen = self._store.observe()
        workers = sum(worker.is_alive for worker in liveness.read_workers(self._folder))
        if seen.changed or seen.gone:
            self._note(seen.changed, seen.gone)
        elif seen.counts == self.snapshot.counts and workers == self.snapshot.workers:
            return
        if recent := [job for job in seen.changed if job.updated_at >= self._since]:
            notify = self._store.settings().notify
            with self._guard:
                self._news.add(recent, notify=notify, now=self._now())
        jobs = sorted(self._known.values(), key=lambda job: job.updated_at, reverse=True)
        self.snapshot = Snapshot(counts=seen.counts, workers=workers, jobs=jobs)

    def _note(self, changed: Sequence[Job], gone: Collection[int]) -> None:
        for seq in set(self._known).intersection(gone):
            del self._known[seq]
        for job in changed:
            self._known.pop(job.seq, None)
            self._known[job.seq] = job
        while len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]

    def _let_go(self) -> None:
        store, self._store = self._store, None
        self._known = {}
        if store is not None:
            with suppress(QueueCtlError, OSError):
                store.close()
