"""What a power cut may leave of a folder, on two file systems: one like ext4, and one that promises nothing.

Both keep what was synced, and give nothing to a name whose folder was not synced since. Both write sectors of
512 bytes whole, do not touch bytes that nobody wrote, and give a new name to a file in one step; without that, no
program could keep anything.

ORDERED is ext4 with data=ordered, which delays allocation: names, lengths and cuts reach the disk in the order in
which they were made, and all of them with the sync of a length or a name. A file never shows space that was not
written; what is written in place arrives page by page, whenever it likes.

LOOSE keeps any part of what was not synced, in any order: whole, in sectors or pages, as garbage, as a length without
contents, a file without its name, a name without its file's contents.
"""

import os
import random
import stat
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import pairwise
from typing import Any, NamedTuple

from tests.torture.stage import Saved, Stage
from tests.torture.system import SYNCS, Call

_fstat, _lstat = os.fstat, os.lstat
_LONG_AGO_NS = 10**18
_FOLDER = -1  #: stands for the inode of a folder


class Kind(Enum):
    """How a file system treats what was not synced."""

    ORDERED = "ext4"
    LOOSE = "no promise"


class Change(NamedTuple):
    """What was done to a file: *data* written at *offset*, or the file cut there."""

    number: int
    offset: int
    data: bytes | None


class Naming(NamedTuple):
    """What was done to the names in *folder*: which file each of them is now, if any."""

    number: int
    folder: str
    names: tuple[tuple[str, int | None], ...]


class Moment(NamedTuple):
    """Everything that a power cut right now may keep or lose."""

    root: str  #: the folder above all of them, which is always there
    committed: int  #: up to which change names, lengths and cuts are certain, where these are kept in order
    names: dict[str, int]
    namings: tuple[Naming, ...]
    files: dict[int, tuple[bytes, tuple[Change, ...]]]  # what is synced, and what was done since

    def draw(self, dice: random.Random, kind: Kind) -> Saved:
        """Return one of the states in which the folder may then be."""
        numbers = [naming.number for naming in self.namings]
        numbers += [change.number for _, changes in self.files.values() for change in changes]
        committed = max(self.committed, dice.choice([0, *numbers, max(numbers, default=0)]))
        names = dict(self.names)
        for naming in self.namings:
            if naming.number <= committed if kind is Kind.ORDERED else dice.random() < 0.6:
                for name, inode in naming.names:
                    if inode is not None:
                        names[name] = inode
                    elif kind is Kind.ORDERED or dice.random() < 0.8:  # else the old name stays beside the new one
                        names.pop(name, None)
        files, folders = {}, []
        for name, inode in sorted(names.items()):
            if any(above not in names for above in self._above(name)):
                continue
            if inode == _FOLDER:
                folders.append(name)
            else:
                synced, changes = self.files.get(inode, (b"", ()))
                content = (
                    _ordered(synced, changes, committed, dice)
                    if kind is Kind.ORDERED
                    else _loose(synced, changes, dice)
                )
                files[name] = inode, content, _LONG_AGO_NS
        return Saved(files, folders)

    def _above(self, name: str) -> Iterator[str]:
        while (name := os.path.dirname(name)) != self.root:
            yield name


def _ordered(synced: bytes, changes: tuple[Change, ...], committed: int, dice: random.Random) -> bytes:
    content = bytearray(synced)
    mood = dice.random()
    for number, offset, data in changes:
        if data is None:
            if number > committed:
                break  # what was written after it went into space that the file does not have yet
            _cut(content, offset)
            continue
        for piece in _pieces(offset, len(data), dice.choice((512, 4096))):
            if piece.stop > len(content):
                if number > committed or piece.start > len(content) or dice.random() < 0.3:
                    break
            elif dice.random() < mood:
                continue
            content[piece.start : piece.stop] = data[piece.start - offset : piece.stop - offset]
    return bytes(content)


def _loose(synced: bytes, changes: tuple[Change, ...], dice: random.Random) -> bytes:
    content = bytearray(synced)
    order = list(changes)
    if dice.random() < 0.2:
        dice.shuffle(order)
    mood = dice.choice(("all", "none", "some", "some", "torn", "torn", "garbage"))
    for _, offset, data in order:
        if mood == "none" or (mood != "all" and dice.random() < 0.4):
            continue
        if data is None:
            _cut(content, offset)
            continue
        if len(content) < offset + len(data) and dice.random() < 0.3:
            size = offset + len(data) - len(content)
            content.extend(dice.randbytes(size) if mood == "garbage" else bytes(size))
        sector = dice.choice((512, 4096)) if mood in ("torn", "garbage") else len(data) + offset
        for piece in _pieces(offset, len(data), sector):
            if mood in ("torn", "garbage") and dice.random() < 0.4:
                continue
            if len(content) < piece.start:
                content.extend(bytes(piece.start - len(content)))
            part = data[piece.start - offset : piece.stop - offset]
            is_garbage = mood == "garbage" and dice.random() < 0.5
            content[piece.start : piece.stop] = dice.randbytes(len(part)) if is_garbage else part
    return bytes(content)


