"""What a terminal can show: how wide text is, where it is cut, and who gets colours."""

import io

import pytest

from queuectl.screen import Screen, cut, detect, pad, width

TECHNICIAN = "👩‍💻"


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and cannot say how large."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "text, columns",
    [("", 0), ("abc", 3), ("grüße", 5), ("日本", 4), ("e\u0301", 1), (TECHNICIAN, 2), ("｡", 1), ("🎉", 2)],
)
def test_width_is_that_of_a_terminal(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    "text, columns, shown",
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("abcd", 1, "…"),
        ("abcd", 0, ""),
        ("", 0, ""),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),  # the second sign would need the column of the ellipsis
        ("a日本", 4, "a日…"),
        ("cafe\u0301 noir", 6, "cafe\u0301 …"),
        (TECHNICIAN * 3, 5, TECHNICIAN * 2 + "…"),
        (TECHNICIAN * 3, 6, TECHNICIAN * 3),
        ("x" * 1_000_000, 4, "xxx…"),
    ],
)
def test_text_is_cut_between_signs(text: str, columns: int, shown: str) -> None:
    assert cut(text, columns) == shown
    assert width(cut(text, columns)) <= columns


def test_padding_counts_columns() -> None:
    assert pad("日本", 6) == "日本  "
    assert pad("long", 2) == "long"


@pytest.mark.parametrize(
    "environment, has_colour",
    [
        ({}, True),
        ({"NO_COLOR": ""}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_terminal_has_colours_unless_they_are_not_wanted(environment: dict[str, str], has_colour: bool) -> None:
    screen = detect(Terminal(), {"TERM": "xterm"} | environment, is_script=False)
    assert screen == Screen(80, 24, has_colour)
    assert (screen.paint("x", "1") == "x") != has_colour


@pytest.mark.parametrize("term", [{"TERM": "dumb"}, {"TERM": ""}, {}])
def test_terminal_that_can_do_little_gets_plain_lines(term: dict[str, str]) -> None:
    assert detect(Terminal(), term, is_script=False) is None


@pytest.mark.parametrize(
    "environment, is_script, has_colour",
    [
        ({}, False, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"CLICOLOR_FORCE": "1"}, False, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"FORCE_COLOR": ""}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_pipe_is_left_alone_unless_colours_are_asked_for(
    environment: dict[str, str], is_script: bool, has_colour: bool
) -> None:
    screen = detect(io.StringIO(), {"TERM": "xterm"} | environment, is_script=is_script)
    assert screen == (Screen(None, 0, has_colour=True) if has_colour else None)
