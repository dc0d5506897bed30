"""The service: the unit that is written, and what systemd is asked for. Here a systemd that only takes notes."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from queuectl.service import unit_text
from tests.acceptance.conftest import QueueCtl, Result

_SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$HOME/asked"
if test -e "$HOME/refuses"; then echo "Failed to connect to bus" >&2; exit 1; fi
case $2 in is-active) echo active;; esac
"""


@dataclass(frozen=True)
class User:
    """A person with a home and a systemd of their own."""

    queuectl: QueueCtl
    home: Path
    search_path: str

    @property
    def units(self) -> Path:
        return self.home / ".config" / "systemd" / "user"

    @property
    def unit(self) -> Path:
        return self.units / "queuectl.service"

    def asked(self) -> list[str]:
        """Return what systemd was asked for since the last look."""
        notes = self.home / "asked"
        words = notes.read_text().splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return [line.removeprefix("--user ") for line in words]

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> Result:
        mine = {"HOME": str(self.home), "XDG_CONFIG_HOME": "", "PATH": self.search_path}
        return self.queuectl.run(b"", *args, env=mine | dict(env or {}))

    def with_data(self, data: Path) -> "User":
        return replace(self, queuectl=replace(self.queuectl, data=data))


@pytest.fixture
def user(queuectl: QueueCtl, tmp_path: Path) -> User:
    programs = tmp_path / "systemd programs"
    programs.mkdir()
    (programs / "systemctl").write_text(_SYSTEMCTL)
    (programs / "systemctl").chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    return User(queuectl, home, f"{programs}:{queuectl.environment['PATH']}")


def command_of(unit: Path) -> list[str]:
    """Return the words that systemd would run; its quoting is, for these, that of a shell."""
    line = next(line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    return shlex.split(line.removeprefix("ExecStart="))


def test_install_writes_the_unit_and_starts_it(user: User) -> None:
    result = user.run("service", "install", "--count", "3")

    assert (result.code, result.out) == (0, f"queuectl.service keeps 3 worker(s): {user.unit}\n")
    assert user.asked() == ["daemon-reload", "enable --now queuectl.service"]
    text = user.unit.read_text()
    assert f'Environment="PATH={user.search_path}"' in text
    assert "KillMode=mixed\n" in text
    assert "WantedBy=default.target\n" in text
    words = command_of(user.unit)
    assert words[-7:] == ["--data", str(user.queuectl.data), "worker", "start", "--foreground", "--count", "3"]
    assert Path(words[0].removeprefix(":")).is_absolute()
    assert Path(words[1]).is_absolute()


def test_lingering_is_hinted_at(user: User) -> None:
    assert "loginctl enable-linger" in user.run("service", "install").err


def test_install_again_changes_nothing(user: User) -> None:
    user.run("service", "install")
    before = user.unit.stat()
    user.asked()

    assert user.run("service", "install").code == 0

    after = user.unit.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert user.asked() == ["daemon-reload", "enable --now queuectl.service"]


def test_another_count_starts_it_anew(user: User) -> None:
    user.run("service", "install")
    user.asked()
    user.run("service", "install", "--count", "2")
    assert user.asked() == ["daemon-reload", "enable --now queuectl.service", "restart queuectl.service"]
    assert command_of(user.unit)[-1] == "2"


def test_a_long_grace_gives_systemd_patience(user: User) -> None:
    user.run("service", "install")
    assert "TimeoutStopSec=90\n" in user.unit.read_text()
    user.run("config", "set", "grace", "10m")
    user.run("service", "install")
    assert "TimeoutStopSec=620\n" in user.unit.read_text()


def test_remove_undoes_it(user: User) -> None:
    user.run("service", "install")
    user.asked()

    result = user.run("service", "remove")

    assert (result.code, result.out, result.err) == (0, "queuectl.service has been removed.\n", "")
    assert user.asked() == ["disable --now queuectl.service", "daemon-reload"]
    assert list(user.units.iterdir()) == []
    again = user.run("service", "remove")
    assert (again.code, again.out) == (0, "")
    assert "no queuectl.service" in again.err
    assert user.asked() == []


def test_two_queues_have_two_names(user: User, tmp_path: Path) -> None:
    other = user.with_data(tmp_path / "other")
    user.run("service", "install")
    before = user.unit.read_bytes()

    refused = other.run("service", "install")
    assert refused.code == 4
    assert f'"{user.queuectl.data}"' in refused.err
    assert other.run("service", "remove").code == 4
    assert user.unit.read_bytes() == before

    assert other.run("service", "install", "--name", "nightly").code == 0
    table = json.loads(user.run("service", "status", "--json").out)
    assert [(row["name"], row["activity"], row["folder"]) for row in table] == [
        ("queuectl-nightly.service", "active", str(other.queuectl.data)),
        ("queuectl.service", "active", str(user.queuectl.data)),
    ]
    assert "queuectl-nightly.service  active     1        " in user.run("service", "status").out


def test_a_unit_of_somebody_else_is_left_alone(user: User) -> None:
    user.units.mkdir(parents=True)
    user.unit.write_text("[Service]\nExecStart=/bin/true\n")
    for verb in ("install", "remove"):
        result = user.run("service", verb)
        assert result.code == 4
        assert "left as it is" in result.err
    assert user.unit.read_text() == "[Service]\nExecStart=/bin/true\n"
    assert user.asked() == []
    assert user.run("service", "status").out == ""


def test_a_name_that_is_no_name_is_refused(user: User) -> None:
    for name in ("", "../x", "a b", "ü"):
        result = user.run("service", "install", "--name", name)
        assert (result.code, result.out) == (2, "")
    assert not user.units.exists()


def test_without_systemctl_it_says_what_to_type(user: User, tmp_path: Path) -> None:
    nowhere = tmp_path / "empty"
    nowhere.mkdir()
    result = user.run("service", "install", env={"PATH": str(nowhere)})
    assert result.code == 0
    assert "systemctl --user daemon-reload && systemctl --user enable --now queuectl.service" in result.err
    assert user.unit.exists()
    assert "unknown" in user.run("service", "status", env={"PATH": str(nowhere)}).out
    assert user.run("service", "remove", env={"PATH": str(nowhere)}).code == 0
    assert not user.unit.exists()


def test_what_systemd_refuses_is_told(user: User) -> None:
    (user.home / "refuses").touch()
    result = user.run("service", "install")
    assert (result.code, result.out) == (1, "")
    assert "Failed to connect to bus" in result.err
    assert "systemctl --user enable --now queuectl.service" in result.err


def test_units_are_where_the_user_keeps_them(user: User, tmp_path: Path) -> None:
    user.run("service", "install", env={"XDG_CONFIG_HOME": str(tmp_path / "settings")})
    assert (tmp_path / "settings" / "systemd" / "user" / "queuectl.service").exists()
    assert not user.units.exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("folder", ["/tmp/data", '/tmp/a $HOME "q" 100% ü \\n', "/tmp/two\nlines"])
def test_systemd_accepts_the_unit(tmp_path: Path, folder: str) -> None:
    odd = tmp_path / "a $program 100%"
    odd.write_text("#!/bin/sh\n")
    odd.chmod(0o755)
    unit = tmp_path / "queuectl-test.service"
    unit.write_text(unit_text(Path(folder), 2, program=[str(odd)], search_path="/bin:/a b:/%c:$d", stop_s=30))
    done = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "verify", unit],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
