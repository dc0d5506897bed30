"""Faults that these tests have found, each in its smallest form."""

from collections.abc import Callable
from errno import EIO, EMFILE, ENOSPC, EPERM, EROFS
from pathlib import Path

import pytest

from queuectl.errors import OutcomeUnknown, StoreUnavailable
from queuectl.job import State
from queuectl.stores.local.store import LocalStore
from tests.samples import NOW, ids_of, spec, specs
from tests.torture.lives import Verb, lower_limits
from tests.torture.power import Disk, Kind
from tests.torture.stage import Saved, Stage
from tests.torture.system import Call, Count, Go, System

Fails = Callable[[Call], int]  # the code with which a call fails, or 0
BATCH = [spec(f"n{number}", "b" * 100) for number in range(20)]  # so large that it goes into a new file


class Bench:
    """A queue whose calls can be let fail, and what a power cut would leave of it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lower_limits(monkeypatch)
        self.stage = Stage(root / "stage")
        self.system = System(monkeypatch, self.stage.root)
        self.disk = Disk(self.stage, Kind.LOOSE, lambda call, moment: None)
        self.calls = Count()
        self.fails: Fails = lambda call: 0
        self.system.watch = self.disk.watch
        self.system.behaviour, self.system._process = self.behave, "first"

    def behave(self, call: Call, go: Go) -> object:
        if code := self.fails(call):
            if call.name == "fdatasync":
                self.disk.fail_sync(call)
            raise OSError(code, "it failed")
        return self.calls(call, go)

    def open(self) -> LocalStore:
        return LocalStore(self.stage.folder)

    def changes(self, name: str) -> list[str]:
        return [call.name for call in self.calls.calls if call.changes and call.path.endswith(name)]

    def certain(self) -> dict[str, int]:
        """Return the inodes of the names that a power cut leaves whatever happens."""
        return {Path(name).name: inode for name, inode in self.disk.moment().names.items()}

    def cut_power(self) -> LocalStore:
        """Return the queue after a power cut that has lost all that was not synced."""
        moment = self.disk.moment()
        names = {name: inode for name, inode in moment.names.items() if inode > 0}
        files = {name: (inode, moment.files.get(inode, (b"", ()))[0], 0) for name, inode in names.items()}
        self.system.behaviour = None
        self.system.bury("first")
        self.stage.put_back(Saved(files, [name for name, inode in moment.names.items() if inode < 0]))
        self.system.boot = "the next one"
        return self.open()


@pytest.fixture
def bench(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(fast_path, monkeypatch)


def test_a_bell_that_cannot_be_rung_does_not_undo_what_is_confirmed(bench: Bench) -> None:
    store = bench.open()
    store.enqueue([spec("a", max_retries=1)], now=NOW)
    bench.fails = lambda call: EMFILE if call.name in ("scandir", "socket") else 0
    assert store.enqueue(specs("b"), now=NOW) == ["b"]


def test_a_batch_whose_new_file_is_there_is_not_refused(bench: Bench) -> None:
    store = bench.open()
    store.enqueue(specs("a"), now=NOW)
    has_replaced = False

    def fails(call: Call) -> int:
        nonlocal has_replaced
        has_replaced = has_replaced or (call.name == "replace" and ".jobs.json" in call.path)
        return EIO if has_replaced and call.name == "ftruncate" else 0

    store.rest()
    bench.fails = fails
    with pytest.raises(StoreUnavailable, match="recorded and will hold"):
        store.enqueue(BATCH, now=NOW)
    bench.fails = lambda call: 0
    assert len(bench.open().jobs()) == 21


@pytest.mark.parametrize(
    "change", [lambda store: store.enqueue(BATCH, now=NOW), lambda store: store.set_setting("base", 5)]
)
def test_a_new_file_whose_name_was_not_confirmed_is_unknown(bench: Bench, change: Verb) -> None:
    store = bench.open()
    store.enqueue(specs("a"), now=NOW)
    store.rest()
    bench.fails = lambda call: EIO if call.name == "fsync" else 0
    with pytest.raises(OutcomeUnknown):
        change(store)


def test_a_name_that_was_not_confirmed_is_made_sure_of_before_others_rely_on_it(bench: Bench) -> None:
    store = bench.open()
    store.enqueue(specs("a"), now=NOW)
    store.rest()
    bench.fails = lambda call: EIO if call.name == "fsync" else 0
    with pytest.raises(OutcomeUnknown):
        store.enqueue(BATCH, now=NOW)
    bench.fails = lambda call: 0
    other = bench.open()
    other.enqueue(specs("again"), now=NOW)
    other.close()
    assert "again" in ids_of(bench.cut_power().jobs())


def test_a_folder_that_another_process_has_made_is_made_sure_of(bench: Bench) -> None:
    """It may have died before it came to that."""
    bench.open()
    assert "queues" not in bench.certain()
    bench.open().enqueue(specs("a"), now=NOW)
    assert {"queues", "data", "journal.jsonl", "jobs.json"} <= set(bench.certain())


def test_the_journal_is_empty_for_certain_before_its_new_header_is_written(bench: Bench) -> None:
    store = bench.open()
    store.enqueue(specs("a"), now=NOW)
    bench.calls.calls.clear()
    store.rest()
    assert bench.changes("journal.jsonl")[-4:] == ["ftruncate", "fdatasync", "pwrite", "fdatasync"]


def test_files_that_could_not_be_synced_are_written_again_though_nothing_could_be_noted(bench: Bench) -> None:
    store = bench.open()
    store.enqueue(specs("a"), now=NOW)
    has_failed = False

    def fails(call: Call) -> int:
        nonlocal has_failed
        has_failed = has_failed or (call.name == "fdatasync" and call.path.endswith("/jobs.json"))
        return EIO if has_failed and call.name in ("fdatasync", "pwrite") else 0

    bench.fails = fails
    with pytest.raises(StoreUnavailable, match="did not take the files"):
        store.rest()
    bench.fails = lambda call: 0
    other = bench.open()
    other.enqueue(specs("b"), now=NOW)
    other.close()
    assert ids_of(bench.cut_power().jobs()) == ["a", "b"]


@pytest.mark.parametrize("call_name", ["open", "pread"])
def test_a_change_that_is_durable_is_never_said_to_have_failed(bench: Bench, call_name: str) -> None:
    """Whoever repeats it would have it twice."""
    store = bench.open()
    store.enqueue(specs("a"), now=NOW)
    store.rest()
    store = bench.open()  # which has not opened the files yet
    has_synced = False

    def fails(call: Call) -> int:
        nonlocal has_synced
        is_due = has_synced and call.name == call_name
        has_synced = has_synced or (call.name == "fdatasync" and call.path.endswith("journal.jsonl"))
        return EROFS if is_due else 0

    bench.fails = fails
    with pytest.raises(StoreUnavailable, match="recorded and will hold"):
        store.enqueue(specs("b"), now=NOW)
    bench.fails = lambda call: 0
    assert [job.state for job in bench.open().jobs()] == [State.PENDING] * 2


@pytest.mark.parametrize("code", [ENOSPC, EIO])
@pytest.mark.parametrize("call_name", ["ftruncate", "pwrite", "fdatasync"])
def test_a_change_that_was_confirmed_holds_whatever_fails_at_rest(bench: Bench, call_name: str, code: int) -> None:
    store = bench.open()
    store.enqueue(specs("a"), now=NOW)
    bench.fails = lambda call: code if call.name == call_name else 0
    with pytest.raises(StoreUnavailable, match=r"^The change is recorded and will hold"):
        store.rest()
    bench.fails = lambda call: 0
    assert ids_of(bench.cut_power().jobs()) == ["a"]


def test_a_change_that_is_refused_says_that_nothing_was_changed(bench: Bench) -> None:
    store = bench.open()
    store.enqueue(specs("a"), now=NOW)
    bench.fails = lambda call: ENOSPC if call.name == "pwrite" else 0
    with pytest.raises(StoreUnavailable, match="Nothing was changed: free some space"):
        store.remove(["a"])


def test_an_error_never_says_both_that_a_change_holds_and_that_there_is_none(bench: Bench) -> None:
    store = bench.open()
    store.enqueue(specs("a"), now=NOW)
    store.rest()
    store = bench.open()
    bench.fails = lambda call: EPERM if call.name == "open" and call.path.endswith("jobs.json") else 0
    with pytest.raises(StoreUnavailable, match=r"recorded and will hold.* is protected") as caught:
        store.enqueue(specs("b"), now=NOW)
    assert "Nothing was changed" not in str(caught.value)


def test_a_change_whose_fate_is_not_known_is_said_to_be_unknown(bench: Bench) -> None:
    """It stands in the journal, and nothing has confirmed it."""
    store = bench.open()
    store.enqueue(specs("a"), now=NOW)
    has_written = False

    def fails(call: Call) -> int:
        nonlocal has_written
        has_written = has_written or (call.name == "pwrite" and call.path.endswith("journal.jsonl"))
        return EIO if has_written and call.name in ("pread", "fdatasync") else 0

    bench.fails = fails
    with pytest.raises(OutcomeUnknown):
        store.enqueue(specs("b"), now=NOW)
