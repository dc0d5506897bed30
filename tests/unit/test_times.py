"""Points in time and durations, as texts."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl import times

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1000, 1, 3), datetime(9999, 12, 29), timezones=zones)  # noqa: DTZ001 - of any zone


@pytest.mark.parametrize(
    "moment, text",
    [
        (datetime(2025, 3, 1, 12, 0, tzinfo=UTC), "2025-03-01T12:00:00.000Z"),
        (datetime(2025, 3, 1, 12, 0, 0, 999_999, tzinfo=UTC), "2025-03-01T12:00:00.999Z"),
        (datetime(2025, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=2))), "2025-02-28T22:30:00.000Z"),
        (datetime(1970, 1, 1, tzinfo=UTC), times.EPOCH_TEXT),
        (datetime.max.replace(tzinfo=UTC), "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_moment_is_written_as_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert times.to_text(moment) == text


@given(moments)
def test_a_written_moment_is_read_again_to_the_millisecond(moment: datetime) -> None:
    again = times.from_text(times.to_text(moment))
    assert timedelta(0) <= moment - again < timedelta(milliseconds=1)
    assert times.to_text(again) == times.to_text(moment)
    assert again.tzinfo is UTC


@given(moments, moments)
def test_written_moments_sort_like_the_moments(one: datetime, other: datetime) -> None:
    if one <= other:
        assert times.to_text(one) <= times.to_text(other)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("2025-03-01T12:00:00Z", datetime(2025, 3, 1, 12, tzinfo=UTC)),
        ("2025-03-01T14:00:00.5+02:00", datetime(2025, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2025-03-01 12:00:00.123456-00:00", datetime(2025, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_a_moment_of_any_zone_is_read(text: str, expected: datetime) -> None:
    assert times.from_text(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2025-03-01", "2025-03-01T12:00:00", "2025-13-01T00:00:00Z", "12:00Z", "0001-01-01T00:00:00+14:00"],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        times.from_text(text)


@given(st.floats(0, 4e9))
def test_a_moment_from_a_number_counts_from_1970(seconds: float) -> None:
    assert abs((times.from_epoch(seconds) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() - seconds) < 1e-3


@given(moments, st.floats(0, 1e18))
def test_later_is_later_and_ends_with_the_calendar(moment: datetime, seconds: float) -> None:
    later = times.later(moment.astimezone(UTC), seconds)
    assert later >= moment
    times.from_text(times.to_text(later))


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        ("30s", 30),
        (" 30s ", 30),
        ("500ms", 0.5),
        ("2m", 120),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1h 30m 5s", 5405),
        ("1D", 86_400),
        ("1d2h3m4s5ms", 93_784.005),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert times.parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", "-5", "-5s", "5x", "1h-30m", "five", "1e3", "nan", "inf", "1,5s", "0x10", "5 s s", "1..5s", "5s!"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration"):
        times.parse_duration_s(text)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", ["1" * 100_000 + "x", "1s" * 50_000, "1 " * 50_000, "s" * 100_000])
def test_a_long_text_is_judged_at_once(text: str) -> None:
    with suppress(ValueError):
        times.parse_duration_s(text)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        seconds = times.parse_duration_s(text)
    except ValueError:
        return
    assert seconds >= 0


@pytest.mark.parametrize("value, text", [(30, "30"), (30.0, "30"), (0.5, "0.5"), (0, "0"), (1e6, "1000000")])
def test_a_number_is_written_without_a_needless_fraction(value: float, text: str) -> None:
    assert times.format_number(value) == text


@given(st.integers(0, 31_536_000) | st.integers(1, 99_999).map(lambda number: number / 1000))
def test_a_written_number_is_read_again(value: float) -> None:
    assert float(times.format_number(value)) == pytest.approx(value)


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0s"),
        (0.3, "0.3s"),
        (9.96, "10.0s"),
        (42, "42s"),
        (42.9, "42s"),
        (125, "2m 5s"),
        (120, "2m"),
        (11_400, "3h 10m"),
        (187_200, "2d 4h"),
        (86_400, "1d"),
    ],
)
def test_a_duration_is_written_for_people(seconds: float, text: str) -> None:
    assert times.format_duration(seconds) == text
