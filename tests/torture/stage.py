"""A data folder that can be put back to what it was."""

import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

_SUM = re.compile(rb'(?m)^\{"sum":"[0-9a-f]{8}",')


class Saved(NamedTuple):
    """A folder as it was: of each file (inode, contents, time), and the folders."""

    files: dict[str, tuple[int, bytes, int]]
    folders: list[str]


class Stage:
    """A data folder that can be put back to what it was, to the inode and the nanosecond."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.folder = root / "queues" / "data"  # neither of them is there at first
        self._vault = root / "vault"
        self._vault.mkdir()

    def save(self) -> Saved:
        """Return the folder as it is, and keep its inodes from being used for anything else."""
        files, folders = {}, []
        for place, names, found in os.walk(self.folder.parent):
            folders.append(place)
            folders.extend(f"{place}/{name}" for name in names)
            for name in found:
                path = f"{place}/{name}"
                status = os.lstat(path)
                self.keep(path)
                files[path] = status.st_ino, Path(path).read_bytes(), status.st_mtime_ns
        return Saved(files, folders)

    def keep(self, path: str) -> None:
        """Keep the inode of the file *path* from being used for anything else."""
        kept = f"{self._vault}/{os.lstat(path).st_ino}"
        if not os.path.exists(kept):
            os.link(path, kept)

    def put_back(self, saved: Saved) -> None:
        """Let the folder be what it was when it was *saved*."""
        for place, names, found in os.walk(self.folder.parent, topdown=False):
            for name in found:
                if f"{place}/{name}" not in saved.files:
                    os.unlink(f"{place}/{name}")
            for name in (f"{place}/{name}" for name in names):
                if name not in saved.folders:
                    os.rmdir(name)
        if not saved.folders:
            shutil.rmtree(self.folder.parent, ignore_errors=True)
        for folder in saved.folders:
            os.makedirs(folder, 0o700, exist_ok=True)
        for path, (inode, content, mtime_ns) in saved.files.items():
            try:
                is_there = os.lstat(path).st_ino == inode
                if not is_there:
                    os.unlink(path)
            except FileNotFoundError:
                is_there = False
            if not is_there:
                os.link(f"{self._vault}/{inode}", path)
            fd = os.open(path, os.O_RDWR)
            try:
                if os.pread(fd, len(content) + 1, 0) != content:
                    os.pwrite(fd, content, 0)
                    os.ftruncate(fd, len(content))
            finally:
                os.close(fd)
            os.utime(path, ns=(mtime_ns, mtime_ns))

    def contents(self) -> dict[str, bytes]:
        """Return what matters of all files: of the journal what is not made of its run's random name."""
        found = {}
        for path in sorted(self.folder.glob("*.json*")):
            data = path.read_bytes()
            found[path.name] = _SUM.sub(b"{", data[256:]) if "journal.jsonl" in path.name else data
        return found
