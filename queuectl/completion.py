"""What a word may become: the candidates for each option and argument, each with a word of description.

The declarations in ``commands`` name these as their ``shell_complete``; the
shell and the scripts for bash, zsh and fish ask for them through click. A
question never fails, and never changes anything.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from queuectl import render
from queuectl.commands.context import Context
from queuectl.errors import QueueCtlError
from queuectl.job import Job, State
from queuectl.settings import SETTINGS, find_setting
from queuectl.stores import holds_queue

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Items = list[CompletionItem[str]]
    Complete = Callable[[click.Context, click.Parameter, str], Items]

VARIABLE = "_QUEUECTL_COMPLETE"  #: set by the script for a shell when it asks
UNFINISHED = frozenset(state for state in State if not state.is_final)
WAITING = frozenset(state for state in State if state.is_waiting)
_MOST = 200  #: candidates of one word
_MOST_SIGNS = 60  #: of a description

_STATE_HELP = {
    State.PENDING: "waits for a worker",
    State.IN_PROGRESS: "runs now",
    State.COMPLETED: "ended well",
    State.FAILED: "waits for its next attempt",
    State.DEAD: "has no attempt left",
    State.CANCELLED: "was called off",
}


def complete(root: click.Command, words: Sequence[str], incomplete: str, context: Context) -> "Items":
    """Return what the word that *incomplete* begins may become, behind *words*."""
    from click.shell_completion import ShellComplete

    completer = ShellComplete(root, {"obj": context}, context.program, "")
    with suppress(QueueCtlError, OSError, click.ClickException):
        found = completer.get_completions(list(words), incomplete)
        if not found and not incomplete and not (words and words[-1].startswith("-")):
            # Of commands without arguments: what is left to say. Not behind an option, which may want a value.
            found = completer.get_completions(list(words), "-")
        return _without_short_forms(found, incomplete)
    return []


def _without_short_forms(items: "Items", incomplete: str) -> "Items":
    """Leave out ``-h`` where there is ``--help``, unless it is what was typed."""
    told = {item.help for item in items if item.value.startswith("--")}
    return [
        item
        for item in items
        if not (item.value.startswith("-") and item.value[:2] != "--" and item.help in told) or item.value == incomplete
    ]


def job_ids(*states: State, held: bool | None = None) -> "Complete":
    """Return what completes the ids of jobs in any of *states* (none given: in all), of those *held* or not held."""
    wanted = frozenset(states or State)

    def ids(call: click.Context, param: click.Parameter, incomplete: str) -> "Items":
        given = call.params.get(param.name or "") or ()
        jobs = [
            job
            for job in _jobs(call.find_object(Context), wanted)
            if job.state in wanted
            and (held is None or job.held == held)
            and (isinstance(given, str) or job.id not in given)
        ]
        return _items(((job.id, describe(job)) for job in jobs), incomplete)

    return ids


def states(*possible: State) -> "Complete":
    """Return what completes *possible* states (none given: all), several separated by commas."""

    def names(call: click.Context, param: click.Parameter, incomplete: str) -> "Items":
        before, comma, last = incomplete.rpartition(",")
        known = ((f"{before}{comma}{state}", _STATE_HELP[state]) for state in State if state in (possible or State))
        return _items(known, before + comma + last)

    return names


def setting_keys(call: click.Context, param: click.Parameter, incomplete: str) -> "Items":
    """Complete the keys of settings."""
    return _items(((setting.key, setting.help) for setting in SETTINGS), incomplete)


def setting_values(call: click.Context, param: click.Parameter, incomplete: str) -> "Items":
    """Complete the values that are words, of the setting that was named before."""
    with suppress(QueueCtlError):
        setting = find_setting(str(call.params.get("key") or ""))
        known = {setting.show(setting.default): "the default", **dict.fromkeys(setting.words, "")}
        known[setting.show(setting.default)] = "the default"
        return _items(known.items(), incomplete)
    return []


def pids(call: click.Context, param: click.Parameter, incomplete: str) -> "Items":
    """Complete the PIDs of workers."""
    context = call.find_object(Context)
    live = [] if context is None else [worker for worker in context.live_workers() if worker.pid is not None]
    known = ((str(one.pid), f"runs {render.visible(one.job_id)}" if one.job_id else "idle") for one in live)
    return _items(known, incomplete)


def command_words(call: click.Context, param: click.Parameter, incomplete: str) -> "Items":
    """Complete the commands that can be explained."""
    group: click.Command | None = call.find_root().command
    for name in call.params.get(param.name or "") or ():
        group = group.get_command(call, name) if isinstance(group, click.Group) else None
    if not isinstance(group, click.Group):
        return []
    return _items(((name, command.get_short_help_str()) for name, command in group.commands.items()), incomplete)


def files(call: click.Context, param: click.Parameter, incomplete: str) -> "Items":
    """Let the shell complete the names of files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def folders(call: click.Context, param: click.Parameter, incomplete: str) -> "Items":
    """Let the shell complete the names of folders."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


def describe(job: Job) -> str:
    """Say in a word what is to be known of *job*."""
    attempts = f"{job.attempts} attempt{'s' if job.attempts != 1 else ''}" if job.error else ""
    parts = filter(None, (str(job.state), _cut(job.error or job.command), attempts))
    return " · ".join(parts)


def _jobs(context: Context | None, wanted: Collection[State]) -> Sequence[Job]:
    if context is None:
        return ()
    if context.known_jobs is not None:
        return context.known_jobs()
    return context.store.jobs(wanted)[: -_MOST - 1 : -1] if holds_queue(context.folder) else ()


def _items(known: Iterable[tuple[str, str]], incomplete: str) -> "Items":
    from click.shell_completion import CompletionItem

    found = [CompletionItem(value, help=help or None) for value, help in known if value.startswith(incomplete)]
    return found[:_MOST]


def _cut(text: str) -> str:
    shown = render.visible(text)
    return shown if len(shown) <= _MOST_SIGNS else shown[: _MOST_SIGNS - 1] + "…"
