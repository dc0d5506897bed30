"""What a program run shares among its commands: the folder, the store, the clock.

One object per program, passed to every handler. It holds no job and decides
nothing; it writes only notices.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from queuectl.commands import output
from queuectl.errors import QueueCtlError, StoreUnavailable
from queuectl.job import Job
from queuectl.stores import holds_queue
from queuectl.stores.base import Store

if TYPE_CHECKING:
    from queuectl.liveness import WorkerInfo

_SMALL = 8 << 20  # bytes of jobs that are read in no time


class Mode(Enum):
    """How commands arrive."""

    ONE_SHOT = auto()
    SCRIPT = auto()
    SHELL = auto()


class Context:
    """The surroundings of a command.

    *open_store* makes the store when a command first needs one. *confirm* asks
    a person a yes-no question; it is None where there is nobody to ask.
    *reads_script* says that standard input is the script itself, so that no
    command may read from it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mode: Mode,
        open_store: Callable[[Path], Store] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        confirm: Callable[[str], bool] | None = None,
        reads_script: bool = False,
        is_debug: bool = False,
    ) -> None:
        self.folder = folder
        self.mode = mode
        self.confirm = confirm
        self.reads_script = reads_script
        self.is_debug = is_debug
        self.is_leaving = False
        self.line_number = 0
        self.sourced = ""  #: the file whose commands are being run by ``source``
        self.source_depth = 0
        #: Runs the commands in a file, returns the exit code; set by who knows how scripts are run.
        self.run_file: Callable[[Path], int] | None = None
        #: The jobs worth naming, newest first, where somebody keeps an eye on them.
        self.known_jobs: Callable[[], Sequence[Job]] | None = None
        self.now = clock
        self.advice: Callable[[], str | None] | None = None
        self._seen: set[str] = set()
        self._open_store = open_store
        self._store: Store | None = None
        self._strangers: set[int] = set()

    @property
    def program(self) -> str:
        """What a command line begins with, as its help shows it."""
        return "queuectl" if self.mode is Mode.ONE_SHOT else ""

    @property
    def store(self) -> Store:
        """The store, opened on first use."""
        if self._store is None:
            if self._open_store is None:
                # Here, because help and usage errors need no store.
                from queuectl.stores import open_store

                self._open_store = open_store
            if not holds_queue(self.folder):
                self.warn_of_strangers()  # jobs that another program may be running are about to be taken over
            self._store = self._open_store(self.folder)
        return self._store

    @property
    def is_small(self) -> bool:
        """Whether the jobs are so few that all can be looked at for the sake of a hint."""
        files = (self.folder / name for name in ("jobs.json", "dlq.json"))
        return sum(file.stat().st_size for file in files if file.exists()) <= _SMALL

    def rest(self) -> None:
        """Bring the data to rest before waiting for input; the store stays open."""
        if self._store is not None:
            self._store.rest()

    def close(self) -> None:
        """Bring the data to rest and let go of it; a later command opens it anew."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def rescue(self) -> None:
        """Take back the jobs of workers that have died, so that what is read next is true."""
        from queuectl import rescue

        rescue.rescue_dead(self.store, self.folder)

    def forget_output(self, jobs: Iterable[Job]) -> StoreUnavailable | None:
        """Remove what *jobs*, which are no longer in the queue, have written; return the error if not all could be."""
        from queuectl import logs

        failures = []
        for job in jobs:
            try:
                logs.remove_outputs(self.folder, job)
            except OSError as error:
                failures.append((job.id, error))
        if not failures:
            return None
        id, first = failures[0]
        more = f" (and that of {len(failures) - 1} more)" if failures[1:] else ""
        msg = (
            f'Job "{id}" is removed, but its output{more} could not be: "{first.filename}": {first.strerror}. '
            "Remove that file yourself."
        )
        return StoreUnavailable(msg, path=first.filename)

    def warn_of_strangers(self) -> None:
        """Tell the person, once, which living processes another program may have left in charge of jobs."""
        if not (self.folder / "worker_pids.json").exists():
            return
        from queuectl import strangers

        for pid, command in strangers.find(self.folder).items():
            if pid not in self._strangers:
                self._strangers.add(pid)
                self.notify(f"worker_pids.json names process {pid} ({command}): {strangers.WARNING}.")

    def live_workers(self) -> "list[WorkerInfo]":
        """Return the running workers, in the order of their PIDs."""
        from queuectl import liveness

        return [worker for worker in liveness.read_workers(self.folder) if worker.is_alive]

    def live_pids(self) -> list[int]:
        """Return the PIDs of the running workers, in their order."""
        return [worker.pid for worker in self.live_workers() if worker.pid is not None]

    def has_workers(self) -> bool:
        """Tell whether workers run, or a pool that will have others run in their place in a moment."""
        from queuectl import liveness

        return bool(self.live_workers()) or any(pool.is_alive for pool in liveness.read_pools(self.folder))

    def notify(self, text: str, *, lines_below: int = 0) -> None:
        """Tell the person, not the reader of the results, and say which line it is about.

        That is the first one of the command, or the one so many *lines_below*.
        """
        place = {
            Mode.ONE_SHOT: "queuectl: ",
            Mode.SCRIPT: f"script:{self.line_number + lines_below}: ",
            Mode.SHELL: "",
        }
        if self.sourced:
            place[self.mode] = f"{self.sourced}:{self.line_number + lines_below}: "
        output.write_notice(place[self.mode] + text)

    def advise(self, find: Callable[[], str | None]) -> None:
        """Have *find* called, once the command has answered, for what a person may want to type next."""
        self.advice = find

    def is_first(self, what: str) -> bool:
        """Tell whether this is the first time in this session that *what* comes up."""
        is_new = what not in self._seen
        self._seen.add(what)
        return is_new

    def give_advice(self) -> None:
        """Tell the person what ``advise`` was told, if there is a person to read it."""
        find, self.advice = self.advice, None
        if find is None or self.mode is Mode.SCRIPT or self.confirm is None or not output.shows_advice():
            return
        # The command has succeeded, and nothing may make it fail now.
        with suppress(QueueCtlError, OSError):
            if text := find():
                output.write_notice(text, is_advice=True)

    def leave(self) -> None:
        """End the shell or script after the running command."""
        self.is_leaving = True