def _cut(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _pieces(offset: int, size: int, sector: int) -> list[range]:
    edges = [offset, *range((offset // sector + 1) * sector, offset + size, sector), offset + size]
    return [range(start, stop) for start, stop in pairwise(edges)]


class Disk:
    """Notes what a store has the system do, for ``System.watch``; knows at each moment what is certain to stay.

    *observe* is told each call that has changed anything, and the moment after it.
    """

    def __init__(
        self, stage: Stage, kind: Kind, observe: Callable[[str, Moment], None], begin: Saved | None = None
    ) -> None:
        self._stage = stage
        self._root = f"{stage.root}/"
        self._kind = kind
        self.observe = observe
        self._number = 0
        self._committed = 0
        self._names: dict[str, int] = {}
        self._namings: list[Naming] = []
        self._files: dict[int, tuple[bytes, list[Change]]] = {}
        self._lost: set[int] = set()  # numbers of changes that a failed sync has thrown away
        if begin is not None:
            self._names = {
                **{name: inode for name, (inode, _, _) in begin.files.items()},
                **dict.fromkeys(begin.folders, _FOLDER),
            }
            self._files = {inode: (content, []) for inode, content, _ in begin.files.values()}

    def moment(self) -> Moment:
        files = {
            inode: (synced, tuple(change for change in changes if change.number not in self._lost))
            for inode, (synced, changes) in self._files.items()
        }
        return Moment(self._root[:-1], self._committed, dict(self._names), tuple(self._namings), files)

    def watch(self, call: Call, go: Callable[[], Any]) -> Any:
        """Do *call* and note it."""
        if not call.changes:
            return go()
        self._number += 1
        path = (self._root + call.path).rstrip("/")
        if call.name == "open":
            is_new = not os.path.lexists(path)
            fd = go()
            if is_new:
                inode = _fstat(fd).st_ino
                self._stage.keep(path)
                self._files[inode] = b"", []
                self._name(path, (path, inode))
                self.observe(f"{call.name} {call.path}", self.moment())
            return fd
        result = go()
        match call.name:
            case "pwrite":
                fd, data, offset = call.args
                self._file(fd)[1].append(Change(self._number, offset, bytes(data[:result])))
            case "ftruncate":
                fd, size = call.args
                self._file(fd)[1].append(Change(self._number, size, None))
            case "replace" | "rename":
                target = os.fspath(call.args[1])
                self._name(path, (target, _lstat(target).st_ino), (path, None))
            case "unlink":
                self._name(path, (path, None))
            case "mkdir":
                self._name(path, (path, _FOLDER))
            case name if name in SYNCS:
                self._sync(call)
            case "chmod" | "fchmod" | "preallocate":
                return result
            case name:
                msg = f"a power cut after {name} is not known"
                raise NotImplementedError(msg)
        self.observe(f"{call.name} {call.path}", self.moment())
        return result

    def _file(self, fd: int) -> tuple[bytes, list[Change]]:
        return self._files.setdefault(_fstat(fd).st_ino, (b"", []))

    def _name(self, path: str, *names: tuple[str, int | None]) -> None:
        self._namings.append(Naming(self._number, os.path.dirname(path), names))

    def _sync(self, call: Call) -> None:
        path = (self._root + call.path).rstrip("/")
        if stat.S_ISDIR(_fstat(call.args[0]).st_mode):
            self._settle_names(lambda naming: naming.folder == path)
        else:
            inode = _fstat(call.args[0]).st_ino
            synced, changes = self._files.get(inode, (b"", []))
            content = bytearray(synced)
            for number, offset, data in changes:
                if number in self._lost:
                    continue
                if data is None:
                    _cut(content, offset)
                else:
                    content.extend(bytes(max(0, offset - len(content))))
                    content[offset : offset + len(data)] = data
            self._files[inode] = bytes(content), []
            if len(content) == len(synced) and all(data is not None for _, _, data in changes):
                return  # nothing but contents: the names and lengths of others stay as uncertain as they were
        if self._kind is Kind.ORDERED:
            self._committed = self._number
            self._settle_names(lambda naming: True)

    def _settle_names(self, is_settled: Callable[[Naming], bool]) -> None:
        for naming in [naming for naming in self._namings if is_settled(naming)]:
            self._namings.remove(naming)
            for name, inode in naming.names:
                if inode is None:
                    self._names.pop(name, None)
                else:
                    self._names[name] = inode

    def fail_sync(self, call: Call) -> None:
        """Note that a sync has failed: the system forgets what it could not write, and shows it as if it were there."""
        inode = _fstat(call.args[0]).st_ino
        self._lost.update(change.number for change in self._files.get(inode, (b"", []))[1])
