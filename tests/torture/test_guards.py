"""T10: the net itself. Each guard is taken out in turn, and a short form of the other tests must notice."""

from collections.abc import Callable
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
