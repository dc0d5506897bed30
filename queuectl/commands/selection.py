"""Which jobs a command means: those it names, or all, once a person has agreed."""

from collections.abc import Callable, Sequence

from queuectl.commands.context import Context
from queuectl.errors import Conflict, JobNotFound, QueueCtlError, UsageError
from queuectl.job import Job

_TRIES = 20  # to act on all jobs while workers change them


def unique(ids: Sequence[str]) -> list[str]:
    """Return *ids* in their order, each once."""
    return list(dict.fromkeys(ids))


def is_all(ids: Sequence[str], takes_all: bool, *, command: str, hint: str) -> bool:
    """Tell whether all jobs are meant; raise ``UsageError`` unless there are either ids or ``--all``."""
    if bool(ids) == takes_all:
        both = "not both" if ids else "one of them"
        msg = f'"{command}" takes ids or --all, {both}: {hint}'
        raise UsageError(msg)
    return takes_all


def ask(context: Context, command: str, *, does: str, question: Callable[[], str | None], refusal: str) -> None:
    """Let a person confirm what cannot be undone; raise if nobody is there, or says no.

    *question* is made once it is known that somebody is there; None: there is nothing to ask about.
    """
    if context.confirm is None:
        msg = f'"{command}" {does}: confirm it with --yes.'
        raise UsageError(msg)
    text = question()
    if text is not None and not context.confirm(text):
        raise QueueCtlError(refusal)


def number(count: int, kind: str = "job") -> str:
    """Return *count* with its noun: ``1 dead job``, ``2 dead jobs``."""
    return f"{count} {kind}{'s' if count != 1 else ''}"


def act_on_all(ids: Sequence[str], act: Callable[[list[str]], list[Job]]) -> list[Job]:
    """Call *act* with *ids*; again without one that has moved on meanwhile, as jobs do while workers run."""
    left = dict.fromkeys(ids)
    for _ in range(_TRIES):
        if not left:
            return []
        try:
            return act(list(left))
        except (Conflict, JobNotFound) as error:
            left.pop(vars(error).get("id", ""), None)
    msg = 'Nothing has changed, because the workers were faster: "worker stop" stops them first.'
    raise Conflict(msg)
