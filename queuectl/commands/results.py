"""What commands answer: plain values, which ``render`` puts into words.

Nothing here formats, prints or reads. A handler may also return an iterator of
these, when each is to be seen as soon as it is known.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from queuectl.errors import ExitCode
from queuectl.job import Job, State
from queuectl.settings import Setting, Value
from queuectl.stores.local.findings import Finding, Severity


class Result(msgspec.Struct, frozen=True):
    """What one command answers."""

    @property
    def exit_code(self) -> int:
        """How the command ends, were this its last word."""
        return ExitCode.OK


class Json(Result, frozen=True):
    """The same answer, as one JSON document."""

    result: Result

    @property
    def exit_code(self) -> int:
        """That of the answer."""
        return self.result.exit_code


class Text(Result, frozen=True):
    """Words that are already as they should be, such as help."""

    text: str


class JobsAdded(Result, frozen=True):
    """The jobs that were enqueued, in their order."""

    ids: Sequence[str]


class JobTable(Result, frozen=True):
    """Jobs of any state; *title* names them when there are none."""

    jobs: Sequence[Job]
    title: str = "jobs"


class DeadTable(Result, frozen=True):
    """The jobs of the DLQ."""

    jobs: Sequence[Job]


class JobDetails(Result, frozen=True):
    """All there is to say of one job."""

    job: Job


class JobOutput(Result, frozen=True):
    """What an attempt has written, to be read once; None stands for no output."""

    id: str
    attempt: int
    stdout: BinaryIO | None
    stderr: BinaryIO | None
    is_raw: bool = False  #: whether a terminal, too, gets the very bytes


class JobsCancelled(Result, frozen=True):
    """Jobs as they stand once they were cancelled, or are about to be."""

    jobs: Sequence[Job]


class JobsHeld(Result, frozen=True):
    """Jobs that wait until they are released."""

    jobs: Sequence[Job]


class JobsReleased(Result, frozen=True):
    """Jobs that were held."""

    jobs: Sequence[Job]


class JobsRemoved(Result, frozen=True):
    """Jobs that are no longer in the queue."""

    jobs: Sequence[Job]


class JobsRevived(Result, frozen=True):
    """Jobs that were dead."""

    jobs: Sequence[Job]


class JobsPurged(Result, frozen=True):
    """Jobs that are no longer in the DLQ."""

    jobs: Sequence[Job]


class JobsEnded(Result, frozen=True):
    """The jobs that ``wait`` has waited for; *forgives* if their failure is not that of the command."""

    jobs: Sequence[Job]
    forgives: bool = False

    @property
    def exit_code(self) -> int:
        """1 if any of them is dead or cancelled."""
        is_bad = any(job.state is not State.COMPLETED for job in self.jobs)
        return ExitCode.FAILED if is_bad and not self.forgives else ExitCode.OK


class StatusReport(Result, frozen=True):
    """How many jobs are in each state, and the PIDs of the workers."""

    counts: dict[State, int]
    pids: Sequence[int]


class WorkersStarting(Result, frozen=True):
    """Workers are being started."""

    count: int


class WorkersStarted(Result, frozen=True):
    """Workers have reported in."""

    pids: Sequence[int]


class WorkerStopped(Result, frozen=True):
    """One worker has ended."""

    pid: int


class AllWorkersStopped(Result, frozen=True):
    """Every worker there was has ended."""


class NoWorkers(Result, frozen=True):
    """No worker is running."""


class WorkerRow(msgspec.Struct, frozen=True):
    """One running worker; *job_id* is None while it is idle. The rest is None where it cannot be known."""

    pid: int | None
    pool_pid: int | None
    started_at: str | None
    job_id: str | None


class WorkerTable(Result, frozen=True):
    """The running workers."""

    workers: Sequence[WorkerRow]


class SettingRow(msgspec.Struct, frozen=True):
    """A setting as it is in force."""

    setting: Setting
    value: Value
    is_chosen: bool


class SettingTable(Result, frozen=True):
    """All settings."""

    rows: Sequence[SettingRow]


class SettingValue(Result, frozen=True):
    """The value of one setting, alone."""

    row: SettingRow


class SettingChanged(Result, frozen=True):
    """What a setting is now."""

    row: SettingRow


class Diagnosis(Result, frozen=True):
    """What is the matter with the queue in *folder*; *versions* by name, of the program and what it runs on."""

    folder: str
    versions: dict[str, str]
    findings: Sequence[Finding]

    @property
    def exit_code(self) -> int:
        """5 if the queue cannot be used, 1 if anything else is to be mended; notes do not count."""
        severities = {finding.severity for finding in self.findings}
        if Severity.DAMAGE in severities:
            return ExitCode.STORE
        return ExitCode.FAILED if Severity.WARNING in severities else ExitCode.OK


class Repaired(Result, frozen=True):
    """What was done to mend a queue, and what is the matter with it now."""

    actions: Sequence[str]
    backup: str | None
    kept: str | None
    diagnosis: Diagnosis

    @property
    def exit_code(self) -> int:
        """That of what is left to mend."""
        return self.diagnosis.exit_code


class ServiceInstalled(Result, frozen=True):
    """The unit in *file* keeps so many workers."""

    name: str
    file: Path
    count: int


class ServiceRemoved(Result, frozen=True):
    """The unit is no more."""

    name: str


class ServiceRow(msgspec.Struct, frozen=True):
    """One installed service; *activity* is systemd's word."""

    name: str
    activity: str
    count: int
    folder: str
    file: str


class ServiceTable(Result, frozen=True):
    """The services that are installed."""

    services: Sequence[ServiceRow]
