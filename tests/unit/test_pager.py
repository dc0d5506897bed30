"""When an answer is shown in pages, and by what."""

import pytest

from queuectl import pager
from queuectl.screen import Screen

SCREEN = Screen(10, 5, has_colour=False)


@pytest.mark.parametrize(
    "lines, is_long",
    [
        (["x"] * 4, False),
        (["x"] * 5, True),
        (["x" * 11, "x", "x"], False),
        (["x" * 21, "x", "x"], True),
        (["日" * 6, "", "x"], False),
        (["\x1b[1;31m" + "x" * 10 + "\x1b[0m"] * 4, False),
        ([], False),
    ],
)
def test_pages_are_needed_when_lines_do_not_fit_above_a_prompt(lines: list[str], is_long: bool) -> None:
    answer, again = pager.is_needed(iter(lines), SCREEN)
    assert (answer, list(again)) == (is_long, lines)


def test_nothing_is_too_long_for_a_pipe() -> None:
    assert not pager.is_needed(iter(["x"] * 1000), Screen(None, 0, has_colour=True))[0]


@pytest.mark.parametrize("choice", ["", " ", "cat"])
def test_pager_can_be_declined(choice: str) -> None:
    assert pager.program({"PAGER": choice}) is None


def test_pager_is_the_chosen_one_or_less(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pager.program({"PAGER": "more -s"}) == ["/bin/sh", "-c", "more -s"]
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert (pager.program({}) or [])[:2] == ["less", "-FRX"]
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert pager.program({}) is None


def test_pager_that_leaves_early_has_shown_them() -> None:
    assert pager.show(iter(["x" * 1000] * 10_000), ["/bin/sh", "-c", "exit 0"]) is None


@pytest.mark.parametrize("command", [["/bin/sh", "-c", "exit 127"], ["/nonexistent/pager"]])
@pytest.mark.parametrize("count", [1, 100_000])
def test_pager_that_is_not_there_leaves_all_lines(command: list[str], count: int) -> None:
    """They may come from what can be read only once."""
    lines = [f"line {number}" for number in range(count)]
    assert list(pager.show(iter(lines), command) or ()) == lines
