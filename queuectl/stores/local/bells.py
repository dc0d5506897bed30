"""Doorbells: how an idle worker learns within a millisecond that there is something to do.

A worker's bell is a datagram socket in ``workers/``. Its name says whether the
worker is idle: who rings takes an idle one's name away first, so that two
enqueued jobs wake two workers. A lost ring costs a slow poll, never a job.
"""

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from queuectl.stores.local.ownership import hand_over_socket

if TYPE_CHECKING:
    import socket

_IDLE = ".idle"
_BUSY = ".busy"
SUFFIXES = (_IDLE, _BUSY)  #: of a worker's id: the two names that its bell can have


class Bell:
    """A worker's own bell; readable when it was rung."""

    def __init__(self, folder: Path, worker_id: str) -> None:
        """Hang up the bell of *worker_id*. Raises ``OSError`` where that cannot be, as with too long a path."""
        self._busy = folder / f"{worker_id}{_BUSY}"
        self._idle = folder / f"{worker_id}{_IDLE}"
        self._socket = _open_socket()
        try:
            self._socket.bind(str(self._busy))
            self._busy.chmod(0o600)
            hand_over_socket(self._busy)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._socket.fileno()

    def set_idle(self, *, is_idle: bool) -> None:
        """Say whether the worker waits for work; look for work once more after saying yes."""
        source, target = (self._busy, self._idle) if is_idle else (self._idle, self._busy)
        # Whoever rang has taken the name away already; and a call that gets lost costs a slow poll, never a job.
        with contextlib.suppress(OSError):
            source.rename(target)

    def clear(self) -> None:
        """Take note of all rings so far."""
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(16):
                pass

    def close(self) -> None:
        """Take the bell down."""
        self._socket.close()
        self._busy.unlink(missing_ok=True)
        self._idle.unlink(missing_ok=True)


def ring_idle(folder: Path, count: int) -> None:
    """Wake up to *count* idle workers, as far as the system lets it."""
    if count < 1:
        return
    with contextlib.suppress(OSError):  # the change is made, and whoever made it must not hear that it failed
        with os.scandir(folder) as entries:
            idle = sorted(entry.name for entry in entries if entry.name.endswith(_IDLE))
        if not idle:
            return
        with _open_socket() as sender:
            for name in idle:
                busy = folder / (name.removesuffix(_IDLE) + _BUSY)
                with contextlib.suppress(FileNotFoundError):  # another was faster, and rings it
                    (folder / name).rename(busy)
                    if _ring(sender, busy):
                        count -= 1
                        if not count:
                            return


def ring(folder: Path, worker_id: str) -> None:
    """Wake the worker *worker_id*, whatever it does, as far as the system lets it."""
    with contextlib.suppress(OSError), _open_socket() as sender:
        for suffix in (_BUSY, _IDLE):
            if _ring(sender, folder / f"{worker_id}{suffix}"):
                return


def orphans(folder: Path) -> list[Path]:
    """Return the bells in *folder* whose workers have left no file: nobody will take them down."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.with_suffix(".lock").exists()
    )


def _open_socket() -> "socket.socket":
    import socket  # costs 3 ms, and most commands have nobody to wake

    opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    opened.setblocking(False)
    return opened


def _ring(sender: "socket.socket", path: Path) -> bool:
    try:
        sender.sendto(b"!", str(path))
    except BlockingIOError:
        return True  # it has been rung so often that it cannot fail to notice
    except OSError:
        return False  # its worker has died, or never had one
    return True
