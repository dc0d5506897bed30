"""T10: the net itself. Each guard is taken out in turn, and a short form of the other tests must notice."""

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from queuectl.errors import QueueCtlError
from tests.torture.guards import GUARDS, Guard
from tests.torture.lives import lower_limits
from tests.torture.probes import PROBES
from tests.torture.stage import Stage
from tests.torture.system import System

Figures = Callable[[str, object], None]
SIZE = 40  # of a probe: enough for it to notice
ROOT = Path(__file__).resolve().parents[2]
#: What makes sure of something on the disk. Of each call of these there is a guard.
SYNCS = frozenset({"fsync", "fdatasync", "sync", "sync_folder", "sync_names", "_sync_journal"})
WHOLE = frozenset({"crash", "turns"})  # probes that are a part of T1, or the turns, as they are


@pytest.fixture
def stage(fast_path: Path) -> Stage:
    return Stage(fast_path / "stage")


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> System:
    lower_limits(monkeypatch)
    return System(monkeypatch, stage.root)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_no_guard_is_missing_unnoticed(
    stage: Stage, system: System, monkeypatch: pytest.MonkeyPatch, guard: Guard, figure: Figures
) -> None:
    guard.take_out(monkeypatch)
    with pytest.raises((AssertionError, QueueCtlError)) as noticed:
        PROBES[guard.probe](stage, system, guard.about, SIZE)
    figure("noticed by", f"{guard.probe} {guard.about}: {type(noticed.value).__name__} {noticed.value}"[:200])


@pytest.mark.parametrize(
    "probe, about", sorted({(guard.probe, guard.about) for guard in GUARDS if guard.probe not in WHOLE})
)
def test_nothing_is_noticed_while_all_guards_are_there(
    stage: Stage, system: System, volume: Callable[[int, int], int], probe: str, about: str
) -> None:
    PROBES[probe](stage, system, about, volume(1, SIZE))


def syncs() -> Iterator[tuple[str, str]]:
    """Yield (place, text) of all calls that sync something, as a guard names them."""
    for path in sorted(ROOT.glob("queuectl/**/*.py")):
        text = path.read_text(encoding="utf-8")
        module = ".".join(path.relative_to(ROOT / "queuectl").with_suffix("").parts)
        local = module.removeprefix("stores.local.")
        yield from _syncs(ast.parse(text), local if local != module else f".{module}", ":", text)


def _syncs(node: ast.AST, place: str, mark: str, text: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        place, mark = f"{place}{mark}{node.name}", "."
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        is_durable = all(keyword.arg != "is_durable" for keyword in node.keywords)
        if name.rpartition(".")[2] in SYNCS or (name == "disk.replace" and is_durable):
            yield place, ast.get_source_segment(text, node) or ""
    for child in ast.iter_child_nodes(node):
        yield from _syncs(child, place, mark, text)


def takes_out(guard: Guard, place: str, text: str) -> bool:
    """Tell whether *guard* takes out the call that is *text* in the function *place*, or a part of it."""
    return guard.place == place and (guard.old in text or guard.new.count(text) < guard.old.count(text))


def test_there_is_a_guard_for_each_sync() -> None:
    without = Counter(syncs())
    assert len(without) > 20
    for place, text in without:
        without[place, text] -= sum(takes_out(guard, place, text) for guard in GUARDS)
    assert [sync for sync, count in without.items() if count > 0] == []
