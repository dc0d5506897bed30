"""``config.json`` and ``worker_pids.json``: small files that are replaced whole."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from queuectl.errors import StoreDamaged, StoreError, UsageError
from queuectl.settings import Settings, Value, check_value, find_setting, resolve
from queuectl.stores.local import disk

_Stamp = tuple[int, int, int] | None


class ConfigFile:
    """The settings that were chosen; read again only when the file has changed."""

    def __init__(self, folder: Path) -> None:
        """Look after the settings of *folder*."""
        self._path = folder / "config.json"
        self._name = str(self._path)
        self._stamp: _Stamp = (0, 0, 0)
        self._settings: Settings | None = None
        self.is_tolerant = False  #: whether the last good settings hold while the file cannot be read

    def settings(self) -> Settings:
        """Return the settings in force. Raises ``StoreDamaged``, the file left alone."""
        stamp = _stamp(self._name)
        if self._settings is None or stamp != self._stamp:
            try:
                self._settings = resolve(self._read() if stamp else {})
            except (StoreError, OSError) as error:
                if self._settings is None or not self.is_tolerant:
                    raise
                import logging  # costs more than all of this module, and only workers come here

                logging.getLogger("queuectl").error("%s The settings from before hold.", error)
            self._stamp = stamp
        return self._settings

    def change(self, key: str, value: Value, *, is_set: bool) -> None:
        """Set or unset one setting, durable on return; to be called under the lock."""
        chosen = dict(self._read() if _stamp(self._name) else {})
        chosen.pop(key, None)
        if is_set:
            chosen[key] = value
        text = msgspec.json.format(msgspec.json.encode(chosen), indent=2)
        disk.replace(self._path, [text + b"\n"])

    def _read(self) -> dict[str, Value]:
        try:
            content, _ = disk.read_file(self._path)
        except OSError as error:
            raise disk.refusal(self._path, error) from error
        try:
            return read_settings(content)
        except UsageError as error:
            msg = f"{self._path} cannot be read as settings: {error} Nothing was changed: mend that file."
            raise StoreDamaged(msg, path=str(self._path)) from error


def read_settings(content: bytes) -> dict[str, Value]:
    """Return the settings that *content*, a whole file, chooses; raise ``UsageError`` for what it may not say."""
    if not content.strip():
        return {}
    pairs = read_pairs(content)
    values: dict[str, Value] = {}
    for name, value in pairs:
        setting = find_setting(name)
        if setting.key in values and values[setting.key] != value:
            msg = f'It says two things of {setting.key}: take one of them out ("{name}" is the second).'
            raise UsageError(msg)
        values[setting.key] = check_value(setting, value)
    return values


def read_pairs(content: bytes) -> list[tuple[str, Any]]:
    """Return what *content* says, in its order; raise ``UsageError`` with the place if it is not an object."""
    from queuectl.stores.local import foreign  # here: hardly any queue has settings of its own

    try:
        found = foreign.read_json(content, _Pairs)
    except foreign.Unreadable as error:
        msg = f"{error}."
        raise UsageError(msg) from error
    if not isinstance(found, _Pairs):
        msg = "it should be an object of settings."
        raise UsageError(msg)
    return list(found)


class _Pairs(list[tuple[str, Any]]):
    """The pairs of one object."""


def write_pids(folder: Path, pids: Iterable[int]) -> None:
    """Say in ``worker_pids.json`` who works; to be called under the lock."""
    disk.replace(folder / "worker_pids.json", [msgspec.json.encode(sorted(pids)) + b"\n"], is_durable=False)


def _stamp(name: str) -> _Stamp:
    try:
        status = os.lstat(name)  # for every job: a Path costs more than the call
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
