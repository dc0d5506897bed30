"""What keeps the promises on the disk, statement by statement, and how each of them is taken out."""

import importlib
import inspect
import textwrap
from typing import Any, NamedTuple

import pytest

_LOCAL = "stores.local."


class Guard(NamedTuple):
    """A guard: in the function *place*, *old* is what guards, and *new* stands there without it.

    *place* begins with a module of the local store, or after a "." with one of the whole program.

    *probe* is what notices its absence, and *about* narrows that down.
    """

    name: str
    place: str
    old: str
    new: str
    probe: str
    about: str = ""

    @property
    def module_name(self) -> str:
        """The name of its module in the program."""
        name, _, _ = self.place.partition(":")
        return name.removeprefix(".") if name.startswith(".") else _LOCAL + name

    def take_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the store do without."""
        _, _, path = self.place.partition(":")
        module = importlib.import_module(f"queuectl.{self.module_name}")
        *owners, name = path.split(".")
        owner: Any = module
        for each in owners:
            owner = getattr(owner, each)
        source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
        assert source.count(self.old) == 1, f"{self.name}: {self.place} no longer says {self.old!r}"
        made: dict[str, Any] = {}
        exec(source.replace(self.old, self.new), vars(module), made)  # noqa: S102 - our own source
        monkeypatch.setattr(owner, name, made[name])


GUARDS: tuple[Guard, ...] = (
    # What is synced.
    Guard(
        "a change is synced before it is confirmed",
        "engine:Engine.flush",
        "end = self.journal.sync()",
        "end = self.journal.end",
        "power",
    ),
    Guard(
        "the journal is synced before it is emptied",
        "engine:Engine.renew",
        "self._sync_journal()",
        "self.journal.end",
        "power",
    ),
    Guard(
        "both files are synced before the journal is emptied",
        "engine:Engine.renew",
        "self.files.sync()",
        "pass",
        "power",
    ),
    Guard(
        "the journal is emptied for certain before its new header",
        "journal:Journal.begin",
        "disk.sync(self._fd)\n    disk.write_at(self._fd, raw, 0)",
        "disk.write_at(self._fd, raw, 0)",
        "power",
        "journal",
    ),
    Guard(
        "a new header is synced before anything follows it",
        "journal:Journal.begin",
        "disk.write_at(self._fd, raw, 0)\n    disk.sync(self._fd)",
        "disk.write_at(self._fd, raw, 0)",
        "power",
        "journal",
    ),
    Guard(
        "what a sync of the journal is for",
        "journal:Journal.sync",
        "disk.sync(self._fd)",
        "pass",
        "power",
    ),
    Guard(
        "whoever has the lock syncs the journal too",
        "engine:Engine._sync_journal",
        "self.journal.sync()",
        "self.journal.end",
        "tail",
        "dead",
    ),
    Guard(
        "the file of the queue is synced before the journal is emptied",
        "files:DataFiles.sync",
        "for file in File:",
        "for file in (File.DLQ,):",
        "power",
    ),
    Guard(
        "the file of the DLQ is synced before the journal is emptied",
        "files:DataFiles.sync",
        "disk.sync(self._fd(file))",
        "file is File.DLQ or disk.sync(self._fd(file))",
        "power",
    ),
    Guard(
        "recovery syncs the journal before it relies on it",
        "engine:Engine._recover",
        "self._sync_journal()",
        "self.journal.end",
        "tail",
        "dead",
    ),
    Guard(
        "who takes over an edited file syncs the journal before it relies on it",
        "engine:Engine._take_over",
        "self._sync_journal()",
        "self.journal.end",
        "tail",
        "edited",
    ),
    Guard("a sync of a file", "disk:sync", "os.fdatasync(fd)", "pass", "power"),
    Guard("a sync of a folder", "disk:sync_folder", "os.fsync(fd)", "pass", "power"),
    Guard(
        "a new file is synced before it takes its place", "disk:replace", "        sync(fd)", "        pass", "power"
    ),
    Guard(
        "the folder is synced after a file has taken its place",
        "disk:replace",
        "sync_folder(path.parent)",
        "pass",
        "power",
    ),
    Guard(
        "the folders above are synced when a queue begins",
        "files:DataFiles.sync_names",
        "disk.sync_folder(above)",
        "pass",
        "power",
    ),
    Guard(
        "the names in an old folder are synced before a file is taken over",
        "engine:Engine._take_over",
        "self.files.sync_names(is_new=self.journal.header is None)",
        "self.journal.header is None and self.files.sync_names(is_new=True)",
        "fault",
        "EIO of a sync",
    ),
    Guard(
        "the name of a new journal is synced before it is relied on",
        "engine:Engine._recover",
        "self.files.sync_names()",
        "pass",
        "leave",
        "name",
    ),
    Guard(
        "the files of a new queue are durable",
        "files:DataFiles.create_missing",
        "records.whole_file(Layout(), [])",
        "records.whole_file(Layout(), []), is_durable=False",
        "power",
    ),
    Guard(
        "a file that is written anew is durable",
        "files:DataFiles.replace",
        "disk.replace(self.paths[file], chunks)",
        "disk.replace(self.paths[file], chunks, is_durable=False)",
        "power",
    ),
    Guard(
        "settings are durable",
        "config:ConfigFile.change",
        'disk.replace(self._path, [text + b"\\n"])',
        'disk.replace(self._path, [text + b"\\n"], is_durable=False)',
        "power",
    ),
    Guard(
        "a new journal after a failed sync is durable",
        "journal:Journal._begin_anew",
        "disk.replace(self.path, [raw, *map(self._line, transactions)])",
        "disk.replace(self.path, [raw, *map(self._line, transactions)], is_durable=False)",
        "leave",
    ),
    Guard(
        "the name of a worker's file is durable before it claims a job",
        ".liveness:WorkerFile.create",
        "disk.sync_folder(workers)",
        "pass",
        "reboot",
    ),
    Guard(
        "the copy before a repair is durable",
        "backup:Backup.renew",
        "disk.replace(self.path / path.relative_to(self._folder), _chunks(path))",
        "disk.replace(self.path / path.relative_to(self._folder), _chunks(path), is_durable=False)",
        "repair",
    ),
    Guard(
        "so is the name of its folder",
        "backup:Backup.__init__",
        "disk.sync_folder(place)",
        "pass",
        "repair",
    ),
    Guard(
        "what a repair does not take over is durable",
        "repair:_keep",
        "disk.replace(path, pieces)",
        "disk.replace(path, pieces, is_durable=False)",
        "repair",
    ),
    Guard(
        "mended settings are durable",
        "repair:repair",
        'disk.replace(folder / "config.json", [plan.settings])',
        'disk.replace(folder / "config.json", [plan.settings], is_durable=False)',
        "repair",
    ),
    Guard(
        "mended files are durable",
        "repair:_write",
        "disk.replace(paths[file], records.whole_file(Layout(), bodies[file]))",
        "disk.replace(paths[file], records.whole_file(Layout(), bodies[file]), is_durable=False)",
        "repair",
    ),
    Guard(
        "a repaired queue has no journal any more",
        "repair:_write",
        "disk.sync(fd)",
        "pass",
        "repair",
    ),
    Guard(
        "the names of files are synced before they are relied on",
        "files:DataFiles.sync_names",
        "disk.sync_folder(folder)\n",
        "pass\n",
        "fault",
        "EIO of a sync",
    ),
    # In what order.
    Guard(
        "only what is durable gets into the files",
        "engine:Engine._apply_durable",
        "self.picture.since(applied.position, self.journal.durable)",
        "self.picture.since(applied.position, self.journal.end)",
        "tail",
        "between",
    ),
    Guard(
        "a new file is whole before it takes its place",
        "disk:replace",
        "    offset = 0\n",
        "    offset = 0\n            rename(temporary, path); temporary = path\n",
        "crash",
        "big batch",
    ),
    Guard(
        "a dead job of another program is numbered before it goes to the DLQ",
        "engine:Engine._take_over",
        "if merged.dying:",
        "if False:",
        "crash",
        "another program",
    ),
    Guard(
        "a large batch begins with an empty journal",
        "intake:Intake.enqueue",
        "engine.renew()",
        "pass",
        "crash",
        "big batch",
    ),
    # What is checked.
    Guard(
        "a checksum over each transaction",
        "journal:Journal._parse",
        "text[:_SUM_SIZE] != _SUM_PREFIX % self._checksum(text[_SUM_SIZE:])",
        "False",
        "damage",
        "transaction",
    ),
    Guard(
        "a checksum over each header",
        "journal:whole_header",
        "header.sum == _header_sum(header) and",
        "",
        "damage",
        "header",
    ),
    Guard(
        "a checksum over the note of what is applied",
        "files:read_applied",
        "checksum != _checksum(text)",
        "False",
        "damage",
        "applied",
    ),
    Guard(
        "a bad line in the durable part is refused",
        "journal:Journal._cut",
        "known > position",
        "False",
        "damage",
        "durable",
    ),
    Guard(
        "the unfinished end of the journal is cut",
        "journal:Journal._cut",
        "self._truncate(position)",
        "pass",
        "damage",
        "end",
    ),
    Guard(
        "the note of what is applied holds for one boot",
        "files:read_applied",
        "(applied.boot, applied.generation) == (boot, generation)",
        "applied.generation == generation",
        "power",
    ),
    Guard(
        "the note says that somebody is about to write",
        "files:DataFiles.apply",
        "self._write_applied(msgspec.structs.replace(applied, is_applying=True))",
        "pass",
        "crash",
    ),
    Guard(
        "what was begun to be applied is made again",
        "engine:Engine._attach",
        "applied is None or applied.is_applying",
        "applied is None",
        "crash",
    ),
    Guard(
        "another generation is noticed",
        "journal:Journal.size",
        "status.st_ino != self._inode or disk.read_at(self._fd, HEADER_SIZE, 0) != self._raw_header",
        "False",
        "turns",
    ),
    Guard(
        "a file that was edited is noticed",
        "engine:Engine._attach",
        "elif applied.marks != self.files.marks():",
        "elif False:",
        "crash",
        "edited",
    ),
    # A disk that fails.
    Guard(
        "a journal whose sync has failed is given up",
        "engine:Engine._leave_failed_journal",
        "self.journal.rescue_to_new_file()",
        "pass",
        "fault",
        "EIO of a sync",
    ),
    Guard(
        "a process whose sync has failed remembers that",
        "journal:Journal.sync",
        "self.failed = self.generation",
        "pass",
        "fault",
        "E",
    ),
    Guard(
        "others are told that a sync has failed",
        "engine:Engine._tell_of_failed_sync",
        "self.files.note_failed_sync(applied)",
        "pass",
        "fault",
        "EIO of a sync",
    ),
    Guard(
        "a failed sync is an error",
        "journal:Journal.sync",
        "self.failed = self.generation\n        raise",
        "pass",
        "fault",
        "EIO of a sync",
    ),
    Guard(
        "files that could not be synced are written again",
        "files:DataFiles.sync",
        'disk.write_at(self._applied_fd, b" " * APPLIED_SIZE, 0)',
        "pass",
        "fault",
        "EIO of a sync",
    ),
    # Two at once.
    Guard("the lock", "lock:QueueLock.acquire", "while True:", "while True:\n            return", "turns"),
    Guard("who settles holds the claim", "work:Work._held", " or entry[1] != job.claim", "", "turns"),
    Guard(
        "whoever has the lock reads what others have done",
        "engine:Engine.refresh",
        "size != self.journal.end",
        "False",
        "turns",
    ),
)
