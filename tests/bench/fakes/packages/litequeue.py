"""Stands in for litequeue."""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Message:
    """One of the queue."""

    message_id: str


class LiteQueue:
    """A queue for many processes: a folder with a file for each message that waits."""

    def __init__(self, path: str) -> None:
        self._folder = Path(path)
        self._folder.mkdir(exist_ok=True)

    def put(self, data: str) -> None:
        (self._folder / data).touch()

    def pop(self) -> Message | None:
        for path in self._folder.iterdir():
            try:
                path.unlink()
            except FileNotFoundError:
                continue  # another was faster
            return Message(path.name)
        return None

    def done(self, message_id: str) -> None:
        assert message_id

    def close(self) -> None:
        pass
