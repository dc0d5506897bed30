"""What is made when it is first used is then as if it had always been there."""

import pytest

from queuectl.later import later, pattern


def test_nothing_is_made_before_it_is_used() -> None:
    made: list[str] = []

    def make() -> list[str]:
        made.append("one")
        return made

    value = later(make)
    assert made == []
    assert value.count("one") == 1
    assert value.index("one") == 0
    assert value.count("one") == 1, "made once"


def test_a_pattern_is_the_compiled_one() -> None:
    words = pattern(r"(\w+) ")
    assert words.pattern == r"(\w+) "
    assert words.findall("a b c") == ["a", "b"]
    assert pattern(rb"b").search(b"abc")


def test_what_it_does_not_have_is_an_error() -> None:
    with pytest.raises(AttributeError):
        pattern("a").nothing  # type: ignore[attr-defined]  # noqa: B018
