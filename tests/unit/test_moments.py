"""Points in time as people write them, in time zones whose clocks are set forward and back."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from queuectl.moments import MAX_WAIT_S, parse

NOW = datetime(2026, 11, 25, 13, 30, tzinfo=UTC)  # a Wednesday; 14:30 in Berlin, 08:30 in New York

Zone = Callable[[str], None]


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    """Return what lets this process be in a time zone; until then it is in Berlin's."""

    def enter(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    enter("Europe/Berlin")
    yield enter
    monkeypatch.undo()
    time.tzset()


def meant(text: str, now: datetime = NOW) -> str:
    moment = parse(text, now)
    assert moment.tzinfo is UTC
    return moment.isoformat(timespec="seconds").removesuffix("+00:00")


@pytest.mark.parametrize(
    "text,moment",
    [
        ("9", "2026-11-25T13:30:09"),  # seconds, as everywhere
        ("90", "2026-11-25T13:31:30"),
        ("10m", "2026-11-25T13:40:00"),
        (" 1h 30m ", "2026-11-25T15:00:00"),
        ("in 2d", "2026-11-27T13:30:00"),
        ("in 90", "2026-11-25T13:31:30"),
        ("0", "2026-11-25T13:30:00"),
        ("18:00", "2026-11-25T17:00:00"),
        ("at 18:00", "2026-11-25T17:00:00"),
        ("9am", "2026-11-26T08:00:00"),
        ("9 AM", "2026-11-26T08:00:00"),
        ("14:30", "2026-11-26T13:30:00"),
        ("14:30:01", "2026-11-25T13:30:01"),
        ("9:15pm", "2026-11-25T20:15:00"),
        ("12am", "2026-11-25T23:00:00"),
        ("12pm", "2026-11-26T11:00:00"),
        ("noon", "2026-11-26T11:00:00"),
        ("midnight", "2026-11-25T23:00:00"),
        ("today 8:00", "2026-11-25T07:00:00"),
        ("tomorrow", "2026-11-25T23:00:00"),
        ("tomorrow 9am", "2026-11-26T08:00:00"),
        ("9am tomorrow", "2026-11-26T08:00:00"),
        ("Tomorrow at 09:00", "2026-11-26T08:00:00"),
        ("fri 18:00", "2026-11-27T17:00:00"),
        ("on Friday, 6pm", "2026-11-27T17:00:00"),
        ("friday", "2026-11-26T23:00:00"),
        ("wed 15:00", "2026-11-25T14:00:00"),
        ("wed 14:00", "2026-12-02T13:00:00"),
        ("wednesday", "2026-12-01T23:00:00"),
        ("tues noon", "2026-12-01T11:00:00"),
        ("2026-12-24", "2026-12-23T23:00:00"),
        ("2026-12-24 18:30", "2026-12-24T17:30:00"),
        ("2026-12-24 6:30pm", "2026-12-24T17:30:00"),
        ("2026-12-24T18:30:15", "2026-12-24T17:30:15"),
        ("2026-12-24T18:30:15Z", "2026-12-24T18:30:15"),
        ("2026-12-24t18:30:15.5z", "2026-12-24T18:30:15"),
        ("2026-12-24T18:30:15+05:30", "2026-12-24T13:00:15"),
        ("2001-01-01", "2000-12-31T23:00:00"),
    ],
)
def test_a_time_is_understood(text: str, moment: str) -> None:
    assert meant(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        *("", "in", "at", "soon", "yesterday", "fri 18", "25:00", "18:60", "13pm", "0am", "18:00pm", "10x", "-5m"),
        *(
            "today",
            "fri sat",
            "tomorrow tomorrow",
            "tomorrow 9am 10am",
            "9am 10m",
            "in tomorrow",
            "in 18:00",
            "f 18:00",
        ),
        *(
            "2026-02-30",
            "2026-13-01",
            "2026-12-24 25:00",
            "2026-12-24T",
            "26-12-24",
            "f 18:00",
            "24.12.2026",
            "12/24/2026",
        ),
        *("9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00", "٣m", "²", "1e3", "nan", "inf", "1764000000"),
        *(f"{MAX_WAIT_S + 1}", "99999999999999999999d", "tomorrow 99999am"),
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        parse(text, NOW)


def test_the_longest_wait_is_possible() -> None:
    assert meant(str(MAX_WAIT_S)) == "2036-11-25T01:30:00"


def test_a_time_of_day_is_that_of_this_machine(zone: Zone) -> None:
    zone("America/New_York")
    assert meant("9am") == "2026-11-25T14:00:00"
    assert meant("tomorrow") == "2026-11-26T05:00:00"
    assert meant("2026-07-01 12:00") == "2026-07-01T16:00:00"
    zone("Asia/Kolkata")
    assert meant("18:00") == "2026-11-26T12:30:00"


def test_the_night_that_is_an_hour_shorter() -> None:
    """In Berlin 2027-03-28 goes from 01:59 to 03:00."""
    evening = datetime(2027, 3, 27, 20, 0, tzinfo=UTC)
    assert meant("tomorrow 1:30", evening) == "2027-03-28T00:30:00"
    assert meant("tomorrow 2:30", evening) == "2027-03-28T01:30:00"  # 03:30: there is no 02:30
    assert meant("tomorrow 3:30", evening) == "2027-03-28T01:30:00"
    assert meant("tomorrow 9am", evening) == "2027-03-28T07:00:00"
    assert meant("12h", evening) == "2027-03-28T08:00:00"


def test_the_night_that_is_an_hour_longer() -> None:
    """In Berlin 2027-10-31 has the hour from 02:00 twice."""
    evening = datetime(2027, 10, 30, 20, 0, tzinfo=UTC)
    assert meant("tomorrow 2:30", evening) == "2027-10-31T00:30:00"  # the first of the two
    assert meant("tomorrow 3:30", evening) == "2027-10-31T02:30:00"
    between = datetime(2027, 10, 31, 0, 45, tzinfo=UTC)  # 02:45, for the first time
    assert meant("2:30", between) == "2027-11-01T01:30:00"
    assert meant("2:50", between) == "2027-10-31T00:50:00"
