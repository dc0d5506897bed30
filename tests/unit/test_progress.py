"""How far a command is: what the line says, when it comes, and that it is gone in the end."""

import io
import sys

import pytest

from queuectl.commands import output
from queuectl.commands import progress as progress_module
from queuectl.commands.progress import Progress, describe
from queuectl.screen import Screen
from tests import samples

SPECS = samples.specs(*(f"j{number}" for number in range(2000)))


@pytest.mark.parametrize(
    "done, total, rate, text",
    [
        (0, 10, 0.0, "0/10 jobs ended"),
        (12, 100, 3.4, "12/100 jobs ended, 3.4/s, 26s left"),
        (500, 100_000, 812.3, "500/100000 jobs ended, 812/s, 2m 2s left"),
        (1, 3, 0.1, "1/3 jobs ended, 6.0/min, 20s left"),
        (9, 10, 100.0, "9/10 jobs ended, 100/s, 1s left"),
        (10, 10, 2.0, "10/10 jobs ended, 2.0/s"),
    ],
)
def test_line_says_rate_and_time_left(done: int, total: int, rate: float, text: str) -> None:
    assert describe(done, total, "jobs ended", rate) == text


class Clock:
    """Time that passes by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    return clock


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is drawn on a terminal of 40 columns."""
    lines: list[str] = []
    monkeypatch.setattr(output, "progress_screen", lambda: Screen(40, 24, has_colour=True))
    monkeypatch.setattr(output, "draw_progress", lines.append)
    return lines


def test_what_is_quick_shows_nothing(clock: Clock, drawn: list[str]) -> None:
    with Progress("jobs added") as progress:
        clock.now += 0.4
        assert not progress.is_due()
        assert list(progress.count_through(SPECS)) == SPECS
    assert drawn == []


def test_what_takes_longer_is_followed_and_wiped(clock: Clock, drawn: list[str]) -> None:
    with Progress("jobs added") as progress:
        followed = progress.count_through(SPECS)
        assert (len(followed), followed[1], followed[:2]) == (2000, SPECS[1], SPECS[:2])
        for number, spec in enumerate(followed):
            assert spec is SPECS[number]
            clock.now += 0.0011
    assert [line.split()[0] for line in drawn[:-1]] == ["500/2000", "1000/2000", "1500/2000"]
    assert drawn[2] == "1500/2000 jobs added, 909/s, 1s left"
    assert drawn[-1] == ""


def test_line_is_never_longer_than_the_terminal(clock: Clock, drawn: list[str]) -> None:
    progress = Progress("jobs with a very long name that have ended")
    progress.show(1, 2)
    assert len(drawn[0]) == 39


def test_same_line_is_not_drawn_twice_and_comes_back_after_a_notice(clock: Clock, drawn: list[str]) -> None:
    progress = Progress("jobs ended")
    progress.show(0, 2)
    progress.show(0, 2)
    progress.clear()
    progress.clear()
    progress.show(0, 2)
    assert drawn == ["0/2 jobs ended", "", "0/2 jobs ended"]


def test_finding_out_never_takes_much_of_the_time(clock: Clock, drawn: list[str]) -> None:
    progress = Progress("jobs ended")
    clock.now += 1
    assert progress.is_due()
    progress.show(0, 2, took_s=3.0)
    clock.now += 29
    assert not progress.is_due()
    clock.now += 2
    assert progress.is_due()


def test_nobody_is_told_where_standard_error_is_no_terminal(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Progress("jobs added") as progress:
        clock.now += 10
        assert not progress.is_due()
        assert progress.count_through(SPECS) is SPECS
        progress.show(1, 2)
