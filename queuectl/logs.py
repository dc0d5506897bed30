"""Where the output of attempts is: two files each.

While a command runs they are its worker's, beside the worker's own file; what has been written gets its lasting place
before the result is recorded. That is named by the job's place in the queue, never by its id.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from queuectl.job import Job, State
from queuectl.liveness import OUTPUTS, worker_of, workers_folder
from queuectl.outputs import move
from queuectl.stores.base import Store
from queuectl.stores.local import disk

_JOBS_A_FOLDER = 1000


def output_names(folder: Path, job: Job, attempt: int) -> tuple[str, str]:
    """Return the paths of the files of stdout and stderr of *attempt* (from 1); one without output is not there.

    Attempts of the job's earlier lives have numbers below 1.
    """
    number = job.first_seq or job.seq
    stem = f"{folder}/logs/{number // _JOBS_A_FOLDER:06d}/{number}-{job.earlier_attempts + attempt}"
    return f"{stem}.out", f"{stem}.err"


def running_names(folder: Path, worker_id: str) -> tuple[str, str]:
    """Return the paths of the files that commands of this worker write to."""
    out, err = (f"{workers_folder(folder)}/{worker_id}{suffix}" for suffix in OUTPUTS)
    return out, err


def move_outputs(folder: Path, job: Job) -> None:
    """Give the output of *job*, whose worker has died, its lasting place; may be done again. Raises ``OSError``."""
    for path, target in zip(
        running_names(folder, worker_of(job)), output_names(folder, job, job.attempts), strict=True
    ):
        if os.path.lexists(path) and os.lstat(path).st_size:
            move(path, target)


def keep_outputs(job: Job, move: Callable[[], None]) -> bool:
    """Have *move* give the output of *job* its lasting place; return whether it could.

    Raises ``OSError`` while the disk is full: that will pass.
    """
    try:
        move()
    except OSError as error:
        if disk.is_full(error):
            raise
        # What stands in its way may stand there for ever: no reason for the job to, or for its result to get lost.
        import logging  # here, as in ``rescue``

        logging.getLogger("queuectl").error("the output of job %s cannot be kept: %s", job.id, error)
        return False
    return True


def open_outputs(store: Store, folder: Path, job: Job, attempt: int) -> tuple[BinaryIO | None, BinaryIO | None]:
    """Return what *attempt* (from 1) of *job* has written to stdout and stderr so far, None for nothing.

    Raises ``OSError`` for a link, which may lead anywhere.
    """
    if job.state is State.IN_PROGRESS and attempt == job.attempts:
        out, err = (_written(path) for path in running_names(folder, worker_of(job)))
        # An empty file is the next job's once this one has ended; one that was written to is not.
        if store.job(job.id).claim == job.claim:
            # What is not there may have got its lasting place already, though the end is not recorded yet.
            kept_out, kept_err = output_names(folder, job, attempt)
            return out or _written(kept_out), err or _written(kept_err)
        for source in (out, err):
            if source is not None:
                source.close()
    out, err = (_written(path) for path in output_names(folder, job, attempt))
    return out, err


def text_of(source: BinaryIO | None) -> str:
    """Read one of these to its end, and close it."""
    if source is None:
        return ""
    with source:
        return source.read().decode(errors="replace")


def _open(path: str) -> BinaryIO | None:
    disk.refuse_link(os.path.dirname(path))  # noqa: PTH120 - it is a name
    try:
        return open(disk.open_to_read(Path(path)), "rb")  # noqa: PTH123 - it is a descriptor
    except FileNotFoundError:
        return None


def _written(path: str) -> BinaryIO | None:
    source = _open(path)
    if source is not None and not os.fstat(source.fileno()).st_size:
        source.close()
        return None
    return source


def remove_outputs(folder: Path, job: Job) -> None:
    """Remove what all attempts of *job* have written; nothing behind a link in the place of their folder.

    Raises ``OSError`` for the first file that stays; the others are removed all the same.
    """
    parent = Path(output_names(folder, job, 1)[0]).parent
    if not parent.is_dir() or parent.is_symlink():
        return  # whatever it is, it holds no output
    failure: OSError | None = None
    for attempt in range(1 - job.earlier_attempts, job.attempts + 1):
        for path in output_names(folder, job, attempt):
            try:
                Path(path).unlink(missing_ok=True)
            except OSError as error:
                failure = failure or error
    if failure is not None:
        raise failure
    with suppress(OSError):  # other jobs have their output there, or none ever had
        parent.rmdir()
