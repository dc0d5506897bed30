"""Enqueueing: a large batch from a file, one job, and a script of many single jobs."""

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.bare.write import Record
from bench.comparison import Comparison, Measure, Side
from bench.drain import WORKERS
from bench.figures import Figure, Note, at_least, at_most
from bench.program import Queue
from bench.scale import Scale
from bench.survey import Survey, median
from bench.workplace import Workplace


def measurements(place: Workplace, scale: Scale) -> Iterator[Comparison | Survey]:
    """Compare each way of enqueueing with the least that does the same to the disk; and look at the memory."""
    for jobs in scale.sizes:
        with place.folder() as folder:
            yield _batch(place, folder, jobs, scale.rounds)
            yield _memory(place, folder, jobs)
    with place.folder() as folder:
        yield _script(place, folder, scale)
        yield _single(place, folder, scale)


def write_batch(path: Path, count: int) -> None:
    """Write *count* jobs to be enqueued, a line of JSON each."""
    lines = (
        f'{{"id":"job-{number}","command":"python resize.py --width 640 photos/{number:06}.jpg"}}\n'
        for number in range(count)
    )
    path.write_text("".join(lines))


def _batch(place: Workplace, folder: Path, jobs: int, rounds: int) -> Comparison:
    source = folder / "batch.jsonl"
    write_batch(source, jobs)

    def enqueue() -> float:
        with place.folder() as fresh:
            queue = Queue(place, fresh / "data")
            finished = queue.run("enqueue", "-f", source)
            _check(msgspec.json.decode(queue.jobs_path.read_bytes(), type=list[Record]), jobs)
            return finished.seconds

    def write() -> float:
        with place.folder() as fresh:
            finished = place.run_bare("write.py", "batch", source, fresh / "jobs.jsonl")
            _check(msgspec.json.Decoder(Record).decode_lines((fresh / "jobs.jsonl").read_bytes()), jobs)
            return finished.seconds

    return Comparison(
        title=f"enqueue {jobs:,} jobs from a file, whole process",
        items=jobs,
        measure=Measure.TIME,
        rounds=rounds,
        ours=[
            Side(
                name="`enqueue -f FILE`",
                records="the checked jobs in `jobs.json`, all or none, durable",
                run=enqueue,
                target=at_most(3),
            )
        ],
        others=[
            Side(
                name="msgspec: decode the file, encode the records, write and fsync once",
                records="the same fields, a line a job",
                run=write,
            )
        ],
    )


def _memory(place: Workplace, folder: Path, jobs: int) -> Survey:
    source = folder / "batch.jsonl"
    size_mb = source.stat().st_size / 1e6

    def look(_: Note) -> list[Figure]:
        one = folder / "one.jsonl"
        write_batch(one, 1)
        base_mb, peak_mb = (_peak_mb(place, file) for file in (one, source))
        return [
            median(
                f"peak memory of enqueueing {jobs:,} jobs, without that of enqueueing one",
                [(peak_mb - base_mb) / size_mb],
                f"× the input's {size_mb:.1f} MB",
                at_most(3),
            ),
            median("peak memory of enqueueing one job, its interpreter included", [base_mb], "MB"),
        ]

    return Survey(title=f"memory for enqueueing {jobs:,} jobs", look=look)


def _peak_mb(place: Workplace, source: Path) -> float:
    with place.folder() as fresh:
        return Queue(place, fresh / "data").peak_mb("enqueue", "-f", source)


def _script(place: Workplace, folder: Path, scale: Scale) -> Comparison:
    jobs = scale.script_jobs
    source = folder / "script.txt"
    source.write_text("".join(f'enqueue \'{{"id": "job-{n}", "command": "echo {n}"}}\'\n' for n in range(1, jobs + 1)))

    def enqueue(queue: Queue) -> float:
        finished = queue.run(stdin=source)
        assert finished.output.count("Job added") == jobs
        return finished.seconds

    def enqueue_alone() -> float:
        with place.folder() as fresh:
            queue = Queue(place, fresh / "data")
            seconds = enqueue(queue)
            _check(msgspec.json.decode(queue.jobs_path.read_bytes(), type=list[Record]), jobs)
            return seconds

    def enqueue_at_work() -> float:
        with place.folder() as fresh:
            queue = Queue(place, fresh / "data")
            with queue.workers(WORKERS):
                seconds = enqueue(queue)
                entries = queue.wait_until(lambda entries: all(entry.finished_at for entry in entries))
            assert [(entry.state, entry.attempts) for entry in entries] == [("completed", 1)] * jobs
            return seconds

    def append() -> float:
        with place.folder() as fresh:
            finished = place.run_bare("write.py", "append", str(jobs), fresh / "jobs.jsonl")
            _check(msgspec.json.Decoder(Record).decode_lines((fresh / "jobs.jsonl").read_bytes()), jobs)
            return finished.seconds

    durable = "each job in `jobs.json` and durable before the next is read"
    return Comparison(
        title=f"a piped script of {jobs:,} single `enqueue`, whole process",
        items=jobs,
        measure=Measure.RATE,
        rounds=scale.rounds,
        ours=[
            Side(
                name=f"{WORKERS} workers running",
                records=durable + "; it is run at the same time",
                run=enqueue_at_work,
                target=at_least(0.5),
            ),
            Side(name="no worker running", records=durable, run=enqueue_alone),
        ],
        others=[
            Side(
                name="bare loop: append a record, fdatasync",
                records="the same fields, each durable before the next",
                run=append,
            )
        ],
    )


def _single(place: Workplace, folder: Path, scale: Scale) -> Comparison:
    queue = Queue(place, folder / "small")
    source = folder / "few.jsonl"
    write_batch(source, scale.few_jobs)
    queue.run("enqueue", "-f", source)

    def enqueue() -> float:
        before = len(queue.entries())
        finished = queue.run("enqueue", "--", "true")
        assert finished.output.startswith("Job added")
        assert len(queue.entries()) == before + 1
        return finished.seconds

    return Comparison(
        title=f"one `enqueue` on a queue of {scale.few_jobs} jobs, whole process",
        items=1,
        measure=Measure.TIME,
        rounds=scale.short_rounds,
        ours=[
            Side(
                name="`enqueue -- true`",
                records="the job in `jobs.json`, durable",
                run=enqueue,
                target=at_most(1.3),
            )
        ],
        others=[
            Side(
                name='`python -c "import click, msgspec, filelock"`',
                records="nothing",
                run=lambda: place.run([sys.executable, "-c", "import click, msgspec, filelock"]).seconds,
            )
        ],
    )


def _check(records: list[Record], count: int) -> None:
    """Check that *count* jobs wait, in their order and with all fields."""
    assert [record.seq for record in records] == list(range(1, count + 1))
    assert {record.state for record in records} == {"pending"}
