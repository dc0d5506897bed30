"""The settings: one table of what there is, what it may be and what it means."""

import math
from typing import Any

import msgspec

from queuectl import times
from queuectl.errors import UsageError
from queuectl.lifecycle import RetryPolicy

_YEAR_S = 31_536_000

#: What a setting may be: a number, one of a few words, or "none".
Value = float | str | None


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting: its key, what it may be, and the other spellings it is known by."""

    key: str
    default: Value
    help: str
    aliases: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """What values it takes, for people."""
        raise NotImplementedError

    @property
    def words(self) -> tuple[str, ...]:
        """The values that are words, as completion offers them."""
        return ("none",) if self.default is None else ()

    def show(self, value: Value) -> str:
        """Return *value* as ``config`` prints it."""
        return "none" if value is None else value if isinstance(value, str) else times.format_number(value)

    def read(self, text: str) -> Any:
        """Return what *text* stands for; whether it is allowed, ``accept`` tells."""
        raise NotImplementedError

    def accept(self, value: Any) -> Value:
        """Return *value* in its right type; raise ``ValueError`` if the setting cannot have it."""
        raise NotImplementedError


class NumberSetting(Setting, frozen=True, kw_only=True):
    """A setting that is a number within a range."""

    minimum: float
    maximum: float
    is_duration: bool = False
    is_whole: bool = False

    @property
    def allowed(self) -> str:
        """What values it takes, for people."""
        kind = "a whole number" if self.is_whole else "seconds" if self.is_duration else "a number"
        none = ' or "none"' if self.default is None else ""
        return f"{kind} from {times.format_number(self.minimum)} to {times.format_number(self.maximum)}{none}"

    def read(self, text: str) -> Any:
        """Return the number in *text*; NaN if there is none."""
        if self.default is None and text.strip().lower() == "none":
            return None
        try:
            return times.parse_duration_s(text) if self.is_duration else float(text)
        except ValueError:
            return math.nan

    def accept(self, value: Any) -> Value:
        """Return *value* in its right type; raise ``ValueError`` if it is no such number."""
        if value is None and self.default is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # The comparison also refuses NaN.
        if not is_number or not self.minimum <= value <= self.maximum or (self.is_whole and value != int(value)):
            raise ValueError(value)
        return int(value) if value == int(value) else float(value)


class ChoiceSetting(Setting, frozen=True, kw_only=True):
    """A setting that is one of a few words."""

    choices: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """What values it takes, for people."""
        return f"{', '.join(self.choices[:-1])} or {self.choices[-1]}"

    @property
    def words(self) -> tuple[str, ...]:
        """All of them."""
        return self.choices

    def read(self, text: str) -> Any:
        """Return the word."""
        return text.strip().lower()

    def accept(self, value: Any) -> Value:
        """Return *value*; raise ``ValueError`` if it is none of the words."""
        if not isinstance(value, str) or value not in self.choices:
            raise ValueError(value)
        return value


SETTINGS: tuple[Setting, ...] = (
    NumberSetting(
        key="max-retries",
        default=3,
        minimum=0,
        maximum=1_000_000,
        is_whole=True,
        help="failed attempts a job may have before it is dead",
    ),
    NumberSetting(
        key="base",
        default=2,
        minimum=0,
        maximum=3600,
        help="base of the backoff: a job waits base ** attempts seconds",
        aliases=("base-delay", "backoff-base"),
    ),
    NumberSetting(
        key="max-delay", default=3600, minimum=0, maximum=_YEAR_S, is_duration=True, help="longest wait of the backoff"
    ),
    NumberSetting(key="jitter", default=0, minimum=0, maximum=1, help="share by which waits vary at random"),
    NumberSetting(
        key="timeout", default=None, minimum=0.001, maximum=_YEAR_S, is_duration=True, help="longest run of an attempt"
    ),
    NumberSetting(
        key="grace",
        default=10,
        minimum=0,
        maximum=86_400,
        is_duration=True,
        help="how long a running command may go on when its worker is stopped",
    ),
    NumberSetting(
        key="kill-after",
        default=5,
        minimum=0,
        maximum=3600,
        is_duration=True,
        help="seconds between SIGTERM and SIGKILL",
    ),
    ChoiceSetting(
        key="notify",
        default="all",
        choices=("all", "failures", "none"),
        help="of which ended jobs the shell tells above its prompt",
    ),
)

_BY_NAME = {name: setting for setting in SETTINGS for name in (setting.key, *setting.aliases)}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in force, and which of them were *chosen* (key → value)."""

    max_retries: int
    base: float
    max_delay_s: float
    jitter: float
    timeout_s: float | None
    grace_s: float
    kill_after_s: float
    notify: str
    chosen: dict[str, Value] = {}

    @property
    def retry_policy(self) -> RetryPolicy:
        """What a settling needs of them."""
        return RetryPolicy(base=self.base, max_delay_s=self.max_delay_s, jitter=self.jitter)


def find_setting(name: str) -> Setting:
    """Return the setting called *name* in any of its spellings; raise ``UsageError`` with the nearest."""
    key = name.strip().lower().replace("_", "-")
    if key in _BY_NAME:
        return _BY_NAME[key]
    import difflib

    near = difflib.get_close_matches(key, _BY_NAME, n=1)
    keys = ", ".join(setting.key for setting in SETTINGS)
    hint = f'did you mean "{_BY_NAME[near[0]].key}"?' if near else f"the settings are {keys}."
    msg = f'No setting "{name}": {hint}'
    raise UsageError(msg, word=name)


def parse_value(setting: Setting, text: str) -> Value:
    """Read *text* as a value of *setting*; raise ``UsageError`` with what is allowed."""
    return check_value(setting, setting.read(text), shown=text)


def check_value(setting: Setting, value: Any, *, shown: object = None) -> Value:
    """Return *value* in its right type; raise ``UsageError`` if *setting* cannot have it."""
    try:
        return setting.accept(value)
    except ValueError:
        msg = f'{setting.key} cannot be "{value if shown is None else shown}": it takes {setting.allowed}.'
        raise UsageError(msg, key=setting.key) from None


def resolve(chosen: dict[str, Value]) -> Settings:
    """Return the settings in force when *chosen* (by key) override the defaults."""
    values: dict[str, Any] = {setting.key: setting.default for setting in SETTINGS} | chosen
    return Settings(
        max_retries=values["max-retries"],
        base=values["base"],
        max_delay_s=values["max-delay"],
        jitter=values["jitter"],
        timeout_s=values["timeout"],
        grace_s=values["grace"],
        kill_after_s=values["kill-after"],
        notify=values["notify"],
        chosen=chosen,
    )
