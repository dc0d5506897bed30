"""The command ``doctor``: what is the matter with a queue, and mending it. Works where nothing else does."""

from contextlib import suppress
from pathlib import Path

import click

from queuectl._version import __version__
from queuectl.commands.context import Context
from queuectl.commands.declare import Command, reads
from queuectl.commands.results import Diagnosis, Repaired, Result
from queuectl.errors import StoreError, UsageError

_PACKAGES = ("click", "filelock", "msgspec", "prompt_toolkit", "psutil", "rich")


@click.command("doctor", cls=Command, examples=("doctor", "doctor --json", "doctor --repair", "doctor --repair --yes"))
@click.option("--repair", "is_repair", is_flag=True, help="Mend what can be mended, after a copy of the folder.")
@click.option(
    "--yes", "-y", is_flag=True, help="With --repair: also give back jobs whose processes cannot be seen from here."
)
@click.option(
    "--copy",
    "copy_to",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --repair: the folder in which the copy is made, instead of beside the data folder.",
)
@reads
@click.pass_obj
def doctor(context: Context, is_repair: bool, yes: bool, copy_to: Path | None) -> Result:
    """Say what is wrong with the data folder, where, and how to mend it.

    Changes nothing without --repair. The exit code is 5 if the queue cannot be used, 1 if anything else is to be
    mended, else 0; notes do not count. What --repair cannot take over stays in a file of its own, word for word.
    """
    # Here, because it registers its words, and no other command needs them.
    from queuectl import health  # noqa: F401

    for option, is_given in (("--yes", yes), ("--copy", copy_to is not None)):
        if is_given and not is_repair:
            msg = f"{option} belongs to --repair: doctor alone changes nothing."
            raise UsageError(msg)
    diagnosis = _diagnose(context)
    if not is_repair:
        return diagnosis
    if not any(finding.can_repair for finding in diagnosis.findings):
        return Repaired([], None, None, diagnosis)
    return _repair(context, is_sure=yes, copy_to=copy_to)


def _diagnose(context: Context) -> Diagnosis:
    from queuectl import checkup

    return Diagnosis(str(context.folder), _versions(), checkup.check(context.folder))


def _repair(context: Context, *, is_sure: bool, copy_to: Path | None) -> Result:
    from queuectl import checkup
    from queuectl.stores.local import repair

    with suppress(StoreError, OSError):  # it may be the very store that cannot be used
        context.close()
    done = repair.repair(context.folder, now=context.now(), copy_to=copy_to and copy_to.absolute())

    def ask(count: int) -> bool:
        if is_sure:
            return True
        jobs = "1 job hangs" if count == 1 else f"{count} jobs hang"
        if context.confirm is None:
            context.notify(f"{jobs}, and whether anything of it still runs cannot be seen from here: --yes gives back.")
            return False
        return context.confirm(
            f"{jobs}, and what runs of it cannot be seen from here. Is it certain that nothing does?"
        )

    mended: list[str] = []
    try:
        mended = checkup.mend(context.store, context.folder, is_sure=ask)
        context.rest()
    except StoreError as error:
        context.notify(error.message)  # what was done until then is still to be told
    return Repaired([*done.actions, *mended], done.backup, done.kept, _diagnose(context))


def _versions() -> dict[str, str]:
    import platform
    from importlib import metadata

    found = {"queuectl": __version__, "Python": platform.python_version(), platform.system(): platform.release()}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError, OSError):
            found[package] = metadata.version(package)
    return found
