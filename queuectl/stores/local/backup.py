"""The copy of a data folder that is made before a repair changes anything."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from queuectl.errors import StoreBusy, StoreUnavailable
from queuectl.stores.local import disk, view
from queuectl.stores.local import folder as folders
from queuectl.stores.local.lock import COMMAND_DEADLINE_S, holder_of
from queuectl.stores.local.ownership import hand_over

_CHUNK = 1 << 20
_Stamp = tuple[int, int, int]


class Backup:
    """A copy of what a repair may change: all files but the outputs of jobs."""

    def __init__(self, folder: Path, place: Path, moment: str) -> None:
        """Copy *folder* into a new folder in *place*; nothing in it has changed then, nor if that fails.

        Raises ``StoreUnavailable`` where the copy cannot be made, ``StoreBusy`` if the queue is locked.
        """
        self._folder = folder
        self._copied: dict[Path, _Stamp] = {}
        self.path = _free_name(place / f"{folder.name}.backup-{moment}")
        try:
            self._begin()
            with (
                _readable(folder),
                _readable(folder / folders.WORKERS),
                view.held(folder, COMMAND_DEADLINE_S) as is_held,
            ):
                if not is_held:
                    holder = holder_of(folder / "queue.lock")
                    msg = f"The queue is locked by {holder}: try again, or end that process. Nothing was changed."
                    raise StoreBusy(msg)
                self.renew()
            disk.sync_folder(place)
        except BaseException as error:
            shutil.rmtree(self.path, ignore_errors=True)
            if isinstance(error, OSError):
                msg = (
                    f"No copy can be made at {self.path}: {error.strerror or error}. Nothing was changed: "
                    '"doctor --repair --copy DIR" puts the copy into another folder.'
                )
                raise StoreUnavailable(msg, path=str(self.path)) from error
            raise

    def renew(self) -> None:
        """Copy what is not, or no longer, as it was copied."""
        for path in (*self._folder.iterdir(), *(self._folder / folders.WORKERS).glob("*")):
            status = path.lstat()
            stamp = status.st_mtime_ns, status.st_size, status.st_ino
            if stat.S_ISREG(status.st_mode) and self._copied.get(path) != stamp:
                with _readable(path):
                    disk.replace(self.path / path.relative_to(self._folder), _chunks(path))
                self._copied[path] = stamp

    def _begin(self) -> None:
        for path in (self.path, self.path / folders.WORKERS):
            path.mkdir(mode=disk.FOLDER_MODE)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                hand_over(fd, self._folder)
            finally:
                os.close(fd)


def _free_name(path: Path) -> Path:
    number = 1
    target = path
    while os.path.lexists(target):
        number += 1
        target = path.with_name(f"{path.name}-{number}")
    return target


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Let the owner read *path* for a moment, whatever its mode; it has its own mode again at the end."""
    if not os.path.lexists(path) or os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK):
        yield
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(mode | (0o500 if path.is_dir() else 0o400))
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            path.chmod(mode)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
