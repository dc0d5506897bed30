"""The commands about settings."""

import click

from queuectl.commands import advice
from queuectl.commands.context import Context
from queuectl.commands.declare import Group, reads
from queuectl.commands.results import Result, SettingChanged, SettingRow, SettingTable, SettingValue
from queuectl.completion import setting_keys, setting_values
from queuectl.settings import SETTINGS, Setting, find_setting, parse_value


@click.group("config", cls=Group, examples=("config list", "config set max-retries 5", "config unset base"))
def config() -> None:
    """Read or change the settings."""


@config.command(
    "set",
    examples=("config set max-retries 5", "config set timeout 1h30m", "config set timeout none"),
    # A value may be a negative number, which is then refused as a value and not as an option.
    context_settings={"help_option_names": ["-h", "--help"], "ignore_unknown_options": True},
)
@click.argument("key", shell_complete=setting_keys)
@click.argument("value", shell_complete=setting_values)
@click.pass_obj
def set_value(context: Context, key: str, value: str) -> Result:
    """Choose a value for a setting; "config list" shows what there is.

    Jobs keep the max-retries they were enqueued with.
    """
    setting = find_setting(key)
    chosen = parse_value(setting, value)
    context.store.set_setting(setting.key, chosen)
    if setting.key == "max-retries":
        context.advise(lambda: advice.after_max_retries(context))
    return SettingChanged(SettingRow(setting, chosen, is_chosen=True))


@config.command("get", examples=("config get max-retries", "config get --json"))
@click.argument("key", required=False, shell_complete=setting_keys)
@reads
@click.pass_obj
def get(context: Context, key: str | None) -> Result:
    """Print the value of a setting, or list all of them."""
    return _table(context) if key is None else SettingValue(_row(context, find_setting(key)))


@config.command("list", examples=("config list", "config list --json"))
@reads
@click.pass_obj
def list_settings(context: Context) -> Result:
    """List the settings: value, default, and whether the value was set."""
    return _table(context)


config.add_command(list_settings, "show")


@config.command("unset", examples=("config unset max-retries",))
@click.argument("key", shell_complete=setting_keys)
@click.pass_obj
def unset(context: Context, key: str) -> Result:
    """Return to the default of a setting."""
    setting = find_setting(key)
    context.store.unset_setting(setting.key)
    return SettingChanged(SettingRow(setting, setting.default, is_chosen=False))


def _table(context: Context) -> SettingTable:
    return SettingTable([_row(context, setting) for setting in SETTINGS])


def _row(context: Context, setting: Setting) -> SettingRow:
    chosen = context.store.settings().chosen
    is_chosen = setting.key in chosen
    return SettingRow(setting, chosen[setting.key] if is_chosen else setting.default, is_chosen)
