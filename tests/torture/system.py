"""The system below the store, as tests let it be: every call on the folder is counted, and may fail or be the last.

Stands where Python hands a call to the operating system, so that also the calls of pathlib are seen. Nothing is
really synced: what would be left after a power cut, ``power`` knows. Who looks on, or lets a call fail, is no part of
what is tried: whatever is asked of the system meanwhile is neither counted nor failed.
"""

import errno
import io
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import filelock
import pytest

from queuectl import processes
from queuectl.stores.local import bells, disk, folder, latch

#: Calls that name a path, and those that name an open file.
BY_PATH = ("stat", "lstat", "mkdir", "chmod", "unlink", "replace", "rename", "scandir", "listdir")
BY_FILE = ("pread", "preadv", "pwrite", "fstat", "ftruncate", "fchmod", "fsync", "fdatasync")
SYNCS = frozenset({"fsync", "fdatasync"})
THIS_BOOT = "this one"
_pwrite = os.pwrite
READS = frozenset({"stat", "lstat", "scandir", "listdir", "pread", "preadv", "fstat", "read", "lock", "socket"})


class Died(BaseException):
    """Raised where a process ends: nothing of the product may catch it for good."""


class Call(NamedTuple):
    """One call on the folder; *path* is below it, and *args* begin with the file or path."""

    name: str
    path: str
    args: tuple[Any, ...]
    changes: bool  #: whether it can change the disk, or what is known to be on it

    def __str__(self) -> str:
        size = f" {len(self.args[1])} bytes at {self.args[2]}" if self.name == "pwrite" else ""
        target = f" to {Path(self.args[1]).name}" if self.name in ("replace", "rename") else ""
        return f"{self.name} {self.path}{size}{target}"


class Go(Protocol):
    """Does a call, or another *instead* of it."""

    def __call__(self, instead: Call | None = None) -> Any: ...


Watch = Callable[[Call, Callable[[], Any]], Any]
Behaviour = Callable[[Call, Go], Any]


