"""From values to words: the only place that finds them. It writes nothing.

Text from jobs is not trusted: control characters are shown, never sent. The
layout is that of a pipe, where nothing is ever cut; ``display`` fits it to a terminal.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import singledispatch
from typing import Any

import msgspec

from queuectl import times
from queuectl.commands import results
from queuectl.job import Job, OnCrash, State
from queuectl.later import pattern

MANY = 20  #: of more jobs than this, a sentence names the number instead of each

#: Control and formatting characters, line separators, lone surrogates: what could move the cursor,
#: colour, reverse or hide text. The joiners of emoji and of Indic scripts are left alone.
_UNSEEN = pattern(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

#: The last line of a Python traceback. Without a dot only names that say what they are count: `sh: 1: …` is none,
#: and `Error: …` says less than what follows it.
_EXCEPTION = pattern(
    r"(?P<name>(?:[A-Za-z_]\w*\.)+[A-Z]\w*|\w+(?:Error|Exception|Warning|ExceptionGroup)"
    r"|KeyboardInterrupt|SystemExit|StopIteration|StopAsyncIteration|GeneratorExit)(?::(?:\s.*)?)?"
)


def visible(text: str) -> str:
    """Return *text* with all that cannot be seen written as in a Python string: ``\\x1b``, ``\\n``."""
    return text if text.isprintable() else _UNSEEN.sub(_escape, text)


def error_name(error: str | None) -> str:
    """Return *error* as the DLQ shows it: a Python exception by its name alone."""
    match = _EXCEPTION.fullmatch(error or "")
    return match["name"] if match else error or ""


def standing(job: Job) -> str:
    """Return the state of *job* as a table shows it."""
    return "held" if job.held else str(job.state)


@singledispatch
def lines(result: results.Result) -> Iterator[str]:
    """Yield the lines that say *result*."""
    raise NotImplementedError(type(result).__name__)


@lines.register(results.Text)
def _(result: results.Text) -> Iterator[str]:
    yield result.text


@lines.register(results.JobsAdded)
def _(result: results.JobsAdded) -> Iterator[str]:
    if len(result.ids) > MANY:
        first, last = visible(result.ids[0]), visible(result.ids[-1])
        yield f"{len(result.ids)} jobs added to the queue with job ids: {first} ... {last}"
    else:
        yield from (f"Job added to the queue with job id: {visible(id)}" for id in result.ids)


@lines.register(results.JobTable)
def _(result: results.JobTable) -> Iterator[str]:
    yield f"{'ID':<15} {'State':<10} Command"
    yield "-" * 60
    for job in result.jobs:
        yield f"{visible(job.id):<15} {standing(job):<10} {visible(job.command)}"


@lines.register(results.DeadTable)
def _(result: results.DeadTable) -> Iterator[str]:
    yield f"{'ID':<15} {'Command':<29} Error"
    yield "-" * 70
    for job in result.jobs:
        yield f"{visible(job.id):<15} {visible(job.command):<29} {visible(error_name(job.error))}".rstrip()


@lines.register(results.JobDetails)
def _(result: results.JobDetails) -> Iterator[str]:
    for name, value in details(result.job):
        if value is not None:
            yield f"{name:<17}: {visible(str(value))}"


@lines.register(results.JobsCancelled)
def _(result: results.JobsCancelled) -> Iterator[str]:
    yield from _each(
        result.jobs,
        lambda job: (
            f"Job '{job.id}' has been cancelled."
            if job.state is State.CANCELLED
            else f"Job '{job.id}' is running: its worker has been told to cancel it."
        ),
        "jobs have been cancelled; those that run end now.",
    )


@lines.register(results.JobsHeld)
def _(result: results.JobsHeld) -> Iterator[str]:
    yield from _each(result.jobs, lambda job: f"Job '{job.id}' is held.", "jobs are held.")


@lines.register(results.JobsReleased)
def _(result: results.JobsReleased) -> Iterator[str]:
    yield from _each(result.jobs, lambda job: f"Job '{job.id}' has been released.", "jobs have been released.")


@lines.register(results.JobsRemoved)
def _(result: results.JobsRemoved) -> Iterator[str]:
    yield from _each(result.jobs, lambda job: f"Job '{job.id}' has been removed.", "jobs have been removed.")


@lines.register(results.JobsRevived)
def _(result: results.JobsRevived) -> Iterator[str]:
    words = "has been moved back to the main queue for retry."
    yield from _each(result.jobs, lambda job: f"Job '{job.id}' {words}", words.replace("has", "jobs have", 1))


@lines.register(results.JobsPurged)
def _(result: results.JobsPurged) -> Iterator[str]:
    words = "has been purged from the DLQ."
    yield from _each(result.jobs, lambda job: f"Job '{job.id}' {words}", words.replace("has", "jobs have", 1))


@lines.register(results.JobsEnded)
def _(result: results.JobsEnded) -> Iterator[str]:
    if not result.jobs:
        yield "No job is waiting or running."
        return
    ends = [(state, sum(job.state is state for job in result.jobs)) for state in State]
    number = len(result.jobs)
    yield (
        f"{number} job{'s have' if number > 1 else ' has'} ended: "
        + ", ".join(f"{count} {state}" for state, count in ends if count)
        + "."
    )


@lines.register(results.StatusReport)
def _(result: results.StatusReport) -> Iterator[str]:
    yield f"Total Jobs: {sum(result.counts.values())}"
    for state in State:
        count = result.counts.get(state, 0)
        if count or state is not State.CANCELLED:
            yield f"  {state.capitalize():<12}: {count}"
    if result.pids:
        yield f"Active Workers: {len(result.pids)}"
        yield f"Worker PIDs: {', '.join(map(str, result.pids))}"
    else:
        yield "No active workers."


@lines.register(results.WorkersStarting)
def _(result: results.WorkersStarting) -> Iterator[str]:
    yield f"Starting {result.count} worker(s)..."


@lines.register(results.WorkersStarted)
def _(result: results.WorkersStarted) -> Iterator[str]:
    yield "Workers started and running in background."
    yield f"PIDs: [{', '.join(map(str, result.pids))}]"


@lines.register(results.WorkerStopped)
def _(result: results.WorkerStopped) -> Iterator[str]:
    yield f"Stopped worker PID {result.pid}"


@lines.register(results.AllWorkersStopped)
def _(result: results.AllWorkersStopped) -> Iterator[str]:
    yield "All workers stopped."


@lines.register(results.NoWorkers)
def _(result: results.NoWorkers) -> Iterator[str]:
    yield "No active workers."


@lines.register(results.WorkerTable)
def _(result: results.WorkerTable) -> Iterator[str]:
    yield f"{'PID':<10} {'Started':<24} Job"
    yield "-" * 60
    for worker in result.workers:
        yield f"{worker.pid or '-':<10} {worker.started_at or '-':<24} {visible(worker.job_id or '-')}"


@lines.register(results.ServiceInstalled)
def _(result: results.ServiceInstalled) -> Iterator[str]:
    yield f"{result.name} keeps {result.count} worker(s): {visible(str(result.file))}"


@lines.register(results.ServiceRemoved)
def _(result: results.ServiceRemoved) -> Iterator[str]:
    yield f"{result.name} has been removed."


@lines.register(results.ServiceTable)
def _(result: results.ServiceTable) -> Iterator[str]:
    if result.services:
        yield f"{'Service':<25} {'State':<10} {'Workers':<8} Folder"
        yield "-" * 70
    for row in result.services:
        yield f"{row.name:<25} {row.activity:<10} {row.count:<8} {visible(row.folder)}"


@lines.register(results.SettingTable)
def _(result: results.SettingTable) -> Iterator[str]:
    yield f"{'Key':<15} {'Value':<10} {'Default':<10} Origin"
    yield "-" * 60
    for row in result.rows:
        setting = row.setting
        value, default = setting.show(row.value), setting.show(setting.default)
        yield f"{setting.key:<15} {value:<10} {default:<10} {origin(row)}"


@lines.register(results.SettingValue)
def _(result: results.SettingValue) -> Iterator[str]:
    yield result.row.setting.show(result.row.value)


@lines.register(results.SettingChanged)
def _(result: results.SettingChanged) -> Iterator[str]:
    row = result.row
    yield f"{row.setting.key} = {row.setting.show(row.value)}{'' if row.is_chosen else ' (the default)'}"


@lines.register(results.Json)
def _(result: results.Json) -> Iterator[str]:
    value = as_data(result.result)
    if not isinstance(value, list):
        yield _json(msgspec.json.format(msgspec.json.encode(value), indent=2))
    elif not value:
        yield "[]"
    else:
        # One element a line, so that lines can be searched and a long answer is never held twice.
        yield "["
        for number, element in enumerate(value, start=1):
            yield f" {_json(msgspec.json.encode(element))}{',' if number < len(value) else ''}"
        yield "]"


def _json(document: bytes) -> str:
    """Return *document* with escapes for all that cannot be seen, which in JSON can only stand in strings."""
    lines = document.decode().split("\n")  # they end between values only
    return "\n".join(line if line.isprintable() else _UNSEEN.sub(_escape_in_json, line) for line in lines)


def _escape_in_json(sign: re.Match[str]) -> str:
    import json  # few texts need it

    return json.dumps(sign[0])[1:-1]


def as_data(result: results.Result) -> Any:
    """Return *result* as what ``--json`` prints: lists, dictionaries and structs."""
    match result:
        case results.JobTable(jobs=jobs) | results.DeadTable(jobs=jobs) | results.JobsEnded(jobs=jobs):
            return list(jobs)
        case results.JobDetails(job=job):
            return job
        case results.JobsAdded(ids=ids):
            return list(ids)
        case results.StatusReport(counts=counts, pids=pids):
            states = {str(state): counts.get(state, 0) for state in State}
            return {"total": sum(counts.values()), "states": states, "workers": list(pids)}
        case results.WorkerTable(workers=workers):
            return list(workers)
        case results.ServiceTable(services=services):
            return list(services)
        case results.SettingTable(rows=rows):
            return [_setting_data(row) for row in rows]
        case results.SettingValue(row=row):
            return _setting_data(row)
        case results.Diagnosis() | results.Repaired():
            return msgspec.to_builtins(result)
        case results.JobOutput():
            from queuectl.logs import text_of

            output = {"stdout": text_of(result.stdout), "stderr": text_of(result.stderr)}
            return {"id": result.id, "attempt": result.attempt, **output}
    raise NotImplementedError(type(result).__name__)


def _escape(match: re.Match[str]) -> str:
    sign = match[0]
    code = ord(sign)
    return _ESCAPES.get(sign) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


def _each(jobs: Sequence[Job], say: Callable[[Job], str], words: str) -> Iterator[str]:
    """Yield a sentence a job, or one for *jobs* as a whole if there are many."""
    if len(jobs) > MANY:
        yield f"{len(jobs)} {words}"
    else:
        yield from (visible(say(job)) for job in jobs)


def details(job: Job) -> Iterator[tuple[str, object]]:
    """Yield what there is to say of *job*; the values of its environment may be secrets and are not shown."""
    yield "ID", job.id
    yield "Command", job.command
    yield "State", f"{job.state}{', held' if job.held else ', to be cancelled' if job.cancel_requested else ''}"
    yield "Priority", job.priority or None
    yield "Attempts", job.attempts
    yield "Max retries", job.max_retries
    yield "Crashes", job.crashes or None
    yield "Next attempt", job.run_at
    yield "Timeout", None if job.timeout is None else times.format_duration(job.timeout)
    yield "Backoff", _backoff(job)
    for name in ("success_codes", "retry_codes", "fatal_codes"):
        yield name.replace("_", " ").capitalize(), ", ".join(map(str, getattr(job, name))) or None
    yield "On crash", None if job.on_crash is OnCrash.RETRY else job.on_crash
    yield "Environment", ", ".join(job.env) or None
    yield "Directory", job.cwd
    yield "Created", job.created_at
    yield "Updated", job.updated_at
    yield "Started", job.started_at
    yield "Finished", job.finished_at
    yield "Exit code", job.exit_code
    yield "Error", job.error
    yield "Worker PID", job.worker


def _backoff(job: Job) -> str | None:
    own = {"base": job.base, "max delay": job.max_delay, "jitter": job.jitter}
    return ", ".join(f"{name} {times.format_number(value)}" for name, value in own.items() if value is not None) or None


def origin(row: results.SettingRow) -> str:
    """Return where the value of a setting comes from."""
    return "set" if row.is_chosen else "default"


def _setting_data(row: results.SettingRow) -> dict[str, object]:
    setting = row.setting
    return {"key": setting.key, "value": row.value, "default": setting.default, "origin": origin(row)}
