"""Where the output of attempts is kept: two files each, named by the job's place in the queue, never by its id."""

from contextlib import suppress
from pathlib import Path

from queuectl.job import Job

_JOBS_A_FOLDER = 1000


def output_paths(folder: Path, job: Job, attempt: int) -> tuple[Path, Path]:
    """Return the files of stdout and stderr of *attempt* (from 1); one that stayed empty is not there.

    Attempts of the job's earlier lives have numbers below 1.
    """
    number = job.first_seq or job.seq
    shard = folder / "logs" / f"{number // _JOBS_A_FOLDER:06d}"
    name = f"{number}-{job.earlier_attempts + attempt}"
    return shard / f"{name}.out", shard / f"{name}.err"


def remove_outputs(folder: Path, job: Job) -> None:
    """Remove what all attempts of *job* have written."""
    for attempt in range(1 - job.earlier_attempts, job.attempts + 1):
        for path in output_paths(folder, job, attempt):
            path.unlink(missing_ok=True)
    with suppress(OSError):  # other jobs have their output there, or none ever had
        output_paths(folder, job, 1)[0].parent.rmdir()
