"""The settings: one table of what there is, what it may be and what it means."""

import difflib
import math
from typing import Any

import msgspec

from queuectl import times
from queuectl.errors import UsageError
from queuectl.lifecycle import RetryPolicy

_YEAR_S = 31_536_000


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting: its key, its range, and the other spellings it is known by."""

    key: str
    default: float | None
    minimum: float
    maximum: float
    help: str
    is_duration: bool = False
    is_whole: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """What values it takes, for people."""
        kind = "a whole number" if self.is_whole else "seconds" if self.is_duration else "a number"
        none = ' or "none"' if self.default is None else ""
        return f"{kind} from {times.format_number(self.minimum)} to {times.format_number(self.maximum)}{none}"

    def show(self, value: float | None) -> str:
        """Return *value* as ``config`` prints it."""
        return "none" if value is None else times.format_number(value)


SETTINGS = (
    Setting(
        key="max-retries",
        default=3,
        minimum=0,
        maximum=1_000_000,
        is_whole=True,
        help="failed attempts a job may have before it is dead",
    ),
    Setting(
        key="base",
        default=2,
        minimum=0,
        maximum=3600,
        help="base of the backoff: a job waits base ** attempts seconds",
        aliases=("base-delay", "backoff-base"),
    ),
    Setting(
        key="max-delay", default=3600, minimum=0, maximum=_YEAR_S, is_duration=True, help="longest wait of the backoff"
    ),
    Setting(key="jitter", default=0, minimum=0, maximum=1, help="share by which waits vary at random"),
    Setting(
        key="timeout", default=None, minimum=0.001, maximum=_YEAR_S, is_duration=True, help="longest run of an attempt"
    ),
    Setting(
        key="grace",
        default=10,
        minimum=0,
        maximum=86_400,
        is_duration=True,
        help="how long a running command may go on when its worker is stopped",
    ),
    Setting(
        key="kill-after",
        default=5,
        minimum=0,
        maximum=3600,
        is_duration=True,
        help="seconds between SIGTERM and SIGKILL",
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
    chosen: dict[str, float | None] = {}

    @property
    def retry_policy(self) -> RetryPolicy:
        """What a settling needs of them."""
        return RetryPolicy(base=self.base, max_delay_s=self.max_delay_s, jitter=self.jitter)


def find_setting(name: str) -> Setting:
    """Return the setting called *name* in any of its spellings; raise ``UsageError`` with the nearest."""
    key = name.strip().lower().replace("_", "-")
    if key in _BY_NAME:
        return _BY_NAME[key]
    near = difflib.get_close_matches(key, _BY_NAME, n=1)
    keys = ", ".join(setting.key for setting in SETTINGS)
    hint = f'did you mean "{_BY_NAME[near[0]].key}"?' if near else f"the settings are {keys}."
    msg = f'No setting "{name}": {hint}'
    raise UsageError(msg, name=name)


def parse_value(setting: Setting, text: str) -> float | None:
    """Read *text* as a value of *setting*; raise ``UsageError`` with what is allowed."""
    if setting.default is None and text.strip().lower() == "none":
        return None
    try:
        value = times.parse_duration_s(text) if setting.is_duration else float(text)
    except ValueError:
        value = math.nan
    return check_value(setting, value, shown=text)


def check_value(setting: Setting, value: Any, *, shown: object = None) -> float | None:
    """Return *value* in its right type; raise ``UsageError`` if *setting* cannot have it."""
    if value is None and setting.default is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # The comparison also refuses NaN.
    if not is_number or not setting.minimum <= value <= setting.maximum or (setting.is_whole and value != int(value)):
        msg = f'{setting.key} cannot be "{value if shown is None else shown}": it takes {setting.allowed}.'
        raise UsageError(msg, key=setting.key)
    return int(value) if value == int(value) else float(value)


def resolve(chosen: dict[str, float | None]) -> Settings:
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
        chosen=chosen,
    )
