"""Where the output of attempts is kept: two files each, named by the job's place in the queue, never by its id."""

from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from queuectl.job import Job
from queuectl.stores.local import disk

_JOBS_A_FOLDER = 1000


def output_names(folder: Path, job: Job, attempt: int) -> tuple[str, str]:
    """Return the paths of the files of stdout and stderr of *attempt* (from 1); one without output is not there.

    Attempts of the job's earlier lives have numbers below 1.
    """
    number = job.first_seq or job.seq
    stem = f"{folder}/logs/{number // _JOBS_A_FOLDER:06d}/{number}-{job.earlier_attempts + attempt}"
    return f"{stem}.out", f"{stem}.err"


def output_paths(folder: Path, job: Job, attempt: int) -> tuple[Path, Path]:
    """Return the files that ``output_names`` names."""
    out, err = output_names(folder, job, attempt)
    return Path(out), Path(err)


def open_output(path: Path) -> BinaryIO | None:
    """Open one of those files, None if there is none; raise ``OSError`` for a link, which may lead anywhere."""
    try:
        return open(disk.open_to_read(path), "rb")  # noqa: PTH123 - it is a descriptor
    except FileNotFoundError:
        return None


def read_output(path: Path) -> str:
    """Return what is in one of those files, as text."""
    source = open_output(path)
    if source is None:
        return ""
    with source:
        return source.read().decode(errors="replace")


def remove_outputs(folder: Path, job: Job) -> None:
    """Remove what all attempts of *job* have written."""
    for attempt in range(1 - job.earlier_attempts, job.attempts + 1):
        for path in output_paths(folder, job, attempt):
            path.unlink(missing_ok=True)
    with suppress(OSError):  # other jobs have their output there, or none ever had
        output_paths(folder, job, 1)[0].parent.rmdir()
