"""The journal, byte by byte: a transaction is wholly there or not, and no damage goes unnoticed."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from queuectl.errors import StoreDamaged
from queuectl.job import Claim, Outcome
from queuectl.stores.base import Store
from queuectl.stores.local import disk, engine, intake, records
from queuectl.stores.local.journal import HEADER_SIZE, Journal
from queuectl.stores.local.records import File, Write
from queuectl.stores.local.store import LocalStore
from queuectl.stores.local.transactions import Transaction
from tests.memory_store import MemoryStore
from tests.samples import FAILED, NOW, after, ids_of, plain, spec, specs

INODES = {"jobs": 1, "dlq": 2}
COUNT = 20


def writes(number: int) -> list[Write]:
    """Return what transaction *number* writes."""
    body = b'{"id":"j%d","state":"pending","seq":%d}' % (number, number)
    return [records.line(File.JOBS, number * 100, 100, ",", body), records.blank(File.DLQ, 2, 9)]


def read_all(path: Path) -> tuple[Journal, list[Transaction]]:
    """Read the journal at *path* as a process does that comes to it."""
    journal = Journal(path)
    try:
        journal.attach()
        return journal, journal.read(HEADER_SIZE) if journal.header else []
    finally:
        journal.close()


class Sample:
    """A journal of 20 transactions, of which each but the last few was durable when the next was written."""

    def __init__(self, path: Path, *, durable: int) -> None:
        self.path = path
        journal = Journal(path)
        journal.attach()
        journal.begin([], inodes=INODES, keeps_places=False)
        self.ends = [HEADER_SIZE]
        for number in range(COUNT):
            if number <= durable:
                journal.durable = journal.end
            journal.append(writes(number))
            self.ends.append(journal.end)
        journal.close()
        self.raw = path.read_bytes()

    def expect(self, transactions: list[Transaction], count: int) -> None:
        assert [transaction.end for transaction in transactions] == self.ends[1 : count + 1]
        assert [transaction.writes for transaction in transactions] == [writes(number) for number in range(count)]


@pytest.fixture
def make(tmp_path: Path) -> Callable[[int], Sample]:
    return lambda durable: Sample(tmp_path / "journal.jsonl", durable=durable)


def test_transactions_are_read_as_they_were_written(make: Callable[[int], Sample]) -> None:
    sample = make(COUNT)
    journal, transactions = read_all(sample.path)
    sample.expect(transactions, COUNT)
    assert (journal.end, journal.durable) == (sample.ends[-1], sample.ends[-2])
    assert sample.path.read_bytes() == sample.raw


def test_two_processes_read_each_other(tmp_path: Path) -> None:
    first, second = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    first.attach()
    first.begin([], inodes=INODES, keeps_places=False)
    assert second.size() is None
    second.attach()
    first.append(writes(0))
    assert [transaction.writes for transaction in second.read(second.end)] == [writes(0)]
    second.append(writes(1))
    assert [transaction.writes for transaction in first.read(first.end)] == [writes(1)]
    assert first.size() is not None
    known = (first.generation, first.end)
    second.begin([], inodes=INODES, keeps_places=True)
    assert first.size() is None
    first.attach()
    assert first.header is not None
    assert first.header.follows == known
    assert first.is_empty
    first.close()
    second.close()


@pytest.mark.parametrize("durable", [0, COUNT])
def test_an_append_that_was_cut_short_anywhere_is_cut_off(make: Callable[[int], Sample], durable: int) -> None:
    """The earlier ones are intact, and the next append is found behind them."""
    sample = make(durable)
    last = sample.ends[-2]
    for size in range(last, len(sample.raw)):
        sample.path.write_bytes(sample.raw[:size])
        _, transactions = read_all(sample.path)
        sample.expect(transactions, COUNT - 1)
        assert sample.path.stat().st_size == last
    journal = Journal(sample.path)
    journal.attach()
    journal.read(HEADER_SIZE)
    journal.append(writes(COUNT - 1))
    journal.close()
    _, transactions = read_all(sample.path)
    sample.expect(transactions, COUNT)


@pytest.mark.parametrize("filler", [b"\0", b"\n", b"x", b'{"sum":"00000000",'])
def test_what_a_lost_page_leaves_behind_is_cut_off(make: Callable[[int], Sample], filler: bytes) -> None:
    sample = make(COUNT)
    tail = len(sample.raw) - sample.ends[-2]
    for lost in (tail, tail // 2):
        sample.path.write_bytes(sample.raw[:-lost] + (filler * lost)[:lost] + (b"" if lost == tail else b"\n"))
        _, transactions = read_all(sample.path)
        sample.expect(transactions, COUNT - 1)
        assert sample.path.stat().st_size == sample.ends[-2]


def flips(path: Path, places: range) -> Iterator[tuple[int, int]]:
    """Flip each bit of *places* of a file in turn, and restore the file after each."""
    raw = path.read_bytes()
    for place in places:
        for bit in range(8):
            with path.open("r+b") as opened:
                opened.seek(place)
                opened.write(bytes([raw[place] ^ 1 << bit]))
            yield place, bit
            if path.stat().st_size == len(raw):
                with path.open("r+b") as opened:
                    opened.seek(place)
                    opened.write(raw[place : place + 1])
            else:
                path.write_bytes(raw)


def test_every_flipped_bit_below_durable_is_refused(make: Callable[[int], Sample]) -> None:
    """Each transaction but the last was confirmed, and the last one says so: nothing of them may get lost."""
    sample = make(COUNT)
    unnoticed = []
    for place, bit in flips(sample.path, range(HEADER_SIZE, sample.ends[-2])):
        before = sample.path.read_bytes()
        try:
            read_all(sample.path)
            unnoticed.append((place, bit, len(before) - sample.path.stat().st_size))
        except StoreDamaged:
            assert sample.path.read_bytes() == before
    assert unnoticed == []


def test_every_flipped_bit_above_durable_is_cut_off(make: Callable[[int], Sample]) -> None:
    """The disk may have kept later pages and lost earlier ones: none of that was confirmed."""
    durable = 15
    sample = make(durable)
    for place, _ in flips(sample.path, range(sample.ends[durable], len(sample.raw))):
        hit = next(number for number, end in enumerate(sample.ends) if place < end) - 1
        _, transactions = read_all(sample.path)
        sample.expect(transactions, hit)
        assert sample.path.stat().st_size == sample.ends[hit]


def test_every_flipped_bit_of_the_header_is_refused(make: Callable[[int], Sample]) -> None:
    sample = make(COUNT)
    for _ in flips(sample.path, range(HEADER_SIZE)):
        before = sample.path.read_bytes()
        with pytest.raises(StoreDamaged):
            read_all(sample.path)
        assert sample.path.read_bytes() == before


def test_a_lost_middle_that_was_durable_is_refused(make: Callable[[int], Sample]) -> None:
    sample = make(COUNT)
    raw = bytearray(sample.raw)
    raw[sample.ends[5] : sample.ends[9]] = bytes(sample.ends[9] - sample.ends[5])
    sample.path.write_bytes(raw)
    with pytest.raises(StoreDamaged, match=f"byte {sample.ends[5]}"):
        read_all(sample.path)
    assert sample.path.read_bytes() == raw


def test_what_an_earlier_generation_has_left_is_not_believed(make: Callable[[int], Sample]) -> None:
    """A truncation that the disk has lost brings old transactions back behind the new header."""
    sample = make(COUNT)
    journal = Journal(sample.path)
    journal.attach()
    journal.read(HEADER_SIZE)
    journal.begin([], inodes=INODES, keeps_places=False)
    header = sample.path.read_bytes()
    journal.close()
    sample.path.write_bytes(header + sample.raw[HEADER_SIZE:])
    _, transactions = read_all(sample.path)
    assert transactions == []
    assert sample.path.read_bytes() == header


def test_a_header_that_was_cut_short_anywhere_is_none(make: Callable[[int], Sample]) -> None:
    """Whoever finds it begins anew: the files were synced before the renewal began."""
    sample = make(COUNT)
    for size in range(HEADER_SIZE):
        sample.path.write_bytes(sample.raw[:size])
        journal, transactions = read_all(sample.path)
        assert (journal.header, transactions) == (None, [])


# -- renewal and recovery of a whole folder --


class Died(BaseException):
    """Raised where a process is to die."""


def die_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> list[str]:
    """Let this process die in its *moment*-th operation on the disk, half done; return the list of those before."""
    operations: list[str] = []

    def wrap(name: str) -> Callable[..., None]:
        real = getattr(disk, name)

        def operation(*args: Any) -> None:
            operations.append(name)
            if len(operations) == moment:
                if name == "write_at":
                    fd, data, offset = args
                    real(fd, data[: len(data) // 2], offset)
                raise Died
            if len(operations) > moment:
                raise Died  # it is dead: no clean-up of its own reaches the disk
            real(*args)

        return operation

    for name in ("write_at", "truncate", "sync", "rename", "sync_folder"):
        monkeypatch.setattr(disk, name, wrap(name))
    return operations


def attempt(outcome: Outcome) -> Callable[[Store], object]:
    """Claim the first job and settle it; nothing is claimed next."""

    def run(store: Store) -> object:
        job = store.claim(Claim(1, "00112233445566ff.1"), now=after(100))
        assert job is not None
        return store.settle(job, outcome, next_claim=None, now=after(100))

    return run


def claim_only(store: Store) -> object:
    return store.claim(Claim(1, "00112233445566ff.2"), now=after(100))


#: Something of everything. Each is one change, or two where that is said.
LIFE: tuple[Callable[[Store], object], ...] = (
    lambda store: store.enqueue([spec("c", max_retries=1), spec("d", "x" * 300)], now=NOW),
    claim_only,
    lambda store: store.rescue(["00112233445566ff.2"], is_crash=True, now=NOW),
    lambda store: store.remove(["a"]),
    lambda store: store.rest(),
    attempt(Outcome(exit_code=1, error="y" * 500)),  # of "b", which moves; two changes
    attempt(FAILED),  # of "c", which dies; two changes
    lambda store: store.cancel(["d"], now=NOW),
    lambda store: store.flush(),
    lambda store: store.revive(["c"], now=NOW),
    lambda store: store.enqueue([spec(f"e{number}", "z" * 50) for number in range(40)], now=NOW),  # as a new file
    lambda store: store.set_setting("base", 3),
    lambda store: store.remove([f"e{number}" for number in range(38)]),
    lambda store: store.rest(),  # writes the file, mostly blank, anew
    lambda store: store.enqueue(specs("f"), now=NOW),
    lambda store: store.close(),
)


def model_states() -> list[list[object]]:
    """Return, for each verb of LIFE, what may be found if a process dies in it; last, what is there at the end."""
    model = MemoryStore()
    model.enqueue(specs("a", "b"), now=NOW)
    states: list[list[object]] = []
    before = plain(model.jobs())
    for verb in LIFE:
        verb(model)
        now = plain(model.jobs())
        states.append([before, now])
        before = now
    states.append([before])
    return states


def let_go_of(folder: Path) -> None:
    """Close what the process that has died had open, as the system does."""
    for link in list(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):  # the listing's own
            if folder in link.readlink().parents or link.readlink() == folder:
                os.close(int(link.name))


@pytest.mark.parametrize("recovers_twice", [False, True])
def test_a_process_may_die_at_any_operation_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recovers_twice: bool
) -> None:
    """Whatever it was doing, and even if the next one dies too: all that was confirmed is there, and nothing else."""
    for module in (engine, intake):
        monkeypatch.setattr(module, "RENEW_AT", 16_384)
    monkeypatch.setattr(engine, "_COMPACT_AT", 4096)
    states = model_states()
    moment, done = 0, 0
    while done < len(LIFE):
        moment += 1
        folder = tmp_path / str(moment)
        store = LocalStore(folder)
        store.enqueue(specs("a", "b"), now=NOW)
        store.rest()
        with monkeypatch.context() as patch:
            operations = die_at(patch, moment)
            done = 0
            with suppress(Died):
                for verb in LIFE:
                    verb(store)
                    done += 1
        let_go_of(folder)
        if recovers_twice:
            with monkeypatch.context() as patch, suppress(Died):
                die_at(patch, 1 + moment % 5)
                LocalStore(folder).jobs()
            let_go_of(folder)
        again = LocalStore(folder)
        where = f"died at operation {moment} ({operations[-1]}), in verb {done}"
        found = plain(again.jobs())
        is_between = [job for job in again.claimed() if job.claim == "00112233445566ff.1"]  # claimed, but not settled
        assert found in states[done] or is_between, where
        again.enqueue(specs("next"), now=NOW)
        assert again.job("next").command == "true", where
        again.close()
        last = LocalStore(folder)
        assert plain(last.jobs()[:-1]) == found, where
        last.close()
        for name in ("jobs.json", "dlq.json"):
            assert isinstance(json.loads((folder / name).read_bytes()), list), where
    assert moment > 60


def test_space_set_aside_stays_when_an_append_is_cut_off(data_dir: Path) -> None:
    """A worker that dies while it writes does not take the journal's reserve with it: the disk may be full by then."""
    store = LocalStore(data_dir)
    store.enqueue(specs("a"), now=NOW)
    store.prepare_for_work()
    path = data_dir / "journal.jsonl"
    reserve = 16 << 20
    if path.stat().st_blocks * 512 < reserve:
        pytest.skip("this file system sets no space aside")
    with path.open("ab") as opened:
        opened.write(b'{"sum":"0')
    assert ids_of(LocalStore(data_dir).jobs()) == ["a"]
    assert path.stat().st_blocks * 512 >= reserve
