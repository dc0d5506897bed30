"""The data folder itself: what a person, another program, the disk and the system may do to it."""

import contextlib
import functools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

from queuectl.errors import DuplicateId, ExitCode, OutcomeUnknown, StoreBusy, StoreDamaged, StoreError, StoreUnavailable
from queuectl.job import Job, State
from queuectl.liveness import WorkerFile
from queuectl.stores.local import disk, engine, folder, intake, lock
from queuectl.stores.local.examine import examine
from queuectl.stores.local.journal import HEADER_SIZE
from queuectl.stores.local.store import LocalStore
from tests.samples import FAILED, NOW, OK, after, ids_of, new_claim, spec, specs
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
#: What holds jobs, in one way or another: what a refusal must leave as it is.
DATA_FILES = ("jobs.json", "dlq.json", "journal.jsonl", "config.json")


class OneProcess(LocalStore):
    """A store that can die: let go of everything without another word."""

    is_gone = False

    def close(self) -> None:
        self.is_gone = True
        super().close()

    def die(self) -> None:
        if not self.is_gone:
            self.is_gone = True
            self._engine.close()


@pytest.fixture
def open_store(data_dir: Path) -> Iterator[Callable[[], OneProcess]]:
    """Return what opens the queue as one more process would."""
    opened: list[OneProcess] = []

    def open_one() -> OneProcess:
        opened.append(OneProcess(data_dir))
        return opened[-1]

    yield open_one
    for store in opened:
        store.die()


@pytest.fixture
def store(open_store: Callable[[], OneProcess]) -> LocalStore:
    return open_store()


def contents(data_dir: Path) -> dict[str, bytes]:
    """Return what holds jobs; a journal that is empty holds none, and may be made."""
    found = {name: (data_dir / name).read_bytes() for name in DATA_FILES if (data_dir / name).exists()}
    return {name: data for name, data in found.items() if data or name != "journal.jsonl"}


def read(data_dir: Path, name: str = "jobs.json") -> list[dict[str, Any]]:
    """Return the jobs in a file as any program reads them."""
    jobs: list[dict[str, Any]] = json.loads((data_dir / name).read_bytes())
    return jobs


def write(path: Path, data: str | bytes, *, by_rename: bool = False) -> None:
    """Write a file as some editors do, in place, or as others do: a new file that takes its name."""
    target = path.with_name("edited.tmp") if by_rename else path
    target.write_bytes(data.encode() if isinstance(data, str) else data)
    target.replace(path)


def fill(store: LocalStore) -> None:
    """Leave a queue at rest with a completed, a dead, a failed and two pending jobs."""
    store.enqueue([spec("done"), spec("dead", max_retries=1), spec("failed"), spec("p1"), spec("p2")], now=NOW)
    for outcome in (OK, FAILED, FAILED):
        job = store.claim(new_claim(), now=NOW)
        assert job is not None
        store.settle(job, outcome, next_claim=None, now=NOW)
    store.rest()


def claim(store: LocalStore, at_s: float = 0.0) -> Job:
    job = store.claim(new_claim(), now=after(at_s))
    assert job is not None
    return job


# -- the folder --


