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
        PROBES[guard.probe](stage, system, guard.about, 40)
    figure("noticed by", f"{guard.probe} {guard.about}: {type(noticed.value).__name__} {noticed.value}"[:200])


@pytest.mark.parametrize("about", sorted({guard.about for guard in GUARDS if guard.probe == "damage"}))
def test_damage_is_never_believed(stage: Stage, system: System, about: str) -> None:
    PROBES["damage"](stage, system, about, 1)


@pytest.mark.parametrize("about", sorted({guard.about for guard in GUARDS if guard.probe == "tail"}))
def test_an_end_that_is_not_synced_does_no_harm(stage: Stage, system: System, about: str, is_long: bool) -> None:
    PROBES["tail"](stage, system, about, 400 if is_long else 20)
