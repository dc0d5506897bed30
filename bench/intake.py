"""Enqueueing: a large batch from a file, one job, and a script of many single jobs."""

import sys
from collections.abc import Generator
from pathlib import Path

import msgspec

from bench.bare.write import Record
from bench.comparison import Comparison, Measure, Side
from bench.program import Queue
from bench.scale import Scale
from bench.workplace import Workplace


def comparisons(place: Workplace, scale: Scale) -> Generator[Comparison, None, None]:
    """Compare each way of enqueueing with the least that does the same to the disk."""
    with place.folder() as folder:
        yield _batch(place, folder, scale)
        yield _script(place, folder, scale)
        yield _single(place, folder, scale)


def write_batch(path: Path, count: int) -> None:
    """Write *count* jobs to be enqueued, a line of JSON each."""
    lines = (
        f'{{"id":"job-{number}","command":"python resize.py --width 640 photos/{number:06}.jpg"}}\n'
        for number in range(count)
    )
    path.write_text("".join(lines))


def _batch(place: Workplace, folder: Path, scale: Scale) -> Comparison:
    jobs = scale.batch_jobs
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
        rounds=scale.rounds,
        ours=[
            Side(name="`enqueue -f FILE`", records="the checked jobs in `jobs.json`, all or none, durable", run=enqueue)
        ],
        others=[
            Side(
                name="msgspec: decode the file, encode the records, write and fsync once",
                records="the same fields, a line a job",
                run=write,
            )
        ],
    )


def _script(place: Workplace, folder: Path, scale: Scale) -> Comparison:
    jobs = scale.script_jobs
    source = folder / "script.txt"
    source.write_text("".join(f'enqueue \'{{"id": "job-{n}", "command": "echo {n}"}}\'\n' for n in range(1, jobs + 1)))

    def enqueue() -> float:
        with place.folder() as fresh:
            queue = Queue(place, fresh / "data")
            finished = queue.run(stdin=source)
            assert finished.output.count("Job added") == jobs
            _check(msgspec.json.decode(queue.jobs_path.read_bytes(), type=list[Record]), jobs)
            return finished.seconds

    def append() -> float:
        with place.folder() as fresh:
            finished = place.run_bare("write.py", "append", str(jobs), fresh / "jobs.jsonl")
            _check(msgspec.json.Decoder(Record).decode_lines((fresh / "jobs.jsonl").read_bytes()), jobs)
            return finished.seconds

    return Comparison(
        title=f"a piped script of {jobs:,} single `enqueue`, whole process",
        items=jobs,
        measure=Measure.RATE,
        rounds=scale.rounds,
        ours=[Side(name="script", records="each job in `jobs.json` and durable before the next is read", run=enqueue)],
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
        ours=[Side(name="`enqueue -- true`", records="the job in `jobs.json`, durable", run=enqueue)],
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
