"""T7: damage. Bits flipped, ends cut off, files full of anything: noticed, or without consequence, and made no worse.

A flip in the journal is noticed, or is cut off as an unfinished end where it was never confirmed. In the files that
people may edit, what is still a list of jobs is an edit; all else is refused with its file and place. A refusal leaves
every byte as it is. Every single flip is examined where it would be noticed, by the reader of that file; a sample of
them, drawn anew each time, goes through the whole store.
"""

import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from operator import xor
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queuectl import checkup, liveness
from queuectl.errors import StoreDamaged, StoreError, UsageError
from queuectl.job import Job, Outcome, State
from queuectl.settings import resolve
from queuectl.stores.local import disk, records, takeover
from queuectl.stores.local.config import read_settings
from queuectl.stores.local.files import DataFiles
from queuectl.stores.local.findings import Severity
from queuectl.stores.local.journal import HEADER_SIZE, Journal
from queuectl.stores.local.records import File, Layout
from queuectl.stores.local.store import LocalStore
from queuectl.stores.local.transactions import Transaction
from tests.samples import FAILED, NOW, OK, new_claim, plain, spec
from tests.torture.conftest import Figures

TRANSACTIONS = 200
CHUNK = 20_000  #: examples of one run: hypothesis remembers all that it has tried
PATHS = {file: Path(f"/queue/{file}.json") for file in File}
#: Where in a file a refusal says that the mistake is.
PLACE = re.compile(r"line \d+, column \d+|job number \d+|\" is there twice|an array of jobs|nested too deeply|is empty")
CONFIG = b'{\n  "max-retries": 5,\n  "base": 1.5,\n  "timeout": null,\n  "notify": "failures"\n}\n'
PIDS = b"[123,4567]\n"
EMPTY = b"[\n]\n"
WORKER = "0123456789abcdef"
FILES = ("jobs.json", "dlq.json", "config.json", "worker_pids.json", "journal.jsonl", "applied")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power is cut here, and most blanks of a reserve are like the others."""
    monkeypatch.setattr(disk, "sync", lambda fd: None)
    monkeypatch.setattr(disk, "sync_folder", lambda folder: None)
    monkeypatch.setattr(records, "RESERVE", 64)


# -- queues to be damaged --


def overwrite(path: Path, content: bytes) -> None:
    """Put *content* into the file that is there; one that is emptied first costs a wait for the disk."""
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, content, 0)
    os.ftruncate(fd, len(content))
    os.close(fd)


def fill(folder: Path) -> LocalStore:
    """Make a queue with a job in every state, and with every field that there is, and return its open store."""
    store = LocalStore(folder)
    full = {"env": {"NAME": 'välue "q"', "B": "\\"}, "cwd": "/tmp/ä", "timeout": 2.5}
    store.enqueue([spec("done", "echo Hello"), spec("dead", "false", max_retries=1), spec("again", "x")], now=NOW)
    for outcome in (OK, FAILED, Outcome(signal=15, timed_out=True, error="timed out after 30s")):
        job = store.claim(new_claim(), now=NOW)
        assert job is not None
        store.settle(job, outcome, next_claim=None, now=NOW)
    store.enqueue([spec("runs", "sleep 5", **full)], now=NOW)
    store.claim(new_claim(), now=NOW)
    store.enqueue([spec("twice", "exit 7", max_retries=0), spec("gone"), spec("off")], now=NOW)
    job = store.claim(new_claim(), now=NOW)
    assert job is not None
    store.settle(job, FAILED, next_claim=None, now=NOW)
    store.revive(["twice"], now=NOW)
    store.remove(["gone"])
    store.cancel(["off", "runs"], now=NOW)
    store.enqueue([spec("waits", "printf '%s' {a,b}", **full)], now=NOW)
    return store


class Queue:
    """A folder that is damaged again and again, with the very inodes and times that the store remembers."""

    def __init__(self, folder: Path, *, is_at_rest: bool) -> None:
        store = fill(folder)
        if is_at_rest:
            store.close()
        else:
            for number in range(20):
                store.enqueue([spec(f"late{number}")], now=NOW)
            for outcome in (OK, FAILED):  # neither durable nor in the files yet
                job = store.claim(new_claim(), now=NOW)
                assert job is not None
                store.settle(job, outcome, next_claim=None, now=NOW)
            store._engine.close()
        (folder / "config.json").write_bytes(CONFIG)
        (folder / "worker_pids.json").write_bytes(PIDS)
        self.folder = folder
        self.good = {name: (folder / name).read_bytes() for name in FILES}
        self._times = {name: (folder / name).stat().st_mtime_ns for name in FILES}
        self._inodes = folder.with_name(f"{folder.name}.inodes")
        self._inodes.mkdir()
        for name in FILES:
            (self._inodes / name).hardlink_to(folder / name)
        jobs = self.look()
        assert isinstance(jobs, list)
        self.jobs = jobs
        self.restore()
        self.transactions, self.durable = read_journal(folder / "journal.jsonl")
        self.restore()

    def restore(self) -> None:
        """Bring everything back as it was."""
        for name, content in self.good.items():
            path = self.folder / name
            if not path.exists() or not path.samefile(self._inodes / name):
                path.unlink(missing_ok=True)
                path.hardlink_to(self._inodes / name)
            overwrite(path, content)
            os.utime(path, ns=(self._times[name], self._times[name]))

    def unconfirmed(self, journal: bytes) -> set[str]:
        """Return the jobs of those transactions of which *journal*, damaged, does not say that they were confirmed.

        After a reboot nothing else does; before, ``applied`` knows what the files hold.
        """
        durable = self.durable
        if not self.good["applied"]:
            path = self.folder.with_name("damaged.jsonl")
            path.write_bytes(journal)
            _, durable = read_journal(path)
        lines = [write for each in self.transactions if each.end > durable for write in each.writes if write.is_line]
        return {records.decode_job(line.body).id for line in lines}

    def contents(self) -> dict[str, bytes]:
        return {name: (self.folder / name).read_bytes() for name in FILES if name != "applied"}

    def look(self) -> list[Job] | StoreError:
        """Return the jobs, as a process that comes to the folder finds them, or why it refuses."""
        try:
            store = LocalStore(self.folder)
        except StoreError as error:  # a journal that seems to be of a newer version
            return error
        try:
            store.settings()
            jobs = store.jobs()
            assert sum(store.counts().values()) == len(jobs)
            return jobs
        except StoreError as error:
            return error
        finally:
            store.close()


def read_journal(path: Path) -> tuple[list[Transaction], int]:
    """Return the transactions of a sound journal, and up to where it says that it was on the disk."""
    journal = Journal(path)
    journal.attach()
    transactions = journal.read(HEADER_SIZE) if journal.header else []
    journal.close()
    return transactions, journal.durable


# -- every bit, where it would be noticed --


def flips(content: bytes, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield each place, and each of the eight bytes that a flipped bit can make of what stands there."""
    for place in range(begin, len(content) if end is None else end):
        yield from ((place, bytes([content[place] ^ 1 << bit])) for bit in range(8))


