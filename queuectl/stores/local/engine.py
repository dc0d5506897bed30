"""Transactions on the data folder: the order in which things reach lock, journal and files.

Holds the rules of durability and recovery. Knows lines and places; which job
becomes what is decided above, and what a foreign file means in ``takeover``.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from queuectl.errors import OutcomeUnknown, StoreBusy, StoreDamaged, StoreError, StoreUnavailable
from queuectl.stores.local import disk, records, takeover
from queuectl.stores.local.files import Applied, DataFiles
from queuectl.stores.local.folder import has_workers
from queuectl.stores.local.journal import HEADER_SIZE, RENEW_AT, Journal
from queuectl.stores.local.lock import Held, QueueLock
from queuectl.stores.local.picture import Picture
from queuectl.stores.local.records import File, Head, Layout, Write
from queuectl.stores.local.transactions import Transaction, newest, put_over

_COMPACT_AT = 1 << 20  #: bytes of blanked lines below which a file is not worth rewriting


class Engine:
    """One process's hold on a data folder. Not for several threads at once."""

    def __init__(self, folder: Path) -> None:
        """Open *folder*, which exists; nothing is read before the first ``refresh``."""
        self.folder = folder
        self.lock = QueueLock(folder)
        self.files = DataFiles(folder)
        self.journal = Journal(folder / "journal.jsonl")
        self.picture = Picture(self.files)
        self.has_changed = False  # since the data were last at rest
        self._is_attached = False
        self._applied: Applied | None = None
        self._unflushed: tuple[str, int] | None = None  # generation and end of this process's last append

    def close(self) -> None:
        """Let go of all descriptors."""
        self.journal.close()
        self.files.close()
        self.lock.close()

    def after_fork(self) -> None:
        """Take descriptors of its own for a process that was forked.

        A lock on a shared one would keep nobody out, and a failed sync is
        reported once for each.
        """
        self.lock.close()
        self.lock = QueueLock(self.folder, deadline_s=self.lock.deadline_s)
        self.journal.reopen()
        self.files.release()

    # -- the picture of the data, under the lock --

    def locked(self) -> Held:
        """Hold the lock, with an up-to-date picture, for a ``with`` block."""
        return Held(self.lock, self.refresh)

    def refresh(self) -> None:
        """Bring the picture up to date; to be called first after every locking."""
        try:
            size = self.journal.size() if self._is_attached else None
            if size is None:
                self._attach()
            else:
                if size != self.journal.end:
                    self._follow_from(self.journal.end)
                if self._applied is None or not self.files.are_as(self._applied.marks):
                    self._look_at_files()
        except BaseException:
            self.detach()
            raise

    def _look_at_files(self) -> None:
        """The files are not as this process knows them: others have applied more, or somebody has edited one."""
        applied = self.files.applied(self.journal.generation)
        if applied is not None and not applied.is_applying and applied.marks == self.files.marks():
            self._applied = applied
        else:
            self.detach()
            self._attach()

    def detach(self) -> None:
        """Forget the picture: it is built anew at the next ``refresh``."""
        self._is_attached = False
        self.picture.follower = None
        self.files.release()

    def _attach(self) -> None:
        known = (self.journal.generation, self.journal.end) if self._is_attached else None
        self.journal.attach()
        header = self.journal.header
        self.files.reopen_applied()
        applied = self.files.applied(header.generation) if header else None
        has_followed = header is not None and known is not None and header.follows == known
        if has_followed and applied is not None and applied.marks == self.files.marks():
            # The journal was emptied into the files, whose lines have stayed where they were.
            self.picture.forget_recent()
            self._applied = applied
            self._follow_from(HEADER_SIZE)
            return
        self.detach()
        is_new = header is None and self.files.is_unused()
        self.files.create_missing(may_be_missing=is_new, may_be_empty=not self.journal.has_transactions())
        if header is not None and (header.generation == self.journal.failed or (applied and applied.sync_failed)):
            self._leave_failed_journal()
        elif header is None or header.inodes != self.files.inodes():
            self._take_over()
        elif applied is None or applied.is_applying:
            self._recover(applied)
        elif applied.marks != self.files.marks():
            self._take_over()
        else:
            self._adopt(applied)

    def _adopt(self, applied: Applied) -> None:
        """Build the picture on *applied* and what the journal says since."""
        self._applied = applied
        self._is_attached = True
        self.journal.durable = max(self.journal.durable, applied.position)
        self.picture.reset(applied.layouts, applied.next_seq)
        self._follow_from(applied.position)

    def _follow_from(self, position: int) -> None:
        for transaction in self.journal.read(position):
            self.picture.follow(transaction)

    def _recover(self, applied: Applied | None) -> None:
        """Make the journal's writes again, from *applied* on: it is not known which have reached the files."""
        self.files.release()
        if applied is None:
            self.files.sync_names()
        transactions = self.journal.read(applied.position if applied else HEADER_SIZE)
        data = {file: self.files.read_all(file) for file in File}
        put_over(data, transactions)
        found = takeover.survey(data)
        if found is None or self.journal.is_empty:
            self._take_over()  # somebody has edited a file since
            return
        self.journal.durable = self._sync_journal()
        self.files.write(newest(transactions))  # not the older ones: somebody may be reading
        layouts, next_seq = found
        self.detach()
        self._adopt(self.files.note_applied(self.journal.generation, self.journal.end, next_seq, layouts))

    def _take_over(self) -> None:
        """Accept files that somebody else has written, with what the journal says newer.

        A file that is not jobs is refused, and nothing has changed then. A crash
        in the middle leaves files that are taken over again in the same way.
        """
        self.files.release()  # what is open may be the file before a rename
        self.files.sync_names(is_new=self.journal.header is None)
        transactions: list[Transaction] = []
        if self.journal.header is not None and (transactions := self.journal.read(HEADER_SIZE)):
            self.journal.durable = self._sync_journal()
        data = {file: self.files.read_all(file) for file in File}
        found = None if transactions else takeover.survey(data)
        if found is None:
            merged = takeover.merge(self.files.paths, data, transactions)
            layouts = {file: Layout() for file in File}
            # A job on its way to the DLQ must at every moment be in one of the files.
            if merged.dying:
                self.files.replace(File.JOBS, records.whole_file(Layout(), merged.bodies[File.JOBS] + merged.dying))
            for file in (File.DLQ, File.JOBS):
                self.files.replace(file, records.whole_file(layouts[file], merged.bodies[file]))
            found = layouts, merged.next_seq
        self.detach()
        self.picture.reset(*found)
        self._begin(keeps_places=False)
        self._is_attached = True

    def applied_position(self) -> int:
        """Return up to where the journal is known to be in the files; under the lock."""
        applied = self.files.applied(self.journal.generation)
        return HEADER_SIZE if applied is None or applied.is_applying else applied.position

    def damaged(self, file: File, offset: int) -> StoreDamaged:
        """Return the error for a line of *file* that is not what it should be."""
        self.detach()  # should it be this process that is wrong, it is right again the next time
        return self.files.damaged(file, offset)

    # -- changing --

    def append(self, writes: list[Write], heads: Iterable[Head]) -> None:
        """Make *writes*, all previewed, one transaction. It is durable and in the files after ``flush``.

        *heads* are those of the lines among them.
        """
        try:
            self.journal.append(writes)
            self.picture.confirm(writes, heads, self.journal.end)
        except BaseException:
            self.detach()
            raise
        self._unflushed = (self.journal.generation, self.journal.end)
        self.has_changed = True

    def flush(self) -> None:
        """Make all that was appended durable, and bring it into the files. Takes the lock itself.

        Raises ``OutcomeUnknown`` if the disk did not confirm, ``StoreUnavailable``
        if it did, but the files could not be brought up to date.
        """
        if self._unflushed is None:
            return
        generation, end = self._unflushed
        try:
            if not (is_flushed := self._is_flushed_by_others(generation, end)):
                end = self.journal.sync()
        except OSError as error:
            is_flushed = False
            self._give_up_journal(error)
        try:
            if not is_flushed:
                self._bring_into_files(generation, end)
        except OutcomeUnknown:
            raise
        except (OSError, StoreError) as error:
            raise disk.recorded(error) from error
        self._unflushed = None

    def _bring_into_files(self, generation: str, durable: int) -> None:
        with self.locked():
            if self.journal.generation == generation:
                self.journal.durable = max(self.journal.durable, durable)
            self._apply_durable()
            if self.journal.end > RENEW_AT:
                self.renew()

    def _is_flushed_by_others(self, generation: str, end: int) -> bool:
        """Whether another process has made all this durable and applied it. Wants no lock."""
        applied = self.files.applied(generation)
        return applied is not None and applied.position >= end and not applied.is_applying and not applied.sync_failed

    def _apply_durable(self) -> None:
        """Bring what is durable into the files."""
        applied = self.files.applied(self.journal.generation)
        if applied is None or applied.is_applying:
            self._recover(applied)
        elif applied.sync_failed:
            self._leave_failed_journal()
        elif applied.marks != self.files.marks():
            self._take_over()
        else:
            self.journal.durable = max(self.journal.durable, applied.position)
            if applied.position < self.journal.durable:
                transactions = self.picture.since(applied.position, self.journal.durable)
                applied = self.files.apply(applied, transactions, self.picture.next_seq)
            self._applied = applied
            self.picture.prune(applied.position)

    def rest(self) -> None:
        """Leave the files as everything there is, if this process has changed something and nobody works."""
        if not self.has_changed or has_workers(self.folder):
            return
        with self.locked():
            self.renew()
            self.has_changed = False

    def renew(self) -> None:
        """Empty the journal into the files; under the lock."""
        if self.journal.is_empty:
            return
        self.journal.durable = self._sync_journal()
        self._apply_durable()
        if self.journal.is_empty:
            return
        try:
            self.files.sync()
        except OSError as error:
            self.detach()
            msg = (
                f"The disk did not take the files ({error.strerror}). What was confirmed before is safe in the "
                "journal: look at the disk; the next command tries again."
            )
            raise StoreUnavailable(msg) from error
        self._begin(keeps_places=True)
        self.files.remove_litter()
        for file, layout in self.picture.layouts.items():
            if layout.dead > _COMPACT_AT and layout.dead > layout.end // 2:
                fresh = Layout()
                bodies = (body for _, _, body in records.scan(self.files.read_all(file)))
                self.rewrite(file, records.whole_file(fresh, bodies), fresh)

    def rewrite(self, file: File, chunks: Iterable[bytes], layout: Layout) -> None:
        """Put *chunks*, with *layout* once all are taken, in the place of *file*; under the lock, after a renewal."""
        self.files.replace(file, chunks)
        self.picture.layouts[file], self.picture.follower = layout, None
        try:
            self._begin(keeps_places=False)
        except (OSError, StoreError) as error:
            raise disk.recorded(error) from error
        self.has_changed = True

    def _begin(self, *, keeps_places: bool) -> None:
        """Begin a new generation on the files and the picture as they are; for what comes first, see ``running``."""
        journal, picture, claimed = self.journal, self.picture, []
        if is_worked_on := has_workers(self.folder):
            from queuectl.stores.local import running  # here: most commands need it never

            claimed = running.known(picture, journal) if keeps_places else running.found(self.files.path(File.JOBS))
        journal.begin(claimed, inodes=self.files.inodes(), keeps_places=keeps_places)
        self._applied = self.files.note_applied(journal.generation, HEADER_SIZE, picture.next_seq, picture.layouts)
        picture.forget_recent()
        self._follow_from(HEADER_SIZE)
        if is_worked_on:
            journal.preallocate()

    # -- a disk that does not do what it says --

    def _sync_journal(self) -> int:
        """Sync the journal under the lock; a failure makes its file unusable for everyone."""
        try:
            return self.journal.sync()
        except OSError as error:
            self._tell_of_failed_sync()
            raise disk.unconfirmed(error) from error

    def _give_up_journal(self, error: OSError) -> None:
        """After a failed sync: tell everyone, and try to go on in a new journal file."""
        try:
            with self.lock:
                self._tell_of_failed_sync()
                self.refresh()
        except (OSError, StoreBusy) as second:
            error.add_note(f"and then: {second}")
            raise disk.unconfirmed(error) from error

    def _tell_of_failed_sync(self) -> None:
        self.detach()
        with suppress(OSError):  # then at least this process knows
            applied = self.files.applied(self.journal.generation) or self._applied
            if applied is not None and applied.generation == self.journal.generation:
                self.files.note_failed_sync(applied)

    def _leave_failed_journal(self) -> None:
        """Put all transactions into a new journal file, on which everyone goes on, and make them all again."""
        try:
            self.journal.read(HEADER_SIZE)
            self.journal.rescue_to_new_file()
        except OSError as error:
            raise disk.unconfirmed(error) from error
        self._recover(None)
        if has_workers(self.folder):
            self.journal.preallocate()
