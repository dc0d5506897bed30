"""The commands about the service: workers that come back after a reboot."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from queuectl.commands.context import Context
from queuectl.commands.declare import Group, Number, reads
from queuectl.commands.results import Result, ServiceInstalled, ServiceRemoved, ServiceRow, ServiceTable
from queuectl.commands.workers import MAX_WORKERS
from queuectl.errors import Conflict, QueueCtlError

if TYPE_CHECKING:
    from queuectl.service import Unit

_name_option = click.option(
    "--name", metavar="NAME", help="Which service, where there are several: queuectl-NAME.service."
)


@click.group("service", cls=Group, examples=("service install --count 4", "service status", "service remove"))
def service() -> None:
    """Keep workers running over reboots, by systemd."""


@service.command("install", examples=("service install --count 4", "service install --name nightly"))
@click.option(
    "--count", "-n", type=Number(1, MAX_WORKERS), default=1, show_default=True, help="How many workers to keep."
)
@_name_option
@click.pass_obj
def install(context: Context, count: int, name: str | None) -> Result:
    """Have systemd keep workers on this queue, from now on and after each reboot.

    Writes a unit of this user, with the folder of the queue, the PATH of now and this program's own place; enables and
    starts it. The same again changes nothing; another count starts the service anew. Install it again after moving the
    program or the folder, and after making "grace" longer.
    """
    from queuectl import pool
    from queuectl import service as units

    file = units.unit_file(name)
    _refuse_other(units.read_unit(file), context.folder)
    settings = context.store.settings()
    is_new = not file.exists()
    has_changed = units.write_unit(
        file,
        units.unit_text(
            context.folder,
            count,
            program=pool.program(),
            search_path=os.environ.get("PATH", os.defpath),
            stop_s=settings.grace_s + settings.kill_after_s + pool.STOP_MARGIN_S,
        ),
    )
    steps = [("daemon-reload",), ("enable", "--now", file.name)]
    if has_changed and not is_new:
        steps.append(("restart", file.name))
    _ask(context, steps, f'"{file}" is written')
    if not units.is_lingering():
        context.notify('The service starts when you log in; after "loginctl enable-linger" with the machine.')
    return ServiceInstalled(file.name, file, count)


@service.command("remove", examples=("service remove", "service remove --name nightly"))
@_name_option
@click.pass_obj
def remove(context: Context, name: str | None) -> Result:
    """Undo "service install": stop the service and its workers, and remove its unit.

    The queue stays as it is.
    """
    from queuectl import service as units

    file = units.unit_file(name)
    unit = units.read_unit(file)
    if unit is None:
        context.notify(f"There is no {file.name} to remove.")
        return ServiceTable([])
    _refuse_other(unit, context.folder)
    if units.has_systemd():
        units.ask_systemd("disable", "--now", file.name)
    file.unlink(missing_ok=True)
    _ask(context, [("daemon-reload",)], f'"{file}" is removed')
    return ServiceRemoved(file.name)


@service.command("status", examples=("service status", "service status --json"))
@reads
@click.pass_obj
def show_status(context: Context) -> Result:
    """List the services of this user, with their queues and what systemd says of them."""
    from queuectl import service as units

    rows = [
        ServiceRow(unit.name, units.activity(unit.name), unit.count, str(unit.folder), str(unit.file))
        for unit in units.read_units()
    ]
    if not rows:
        context.notify('No service is installed: "service install" installs one.')
    return ServiceTable(rows)


def _refuse_other(unit: "Unit | None", folder: Path) -> None:
    """Raise ``Conflict`` if *unit* is that of another queue."""
    if unit is not None and unit.folder != folder:
        msg = f'{unit.name} keeps workers on "{unit.folder}": choose another --name, or say --data "{unit.folder}".'
        raise Conflict(msg)


def _ask(context: Context, steps: list[tuple[str, ...]], done: str) -> None:
    """Have systemd take the *steps*; where it cannot, say what is *done* and which are left."""
    from queuectl import service as units

    left = " && ".join(f"systemctl --user {' '.join(step)}" for step in steps)
    if not units.has_systemd():
        context.notify(f"{done}, but there is no systemctl here. Where there is: {left}")
        return
    try:
        for step in steps:
            units.ask_systemd(*step)
    except QueueCtlError as error:
        msg = f"{error.message}\n{done}. Once that is mended: {left}"
        raise QueueCtlError(msg) from None