def put(content: bytes, place: int, byte: bytes) -> bytes:
    return content[:place] + byte + content[place + 1 :]


def refusal_of(read: Callable[[Any], object], what: Any) -> str | None:
    """Return in which words *read* refuses *what*, None if it does not."""
    try:
        read(what)
    except (StoreDamaged, UsageError) as error:
        return error.message
    return None


def test_every_flipped_bit_of_a_journal_is_noticed(tmp_path: Path, figure: Figures) -> None:
    """Below what was confirmed it is refused, the bytes as they are; above, the journal is cut there."""
    store = LocalStore(tmp_path / "data")
    for number in range(TRANSACTIONS // 4):
        now = NOW + timedelta(minutes=number)
        store.enqueue([spec(f"job{number}", f"echo {number}", max_retries=1 + number % 2)], now=now)
        job = store.claim(new_claim(), now=now)
        assert job is not None
        store.settle(job, (OK, FAILED)[number % 2], next_claim=None, now=now)
        store.flush()
        store.remove([job.id])
    store._engine.close()
    path = tmp_path / "data" / "journal.jsonl"
    raw = path.read_bytes()
    transactions, durable = read_journal(path)
    assert len(transactions) == TRANSACTIONS
    ends = [HEADER_SIZE, *(transaction.end for transaction in transactions)]
    known = [json.loads(raw[begin:end])["durable"] for begin, end in pairwise(ends)]
    journal = Journal(path)
    journal.attach()
    fd = journal._fd
    found: Counter[str] = Counter()
    for index, (begin, end) in enumerate(pairwise(ends)):
        # To be quick, of what stands behind the transaction only so much as says that this one was confirmed.
        stop = next((ends[later + 1] for later in range(index + 1, len(known)) if known[later] > begin), len(raw))
        os.ftruncate(fd, stop)
        for place, byte in flips(raw, begin, end):
            os.pwrite(fd, byte, place)
            journal.durable = HEADER_SIZE
            message = refusal_of(journal.read, begin)
            if message is not None:
                assert f"at byte {begin}," in message
                assert os.fstat(fd).st_size == stop
                os.pwrite(fd, raw[place : place + 1], place)
                found["refused"] += 1
            else:
                assert journal.end == begin >= durable
                assert os.fstat(fd).st_size == begin
                os.pwrite(fd, raw[begin:stop], begin)
                found["cut off, for it was never confirmed"] += 1
        os.pwrite(fd, raw[stop:], stop)
    for place, byte in flips(raw, 0, HEADER_SIZE):
        os.pwrite(fd, byte, place)
        with pytest.raises(StoreDamaged, match=r"damaged in its first line|newer queuectl"):
            journal.attach()
        os.pwrite(journal._fd, raw[place : place + 1], place)
        fd = journal._fd
        found["refused"] += 1
    journal.close()
    assert path.read_bytes() == raw
    for what, count in found.items():
        figure(f"flipped bits {what}", count)


def take_over(data: dict[File, bytes]) -> list[Job]:
    """Return the jobs in files that somebody else has written, as a store at rest would find them."""
    if takeover.survey(data) is not None:
        bodies = [body for content in data.values() for _, _, body in records.scan(content)]
    else:
        merged = takeover.merge(PATHS, data, [])
        bodies = [body for file in File for body in merged.bodies[file]]
        written = {file: b"".join(records.whole_file(Layout(), merged.bodies[file])) for file in File}
        assert takeover.survey(written) is not None
    for content in filter(None, data.values()):
        json.loads(content.decode("utf-8-sig"))  # what is taken for a list of jobs is one for everybody
    return [records.decode_job(body) for body in bodies]


def different(jobs: list[Job], others: list[Job]) -> int:
    """Return how many of *jobs* are not among *others*."""
    found = [plain(job) for job in others]
    return sum(plain(job) not in found for job in jobs)


def check_refusal(error: StoreError, name: str) -> None:
    assert isinstance(error, StoreDamaged)
    assert name in error.message
    assert "Nothing was changed" in error.message
    if name in ("jobs.json", "dlq.json"):
        assert PLACE.search(error.message), error.message


@pytest.mark.parametrize("damaged", File)
def test_every_flipped_bit_of_jobs_is_refused_or_an_edit_of_one_job(
    tmp_path: Path, damaged: File, figure: Figures
) -> None:
    fill(tmp_path / "data").close()
    data = dict.fromkeys(File, EMPTY) | {damaged: (tmp_path / "data" / f"{damaged}.json").read_bytes()}
    jobs = take_over(data)
    found: Counter[str] = Counter()
    for place, byte in flips(data[damaged]):
        changed = data | {damaged: put(data[damaged], place, byte)}
        try:
            edited = take_over(changed)
        except StoreDamaged as error:
            check_refusal(error, f"{damaged}.json")
            found["refused"] += 1
        else:
            assert len(edited) == len(jobs)
            count = different(edited, jobs)
            assert count <= 1
            found["taken for an edit" if count else "without consequence"] += 1
    for what, number in found.items():
        figure(f"flipped bits {what}", number)


def test_every_flipped_bit_of_the_settings_is_refused_or_an_edit(figure: Figures) -> None:
    chosen = read_settings(CONFIG)
    found: Counter[str] = Counter()
    for place, byte in flips(CONFIG):
        content = put(CONFIG, place, byte)
        message = refusal_of(read_settings, content)
        if message is not None:
            assert re.search(r'line \d+, column \d+|No setting "|cannot be "|two things of', message), message
            found["refused"] += 1
        else:
            edited = read_settings(content)
            assert len(edited.items() ^ chosen.items()) <= 2
            found["taken for an edit" if edited != chosen else "without consequence"] += 1
    for what, number in found.items():
        figure(f"flipped bits {what}", number)


def test_every_flipped_bit_of_what_may_be_lost_is_without_consequence(tmp_path: Path, figure: Figures) -> None:
    """Nothing relies on the list of PIDs, and ``applied`` is believed only as it was written."""
    queue = Queue(tmp_path / "data", is_at_rest=False)
    for place, byte in flips(PIDS):
        (queue.folder / "worker_pids.json").write_bytes(put(PIDS, place, byte))
        assert same(queue.look(), queue.jobs)
        assert [finding.kind for finding in checkup.check(queue.folder)] == ["hanging", "pids"]
        queue.restore()
    files = DataFiles(queue.folder)
    generation = json.loads(queue.good["journal.jsonl"][:HEADER_SIZE])["generation"]
    assert files.applied(generation) is not None
    raw = queue.good["applied"]
    for place, byte in flips(raw):
        os.pwrite(files._applied_fd, byte, place)
        assert files.applied(generation) is None
        os.pwrite(files._applied_fd, raw[place : place + 1], place)
    files.close()
    figure("flipped bits without consequence", 8 * (len(PIDS) + len(raw)))


def same(jobs: list[Job] | StoreError, expected: list[Job]) -> bool:
    return isinstance(jobs, list) and plain(jobs) == plain(expected)


# -- through the whole store --


def mutate(dice: random.Random, content: bytes) -> bytes:
    """Return *content*, damaged in one place or several."""
    for _ in range(dice.choice([1, 1, 1, 2, 5])):
        begin, end = sorted((dice.randrange(len(content) + 1), dice.randrange(len(content) + 1)))
        if dice.random() < 0.7:
            end = min(end, begin + dice.randrange(9))  # more often a small place than a large one
        piece = content[begin:end]
        piece = dice.choice(
            [
                b"",
                piece * 2,
                piece[::-1],
                bytes(map(xor, piece, dice.randbytes(len(piece)))),
                dice.randbytes(dice.randrange(20)),
                dice.choice(PIECES),
            ]
        )
        content = content[:begin] + piece + content[end:]
    return content


#: What has a meaning somewhere, or is more than a reader may expect.
PIECES = [
    *(b"[", b"]", b"{", b"}", b'"', b",", b":", b"\n", b"\\", b"\0", b"\xff", b"\xef\xbb\xbf", b"\x0b", b"[" * 3000),
    *(b"null", b"true", b"-1", b"0", b"1.5", b"1e999", b"NaN", b"-Infinity", b"9" * 30, b"9" * 5000, b"{}", b"[]"),
    *(b'""', b'"dead"', b'"pending"', b'"in_progress"', b'"\\ud800"', b'"\\u0000"', b'"status":"running",'),
    *(b'"0001-01-01T00:00:00+14:00"', b'"9999-12-31T23:59:59.999-14:00"', b'"2025-03-01T12:00:00"', b'"1e9"'),
    *(b'"seq":0,', b'"seq":1,', b'"seq":-1,', b'"id":"done",', b'"id":7,', b'"run_at":', b'"created_at":'),
    *(b'{"id":"a","command":"true"}', b'{"sum":"00000000","durable":0,"writes":[]}\n', b'"attempts":-1,'),
    *(b'"queuectl":9,', b"[[1]]"),
]


@pytest.fixture(params=["at rest", "while it is worked on", "after a reboot"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Queue:
    """Return a queue whose journal is empty, or holds what the files do not, or holds it and nobody knows how much."""
    made = Queue(tmp_path / "data", is_at_rest=request.param == "at rest")
    if request.param == "after a reboot":
        made.good["applied"] = b""
        made.restore()
    return made


def damage(dice: random.Random, content: bytes) -> bytes:
    """Return *content*, differently from what it was."""
    while True:
        place = dice.randrange(len(content))
        changed = dice.choice(
            [
                put(content, place, bytes([content[place] ^ 1 << dice.randrange(8)])),
                content[:place],
                mutate(dice, content),
                dice.randbytes(dice.randrange(1, 400)),
            ]
        )
        if changed != content:
            return changed


def test_damage_anywhere_is_refused_or_without_consequence(
    queue: Queue, dice: random.Random, volume: Callable[[int, int], int], figure: Figures
) -> None:
    found: Counter[str] = Counter()
    for _ in range(volume(400, 10_000)):
        name = dice.choice([name for name in FILES if queue.good[name]])
        content = damage(dice, queue.good[name])
        overwrite(queue.folder / name, content)
        before = queue.contents()
        seen = queue.look()
        if isinstance(seen, StoreError):
            check_refusal(seen, name)
            assert queue.contents() == before, name
            findings = checkup.check(queue.folder)
            assert [one for one in findings if one.severity is Severity.DAMAGE], (seen.message, content)
            assert queue.contents() == before, name
            found[f"{name} refused"] += 1
        elif name in ("jobs.json", "dlq.json") and not same(seen, queue.jobs):  # the journal may have mended it
            # What is a list of jobs, or nothing at all, may be what somebody wants the queue to be.
            entries = json.loads(content.decode("utf-8-sig")) if content else []
            assert len(seen) >= len({str(entry.get("id")) for entry in entries})
            found[f"{name} taken for an edit"] += 1
        else:
            missed = {job.id for job in queue.jobs if plain(job) not in [plain(each) for each in seen]}
            assert missed <= (queue.unconfirmed(content) if name == "journal.jsonl" else set()), (name, content)
            found[f"{name} without consequence"] += 1
            checkup.check(queue.folder)
        queue.restore()
        for litter in queue.folder.glob("*.tmp"):
            raise AssertionError(litter)
    assert same(queue.look(), queue.jobs)
    for what, count in sorted(found.items()):
        figure(what, count)


# -- anything, as a whole file --


class Readers:
    """What reads each of the files, and may only ever refuse it."""

    def __init__(self, folder: Path) -> None:
        self.queue = Queue(folder, is_at_rest=False)
        self.journal = Journal(folder / "journal.jsonl")
        workers = liveness.workers_folder(folder)
        self.worker = workers / f"{WORKER}.lock"
        self.worker.touch(mode=0o600)
        info = {"pid": 7, "pool": 6, "started_at": "2025-03-01T12:00:00.000Z", "start_ticks": 1, "boot": "b"}
        record = json.dumps(
            info | {"namespace": "", "job": "a", "token": f"{WORKER}.1", "session": 8, "end": f"{WORKER}.1"}
        ).encode()
        self.files = DataFiles(folder)
        self.samples: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
            "jobs.json": (self.queue.good["jobs.json"], lambda content: self.read_jobs(File.JOBS, content)),
            "dlq.json": (self.queue.good["dlq.json"], lambda content: self.read_jobs(File.DLQ, content)),
            "config.json": (CONFIG, self.read_config),
            "worker_pids.json": (PIDS, self.read_pids),
            "journal.jsonl": (self.queue.good["journal.jsonl"], self.read_journal),
            "applied": (self.queue.good["applied"], self.read_applied),
            "workers/": (record, self.read_worker),
        }
        self.found: Counter[str] = Counter()

    def close(self) -> None:
        self.journal.close()
        self.files.close()

    def read(self, name: str, content: bytes) -> None:
        try:
            self.samples[name][1](content)
        except (StoreDamaged, UsageError):
            self.found[f"{name} refused"] += 1
        else:
            self.found[f"{name} read"] += 1

    def read_jobs(self, file: File, content: bytes) -> None:
        try:
            jobs = take_over(dict.fromkeys(File, EMPTY) | {file: content})
        except StoreDamaged as error:
            check_refusal(error, f"{file}.json")
            raise
        assert len(jobs) == (len(json.loads(content.decode("utf-8-sig"))) if content else 0)

    def read_config(self, content: bytes) -> None:
        resolve(read_settings(content))

    def read_pids(self, content: bytes) -> None:
        overwrite(self.queue.folder / "worker_pids.json", content)
        checkup._pids(self.queue.folder, {})

    def read_journal(self, content: bytes) -> None:
        overwrite(self.queue.folder / "journal.jsonl", content)
        try:
            self.journal.attach()
            if self.journal.header is not None:
                self.journal.read(HEADER_SIZE)
        except StoreDamaged:
            assert (self.queue.folder / "journal.jsonl").read_bytes() == content
            raise
        assert content.startswith((self.queue.folder / "journal.jsonl").read_bytes())

    def read_applied(self, content: bytes) -> None:
        overwrite(self.queue.folder / "applied", content)
        generation = json.loads(self.queue.good["journal.jsonl"][:HEADER_SIZE])["generation"]
        applied = self.files.applied(generation)
        assert applied is None or content.startswith(self.queue.good["applied"])

    def read_worker(self, content: bytes) -> None:
        overwrite(self.worker, content)
        assert len(liveness.read_workers(self.queue.folder)) == 1


@pytest.fixture
def readers(tmp_path: Path) -> Iterator[Readers]:
    made = Readers(tmp_path / "data")
    yield made
    made.close()


NAMES = ["jobs.json", "dlq.json", "config.json", "worker_pids.json", "journal.jsonl", "applied", "workers/"]
KEYS = st.sampled_from([*Job.__struct_fields__, "status", "cmd", "next_retry_at", "max-retries", "base", "pid", "boot"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([*State, "2025-03-01T12:00:00Z", "0001-01-01T00:00:00+14:00", "done", "1e9", "\ud800", 1e300])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=4
)
OBJECTS = st.dictionaries(KEYS | st.text(max_size=4), VALUES, max_size=6)
DOCUMENTS = st.lists(OBJECTS, max_size=3) | OBJECTS | VALUES
CONTENTS = st.binary(max_size=300) | DOCUMENTS.map(lambda document: json.dumps(document).encode())


def test_anything_as_a_whole_file_is_read_or_refused(
    readers: Readers, seed: int, volume: Callable[[int, int], int], figure: Figures
) -> None:
    """Bytes and JSON that hypothesis makes up."""
    examples = volume(1_000, 200_000)
    for begin in range(0, examples, CHUNK):
        check = given(st.sampled_from(NAMES), CONTENTS)(readers.read)
        check = settings(
            max_examples=min(CHUNK, examples - begin),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )(check)
        hypothesis.seed(seed + begin)(check)()
    for what, count in sorted(readers.found.items()):
        figure(what, count)


def test_a_file_damaged_in_any_way_is_read_or_refused(
    readers: Readers, dice: random.Random, volume: Callable[[int, int], int], figure: Figures
) -> None:
    """Sound files, changed in some places."""
    for _ in range(volume(6_000, 800_000)):
        name = dice.choice(NAMES)
        content = mutate(dice, readers.samples[name][0])
        try:
            readers.read(name, content)
        except BaseException:
            print(name, content)  # noqa: T201 - pytest shows it if the test fails
            raise
    for what, count in sorted(readers.found.items()):
        figure(what, count)
