"""The commands about workers."""

from collections.abc import Iterator

import click

from queuectl import times
from queuectl.commands import advice
from queuectl.commands.context import Context, Mode
from queuectl.commands.declare import Group, Number, reads
from queuectl.commands.results import (
    AllWorkersStopped,
    NoWorkers,
    Result,
    WorkerRow,
    WorkersStarted,
    WorkersStarting,
    WorkerStopped,
    WorkerTable,
)
from queuectl.completion import pids
from queuectl.errors import UsageError

MAX_WORKERS = 256  #: of one ``worker start``


@click.group("worker", cls=Group, examples=("worker start --count 2", "worker list", "worker stop"))
def worker() -> None:
    """Start, stop or list workers."""


@worker.command("start", examples=("worker start", "worker start --count 4", "worker start --foreground"))
@click.option(
    "--count", "-n", type=Number(1, MAX_WORKERS), default=1, show_default=True, help="How many workers to add."
)
@click.option(
    "--foreground", is_flag=True, help="Do not return: log to standard error until told to stop by Ctrl-C or SIGTERM."
)
@click.pass_obj
def start(context: Context, count: int, foreground: bool) -> Iterator[Result]:
    """Start workers in the background; they outlive the shell.

    Workers that already run go on: a second start adds to them. With --foreground this process itself keeps the
    workers running, as systemd, a container or a terminal may want it.
    """
    # Here, as in the other handlers: only what acts on workers loads what runs them.
    from queuectl import pool

    if foreground and context.mode is not Mode.ONE_SHOT:
        msg = "Workers in the foreground need a process of their own: queuectl worker start --foreground"
        raise UsageError(msg)
    context.store.settings()  # a folder that cannot be used is refused before anything is written there
    context.warn_of_strangers()
    yield WorkersStarting(count)
    if foreground:
        context.close()
        pool.run(context.folder, count)
    yield WorkersStarted(pool.start(context.folder, count))
    context.advise(lambda: advice.after_starting(context))


@worker.command("stop", examples=("worker stop", "worker stop 12345", "worker stop --now"))
@click.argument("pids", metavar="[PID...]", type=Number(min=1), nargs=-1, shell_complete=pids)
@click.option("--now", is_flag=True, help="Do not let running commands finish within the grace time.")
@click.pass_obj
def stop(context: Context, pids: tuple[int, ...], now: bool) -> Iterator[Result]:
    """Stop all workers, or those with these PIDs.

    Waits until they have ended. A running command may finish within the grace time ("config get grace"); after that it
    is ended and its job waits again.
    """
    from queuectl import pool

    context.rescue()
    if not pids and not context.has_workers():
        yield NoWorkers()
        return
    settings = context.store.settings()
    limit_s = settings.kill_after_s + (0.0 if now else settings.grace_s)
    for pid in pool.stop(context.folder, list(dict.fromkeys(pids)) or None, now=now, limit_s=limit_s):
        yield WorkerStopped(pid)
    if not pids:
        yield AllWorkersStopped()
        context.advise(lambda: advice.after_stopping(context))


@worker.command("list", examples=("worker list", "worker list --json"))
@reads
@click.pass_obj
def list_workers(context: Context) -> Result:
    """List the running workers and what they run."""
    context.rescue()
    live = context.live_workers()
    if not context.has_workers():
        context.notify('No worker is running: "worker start" starts one.')
    if elsewhere := [str(worker.pid) for worker in live if worker.is_elsewhere]:
        context.notify(f"Of another container (PID namespace), and other processes' PIDs here: {', '.join(elsewhere)}.")
    return WorkerTable(
        [
            WorkerRow(
                pid=worker.pid,
                pool_pid=worker.pool_pid,
                started_at=None if worker.started_at is None else times.to_text(worker.started_at),
                job_id=worker.job_id,
            )
            for worker in live
        ]
    )
