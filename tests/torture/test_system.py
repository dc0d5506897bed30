"""These tests see all that the store does to the disk: it has no other way to it than the calls that they stand in."""

import ast
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.torture.lives import cases, lower_limits, run_undisturbed, starts
from tests.torture.power import Disk, Kind
from tests.torture.stage import Stage
from tests.torture.system import BY_FILE, BY_PATH, Call, Count, Go, System

STORE = Path(__file__).resolve().parents[2] / "queuectl" / "stores" / "local"
#: What the store may ask the system besides: it changes nothing, or goes through one of the calls that are seen.
HARMLESS = frozenset(
    {
        *("open", "close", "access", "geteuid", "getpid", "major", "minor", "strerror", "urandom"),
        *("fspath", "fsencode", "stat_result", "path", "statvfs"),
        *(
            "chown",
            "fchown",
        ),  # to the owner of the folder, by the superuser only; of no consequence for what is in the file
    }
)
#: How pathlib changes the disk: each by one of the calls that are seen.
BY_PATHLIB = frozenset({"mkdir", "chmod", "unlink", "replace", "rename"})
#: How it would change it unseen.
UNSEEN = frozenset(
    {"write_text", "write_bytes", "touch", "symlink_to", "hardlink_to", "link_to", "rmdir", "lchmod", "removedirs"}
)
#: Modules of which no part runs but for ``doctor --repair``: it makes a copy, and then changes what was copied.
FOR_REPAIR = frozenset({"backup", "repair"})


def calls() -> Iterator[tuple[str, ast.Attribute, str]]:
    """Yield (module, attribute, text of what it is of) for all attributes that the store's modules use."""
    for path in sorted(STORE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                yield path.stem, node, ast.unparse(node.value)


def test_the_store_has_no_other_way_to_the_disk() -> None:
    seen = {*BY_PATH, *BY_FILE, *HARMLESS}
    for module, node, owner in calls():
        where = f"{module}.py:{node.lineno}: {owner}.{node.attr}"
        if owner == "os" and not node.attr.isupper():
            assert node.attr in seen, where
        if owner == "shutil":
            assert node.attr == "disk_usage" or module in FOR_REPAIR, where
        assert node.attr not in UNSEEN or module in FOR_REPAIR, where


def test_pathlib_goes_through_these_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = Count()
    system = System(monkeypatch, tmp_path)
    with system.working("somebody", count):
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder").chmod(0o700)
        (tmp_path / "folder").rename(tmp_path / "other")
        (tmp_path / "other").replace(tmp_path / "third")
        (tmp_path / "third").exists()
        (tmp_path / "none").unlink(missing_ok=True)
        (tmp_path / "none").is_symlink()
    assert {call.name for call in count.calls} >= BY_PATHLIB | {"stat"}


def test_who_looks_on_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a behaviour nor who watches: else their calls would be failed as those of the process that is tried."""
    count = Count()
    system = System(monkeypatch, tmp_path)
    seen_by: list[str] = []

    def look(who: str) -> None:
        seen_by.append(who)
        place = tmp_path / who
        place.mkdir(exist_ok=True)
        (place / "note").write_text(who)
        os.fsync(fd := os.open(place / "note", os.O_RDWR))
        os.pread(fd, 1, 0)
        os.close(fd)
        assert os.listdir(place) == ["note"]
        assert os.lstat(place / "note").st_size == len(who)

    def behave(call: Call, go: Go) -> object:
        look("behaviour")
        return count(call, go)

    def watch(call: Call, go: Callable[[], object]) -> object:
        look("watch")
        return go()

    system.watch = watch
    with system.working("somebody", behave):
        os.close(os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR))
        os.stat(tmp_path / "file")
    assert [str(call) for call in count.calls] == ["open file", "stat file"]
    assert seen_by == 2 * ["behaviour", "watch"]


def test_the_model_of_the_disk_makes_no_call_that_is_counted(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower_limits(monkeypatch)
    stage = Stage(fast_path / "stage")
    system = System(monkeypatch, stage.root)
    with ExitStack() as alive:
        for start, operation in cases(starts(stage, system, alive)):
            _, alone = run_undisturbed(stage, system, start, operation)
            system.watch = Disk(stage, Kind.LOOSE, lambda call, moment: None, begin=start.saved).watch
            _, watched = run_undisturbed(stage, system, start, operation)
            system.forget_watch()
            assert [str(call) for call in watched] == [str(call) for call in alone], f"{operation.name} {start.name}"


def test_signals_in_the_middle_of_calls_do_no_harm(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EINTR is Python's business: what a signal interrupts is done again."""
    lower_limits(monkeypatch)
    stage = Stage(fast_path / "stage")
    system = System(monkeypatch, stage.root)
    arrived = 0

    def note(number: int, frame: object) -> None:
        nonlocal arrived
        arrived += 1

    before = signal.signal(signal.SIGUSR1, note)
    done = threading.Event()
    target = threading.main_thread().ident

    def send() -> None:
        while not done.wait(0.0003):
            assert target is not None
            signal.pthread_kill(target, signal.SIGUSR1)

    sender = threading.Thread(target=send)
    with ExitStack() as alive:
        begin = starts(stage, system, alive)
        sender.start()
        try:
            for start, operation in cases(begin):
                run_undisturbed(stage, system, start, operation)  # compares with a model
        finally:
            done.set()
            sender.join()
            signal.signal(signal.SIGUSR1, before)
    assert arrived > 100
