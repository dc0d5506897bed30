"""Stands in for persist-queue."""

import queue
from queue import Empty

__all__ = ["Empty", "SQLiteAckQueue"]


class SQLiteAckQueue:
    """A queue for the threads of this process."""

    def __init__(self, path: str, *, multithreading: bool) -> None:
        assert path
        assert multithreading
        self._items: queue.Queue[int] = queue.Queue()
        self._acked: list[int] = []

    def put(self, item: int) -> None:
        self._items.put(item)

    def get(self, *, block: bool) -> int:
        return self._items.get(block=block)

    def ack(self, item: int) -> None:
        self._acked.append(item)

    def acked_count(self) -> int:
        return len(self._acked)
