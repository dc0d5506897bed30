"""Where the output of attempts is kept: two files each, named by the job's place in the queue, never by its id."""

from pathlib import Path

from queuectl.job import Job

_JOBS_A_FOLDER = 1000


def output_paths(folder: Path, job: Job, attempt: int) -> tuple[Path, Path]:
    """Return the files of stdout and stderr of *attempt* (from 1); one that stayed empty is not there."""
    shard = folder / "logs" / f"{job.seq // _JOBS_A_FOLDER:06d}"
    name = f"{job.seq}-{attempt}"
    return shard / f"{name}.out", shard / f"{name}.err"


def remove_outputs(folder: Path, job: Job) -> None:
    """Remove what all attempts of *job* have written."""
    for attempt in range(1, job.attempts + 1):
        for path in output_paths(folder, job, attempt):
            path.unlink(missing_ok=True)
