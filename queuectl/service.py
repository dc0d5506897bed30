"""Workers that systemd keeps: the user unit that runs them, and what to ask systemd for.

It writes, finds and removes units; it starts no worker itself.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from queuectl.errors import Conflict, QueueCtlError, UsageError

#: The first line of each unit that is ours; the folder of the queue and the number of workers follow in JSON.
_MARK = "# Written by QueueCTL for: "
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
SHORTEST_STOP_S = 90.0  #: systemd's own; a longer grace makes it longer

_UNIT = """\
{mark}{facts}
# "queuectl service install" writes it anew, "queuectl service remove" removes it.
[Unit]
Description=QueueCTL workers on {folder}

[Service]
Type=exec
Environment={path}
ExecStart={command}
Restart=on-failure
RestartSec=5
# The pool tells its workers, once, and waits for them.
KillMode=mixed
TimeoutStopSec={stop_s}

[Install]
WantedBy=default.target
"""


class Unit(msgspec.Struct, frozen=True):
    """A unit that is installed."""

    name: str
    file: Path
    folder: Path
    count: int


def unit_text(folder: Path, count: int, *, program: Sequence[str], search_path: str, stop_s: float) -> str:
    """Return a unit that keeps *count* workers on the queue in *folder*.

    *program* is what a command line begins with, *search_path* where its jobs
    find theirs. *stop_s* is how long workers may take to stop.
    """
    words = [*program, "--data", str(folder), "worker", "start", "--foreground", "--count", str(count)]
    # The colon keeps systemd from replacing variables, as a "$" in a path would be.
    command = " ".join(map(_quoted, (":" + words[0], *words[1:])))
    return _UNIT.format(
        mark=_MARK,
        facts=json.dumps({"folder": str(folder), "count": count}),
        folder=json.dumps(str(folder), ensure_ascii=False)[1:-1].replace("%", "%%"),
        path=_quoted(f"PATH={search_path}"),
        command=command,
        stop_s=round(max(SHORTEST_STOP_S, stop_s)),
    )


def _quoted(word: str) -> str:
    """Return *word* as systemd reads it back from a unit."""
    for sign, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("%", "%%")):
        word = word.replace(sign, written)
    return f'"{word}"'


def unit_folder() -> Path:
    """Return where systemd looks for units of this user."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def unit_file(name: str | None) -> Path:
    """Return the file of the unit *name*; raise ``UsageError`` for one that cannot be a unit's."""
    if name is not None and not _NAME.fullmatch(name):
        msg = f'"{name}" cannot name a service: use letters, digits, "_", "." and "-".'
        raise UsageError(msg)
    return unit_folder() / ("queuectl.service" if name is None else f"queuectl-{name}.service")


def read_unit(file: Path) -> Unit | None:
    """Return the unit in *file*, None if there is none; raise ``Conflict`` if somebody else has written it."""
    try:
        first = file.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except FileNotFoundError:
        return None
    try:
        facts = json.loads(first.removeprefix(_MARK))
        return Unit(file.name, file, Path(facts["folder"]), int(facts["count"]))
    except (ValueError, TypeError, KeyError):
        msg = f'"{file}" was not written by "service install", and is left as it is: choose another --name.'
        raise Conflict(msg) from None


def read_units() -> list[Unit]:
    """Return the units that are installed, in the order of their names."""
    units = []
    for file in sorted(unit_folder().glob("queuectl*.service")):
        try:
            unit = read_unit(file)
        except Conflict:
            continue
        if unit is not None:
            units.append(unit)
    return units


def write_unit(file: Path, text: str) -> bool:
    """Write *text* to *file*, as a whole or not at all; return whether that changes it."""
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)
    return True


def has_systemd() -> bool:
    """Whether there is a systemd to ask."""
    return shutil.which("systemctl") is not None


def ask_systemd(*words: str) -> str:
    """Have this user's systemd do something; return what it says, or raise ``QueueCtlError`` with its reason."""
    done = _systemctl(words)
    if done.returncode:
        msg = f'"systemctl --user {" ".join(words)}" failed: {done.stderr.strip() or f"exit code {done.returncode}"}'
        raise QueueCtlError(msg)
    return done.stdout.strip()


def activity(name: str) -> str:
    """Return whether the unit *name* is active, in systemd's words; unknown where it cannot be asked."""
    if not has_systemd():
        return "unknown"
    return _systemctl(("is-active", name)).stdout.strip() or "unknown"


def is_lingering() -> bool:
    """Whether this user's services run from the start of the machine, and not from the first login."""
    import getpass

    try:
        return Path("/var/lib/systemd/linger", getpass.getuser()).exists()
    except (OSError, KeyError):
        return False


def _systemctl(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["systemctl", "--user", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
