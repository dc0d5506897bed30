"""The installed program: built from a copy of the sources, in an environment of its own, without a network."""

import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.conftest import LIMIT_S, ROOT

pytest.importorskip("setuptools", minversion="77", reason="setuptools builds the package: requirements-dev.txt")
pytest.importorskip("pip", reason="pip installs the package")

#: What an installation is made from; tests and data are no part of it.
SOURCES = ("pyproject.toml", "requirements.txt", "requirements-dev.txt", "README.md", "LICENSE", "queuectl.py")


@dataclass(frozen=True)
class Installation:
    """An environment with QueueCTL in it; *files* are what pip has put there, by their place in it."""

    folder: Path
    files: frozenset[str]

    @property
    def program(self) -> Path:
        return self.folder / "bin" / "queuectl"

    def run(self, *args: str, here: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the program as a stranger would: none of this checkout, no settings, a poor locale."""
        mine = {"PATH": os.defpath, "HOME": str(here), "LC_ALL": "C", **environment}
        return subprocess.run(
            [self.program, *args],
            cwd=here,
            env=mine,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=LIMIT_S,
            check=False,
        )


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Install from sources and into an environment with awkward names."""
    base = tmp_path_factory.mktemp("installation")
    sources = base / "the söurces"
    shutil.copytree(ROOT / "queuectl", sources / "queuectl", ignore=shutil.ignore_patterns("__pycache__"))
    (sources / "data").mkdir()  # setuptools would trip over it, were the packages not stated
    (sources / "docs").mkdir()
    for name in (*SOURCES, "docs/queuectl.1"):
        shutil.copy(ROOT / name, sources / name)
    folder = base / "an envirönment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=LIMIT_S)
    packages = next((folder / "lib").glob("python3*")) / "site-packages"
    # What the program needs is where these tests find it.
    needed = [*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    (packages / "needed.pth").write_text("\n".join(dict.fromkeys(needed)) + "\n", encoding="utf-8")
    before = set(folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "--disable-pip-version-check", "install",
         "--no-index", "--no-deps", "--no-build-isolation", sources],
        env={name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
        capture_output=True,
        text=True,
        timeout=LIMIT_S * 2,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = {str(path.relative_to(folder)) for path in set(folder.rglob("*")) - before if path.is_file()}
    return Installation(folder, frozenset(files))


@pytest.fixture
def folder(installation: Installation, tmp_path: Path) -> Iterator[Path]:
    """Return a directory with an awkward name; the workers of the queue in it are stopped at the end."""
    folder = tmp_path / "ein Verzeichnis für ☕"
    folder.mkdir()
    yield folder
    installation.run("worker", "stop", "--now", here=folder)


def test_the_package_and_nothing_else_is_installed(installation: Installation) -> None:
    names = {path.split("site-packages/")[1] for path in installation.files if "site-packages/" in path}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "queuectl").rglob("*.py")}
    assert modules <= names
    assert "queuectl/py.typed" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"queuectl"}
    others = {path for path in installation.files if "site-packages/" not in path}
    assert others == {"bin/queuectl", "share/man/man1/queuectl.1"}


def test_its_metadata_name_what_it_needs(installation: Installation) -> None:
    file = next(path for path in installation.files if path.endswith(".dist-info/METADATA"))
    lines = (installation.folder / file).read_text(encoding="utf-8").splitlines()
    stated = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    needed = {line.removeprefix("Requires-Dist: ").split(";")[0].strip() for line in lines if "Requires-Dist" in line}
    assert {requirement.split(">")[0] for requirement in stated} <= {
        name.split("<")[0].split(">")[0] for name in needed
    }
    assert "Requires-Python: >=3.11" in lines


def test_program_runs_a_job_from_any_directory(installation: Installation, folder: Path) -> None:
    """Its workers find it by its own path, though nothing of it is in PATH, and Python knows only ASCII."""
    started = installation.run("worker", "start", "--count", "2", here=folder)
    assert (started.returncode, started.stderr) == (0, "")

    added = installation.run("enqueue", "--id", "job-1", "--", "echo 'grüß ☕' > 'ergebnis ä'; pwd", here=folder)
    assert added.returncode == 0, added.stderr
    assert "Job added to the queue with job id: job-1\n" in added.stdout
    assert installation.run("wait", "job-1", here=folder).returncode == 0

    assert (folder / "ergebnis ä").read_text(encoding="utf-8") == "grüß ☕\n"
    assert installation.run("logs", "job-1", here=folder).stdout == f"{folder}\n"
    assert json.loads((folder / "data" / "jobs.json").read_text(encoding="utf-8"))[0]["command"].startswith(
        "echo 'grüß ☕'"
    )
    elsewhere = installation.run("status", "--json", here=folder.parent, QUEUECTL_DATA=str(folder / "data"))
    assert len(json.loads(elsewhere.stdout)["workers"]) == 2
    assert "All workers stopped.\n" in installation.run("worker", "stop", here=folder).stdout


def test_a_script_is_read_from_a_file_with_an_awkward_name(installation: Installation, folder: Path) -> None:
    script = folder / "ein skript.txt"
    script.write_text("enqueue '{id: a, command: \"echo ä\"}'\nlist\n", encoding="utf-8")
    with script.open("rb") as source:
        done = subprocess.run(
            [installation.program], cwd=folder, env={"LC_ALL": "C"}, stdin=source, capture_output=True, check=False
        )
    assert done.returncode == 0
    assert "a               pending    echo ä\n" in done.stdout.decode()


def test_module_and_version_agree(installation: Installation, folder: Path) -> None:
    version = installation.run("--version", here=folder).stdout
    python = installation.folder / "bin" / "python"
    module = subprocess.run(
        [python, "-m", "queuectl", "--version"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert module.stdout == version
