"""What can go wrong, as one tree.

Every class carries its data as attributes, knows the exit code it ends a
command with, and survives pickling. A message says what happened, quotes the
thing, and says what to do. Nothing here prints.
"""

import errno
from enum import IntEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """How a command ends; the same in the shell, a script and one-shot."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    STORE = 5
    TIMED_OUT = 124
    INTERRUPTED = 130


class QueueCtlError(Exception):
    """The root of all errors of this package."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.__dict__.update(data)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), dict(self.__dict__))

    def __str__(self) -> str:
        return self.message


def _rebuild(kind: type[QueueCtlError], data: dict[str, Any]) -> QueueCtlError:
    error = kind.__new__(kind)
    Exception.__init__(error, data["message"])
    error.__dict__.update(data)
    return error


class UsageError(QueueCtlError):
    """Raised when input cannot be understood or is out of range; nothing has changed."""

    exit_code = ExitCode.USAGE


class SyntaxProblem(UsageError):
    """Raised when text cannot be parsed; knows the place, so that a caret can be drawn.

    *offset* counts characters from the start of *text*.
    """

    text: str
    offset: int

    def __init__(self, message: str, *, text: str, offset: int) -> None:
        super().__init__(message, text=text, offset=offset)

    @property
    def place(self) -> tuple[int, int]:
        """Line and column of the problem, both counted from 1."""
        before = self.text[: self.offset]
        return before.count("\n") + 1, self.offset - (before.rfind("\n") + 1) + 1


class JobNotFound(QueueCtlError):
    """Raised when a command names a job that is not in the queue."""

    exit_code = ExitCode.NOT_FOUND


class WorkerNotFound(QueueCtlError):
    """Raised when a command names a worker that does not run."""

    exit_code = ExitCode.NOT_FOUND


class Conflict(QueueCtlError):
    """Raised when a job is in a state that does not allow what was asked; nothing has changed."""

    exit_code = ExitCode.CONFLICT


class DuplicateId(Conflict):
    """Raised when a job is enqueued under an id that is taken."""

    id: str


class StoreError(QueueCtlError):
    """The root of what can go wrong with the data itself."""

    exit_code = ExitCode.STORE


class StoreBusy(StoreError):
    """Raised when another process has held the lock beyond the deadline; nothing has changed."""


class StoreDamaged(StoreError):
    """Raised when a file of the queue cannot be read as what it should be; it is left untouched."""


class StoreUnavailable(StoreError):
    """Raised when the data folder cannot be used: permissions, a full disk, a network file system."""


class OutcomeUnknown(StoreError):
    """Raised when the disk did not confirm a change: it may or may not survive a power cut."""


class AnswerNotWritten(QueueCtlError):
    """Raised when a command was done, but what it answers could not be written."""

    exit_code = ExitCode.STORE


class WaitTimedOut(QueueCtlError):
    """Raised when ``wait`` gave up before the jobs had ended."""

    exit_code = ExitCode.TIMED_OUT


_FREE_SPACE = "free some space"
_ANOTHER_FOLDER = "choose another folder with --data"
_ANOTHER_ACCOUNT = f"{_ANOTHER_FOLDER}, or its owner's account"
_REMEDIES = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EROFS: _ANOTHER_FOLDER,
    errno.EACCES: _ANOTHER_ACCOUNT,
    errno.EPERM: _ANOTHER_ACCOUNT,
    errno.EMFILE: "close some files, or raise the limit (ulimit -n)",
}


def explain_refusal(error: OSError, *, claim: str = "") -> str:
    """Return words for what the system has refused, and what to do; *claim* says what has become of the change."""
    name = f': "{error.filename}"' if error.filename else ""
    remedy = _REMEDIES.get(error.errno or 0, "")
    rest = ": ".join(filter(None, (claim, remedy)))
    return f"The system refused it: {error.strerror or error}{name}." + (
        f" {rest[0].upper()}{rest[1:]}." if rest else ""
    )
