"""What remembers jobs, and how to get hold of it."""

from pathlib import Path

from queuectl.stores.base import Store


def holds_queue(folder: Path) -> bool:
    """Whether *folder* has been used as a queue before; makes and reads nothing."""
    return (folder / "journal.jsonl").exists()


def open_store(folder: Path) -> Store:
    """Open the queue in *folder*. Raises ``StoreUnavailable`` if that cannot be one."""
    from queuectl.stores.local.store import LocalStore  # brings in what only an open store needs

    return LocalStore(folder)
