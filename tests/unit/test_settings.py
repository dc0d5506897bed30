"""The settings: their names, their ranges, what is in force."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.errors import ExitCode, UsageError
from queuectl.settings import SETTINGS, NumberSetting, Setting, Value, check_value, find_setting, parse_value, resolve

DEFAULTS = {
    "max-retries": 3,
    "base": 2,
    "max-delay": 3600,
    "jitter": 0,
    "timeout": None,
    "grace": 10,
    "kill-after": 5,
    "notify": "all",
}
any_setting = st.sampled_from(SETTINGS)
any_number = st.sampled_from([setting for setting in SETTINGS if isinstance(setting, NumberSetting)])


def test_the_defaults_are_those_that_are_documented() -> None:
    assert {setting.key: setting.default for setting in SETTINGS} == DEFAULTS


def test_the_defaults_are_in_force_unless_others_are_chosen() -> None:
    settings = resolve({})
    assert (settings.max_retries, settings.base, settings.max_delay_s, settings.jitter) == (3, 2, 3600, 0)
    assert (settings.timeout_s, settings.grace_s, settings.kill_after_s) == (None, 10, 5)
    chosen = resolve({"base": 3, "timeout": 7.5, "max-retries": 0})
    assert (chosen.base, chosen.timeout_s, chosen.max_retries, chosen.grace_s) == (3, 7.5, 0, 10)
    assert chosen.chosen == {"base": 3, "timeout": 7.5, "max-retries": 0}
    assert (chosen.retry_policy.base, chosen.retry_policy.max_delay_s, chosen.retry_policy.jitter) == (3, 3600, 0)


@pytest.mark.parametrize(
    "name, key",
    [
        *((key, key) for key in DEFAULTS),
        ("max_retries", "max-retries"),
        ("base_delay", "base"),
        ("base-delay", "base"),
        ("backoff-base", "base"),
        ("backoff_base", "base"),
        ("MAX_DELAY", "max-delay"),
        (" kill_after ", "kill-after"),
    ],
)
def test_a_setting_is_found_by_any_of_its_spellings(name: str, key: str) -> None:
    assert find_setting(name).key == key


@pytest.mark.parametrize(
    "name, hint",
    [
        ("max-retry", 'did you mean "max-retries"?'),
        ("bas", 'did you mean "base"?'),
        ("backoffbase", 'did you mean "base"?'),
        ("time-out", 'did you mean "timeout"?'),
        ("colour", "max-retries, base, max-delay"),
        ("", "max-retries, base"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_setting(name)
    assert hint in str(caught.value)
    assert f'"{name}"' in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    "key, text, value",
    [
        ("max-retries", "5", 5),
        ("max-retries", "0", 0),
        ("max-retries", "5.0", 5),
        ("base", "1.5", 1.5),
        ("base", "3", 3),
        ("max-delay", "90", 90),
        ("max-delay", "1h30m", 5400),
        ("grace", "500ms", 0.5),
        ("timeout", "none", None),
        ("timeout", " None ", None),
        ("timeout", "0.5", 0.5),
        ("jitter", "1", 1),
        ("notify", "failures", "failures"),
        ("notify", " None ", "none"),
    ],
)
def test_a_value_is_read(key: str, text: str, value: Value) -> None:
    found = parse_value(find_setting(key), text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "key, text",
    [
        ("max-retries", "-1"),
        ("max-retries", "2.5"),
        ("max-retries", "many"),
        ("max-retries", "none"),
        ("max-retries", "1000001"),
        ("max-retries", "1e400"),
        ("base", "-0.1"),
        ("base", "nan"),
        ("base", "inf"),
        ("base", ""),
        ("jitter", "1.1"),
        ("timeout", "0"),
        ("timeout", "-5s"),
        ("timeout", "400d"),
        ("grace", "soon"),
        ("grace", "none"),
        ("kill-after", "2h"),
        ("notify", "some"),
        ("notify", ""),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(key: str, text: str) -> None:
    setting = find_setting(key)
    with pytest.raises(UsageError) as caught:
        parse_value(setting, text)
    assert str(caught.value) == f'{key} cannot be "{text}": it takes {setting.allowed}.'


@pytest.mark.parametrize("value", [True, False, "3", [3], {}, math.nan, math.inf, -math.inf, 10**400, -(10**400)])
def test_a_stored_value_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(UsageError):
        check_value(find_setting("base"), value)


@given(any_number, st.floats() | st.integers())
def test_a_value_is_kept_within_the_range_and_refused_outside(setting: NumberSetting, value: float) -> None:
    fits = setting.minimum <= value <= setting.maximum and not (setting.is_whole and value != int(value))
    try:
        assert check_value(setting, value) == value
        assert fits
    except UsageError:
        assert not fits


@given(any_setting, st.text(max_size=12))
def test_any_text_is_a_value_or_refused(setting: Setting, text: str) -> None:
    with suppress(UsageError):
        value = parse_value(setting, text)
        assert check_value(setting, value) == value


@pytest.mark.parametrize(
    "key, allowed",
    [
        ("max-retries", "a whole number from 0 to 1000000"),
        ("base", "a number from 0 to 3600"),
        ("notify", "all, failures or none"),
        ("timeout", 'seconds from 0.001 to 31536000 or "none"'),
    ],
)
def test_what_a_setting_takes_is_said_in_words(key: str, allowed: str) -> None:
    assert find_setting(key).allowed == allowed


@given(any_number, st.data())
def test_a_shown_value_is_read_again(setting: NumberSetting, data: st.DataObject) -> None:
    low, high = int(setting.minimum) + 1, int(setting.maximum)
    value = check_value(setting, data.draw(st.integers(min(low, high), high)))
    assert parse_value(setting, setting.show(value)) == value
