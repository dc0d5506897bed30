"""Folders that somebody else has written, and the real program on them."""

import hashlib
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import QueueCtl, queuectl

__all__ = ["QueueCtl", "queuectl"]

FOLDERS = Path(__file__).parent / "folders"


def contents(folder: Path) -> dict[str, bytes | str]:
    """Return all that is in *folder* and its subfolders, byte for byte; of links where they lead."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif stat.S_ISREG(path.lstat().st_mode):
            found[name] = path.read_bytes()
    return found


def jobs_of(folder: Path) -> dict[str, str]:
    """Return digests of what holds jobs and settings, for a comparison before and after."""
    names = ("jobs.json", "dlq.json", "config.json", "journal.jsonl")
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in names
        if (folder / name).exists() and (name != "journal.jsonl" or (folder / name).stat().st_size)
    }


@pytest.fixture
def take(data_dir: Path) -> Callable[[str], Path]:
    """Return what makes a copy of one of the folders here the queue of the test."""

    def copy(name: str) -> Path:
        shutil.copytree(FOLDERS / name, data_dir)
        for path in (data_dir, *data_dir.iterdir()):  # whatever git and umask have made of them
            path.chmod(0o755 if path.is_dir() else 0o644)
        return data_dir

    return copy
