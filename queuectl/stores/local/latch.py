"""filelock's lock on a descriptor, loaded when the first lock is taken.

It costs half of what all else does that a command loads, and many a command
finds a queue at rest, which is read without a lock. From then on these are
filelock's own functions: a lock costs no more for it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filelock import lock_descriptor, unlock_descriptor

__all__ = ["lock_descriptor", "unlock_descriptor"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import filelock

    found = globals()[name] = getattr(filelock, name)
    return found