@pytest.mark.parametrize("umask", [0, 0o077])
def test_folder_is_private_whatever_the_umask(data_dir: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = LocalStore(data_dir)
        fill(store)
        store.set_setting("base", 3)
        store.publish_workers(lambda: [1, 2])
        store.enqueue([spec(command="x" * 100)] * 3, now=NOW)
        store.close()
    finally:
        os.umask(before)
    folders = {path for path in (data_dir, *data_dir.rglob("*")) if path.is_dir()}
    files = set(data_dir.rglob("*")) - folders
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {path.name for path in files} >= {*DATA_FILES, "queue.lock", "worker_pids.json"}


def test_a_path_that_is_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    with pytest.raises(StoreUnavailable, match="data"):
        LocalStore(tmp_path / "data")
    assert (tmp_path / "data").read_text() == "mine"


def mountinfo(tmp_path: Path, system: str) -> Path:
    """Write a mount table in which the file system of *tmp_path* is of type *system*."""
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    table = tmp_path / "mountinfo"
    table.write_text(
        "21 26 0:4242 / /elsewhere rw,relatime shared:7 - nfs4 other:/x rw\n"
        f"36 26 {number} / /mnt\\040x rw,noatime shared:1 master:2 - {system} host:/share rw,vers=4.2\n"
    )
    return table


@pytest.mark.parametrize(
    "system",
    [
        *("nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "fuseblk", "fuse.sshfs", "ceph", "lustre"),
        *("virtiofs", "vboxsf", "beegfs", "gpfs"),
    ],
)
def test_a_network_file_system_is_refused(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    table = mountinfo(tmp_path, system)
    monkeypatch.setattr(folder, "file_system", functools.partial(folder.file_system, mounts=table))
    with pytest.raises(StoreUnavailable, match=re.escape(system)) as caught:
        LocalStore(data_dir)
    assert caught.value.exit_code is ExitCode.STORE
    assert not data_dir.exists()
    data_dir.mkdir()
    with pytest.raises(StoreUnavailable, match=re.escape(system)):
        LocalStore(data_dir)
    assert list(data_dir.iterdir()) == []


def test_a_network_file_system_for_workers_alone_is_refused_and_found(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a worker lives would be told by locks that may not hold."""
    LocalStore(data_dir).close()
    monkeypatch.setattr(folder, "file_system", lambda path: "nfs4" if path.name == "workers" else "ext4")
    monkeypatch.setattr(os.path, "ismount", lambda path: path == data_dir / "workers")
    with pytest.raises(StoreUnavailable, match=r"data/workers is on a network file system \(nfs4\)"):
        LocalStore(data_dir)
    assert [(found.kind, found.path) for found in examine(data_dir).findings] == [("network", f"{data_dir}/workers")]


@pytest.mark.parametrize("system", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", ""])
def test_a_local_file_system_is_accepted(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    table = mountinfo(tmp_path, system) if system else tmp_path / "no such table"
    monkeypatch.setattr(folder, "file_system", functools.partial(folder.file_system, mounts=table))
    store = LocalStore(data_dir)
    store.enqueue(specs("a"), now=NOW)
    store.close()


# -- new, empty, missing --


def test_empty_files_are_a_new_queue(data_dir: Path, open_store: Callable[[], OneProcess]) -> None:
    data_dir.mkdir()
    (data_dir / "jobs.json").touch()
    (data_dir / "dlq.json").touch()
    store = open_store()
    assert store.jobs() == []
    assert store.enqueue(specs("a"), now=NOW) == ["a"]


@pytest.mark.parametrize("is_open", [True, False])
def test_a_file_that_was_emptied_at_rest_is_a_queue_without_jobs(
    data_dir: Path, open_store: Callable[[], OneProcess], is_open: bool
) -> None:
    """``: > jobs.json`` is how people begin anew; the dead jobs stay."""
    store = open_store()
    fill(store)
    os.truncate(data_dir / "jobs.json", 0)
    after_that = store if is_open else open_store()
    assert ids_of(after_that.jobs()) == ["dead"]
    after_that.enqueue(specs("a"), now=NOW)
    assert [job["id"] for job in read(data_dir)] == ["a"]


def test_jobs_json_alone_is_a_queue(data_dir: Path, open_store: Callable[[], OneProcess]) -> None:
    """As the seed's own program leaves it, or a person who has written it by hand."""
    data_dir.mkdir()
    (data_dir / "jobs.json").write_text('[{"id": "a", "command": "true"}]')
    store = open_store()
    assert claim(store).id == "a"


def remove(*names: str) -> Callable[[Path], None]:
    def change(data_dir: Path) -> None:
        for name in names:
            (data_dir / name).unlink()

    return change


def put(text: str | bytes, name: str = "jobs.json") -> Callable[[Path], None]:
    return lambda data_dir: write(data_dir / name, text)


def put_header(fields: dict[str, Any], size: int = HEADER_SIZE) -> Callable[[Path], None]:
    """Replace the journal's first line."""

    def change(data_dir: Path) -> None:
        path = data_dir / "journal.jsonl"
        line = json.dumps(fields, separators=(",", ":")).encode().ljust(size - 1) + b"\n"
        path.write_bytes(line + path.read_bytes()[HEADER_SIZE:])

    return change


def rows(*ids: str, **fields: Any) -> list[dict[str, Any]]:
    moment = "2025-03-01T12:00:00.000Z"
    return [
        {"id": id, "command": f"echo {id}", "state": "pending", "attempts": 0, "max_retries": 3}
        | {"created_at": moment, "updated_at": moment}
        | fields
        for id in ids
    ]


def line_by_line(jobs: list[dict[str, Any]], **style: Any) -> str:
    return "[\n " + "\n,".join(json.dumps(job, **style) for job in jobs) + "\n]\n"


def numbered(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [job | {"seq": number} for number, job in enumerate(jobs, 1)]


JOB = '{"id": "a", "command": "true", "state": "pending"}'
DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "jobs.json is missing": (remove("jobs.json"), "jobs.json"),
    "dlq.json is missing": (remove("dlq.json"), "dlq.json"),
    "both are missing": (remove("jobs.json", "dlq.json"), ".json"),
    "jobs.json is missing, applied too": (remove("jobs.json", "applied"), "jobs.json"),
    "only dlq.json, with a job, is there": (remove("jobs.json", "applied", "journal.jsonl"), "jobs.json"),
    "garbage": (put('[\n {"id": "a",\n  oops}]'), "jobs.json.*line 3, column 3"),
    "half a file": (put(f"[\n {JOB},\n"), "jobs.json.*line 3, column 1"),
    "two arrays": (put("[]\n[]\n"), "jobs.json.*line 2, column 1"),
    "zeros": (put(b"\0" * 4096), "jobs.json.*line 1, column 1"),
    "no UTF-8": (put(b'[{"id": "a", "command": "\xff"}]'), "jobs.json"),
    "an object": (put(JOB), "jobs.json"),
    "a number": (put("[7]"), "jobs.json.*1"),
    "no command": (put(f'[{JOB}, {{"id": "b"}}]'), "jobs.json.*2"),
    "no id": (put('[{"command": "true"}]'), "jobs.json.*1"),
    "the command is no text": (put('[{"id": "a", "command": ["true"]}]'), "jobs.json.*1"),
    "an unknown field": (put('[{"id": "a", "command": "true", "prioritty": 3}]'), "jobs.json.*prioritty"),
    "an unknown state": (put('[{"id": "a", "command": "true", "state": "sleeping"}]'), "jobs.json.*1"),
    "an id twice": (put(f"[{JOB}, {JOB}]"), 'jobs.json.*"a"'),
    "an id twice, in our own form": (
        put(line_by_line([job | {"seq": seq} for seq, job in enumerate(rows("a", "a"), 70)], separators=(",", ":"))),
        'jobs.json.*"a"',
    ),
    "an id twice, once dead": (put('[{"id": "dead", "command": "true"}]'), 'json.*"dead"'),
    "an id that no command can name": (put('[{"id": "a\\"b", "command": "true"}]'), "jobs.json.*1"),
    "a time that is none": (
        put('[{"id": "a", "command": "true", "state": "failed", "run_at": "soon"}]'),
        "jobs.json.*1",
    ),
    "garbage in dlq.json": (put("[}", "dlq.json"), "dlq.json.*line 1, column 2"),
    "a newer journal with a longer header": (put_header({"queuectl": 3, "base": "x" * 300}, 512), "journal.jsonl"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_refused_and_left_alone(data_dir: Path, open_store: Callable[[], OneProcess], what: str) -> None:
    """What is no queue is never taken for an empty one, nor written to: every verb says what is wrong and where."""
    damage, pattern = DAMAGE[what]
    fill(open_store())
    damage(data_dir)
    before = contents(data_dir)
    store = open_store()
    for verb in (
        store.jobs,
        store.counts,
        store.prepare_for_work,
        store.claimed,
        lambda: store.job("a"),
        lambda: store.claim(new_claim(), now=NOW),
        lambda: store.enqueue(specs("new"), now=NOW),
        lambda: store.purge(None),
        lambda: store.cancel(["p1"], now=NOW),
    ):
        with pytest.raises(StoreDamaged) as caught:
            verb()
        assert re.search(pattern, str(caught.value), re.DOTALL)
        assert caught.value.exit_code is ExitCode.STORE
        assert contents(data_dir) == before
    store.close()
    assert contents(data_dir) == before


@pytest.mark.parametrize(
    "header",
    [{"queuectl": 2, "generation": "x", "follows": None, "inodes": {}}, {"queuectl": 2, "base": [1, 2, 3]}],
    ids=["of our form", "of another form"],
)
def test_a_newer_versions_folder_is_not_even_opened(
    data_dir: Path, open_store: Callable[[], OneProcess], store: LocalStore, header: dict[str, Any]
) -> None:
    """Nothing is made or changed there: who knows what it would mean. A store that is open notices too."""
    fill(store)
    put_header(header)(data_dir)
    shutil.rmtree(data_dir / "logs")
    before = contents(data_dir)
    with pytest.raises(StoreDamaged, match=r"newer.*Nothing was changed"):
        open_store()
    with pytest.raises(StoreDamaged, match=r"newer.*Nothing was changed"):
        store.jobs()
    assert contents(data_dir) == before
    assert not (data_dir / "logs").exists()


@pytest.mark.parametrize("what", [what for what in DAMAGE if "journal" not in what])
def test_damage_under_an_open_store_is_refused_and_can_be_mended(data_dir: Path, store: LocalStore, what: str) -> None:
    """A shell that stays open sees the damage too, and goes on once the files have been restored."""
    damage, pattern = DAMAGE[what]
    fill(store)
    before = store.jobs()
    saved = contents(data_dir)
    damage(data_dir)
    damaged = contents(data_dir)
    for verb in (store.jobs, lambda: store.enqueue(specs("new"), now=NOW), store.counts):
        with pytest.raises(StoreDamaged) as caught:
            verb()
        assert re.search(pattern, str(caught.value), re.DOTALL)
        assert contents(data_dir) == damaged
    for name, data in saved.items():
        write(data_dir / name, data, by_rename=True)
    assert store.jobs() == before
    assert store.enqueue(specs("new"), now=NOW) == ["new"]


@pytest.mark.parametrize("damage", [remove("jobs.json"), put(b""), put(b"", "dlq.json"), remove("dlq.json")])
def test_a_file_that_is_missing_or_empty_while_the_journal_is_in_use_is_damage(
    data_dir: Path, open_store: Callable[[], OneProcess], damage: Callable[[Path], None]
) -> None:
    worker = open_store()
    fill(worker)
    claim(worker)
    worker.flush()
    damage(data_dir)
    before = contents(data_dir)
    store = open_store()
    for verb in (store.jobs, lambda: store.enqueue(specs("new"), now=NOW)):
        with pytest.raises(StoreDamaged):
            verb()
    assert contents(data_dir) == before


def test_a_damaged_journal_header_is_refused_while_it_has_transactions(
    data_dir: Path, open_store: Callable[[], OneProcess]
) -> None:
    store = open_store()
    fill(store)
    store.enqueue(specs("a"), now=NOW)
    path = data_dir / "journal.jsonl"
    raw = bytearray(path.read_bytes())
    raw[30] ^= 1
    path.write_bytes(raw)
    before = contents(data_dir)
    for each in (store, open_store()):
        with pytest.raises(StoreDamaged, match=r"journal\.jsonl"):
            each.jobs()
    assert contents(data_dir) == before


def test_damaged_settings_are_refused_and_left_alone(data_dir: Path, store: LocalStore) -> None:
    store.set_setting("base", 3)
    for text in ("{", "[]", '{"base": "x"}', '{"bass": 3}', '{"base": -1}', '{"base": NaN}', '\xff{"base": 1}'):
        write(data_dir / "config.json", text)
        before = contents(data_dir)
        for verb in (store.settings, lambda: store.enqueue(specs("a"), now=NOW), lambda: store.set_setting("base", 1)):
            with pytest.raises(StoreDamaged, match=r"config\.json"):
                verb()
        assert contents(data_dir) == before
    write(data_dir / "config.json", '\ufeff{"backoff_base": 4}\n')
    assert store.settings().base == 4
    write(data_dir / "config.json", "")
    assert store.settings().base == 2


# -- edited, or written by another program --


LAYOUTS: dict[str, str] = {
    "indented": json.dumps(rows("a", "b", "c"), indent=2),
    "on one line": json.dumps(rows("a", "b", "c")),
    "with CRLF and BOM": "\ufeff" + json.dumps(rows("a", "b", "c"), indent=2).replace("\n", "\r\n"),
    "one job a line, as Python writes it": line_by_line(numbered(rows("a", "b", "c"))),
    "one job a line, keys sorted": line_by_line(numbered(rows("a", "b", "c")), sort_keys=True, separators=(",", ":")),
    "one job a line, without room": line_by_line(numbered(rows("a", "b", "c")), separators=(",", ":")),
    "one job a line, no numbers": line_by_line(rows("a", "b", "c"), separators=(",", ":")),
    "only ids and commands": json.dumps([{"command": f"echo {id}", "id": id} for id in "abc"]),
    "the same number twice": json.dumps([job | {"seq": 4} for job in rows("a", "b", "c")]),
    "status, not state": json.dumps([{"id": id, "command": f"echo {id}", "status": "pending"} for id in "abc"]),
    "times as numbers": json.dumps(rows("a", "b", "c", created_at=1740830400, updated_at=1740830400.5)),
    "running, but nobody runs it": json.dumps(rows("a", "b", "c", state="processing", attempts=1)),
    "running, in our own form": line_by_line(
        numbered(rows("a", "b", "c", state="in_progress", attempts=1)), separators=(",", ":")
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("is_first", [True, False])
def test_another_layout_is_the_same_queue(
    data_dir: Path, open_store: Callable[[], OneProcess], layout: str, is_first: bool
) -> None:
    """A file in another layout is accepted, at first and later, and all verbs work on it as on our own."""
    if is_first:
        data_dir.mkdir()
    else:
        before = open_store()
        before.enqueue(specs("old"), now=NOW)
        before.close()
    write(data_dir / "jobs.json", LAYOUTS[layout])
    store = open_store()
    assert [(job.id, job.command, job.state) for job in store.jobs()] == [
        (id, f"echo {id}", State.PENDING) for id in "abc"
    ]
    assert store.job("b").command == "echo b"
    with pytest.raises(DuplicateId):
        store.enqueue(specs("c"), now=NOW)
    store.enqueue(specs("d"), now=NOW)
    assert [claim(store).id for _ in range(4)] == ["a", "b", "c", "d"]
    store.close()
    assert [job["id"] for job in sorted(read(data_dir), key=lambda job: int(job["seq"]))] == list("abcd")
    lines = (data_dir / "jobs.json").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) == 6, "one job a line"


def test_a_time_in_another_zone_is_the_same_time(data_dir: Path, open_store: Callable[[], OneProcess]) -> None:
    data_dir.mkdir()
    fields = {"id": "a", "command": "true", "state": "failed", "attempts": 1, "run_at": "2025-03-01T15:00:00+02:00"}
    (data_dir / "jobs.json").write_text(json.dumps([fields]))
    store = open_store()
    assert store.claim(new_claim(), now=after(3599)) is None
    assert claim(store, 3600).id == "a"


def test_a_dead_job_in_jobs_json_belongs_to_the_dlq(data_dir: Path, open_store: Callable[[], OneProcess]) -> None:
    data_dir.mkdir()
    (data_dir / "jobs.json").write_text(json.dumps(rows("a", state="dead", attempts=3) + rows("b")))
    store = open_store()
    assert ids_of(store.jobs([State.DEAD])) == ["a"]
    store.close()
    assert [job["id"] for job in read(data_dir, "dlq.json")] == ["a"]
    assert [job["id"] for job in read(data_dir)] == ["b"]


def test_a_process_that_dies_while_it_takes_files_over_loses_no_job(
    data_dir: Path, open_store: Callable[[], OneProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whichever file it dies: the next one finds every job, wherever it belongs."""
    real = disk.replace
    for moment in range(1, 5):
        for path in data_dir.glob("*.json*"):
            path.unlink()
        (data_dir / "applied").unlink(missing_ok=True)
        data_dir.mkdir(exist_ok=True)
        (data_dir / "jobs.json").write_text(json.dumps(rows("a", state="dead", attempts=3) + rows("b")))
        (data_dir / "dlq.json").write_text(json.dumps(rows("c", state="dead", attempts=3)))
        calls = 0

        def replace(path: Path, chunks: Any, moment: int = moment) -> None:
            nonlocal calls
            calls += 1
            if calls == moment:
                raise KeyboardInterrupt
            real(path, chunks)

        monkeypatch.setattr(disk, "replace", replace)
        died = False
        try:
            open_store().jobs()
        except KeyboardInterrupt:
            died = True
        monkeypatch.setattr(disk, "replace", real)
        assert sorted(ids_of(open_store().jobs())) == ["a", "b", "c"], f"dying at file {moment}"
        if not died:
            assert moment > 2
            return


@pytest.mark.parametrize("by_rename", [False, True])
@pytest.mark.parametrize("reader", ["who wrote last", "who has only looked", "who comes anew"])
def test_an_edit_at_rest_is_simply_the_queue(
    data_dir: Path, open_store: Callable[[], OneProcess], reader: str, by_rename: bool
) -> None:
    """Whoever looks next, be it a shell that has been open all the time, sees what the person has written."""
    writer, onlooker = open_store(), open_store()
    fill(writer)
    onlooker.jobs()
    writer.enqueue(specs("x"), now=NOW)
    onlooker.jobs()
    writer.rest()
    jobs = [job for job in read(data_dir) if job["id"] != "p1"]
    jobs[-1]["command"] = "echo edited"
    jobs += [{"id": "mine", "command": "echo mine"}]
    write(data_dir / "jobs.json", json.dumps(jobs, indent=1), by_rename=by_rename)
    store = {"who wrote last": writer, "who has only looked": onlooker}.get(reader) or open_store()
    expected = ["done", "dead", "failed", "p2", "x", "mine"]
    assert ids_of(store.jobs()) == expected
    assert store.job("x").command == "echo edited"
    store.enqueue(specs("y"), now=NOW)
    assert ids_of(open_store().jobs()) == ids_of(store.jobs()) == [*expected, "y"]
    assert [job["id"] for job in read(data_dir)] == ["done", "failed", "p2", "x", "mine", "y"]


def expect_edited(store: LocalStore) -> None:
    assert [(job.id, job.command, job.state) for job in store.jobs()] == [
        ("a", "true", State.IN_PROGRESS),
        ("b", "echo edited", State.PENDING),
        ("n", "echo new", State.PENDING),
    ]


def check_counts(store: LocalStore, running: Job) -> None:
    assert store.counts()[State.PENDING] == 2


def check_job(store: LocalStore, running: Job) -> None:
    assert store.job("b").command == "echo edited"
    assert store.job("n").command == "echo new"


def check_duplicate(store: LocalStore, running: Job) -> None:
    for taken in ("a", "b", "n"):
        with pytest.raises(DuplicateId):
            store.enqueue(specs(taken), now=NOW)


def check_enqueue(store: LocalStore, running: Job) -> None:
    store.enqueue(specs("z"), now=NOW)
    assert sorted(ids_of(store.jobs())) == ["a", "b", "n", "z"]
    store.remove(["z"])


def check_cancel(store: LocalStore, running: Job) -> None:
    assert store.cancel(["a"], now=after(1))[0].cancel_requested


def check_current(store: LocalStore, running: Job) -> None:
    assert store.current(running) == running


def check_claimed(store: LocalStore, running: Job) -> None:
    assert store.claimed() == [running]


def check_claim(store: LocalStore, running: Job) -> None:
    assert claim(store).command == "echo edited"
    assert claim(store).command == "echo new"
    for job in store.claimed():
        if job.id != "a":
            store.give_back(job, now=NOW)


def check_nothing(store: LocalStore, running: Job) -> None:
    pass


@pytest.mark.parametrize("by_rename", [False, True])
@pytest.mark.parametrize("reader", ["the worker", "another", "a new one"])
@pytest.mark.parametrize(
    "check",
    [
        check_nothing,
        check_counts,
        check_job,
        check_duplicate,
        check_enqueue,
        check_cancel,
        check_current,
        check_claimed,
        check_claim,
    ],
)
def test_an_edit_while_workers_run_is_merged(
    data_dir: Path,
    open_store: Callable[[], OneProcess],
    check: Callable[[LocalStore, Job], None],
    reader: str,
    by_rename: bool,
) -> None:
    """A person saves what they had opened before job "a" was claimed: their changes count, and so does the claim."""
    worker, other = open_store(), open_store()
    worker.enqueue(specs("a", "b", "c"), now=NOW)
    worker.prepare_for_work()
    other.jobs()
    with worker._engine.locked():
        worker._engine.renew()  # so that none of the three is in the journal
    jobs = [job for job in read(data_dir) if job["id"] != "c"]
    jobs[1]["command"] = "echo edited"
    jobs.append({"id": "n", "command": "echo new"})
    running = claim(worker)
    worker.flush()
    other.jobs()
    write(data_dir / "jobs.json", json.dumps(jobs, indent=1), by_rename=by_rename)

    store = {"the worker": worker, "another": other}.get(reader) or open_store()
    check(store, running)

    expect_edited(store)
    settlement = worker.settle(running, OK, next_claim=new_claim(), now=NOW)
    assert settlement.next is not None
    assert settlement.next.command == "echo edited"
    assert settlement.settled is not None
    worker.close()
    assert [(job["id"], job["state"]) for job in read(data_dir)] == [
        ("a", "cancelled" if check is check_cancel else "completed"),
        ("b", "in_progress"),
        ("n", "pending"),
    ]


@pytest.mark.parametrize("seq", [None, 0, 77])
def test_a_program_that_keeps_no_numbers_does_not_undo_a_claim(
    data_dir: Path, open_store: Callable[[], OneProcess], seq: int | None
) -> None:
    """It writes back what it has read before the claim, and has dropped or changed what it does not know."""
    worker = open_store()
    worker.enqueue(specs("a", "b"), now=NOW)
    with worker._engine.locked():
        worker._engine.renew()
    jobs = read(data_dir)
    running = claim(worker)
    worker.flush()
    for job in jobs:
        del job["seq"]
        job |= {} if seq is None else {"seq": seq}
    write(data_dir / "jobs.json", json.dumps(jobs))
    other = open_store()
    assert other.job("a").claim == running.claim
    assert claim(other).id == "b"
    assert worker.settle(running, OK, next_claim=None, now=NOW).settled is not None


def test_a_copied_line_is_a_job_of_its_own(data_dir: Path, open_store: Callable[[], OneProcess]) -> None:
    """A person copies the line of a running job, and gives the copy another id, but leaves its number."""
    store = open_store()
    store.enqueue(specs("a"), now=NOW)
    running = claim(store, 1)
    store.flush()
    [job] = read(data_dir)
    copy = {name: job[name] for name in ("command", "attempts", "max_retries", "created_at", "updated_at", "seq")}
    write(data_dir / "jobs.json", json.dumps([job, copy | {"id": "copy", "state": "pending"}], indent=1))
    store.enqueue(specs("z"), now=NOW)
    assert sorted(ids_of(open_store().jobs())) == ["a", "copy", "z"]
    assert store.settle(running, OK, next_claim=None, now=NOW).settled is not None


def test_an_edit_after_a_crash_is_not_written_over(data_dir: Path, open_store: Callable[[], OneProcess]) -> None:
    """The machine went down with the journal in use; a person edits ``jobs.json`` before anything else has run."""
    store = open_store()
    store.enqueue(specs("a", "b"), now=NOW)
    jobs = read(data_dir)
    jobs[1]["command"] = "echo edited"
    write(data_dir / "jobs.json", json.dumps(jobs, indent=1))
    (data_dir / "applied").write_bytes(b"")  # what it says holds for its boot only
    edited = (data_dir / "jobs.json").read_bytes()
    try:
        found = open_store().jobs()
    except StoreDamaged:
        assert (data_dir / "jobs.json").read_bytes() == edited
    else:
        assert [(job.id, job.command) for job in found] == [("a", "true"), ("b", "echo edited")]


@pytest.mark.parametrize("is_open", [True, False])
def test_an_editor_that_empties_the_file_before_it_writes_loses_nothing(
    data_dir: Path, open_store: Callable[[], OneProcess], is_open: bool
) -> None:
    """Somebody asks for the state of the queue just between the two: what the editor writes then is the queue."""
    store = open_store()
    fill(store)
    text = json.dumps(read(data_dir), indent=1)
    with (data_dir / "jobs.json").open("w") as editor:  # which empties it
        with contextlib.suppress(StoreError):
            (store if is_open else open_store()).counts()
        editor.write(text)
    assert ids_of(open_store().jobs()) == ["done", "dead", "failed", "p1", "p2"]


def test_a_copied_folder_is_a_queue_of_its_own(
    tmp_path: Path, data_dir: Path, open_store: Callable[[], OneProcess]
) -> None:
    """Even one that was copied while it was worked on: the copy holds all that the original did."""
    store = open_store()
    fill(store)
    running = claim(store, 10)
    store.enqueue(specs("x"), now=NOW)
    before = store.jobs()
    shutil.copytree(data_dir, tmp_path / "copy", symlinks=True)
    copy = LocalStore(tmp_path / "copy")
    assert copy.jobs() == before
    assert copy.claimed() == [running]
    copy.remove(["x"])
    assert store.jobs() == before
    copy.close()


# -- readers without the lock --

READER = """
import json, sys, time
reads = broken = 0
sys.stdout.write("\\n"); sys.stdout.flush()
while not sys.stdin.closed:
    try:
        with open(sys.argv[1], "rb") as file:
            json.load(file)
    except ValueError:
        broken += 1
    reads += 1
    import select
    if select.select([sys.stdin], [], [], 0.001)[0]:
        break
print(reads, broken)
"""


def test_a_reader_without_the_lock_reads_whole_files(data_dir: Path, store: LocalStore) -> None:
    """While 2,000 jobs are enqueued one by one, and some are worked on: one read in a thousand may be broken."""
    store.enqueue(specs("first"), now=NOW)
    with subprocess.Popen(
        [sys.executable, "-c", READER, data_dir / "jobs.json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        for number in range(2000):
            store.enqueue(specs(f"job{number}"), now=NOW)
            if number % 50 == 0:  # beside the enqueueing
                store.settle(claim(store), OK, next_claim=None, now=NOW)
        answer, _ = reader.communicate("\n", timeout=60)
    reads, broken = map(int, answer.split())
    assert reads > 50
    assert broken <= 3 + reads // 1000, f"{broken} of {reads} reads were broken"


# -- a disk that fails --


class Disk:
    """Fails at will: what is asked of the file of inode *inode*, so many times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failures: dict[tuple[str, int], tuple[int, int]] = {}
        self.calls = 0
        real_sync, real_write = disk.sync, disk.write_at

        def sync(fd: int) -> None:
            self.fail("sync", fd)
            real_sync(fd)

        def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
            try:
                self.fail("write", fd)
            except OSError:
                real_write(fd, data[: len(data) // 2], offset)
                raise
            real_write(fd, data, offset)

        monkeypatch.setattr(disk, "sync", sync)
        monkeypatch.setattr(disk, "write_at", write_at)

    def fail(self, what: str, fd: int) -> None:
        inode = os.fstat(fd).st_ino
        for key in ((what, inode), (what, 0)):
            left, code = self.failures.get(key, (0, 0))
            if left:
                self.calls += 1
                self.failures[key] = (left - 1, code)
                raise OSError(code, os.strerror(code))

    def let_fail(self, what: str, path: Path | None, times: int, code: int) -> None:
        """Let the next *times* calls on the file *path* (None: on any file) fail."""
        self.failures[what, path.stat().st_ino if path else 0] = (times, code)

    def mend(self) -> None:
        self.failures.clear()


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


EIO, ENOSPC = 5, 28


@pytest.mark.parametrize("loses_applied", [False, True])
@pytest.mark.parametrize("is_for_good", [False, True])
def test_a_failed_sync_of_the_journal_leaves_jobs_whole(
    data_dir: Path, open_store: Callable[[], OneProcess], faulty: Disk, is_for_good: bool, loses_applied: bool
) -> None:
    """The disk fails once, or for a while: what was enqueued is there or not, and nobody trusts that file again."""
    store, other = open_store(), open_store()
    store.enqueue(specs("a"), now=NOW)
    other.enqueue(specs("b"), now=NOW)
    journal = data_dir / "journal.jsonl"
    distrusted = journal.stat().st_ino
    if loses_applied:
        (data_dir / "applied").write_bytes(b"")
    faulty.let_fail("sync", None if is_for_good else journal, 1_000_000 if is_for_good else 1, EIO)
    confirmed = False
    with contextlib.suppress(OutcomeUnknown):  # exit code 5
        store.enqueue([spec("c", "echo 1"), spec("d", "echo 2")], now=NOW)
        confirmed = True
    assert faulty.calls
    assert not (is_for_good and confirmed)
    faulty.mend()

    for number, each in enumerate((other, store, open_store())):
        each.enqueue(specs(f"next{number}"), now=NOW)
    assert journal.stat().st_ino != distrusted
    ids = [id for id in ids_of(other.jobs()) if not id.startswith("next")]
    assert ids in ([["a", "b", "c", "d"]] if confirmed else [["a", "b"], ["a", "b", "c", "d"]])
    assert ids_of(open_store().jobs()) == ids_of(other.jobs()) == ids_of(store.jobs())
    for each in (store, other):
        each.close()
    assert [job["id"] for job in read(data_dir)] == ids_of(open_store().jobs())


def test_a_failed_sync_of_a_data_file_loses_nothing(
    data_dir: Path, open_store: Callable[[], OneProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed sync the system may forget what it could not write, and the next sync succeeds.

    So the journal may not be emptied on the word of that next sync.
    """
    store = open_store()
    fill(store)
    store.enqueue(specs("kept"), now=NOW)
    path = data_dir / "jobs.json"
    on_disk: dict[int, bytes] = {path.stat().st_ino: path.read_bytes().replace(b'"kept"', b'"lost"')}
    real = disk.sync
    failures = 1

    def sync(fd: int) -> None:
        nonlocal failures
        inode = os.fstat(fd).st_ino
        if inode in on_disk and failures:
            failures -= 1
            status = os.fstat(fd)
            os.pwrite(fd, on_disk[inode], 0)
            os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
            raise OSError(EIO, os.strerror(EIO))
        real(fd)

    monkeypatch.setattr(disk, "sync", sync)
    with pytest.raises((StoreError, OSError)):
        store.rest()
    assert not failures
    store.rest()
    store.close()
    assert ids_of(open_store().jobs()) == ["done", "dead", "failed", "p1", "p2", "kept"]


def test_a_full_disk_refuses_a_job_and_takes_it_later(
    data_dir: Path, open_store: Callable[[], OneProcess], faulty: Disk
) -> None:
    """What could be written only in part is cut back at once."""
    store, other = open_store(), open_store()
    store.enqueue(specs("a"), now=NOW)
    journal = data_dir / "journal.jsonl"
    before = contents(data_dir)
    for _ in range(3):
        faulty.let_fail("write", journal, 1, ENOSPC)
        with pytest.raises((StoreError, OSError), match=r"(?i)space"):
            store.enqueue(specs("b", "c"), now=NOW)
        assert contents(data_dir) == before
    assert ids_of(other.jobs()) == ids_of(store.jobs()) == ["a"]
    store.enqueue(specs("b"), now=NOW)
    assert ids_of(other.jobs()) == ids_of(store.jobs()) == ["a", "b"]


def test_a_full_disk_refuses_a_result_and_takes_it_later(
    data_dir: Path, open_store: Callable[[], OneProcess], faulty: Disk
) -> None:
    store = open_store()
    store.enqueue(specs("a", "b"), now=NOW)
    job = claim(store)
    hold = new_claim()
    faulty.let_fail("write", data_dir / "journal.jsonl", 1, ENOSPC)
    with pytest.raises((StoreError, OSError)):
        store.settle(job, OK, next_claim=hold, now=NOW)
    assert store.current(job) == job
    settlement = store.settle(job, OK, next_claim=hold, now=NOW)
    assert settlement.settled is not None
    assert settlement.next is not None
    assert [job.state for job in open_store().jobs()] == [State.COMPLETED, State.IN_PROGRESS]


@pytest.mark.parametrize("name", ["jobs.json", "dlq.json"])
def test_a_data_file_that_cannot_be_written_is_written_later(
    data_dir: Path, open_store: Callable[[], OneProcess], faulty: Disk, name: str
) -> None:
    """A job that is in the journal is in the queue: whoever comes next brings it into the file."""
    store = open_store()
    fill(store)
    store.enqueue([spec("a", max_retries=1)], now=NOW)
    for job in [claim(store, 10), claim(store), claim(store), claim(store)]:
        store.settle(job, FAILED, next_claim=None, now=NOW)
    faulty.let_fail("write", data_dir / name, 1, ENOSPC)
    with pytest.raises((StoreError, OSError)):
        store.flush()
    assert store.job("a").state is State.DEAD
    other = open_store()
    assert other.job("a").state is State.DEAD
    store.enqueue(specs("next"), now=NOW)
    store.close()
    assert [job["id"] for job in read(data_dir, "dlq.json")] == ["dead", "a"]
    assert [job["id"] for job in read(data_dir)] == ["done", "failed", "p1", "p2", "next"]


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_batch_that_does_not_fit_on_the_disk_is_not_there(
    data_dir: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """A batch over 16 MiB goes another way: it is not in the queue before it is wholly there."""
    store.enqueue(specs("a"), now=NOW)
    batch = [spec(f"b{number}", "x" * 9000) for number in range(2000)]
    real = disk.write_at

    def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
        if offset > 17_000_000 * share:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        real(fd, data, offset)

    monkeypatch.setattr(disk, "write_at", write_at)
    with pytest.raises((StoreError, OSError), match=r"(?i)space"):
        store.enqueue(batch, now=NOW)
    monkeypatch.setattr(disk, "write_at", real)
    assert ids_of(store.jobs()) == ["a"]
    assert ids_of(LocalStore(data_dir).jobs()) == ["a"]
    store.enqueue(batch, now=NOW)
    store.enqueue(specs("z"), now=NOW)
    assert ids_of(store.jobs()) == ["a", *(spec.id for spec in batch), "z"]
    assert not list(data_dir.glob(".*tmp")), "half a file is left"


# -- the lock --

HOLDER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(data_dir: Path, store: LocalStore) -> Iterator[subprocess.Popen[str]]:
    """Return another program that holds the queue's lock, in filelock's own way, until its input ends."""
    store.enqueue(specs("a"), now=NOW)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, data_dir / "queue.lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def test_a_lock_that_is_held_too_long_names_its_holder(
    data_dir: Path, store: LocalStore, holder: subprocess.Popen[str]
) -> None:
    store._engine.lock.deadline_s = 0.2
    before = contents(data_dir)
    for verb in (
        store.jobs,
        lambda: store.enqueue(specs("b"), now=NOW),
        lambda: store.set_setting("base", 3),
        lambda: store.claim(new_claim(), now=NOW),
    ):
        with pytest.raises(StoreBusy, match=rf"\b{holder.pid}\b") as caught:
            verb()
        assert caught.value.exit_code is ExitCode.STORE
    assert contents(data_dir) == before
    assert holder.stdin is not None
    holder.stdin.close()
    holder.wait()
    assert store.enqueue(specs("b"), now=NOW) == ["b"]


def test_who_must_not_give_up_waits_as_long_as_it_takes_and_says_so_once(
    store: LocalStore,
    holder: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(lock, "COMMAND_DEADLINE_S", 0.1)
    store.patience_s = None
    with ThreadPoolExecutor(1) as executor:
        claiming = executor.submit(store.claim, new_claim(), now=NOW)
        until(lambda: caplog.messages)
        assert not claiming.done()
        assert holder.stdin is not None
        holder.stdin.close()
        claimed = claiming.result(30)
    assert claimed is not None
    [said] = caplog.messages
    assert said.startswith(f"the queue has been locked for 0.1 s by process {holder.pid} (")


@pytest.fixture
def named(data_dir: Path, tmp_path: Path) -> Callable[..., str]:
    """Return what says whom a table of locks makes the holder, whose one line is about this very lock unless told."""
    path = data_dir / "queue.lock"

    def holder_by(pid: int, *, kind: str = "FLOCK ", device: int | None = None) -> str:
        status = path.stat()
        number = status.st_dev if device is None else device
        place = f"{os.major(number):02x}:{os.minor(number):02x}:{status.st_ino}"
        table = tmp_path / "locks"
        table.write_text(f"1: {kind} ADVISORY  WRITE {pid} {place} 0 EOF\n")
        return lock.holder_of(path, table)

    return holder_by


OTHER_DEVICE = os.makedev(0, 255)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_who_has_not_opened_the_lock_is_not_named_as_its_holder(
    store: LocalStore, named: Callable[..., str], holder: subprocess.Popen[str]
) -> None:
    """A file of another file system may have the same number, and a PID that of a process that has ended."""
    with subprocess.Popen(["sleep", "1000"]) as innocent:
        assert named(innocent.pid, device=OTHER_DEVICE) == named(innocent.pid) == "another process"
        innocent.kill()
    assert named(innocent.pid) == "another process"
    assert named(holder.pid).startswith(f"process {holder.pid} (")
    assert named(holder.pid, kind="-> FLOCK ") == "another process"
    assert named(holder.pid, kind="POSIX ") == "another process"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_holder_is_named_where_files_bear_another_device_than_their_file_system(
    store: LocalStore, named: Callable[..., str], holder: subprocess.Popen[str]
) -> None:
    assert named(holder.pid, device=OTHER_DEVICE).startswith(f"process {holder.pid} (")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_holder_of_another_user_is_known_by_the_device(
    store: LocalStore, named: Callable[..., str], holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has opened may not be seen."""

    def refuse(path: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert named(holder.pid).startswith(f"process {holder.pid} (")
    assert named(holder.pid, device=OTHER_DEVICE) == "another process"


def test_a_lock_is_free_once_its_holder_was_killed(store: LocalStore, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    store._engine.lock.deadline_s = 2.0
    assert store.enqueue(specs("b"), now=NOW) == ["b"]


def test_a_file_lock_and_the_store_exclude_each_other(data_dir: Path, store: LocalStore) -> None:
    """A script of the user's that takes the lock with filelock has the folder for itself."""
    lock = FileLock(data_dir / "queue.lock")
    with store._engine.locked(), pytest.raises(Timeout):
        lock.acquire(timeout=0)
    store._engine.lock.deadline_s = 0.1
    with lock, pytest.raises(StoreBusy):
        store.jobs()
    assert store.jobs() == []


def test_a_lock_file_that_was_deleted_splits_nobody(data_dir: Path, open_store: Callable[[], OneProcess]) -> None:
    """Who has the old file open and who opens a new one still exclude each other."""
    store, other = open_store(), open_store()
    store.enqueue(specs("a"), now=NOW)
    (data_dir / "queue.lock").unlink()
    other._engine.lock.deadline_s = 0.1
    with store._engine.locked(), pytest.raises(StoreBusy):
        other.jobs()
    assert ids_of(other.jobs()) == ["a"]


def test_the_lock_is_given_up_by_those_who_hold_it_for_long(data_dir: Path, store: LocalStore) -> None:
    """Reading a large queue does not keep others waiting: the bytes are read without the lock."""
    store.enqueue([spec(f"j{number}", "x" * 1000) for number in range(12_000)], now=NOW)
    lock = FileLock(data_dir / "queue.lock")
    code = (
        "import sys; from pathlib import Path; from queuectl.stores.local.store import LocalStore;"
        "LocalStore(Path(sys.argv[1])).jobs()"
    )
    with subprocess.Popen([sys.executable, "-c", code, data_dir], cwd=ROOT) as reader:
        taken = 0
        while reader.poll() is None:
            lock.acquire(timeout=5, poll_interval=0.001)
            lock.release()
            taken += 1
    assert reader.returncode == 0
    assert taken > 5


# -- at rest --


def test_the_files_are_everything_once_nobody_works(data_dir: Path, open_store: Callable[[], OneProcess]) -> None:
    store = open_store()
    fill(store)
    store.close()
    assert (data_dir / "journal.jsonl").stat().st_size == HEADER_SIZE
    for name in ("journal.jsonl", "applied", "queue.lock"):
        (data_dir / name).unlink()
    assert ids_of(open_store().jobs()) == ["done", "dead", "failed", "p1", "p2"]


def test_a_journal_in_use_is_left_to_the_workers(data_dir: Path, open_store: Callable[[], OneProcess]) -> None:
    """As long as a worker lives, the commands of others do not empty its journal."""
    store = open_store()
    file = WorkerFile.create(data_dir, pid=os.getpid(), pool_pid=os.getppid())
    try:
        store.enqueue(specs("a"), now=NOW)
        store.rest()
        assert (data_dir / "journal.jsonl").stat().st_size > HEADER_SIZE
    finally:
        file.close_and_remove()
    store.rest()
    assert (data_dir / "journal.jsonl").stat().st_size == HEADER_SIZE


def test_a_file_that_is_mostly_blank_is_written_anew(
    data_dir: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_COMPACT_AT", 4096)
    store.enqueue(specs(*(f"j{number}" for number in range(1000))), now=NOW)
    store.rest()
    size = (data_dir / "jobs.json").stat().st_size
    store.remove([f"j{number}" for number in range(0, 900)])
    store.rest()
    assert (data_dir / "jobs.json").stat().st_size < size / 2
    assert [job["id"] for job in read(data_dir)] == [f"j{number}" for number in range(900, 1000)]
    assert ids_of(store.jobs()) == [f"j{number}" for number in range(900, 1000)]


def test_numbers_stay_unique_when_a_large_batch_comes_upon_lost_notes(
    data_dir: Path, open_store: Callable[[], OneProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``applied`` may be lost at any time without harm: each job keeps a place of its own, and is claimed once."""
    monkeypatch.setattr(engine, "RENEW_AT", 16_384)
    monkeypatch.setattr(intake, "RENEW_AT", 16_384)
    store = open_store()
    store.enqueue(specs("a", "b", "c"), now=NOW)
    store.remove(["c"])
    (data_dir / "applied").write_bytes(b"")
    batch = [f"j{number}" for number in range(60)]
    store.enqueue(specs(*batch), now=NOW)
    store.enqueue(specs("y", "z"), now=NOW)
    jobs = store.jobs()
    assert ids_of(jobs) == ["a", "b", *batch, "y", "z"]
    assert len({job.seq for job in jobs}) == len(jobs)
    worker = open_store()
    assert [claim(worker).id for _ in jobs] == ids_of(jobs)


def test_a_batch_with_an_id_twice_is_refused_at_once(store: LocalStore) -> None:
    ids = [f"job{number}" for number in range(20_000)]
    begun = time.monotonic()
    with pytest.raises(DuplicateId, match=r"job19999"):
        store.enqueue(specs(*ids, "job19999"), now=NOW)
    assert time.monotonic() - begun < 2


def test_a_killed_writer_leaves_no_litter(data_dir: Path, open_store: Callable[[], OneProcess]) -> None:
    """Half-written files of processes that were killed go with the next change that brings the data to rest."""
    store = open_store()
    fill(store)
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    litter = data_dir / f".jobs.json.{int(gone.stdout)}.tmp"
    litter.write_bytes(b"x" * 100)
    os.utime(litter, (1, 1))
    again = open_store()
    again.enqueue(specs("a"), now=NOW)
    again.close()
    assert not litter.exists()


def test_has_workers_sees_the_living_only(data_dir: Path, store: LocalStore) -> None:
    assert not folder.has_workers(data_dir)
    code = (
        "import os, pathlib, sys; from queuectl.liveness import WorkerFile;"
        f"file = WorkerFile.create(pathlib.Path({str(data_dir)!r}), pid=os.getpid(), pool_pid=1);"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        assert folder.has_workers(data_dir)
        worker.kill()
    until(lambda: not folder.has_workers(data_dir), 5)
    assert list((data_dir / "workers").glob("*.lock"))


# -- what only a brute force finds --


@pytest.mark.parametrize("seq", [-1, 0, 1 << 53, (1 << 64) - 1, 1 << 70])
def test_a_place_that_no_index_can_hold_is_given_anew(
    data_dir: Path, open_store: Callable[[], OneProcess], seq: int
) -> None:
    """A person writes ``"seq": -1`` to have a job first: workers go on all the same."""
    open_store().jobs()
    write(data_dir / "jobs.json", json.dumps([*rows("a"), dict(rows("b")[0], seq=seq)]))
    worker = open_store()
    assert ids_of(worker.jobs()) == ["a", "b"]
    assert [claim(worker).id, claim(worker).id] == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    ['[{"id": "a", "command": "echo \\ud800"}]', '[{"id": "a", "command": "true", "attempts": 1' + "0" * 5000 + "}]"],
)
def test_an_edit_that_cannot_be_written_again_is_refused(
    data_dir: Path, open_store: Callable[[], OneProcess], text: str
) -> None:
    open_store().jobs()
    write(data_dir / "jobs.json", text)
    with pytest.raises(StoreDamaged, match=r"jobs\.json"):
        open_store().jobs()
    assert (data_dir / "jobs.json").read_text() == text


def test_everybody_reads_and_works_on_while_a_file_cannot_grow(
    data_dir: Path, open_store: Callable[[], OneProcess], faulty: Disk
) -> None:
    """The disk is full: what is recorded stays in the journal, whose space is set aside."""
    store, worker = open_store(), open_store()
    store.enqueue(specs("a", "b"), now=NOW)
    worker.prepare_for_work()
    running = claim(worker)
    worker.flush()
    faulty.let_fail("write", data_dir / "jobs.json", 1_000_000, ENOSPC)
    with pytest.raises(StoreUnavailable, match="recorded"):
        store.enqueue(specs("c"), now=NOW)
    assert ids_of(store.jobs()) == ["a", "b", "c"]
    assert store.counts()[State.PENDING] == 2
    settlement = worker.settle(running, OK, next_claim=new_claim(), now=NOW)
    assert settlement.settled is not None
    assert settlement.next is not None
    assert ids_of(open_store().jobs()) == ["a", "b", "c"]
    faulty.mend()
    worker.flush()
    assert [job["state"] for job in read(data_dir)] == ["completed", "in_progress", "pending"]


def test_a_file_that_cannot_be_opened_for_once_is_opened_later(
    data_dir: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.enqueue(specs("a"), now=NOW)
    real = disk.open_file

    def refuse(path: Path, *, create: bool = False) -> int:
        raise OSError(24, "Too many open files")

    store._engine.detach()
    monkeypatch.setattr(disk, "open_file", refuse)
    with pytest.raises(OSError, match="Too many"):
        store.jobs()
    monkeypatch.setattr(disk, "open_file", real)
    assert ids_of(store.jobs()) == ["a"]