class System:
    """Whoever works below *root* while ``working`` is in force does so through here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.root = f"{root}/"
        self.behaviour: Behaviour | None = None
        self.forget_watch()
        self._open: dict[int, tuple[str, str]] = {}  # path, and whose it is
        self._process = ""
        self._random = random.Random(1)
        for name in BY_PATH:
            monkeypatch.setattr(os, name, self._by_path(name, getattr(os, name)))
        for name in BY_FILE:
            monkeypatch.setattr(os, name, self._by_file(name, getattr(os, name)))
        monkeypatch.setattr(os, "open", self._opening(os.open))
        self._close = os.close
        monkeypatch.setattr(os, "close", self._closing)
        monkeypatch.setattr(os, "urandom", lambda size: self._random.randbytes(size))
        monkeypatch.setattr(io, "open", self._by_path("read", io.open))
        monkeypatch.setattr(disk, "preallocate", self._by_file("preallocate", lambda fd, size: None))
        monkeypatch.setattr(latch, "lock_descriptor", self._by_file("lock", filelock.lock_descriptor))
        self.boot = THIS_BOOT
        for module in (disk, processes):
            monkeypatch.setattr(module, "boot_id", lambda: self.boot)
        monkeypatch.setattr(folder, "file_system", lambda path: "ext4")
        monkeypatch.setattr(bells, "_open_socket", self._socket(bells._open_socket))

    @contextmanager
    def working(self, process: str, behaviour: Behaviour | None = None) -> Iterator[None]:
        """Let all calls go through *behaviour*, if there is one; what is opened is the *process*'s."""
        before = self.behaviour, self._process
        self.behaviour, self._process = behaviour, process
        try:
            yield
        finally:
            self.behaviour, self._process = before

    def bury(self, process: str) -> None:
        """Close what a dead *process* had open, as the kernel does: that frees its locks."""
        for fd in [fd for fd, (_, owner) in self._open.items() if owner == process]:
            del self._open[fd]
            self._close(fd)

    def forget_watch(self) -> None:
        self.watch: Watch = lambda call, go: go()

    def seed_random(self, start: int) -> None:
        """Let what is made at random from now on be the same for the same *start*."""
        self._random = random.Random(start)

    def _do(
        self,
        name: str,
        path: str,
        args: tuple[Any, ...],
        real: Callable[[tuple[Any, ...]], Any],
        *,
        changes: bool | None = None,
    ) -> Any:
        behaviour = self.behaviour
        if behaviour is None:
            return real(args)
        call = Call(name, path, args, name not in READS if changes is None else changes)

        def go(instead: Call | None = None) -> Any:
            done = instead or call
            return self.watch(done, lambda: real(done.args))

        with self.working(""):  # nobody: neither the behaviour nor who watches is seen
            return behaviour(call, go)

    def _by_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            if self.behaviour is None:
                return real(*args, **keywords)
            path = os.fspath(args[0]) if args and not isinstance(args[0], int) else ""
            if not isinstance(path, str) or not f"{path}/".startswith(self.root):
                return real(*args, **keywords)
            return self._do(name, self._below(path), args, lambda given: real(*given, **keywords))

        return call

    def _below(self, path: str) -> str:
        return f"{path}/".removeprefix(self.root).rstrip("/")

    def _opening(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, *args: Any, **keywords: Any) -> int:
            name = os.fspath(path)
            if not self._process or not isinstance(name, str) or not f"{name}/".startswith(self.root):
                return real(path, *args, **keywords)
            below, process = self._below(name), self._process

            def open_for_it(given: tuple[Any, ...]) -> int:
                fd = real(*given, **keywords)
                self._open[fd] = below, process
                return fd

            fd: int = self._do("open", below, (path, *args), open_for_it, changes=bool(args[0] & os.O_CREAT))
            return fd

        return call

    def _by_file(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            if self.behaviour is None or (known := self._open.get(args[0])) is None:
                return real(*args, **keywords)
            if name in SYNCS:
                return self._do(name, known[0], args, lambda given: None)
            if name == "preadv":  # a buffer that is read into must not be kept: it could not grow
                return self._do(name, known[0], args[:1], lambda given: real(*args))
            return self._do(name, known[0], args, lambda given: real(*given, **keywords))

        return call

    def _closing(self, fd: int) -> None:
        self._open.pop(fd, None)
        self._close(fd)

    def _socket(self, real: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: self._do("socket", "", (), lambda given: real())


class Count:
    """Lets everything pass, and counts."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __call__(self, call: Call, go: Go) -> Any:
        self.calls.append(call)
        return go()


class DieAt(Count):
    """Ends the process before change number *number*, counted from 0; with *cut*, in the middle of that write."""

    def __init__(self, number: int, cut: int = 0, *, die: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._number = number
        self._cut = cut
        self._die = die  # for good
        self.is_dead = False

    def __call__(self, call: Call, go: Go) -> Any:
        if self.is_dead:
            raise Died  # no tidying up of its own reaches the disk
        if call.changes:
            if len(self.calls) == self._number:
                self.is_dead = True
                if self._cut:
                    fd, data, offset = call.args
                    _pwrite(fd, bytes(data)[: self._cut], offset)
                self._die()
                raise Died
            self.calls.append(call)
        return go()


class Fault(NamedTuple):
    """A way in which calls fail: those of these *names*, with *code*; a short write is none, but its rest may be."""

    name: str
    code: int
    names: frozenset[str]
    is_short: bool = False


_NEW = frozenset({"open", "mkdir", "replace", "rename"})
_WRITES = frozenset({"pwrite", "ftruncate"})
_NAMING = frozenset({"mkdir", "chmod", "unlink", "replace", "rename"})
FAULTS: tuple[Fault, ...] = (
    Fault("EIO", errno.EIO, frozenset(BY_PATH) | frozenset(BY_FILE) | {"open", "read", "preallocate"}),
    Fault("EIO of a sync", errno.EIO, SYNCS),
    Fault("EIO of a sync and of what follows", errno.EIO, SYNCS | _WRITES | _NEW),
    Fault("ENOSPC", errno.ENOSPC, _NEW | _WRITES | SYNCS | {"preallocate"}),
    Fault("EDQUOT", errno.EDQUOT, _NEW | _WRITES | SYNCS | {"preallocate"}),
    Fault("ENOSPC after a part", errno.ENOSPC, frozenset({"pwrite"}), is_short=True),
    Fault("short write", 0, frozenset({"pwrite"}), is_short=True),
    Fault("EINTR", errno.EINTR, frozenset({"open", "pwrite", "pread", "fsync", "fdatasync", "lock"})),
    Fault("EMFILE", errno.EMFILE, frozenset({"open", "read", "scandir", "socket"})),
    Fault("EROFS", errno.EROFS, frozenset({"open"}) | _NAMING | _WRITES),
    Fault("ENOLCK", errno.ENOLCK, frozenset({"lock"})),
)


class FailAt(Count):
    """Lets call number *number* fail as *fault* says, and with *is_for_good* all later ones that it is about."""

    def __init__(self, number: int, fault: Fault, *, is_for_good: bool, failed: Callable[[Call], None]) -> None:
        super().__init__()
        self._number = number
        self._fault = fault
        self._is_for_good = is_for_good
        self._failed = failed

    def __call__(self, call: Call, go: Go) -> Any:
        number = len(self.calls)
        self.calls.append(call)
        fault = self._fault
        if call.name not in fault.names or number < self._number or (number > self._number and not self._is_for_good):
            return go()
        if fault.is_short and (number == self._number or not fault.code) and len(call.args[1]) > 1:
            self._is_for_good = self._is_for_good or bool(fault.code)
            fd, data, offset = call.args
            return go(call._replace(args=(fd, bytes(data)[: len(data) // 2], offset)))
        if not fault.code:
            return go()
        self._failed(call)
        path = call.args[0] if call.args and not isinstance(call.args[0], int) else None
        raise OSError(fault.code, os.strerror(fault.code), path)
