"""The power fails: of what was not synced, the disk has kept any part, in any order. Nothing confirmed is lost.

A record of all that the store does to the disk, from which what may be left of it at any moment is drawn at random.
"""

import json
import os
import random
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from queuectl.job import Claim, Outcome
from queuectl.stores.base import Store
from queuectl.stores.local import disk, engine, intake, records
from queuectl.stores.local.files import DataFiles, FileMark
from queuectl.stores.local.records import File
from queuectl.stores.local.store import LocalStore
from tests.memory_store import MemoryStore
from tests.samples import FAILED, NOW, after, plain, spec, specs

State = dict[str, tuple[int, bytes]]  # inode and contents by name
Change = tuple[int, bytes | None]  # where and what was written; or to how many bytes the file was cut


class Record:
    """What is on the disk for certain, and what may be, of one folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder = folder
        self.synced: dict[int, bytes] = {}  # contents by inode
        self.changes: dict[int, list[Change]] = {}  # since then
        self.names: dict[str, int] = {}  # the folder as it was last synced
        self.renames: list[tuple[str, int]] = []  # since then
        self.observe: Callable[[], None] = lambda: None
        real = {
            name: getattr(disk, name) for name in ("open_file", "write_at", "truncate", "sync", "sync_folder", "rename")
        }

        def open_file(path: Path, *, create: bool = False) -> int:
            is_new = create and not path.exists()
            fd: int = real["open_file"](path, create=create)
            if is_new and path.parent == folder:
                self.renames.append((path.name, os.fstat(fd).st_ino))
                self.after_folder_sync()
            return fd

        def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
            real["write_at"](fd, data, offset)
            self.note(fd, (offset, bytes(data)))

        def truncate(fd: int, size: int) -> None:
            real["truncate"](fd, size)
            self.note(fd, (size, None))

        def sync(fd: int) -> None:
            self.observe()
            real["sync"](fd)
            inode = os.fstat(fd).st_ino
            self.synced[inode] = os.pread(fd, os.fstat(fd).st_size, 0)
            self.changes[inode] = []
            self.observe()

        def sync_folder(path: Path) -> None:
            real["sync_folder"](path)
            if path == folder:
                self.after_folder_sync()
                self.observe()

        def rename(source: Path, target: Path) -> None:
            real["rename"](source, target)
            self.renames.append((target.name, target.stat().st_ino))
            self.observe()

        for function in (open_file, write_at, truncate, sync, sync_folder, rename):
            monkeypatch.setattr(disk, function.__name__, function)

    def note(self, fd: int, change: Change) -> None:
        self.changes.setdefault(os.fstat(fd).st_ino, []).append(change)
        self.observe()

    def after_folder_sync(self) -> None:
        self.names.update(self.renames)
        self.renames = []

    def draw(self, dice: random.Random) -> State:
        """Return one state in which the folder may be after a power cut right now."""
        kept = dice.randint(0, len(self.renames))
        names = self.names | dict(self.renames[:kept])
        return {name: (inode, self.draw_contents(inode, dice)) for name, inode in names.items()}

    def draw_contents(self, inode: int, dice: random.Random) -> bytes:
        content = bytearray(self.synced.get(inode, b""))
        changes = self.changes.get(inode, [])
        mood = dice.choice(["all", "none", "some", "torn"])
        for offset, data in changes:
            if mood == "none" or (mood in ("some", "torn") and dice.random() < 0.4):
                continue
            if data is None:
                del content[offset:]
                continue
            if len(content) < offset + len(data) and dice.random() < 0.5:
                content.extend(
                    bytes(offset + len(data) - len(content))
                )  # the length has reached the disk, not the data
            for piece in self.draw_pieces(offset, len(data), dice if mood == "torn" else None):
                part = data[piece.start - offset : piece.stop - offset]
                if len(content) < piece.start:
                    content.extend(bytes(piece.start - len(content)))
                content[piece.start : piece.stop] = part
        return bytes(content)

    def draw_pieces(self, offset: int, size: int, dice: random.Random | None) -> Iterable[range]:
        """Return the stretches of a write that have reached the disk: sectors get there each by itself."""
        if dice is None:
            return [range(offset, offset + size)]
        sector = dice.choice([512, 4096])
        edges = [offset, *range((offset // sector + 1) * sector, offset + size, sector), offset + size]
        return [range(start, stop) for start, stop in pairwise(edges) if dice.random() < 0.6]


def claim_as(number: int) -> Claim:
    return Claim(1, f"00112233445566ff.{number}")


def settle_next(outcome: Outcome, number: int, *, goes_on: bool) -> Callable[[Store], object]:
    """Claim the first job and settle it; with *goes_on*, a job stays claimed."""

    def run(store: Store) -> object:
        held = store.claimed()
        last = held[-1] if held else store.claim(claim_as(number), now=after(1000 + number))
        assert last is not None
        next_claim = claim_as(number + 1) if goes_on else None
        return store.settle(last, outcome, next_claim=next_claim, now=after(1000 + number))

    return run


LONG = Outcome(exit_code=1, error="ü" * 400)
#: Changes, and whether what they change is durable when they return. One that is two changes is followed by its like.
LIFE: tuple[tuple[Callable[[Store], object], bool], ...] = (
    (lambda store: store.enqueue([spec("c", max_retries=1), spec("d", "x" * 300)], now=NOW), True),
    (lambda store: store.claim(claim_as(1), now=after(1)), False),
    (settle_next(LONG, 2, goes_on=True), False),
    (lambda store: store.flush(), True),
    (settle_next(FAILED, 4, goes_on=True), False),
    (lambda store: store.cancel(["d"], now=after(20)), True),
    (settle_next(FAILED, 6, goes_on=False), False),
    (lambda store: store.rest(), True),
    (lambda store: store.revive(None, now=after(40)), True),
    (lambda store: store.enqueue([spec(f"e{number}", "z" * 50) for number in range(60)], now=NOW), True),
    (lambda store: store.claim(claim_as(8), now=after(3000)), False),
    (lambda store: store.rescue([claim_as(8).token], is_crash=True, now=after(3001)), True),
    (lambda store: store.remove([f"e{number}" for number in range(55)]), True),
    (lambda store: store.enqueue(specs("f", "g"), now=NOW), True),
    (lambda store: store.rest(), True),
    (lambda store: store.enqueue(specs("h"), now=NOW), True),
    (lambda store: store.close(), True),
)


def check(monkeypatch: pytest.MonkeyPatch, folder: Path, state: State, allowed: list[object], where: str) -> None:
    """Start the machine again on *state*: all that was confirmed is there, and the queue works."""
    folder.mkdir(parents=True)
    inodes = {}
    for name, (inode, content) in state.items():
        (folder / name).write_bytes(content)
        inodes[(folder / name).stat().st_ino] = inode
    real = DataFiles.marks

    def marks(self: DataFiles) -> dict[File, FileMark]:
        """See the files as those that they stand for."""
        found = real(self).items()
        return {file: msgspec.structs.replace(mark, inode=inodes.get(mark.inode, mark.inode)) for file, mark in found}

    monkeypatch.setattr(DataFiles, "marks", marks)
    store = LocalStore(folder)
    found = plain(store.jobs())
    assert found in allowed, f"{where}: {found}"
    store.enqueue(specs("next"), now=NOW)
    assert store.job("next").command == "true", where
    store.close()
    again = LocalStore(folder)
    assert plain(again.jobs()[:-1]) == found, where
    for file in ("jobs.json", "dlq.json"):
        json.loads((folder / file).read_bytes())
    again.close()


def cut_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, states_a_moment: int) -> int:
    """Live LIFE once, drawing states at each moment; check each of them; return how many there were."""
    for module in (engine, intake):
        monkeypatch.setattr(module, "RENEW_AT", 16_384)
    monkeypatch.setattr(engine, "_COMPACT_AT", 2048)
    monkeypatch.setattr(records, "RESERVE", 4096)
    dice = random.Random(seed)
    model = MemoryStore()
    model.enqueue(specs("a", "b"), now=NOW)
    states = [plain(model.jobs())]
    for verb, _ in LIFE:
        verb(model)
        states.append(plain(model.jobs()))
    drawn: list[tuple[State, list[object], str]] = []
    with monkeypatch.context() as patch:
        record = Record(patch, tmp_path / "data")
        store = LocalStore(tmp_path / "data")
        store.enqueue(specs("a", "b"), now=NOW)
        store.rest()
        confirmed = 0
        for number, (verb, is_durable) in enumerate(LIFE, 1):
            allowed = states[confirmed : number + 1]

            def observe(allowed: list[object] = allowed, number: int = number) -> None:
                where = f"seed {seed}, verb {number - 1}, state {len(drawn)}"
                drawn.extend((record.draw(dice), allowed, where) for _ in range(states_a_moment))

            record.observe = observe
            verb(store)
            if is_durable:
                confirmed = number
                record.observe = lambda: None
                drawn.append((record.draw(dice), states[number : number + 1], f"seed {seed}, after verb {number - 1}"))
    monkeypatch.setattr(disk, "boot_id", lambda: "the next one")
    for number, (state, allowed, where) in enumerate(drawn):
        with monkeypatch.context() as patch:
            check(patch, tmp_path / str(number), state, allowed, where)
    return len(drawn)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_power_cut_at_any_moment_loses_nothing_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    assert cut_power(tmp_path, monkeypatch, seed, states_a_moment=1) > 80


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(40))
def test_many_power_cuts_lose_nothing_confirmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    assert cut_power(tmp_path, monkeypatch, 1000 + seed, states_a_moment=6) > 500
