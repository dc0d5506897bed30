"""``doctor`` says what is wrong and changes no byte; ``doctor --repair`` mends it after a copy, and drops nothing."""

import json
import os
import re
import shutil
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from queuectl import liveness, processes, strangers
from queuectl.checkup import check
from queuectl.errors import StoreUnavailable
from queuectl.job import Claim, State
from queuectl.liveness import WorkerFile
from queuectl.stores.local import disk
from queuectl.stores.local import folder as folders
from queuectl.stores.local import repair as repairs
from queuectl.stores.local.examine import examine
from queuectl.stores.local.findings import Severity
from queuectl.stores.local.journal import HEADER_SIZE
from queuectl.stores.local.store import LocalStore
from tests.compat.conftest import QueueCtl, contents
from tests.samples import FAILED, NOW, OK, ids_of, new_claim, spec, specs
from tests.waiting import until


def fill(folder: Path) -> LocalStore:
    """Return an open store with a completed, a dead and three pending jobs, at rest."""
    store = LocalStore(folder)
    store.enqueue([spec("done"), spec("dead", max_retries=1), *specs("p1", "p2", "p3")], now=NOW)
    for outcome in (OK, FAILED):
        job = store.claim(new_claim(), now=NOW)
        assert job is not None
        store.settle(job, outcome, next_claim=None, now=NOW)
    store.rest()
    return store


def kinds(folder: Path) -> set[tuple[str, str]]:
    """Return what is found, but for notes."""
    return {(str(each.severity), each.kind) for each in check(folder) if each.severity is not Severity.NOTE}


def repaired(queuectl: QueueCtl, *args: str, code: int = 0) -> dict[str, Any]:
    """Run ``doctor --repair`` and return its report."""
    done = queuectl.run(b"", "doctor", "--repair", "--json", *args)
    assert done.code == code, done
    report: dict[str, Any] = json.loads(done.out)
    return report


def listed(queuectl: QueueCtl) -> dict[str, dict[str, Any]]:
    done = queuectl.run(b"", "list", "--json")
    assert (done.code, done.err) == (0, "")
    return {job["id"]: job for job in json.loads(done.out)}


def test_a_sound_queue_has_no_findings(data_dir: Path, queuectl: QueueCtl) -> None:
    store = fill(data_dir)
    store.enqueue(specs("more"), now=NOW)  # the journal is in use
    before = contents(data_dir)
    done = queuectl.run(b"", "doctor")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == f"Data folder: {data_dir}"
    assert re.search(r"queuectl \d.*Python 3\.\d+.*msgspec", done.out)
    assert done.out.splitlines()[2:] == ["All is well."]
    assert contents(data_dir) == before
    store.close()


def test_a_queue_that_is_not_there_is_not_made(data_dir: Path, queuectl: QueueCtl) -> None:
    for args in ((), ("--repair",)):
        done = queuectl.run(b"", "doctor", *args)
        assert (done.code, done.err) == (0, "")
        assert "no such folder yet" in done.out
        assert not data_dir.exists()


def test_yes_and_copy_need_repair(queuectl: QueueCtl) -> None:
    assert queuectl.run(b"", "doctor", "--yes").code == 2
    assert queuectl.run(b"", "doctor", "--copy", ".").code == 2


def test_workers_that_work_are_no_finding(data_dir: Path, queuectl: QueueCtl) -> None:
    done = queuectl.run(b"enqueue --id slow -- sleep 30\nworker start --count 2\n")
    assert done.code == 0
    until(lambda: listed(queuectl)["slow"]["state"] == "in_progress", what="the start of the job")
    done = queuectl.run(b"", "doctor")
    assert (done.code, done.out.splitlines()[-1]) == (0, "All is well."), done
    done = queuectl.run(b"", "doctor", "--repair")
    assert done.code == 0, "there is nothing to repair"


# -- jobs --


def test_a_truncated_file_gives_back_what_can_be_read(data_dir: Path, queuectl: QueueCtl) -> None:
    fill(data_dir).close()
    whole = (data_dir / "jobs.json").read_bytes()
    cut = whole[: whole.index(b'"p3"') + 20]
    (data_dir / "jobs.json").write_bytes(cut)
    assert kinds(data_dir) == {("damage", "unreadable")}
    before = contents(data_dir)
    report = repaired(queuectl)
    assert list(listed(queuectl)) == ["done", "dead", "p1", "p2"]
    assert '{"id":"p3"' in Path(report["kept"]).read_text(), "what could not be read is kept, word for word"
    copy = Path(report["backup"])
    assert {name: (copy / name).read_bytes() for name in ("jobs.json", "dlq.json")} == {
        name: before[name] for name in ("jobs.json", "dlq.json")
    }
    assert kinds(data_dir) == set()


def test_files_put_together_hold_each_job_once(data_dir: Path, queuectl: QueueCtl) -> None:
    """An older and a newer copy of one queue: each job as it was last, and none runs twice."""
    store = fill(data_dir)
    older = (data_dir / "jobs.json").read_bytes()
    job = store.claim(new_claim(), now=NOW.replace(hour=13))
    assert job is not None
    store.settle(job, OK, next_claim=None, now=NOW.replace(hour=13))
    store.close()
    newer = (data_dir / "jobs.json").read_bytes()
    for both in (older + newer, newer + older):
        (data_dir / "jobs.json").write_bytes(both)
        assert kinds(data_dir) == {("damage", "unreadable")}
        report = repaired(queuectl)
        found = listed(queuectl)
        assert {id: job["state"] for id, job in found.items()} == {
            "done": "completed",
            "dead": "dead",
            "p1": "completed",
            "p2": "pending",
            "p3": "pending",
        }
        assert "the same job once more" in Path(report["kept"]).read_text()


def test_another_job_under_the_same_id_gets_one_of_its_own(data_dir: Path, queuectl: QueueCtl) -> None:
    data_dir.mkdir(mode=0o700)
    jobs = [{"id": "a", "command": f"echo {number}", "created_at": 1740830400 + number} for number in range(3)]
    (data_dir / "jobs.json").write_text(json.dumps([*jobs, jobs[1]]))
    assert kinds(data_dir) == {("damage", "twice")}
    report = repaired(queuectl)
    assert {id: job["command"] for id, job in listed(queuectl).items()} == {
        "a": "echo 0",
        "a-2": "echo 1",
        "a-3": "echo 2",
    }
    assert 'it is "a-2" now' in Path(report["kept"]).read_text()


def test_unknown_fields_and_ids_are_taken_out_and_kept(data_dir: Path, queuectl: QueueCtl) -> None:
    data_dir.mkdir(mode=0o700)
    (data_dir / "jobs.json").write_text(
        '[{"id": "a b", "command": "echo 1"}, {"id": "c", "command": "true", "prioritty": 3}, {"command": "echo 2"},'
        ' {"id": "d", "command": 7}, {"id": "e", "command": "true", "state": "failed", "run_at": "soon"}, 12]'
    )
    found = [each for each in check(data_dir) if each.severity is Severity.DAMAGE]
    assert [re.search(r"job number (\d)", each.problem)[1] for each in found] == list("123456")  # type: ignore[index]
    report = repaired(queuectl)
    assert {id: job["command"] for id, job in listed(queuectl).items()} == {
        "a-b": "echo 1",
        "c": "true",
        "unnamed": "echo 2",
    }
    kept = Path(report["kept"]).read_text()
    for piece in ('"a b"', '"prioritty": 3', '{"id": "d", "command": 7}', '"run_at": "soon"', "12"):
        assert piece in kept


@pytest.mark.parametrize("name", ["jobs.json", "dlq.json"])
@pytest.mark.parametrize("content", [b"\0" * 4096, b"\xff\xfe\x00garbage{{{", b"{}", b"[1, 2]", b'{"jobs": []}'])
def test_what_holds_no_job_is_kept_as_it_is(data_dir: Path, queuectl: QueueCtl, name: str, content: bytes) -> None:
    fill(data_dir).close()
    (data_dir / name).write_bytes(content)
    assert kinds(data_dir)
    report = repaired(queuectl)
    assert (Path(report["backup"]) / name).read_bytes() == content
    assert set(listed(queuectl)) == ({"dead"} if name == "jobs.json" else {"done", "p1", "p2", "p3"})


def test_a_missing_file_is_made_anew_from_what_there_is(data_dir: Path, queuectl: QueueCtl) -> None:
    fill(data_dir).close()
    (data_dir / "dlq.json").unlink()
    assert kinds(data_dir) == {("damage", "missing")}
    repaired(queuectl)
    assert set(listed(queuectl)) == {"done", "p1", "p2", "p3"}


# -- the journal --


@pytest.mark.parametrize("place", ["header", "first transaction", "last transaction"])
def test_a_damaged_journal_is_cut_after_a_copy(data_dir: Path, queuectl: QueueCtl, place: str) -> None:
    """What its sound transactions say holds; the piece that is broken is kept."""
    store = fill(data_dir)
    for id in ("x1", "x2", "x3"):
        store.enqueue(specs(id), now=NOW)
    store._engine.close()  # as if it had been killed: the journal is in use
    path = data_dir / "journal.jsonl"
    raw = bytearray(path.read_bytes())
    offset = {"header": 40, "first transaction": HEADER_SIZE + 60, "last transaction": len(raw) - 40}[place]
    raw[offset] ^= 1
    path.write_bytes(raw)
    before = contents(data_dir)
    found = kinds(data_dir)
    assert contents(data_dir) == before
    if place == "last transaction":  # it was never told to be durable: the next command cuts it
        assert found == set()
        return
    assert found == {("damage", "journal")}
    if place == "header":  # what has been applied is not read again before the next start of the machine
        assert queuectl.run(b"", "list").code == 5
    report = repaired(queuectl)
    assert (Path(report["backup"]) / "journal.jsonl").read_bytes() == bytes(raw)
    found_ids = set(listed(queuectl))
    assert {"done", "dead", "p1", "p2", "p3", "x1", "x2", "x3"} == found_ids, "the files had them"
    assert kinds(data_dir) == set()


def test_a_journal_that_is_ahead_of_a_damaged_file_wins(data_dir: Path, queuectl: QueueCtl) -> None:
    store = fill(data_dir)
    rested = (data_dir / "jobs.json").read_bytes()
    store.enqueue(specs("x1"), now=NOW)
    store.cancel(["p1"], now=NOW)
    store.remove(["p2"])
    store._engine.close()
    (data_dir / "jobs.json").write_bytes(rested[: rested.index(b'"p3"') + 20])
    repaired(queuectl)
    assert {id: job["state"] for id, job in listed(queuectl).items()} == {
        "done": "completed",
        "dead": "dead",
        "p1": "cancelled",
        "x1": "pending",
    }


def test_a_newer_versions_folder_is_left_alone(data_dir: Path, queuectl: QueueCtl) -> None:
    fill(data_dir).close()
    (data_dir / "journal.jsonl").write_bytes(b'{"queuectl":2}'.ljust(299) + b"\n")
    before = contents(data_dir)
    assert kinds(data_dir) == {("damage", "newer")}
    done = queuectl.run(b"", "doctor", "--repair")
    assert done.code == 5
    assert contents(data_dir) == before
    assert not list(data_dir.parent.glob("*.backup-*"))


# -- settings, rights, litter --


@pytest.mark.parametrize(
    "text, holds",
    [('{"base": 3, "bass": 4, "max_retries": "x"}', {"base"}), ('{"base": 3', set()), ("[]", set())],
)
def test_broken_settings_are_mended(data_dir: Path, queuectl: QueueCtl, text: str, holds: set[str]) -> None:
    fill(data_dir).close()
    (data_dir / "config.json").write_text(text)
    (data_dir / "config.json").chmod(0o600)
    assert kinds(data_dir) == {("damage", "config")}
    report = repaired(queuectl)
    assert set(json.loads((data_dir / "config.json").read_bytes())) == holds
    kept = Path(report["kept"]).read_text()
    assert ("bass" in kept) if holds else (text in kept)


def test_rights_of_others_are_taken_away(data_dir: Path, queuectl: QueueCtl) -> None:
    fill(data_dir).close()
    data_dir.chmod(0o777)
    (data_dir / "jobs.json").chmod(0o666)
    assert kinds(data_dir) == {("warning", "permissions")}
    repaired(queuectl)
    assert [data_dir.stat().st_mode & 0o777, (data_dir / "jobs.json").stat().st_mode & 0o777] == [0o700, 0o600]
    assert kinds(data_dir) == set()


def test_litter_and_stale_files_are_removed(data_dir: Path, queuectl: QueueCtl) -> None:
    fill(data_dir).close()
    (data_dir / ".jobs.json.4711.tmp").write_bytes(b"half")
    worker = WorkerFile.create(data_dir, pid=4194302, pool_pid=4194300)
    os.close(worker._fd)
    bell = data_dir / "workers" / f"{'0' * 16}.idle"
    bell.touch()
    (data_dir / "worker_pids.json").write_text("[4194302]")
    assert kinds(data_dir) == {("warning", "litter"), ("warning", "stale"), ("warning", "pids")}
    repaired(queuectl)
    assert list((data_dir / "workers").iterdir()) == []
    assert not (data_dir / ".jobs.json.4711.tmp").exists()
    assert json.loads((data_dir / "worker_pids.json").read_bytes()) == []


def test_a_lock_that_is_held_for_long_is_a_finding(data_dir: Path) -> None:
    fill(data_dir).close()
    with FileLock(data_dir / "queue.lock"):
        [finding] = examine(data_dir, lock_patience_s=0.05).findings
    assert (finding.kind, finding.severity) == ("lock", Severity.WARNING)
    assert f"process {os.getpid()}" in finding.problem


def test_a_disk_that_is_nearly_full_is_a_finding(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(data_dir).close()
    usage = shutil.disk_usage(data_dir)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert kinds(data_dir) == {("warning", "disk")}


def test_a_network_file_system_and_a_foreign_owner_are_findings(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(data_dir).close()
    monkeypatch.setattr(folders, "file_system", lambda path: "nfs4")
    monkeypatch.setattr(folders, "foreign_owner", lambda path: 12345)
    assert kinds(data_dir) == {("damage", "network"), ("damage", "owner")}
    with pytest.raises(Exception, match="Nothing was changed"):
        repairs.repair(data_dir, now=NOW)


def test_a_repair_without_room_for_the_copy_changes_nothing(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(data_dir).close()
    (data_dir / "jobs.json").write_bytes(b"[")
    before = contents(data_dir)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(disk, "replace", full)
    with pytest.raises(StoreUnavailable, match=r"No space.*Nothing was changed: .*--copy DIR"):
        repairs.repair(data_dir, now=NOW)
    assert contents(data_dir) == before
    assert not list(data_dir.parent.glob("*.backup-*"))


def test_a_repair_whose_copy_fails_leaves_the_modes_too(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(data_dir).close()
    (data_dir / "jobs.json").write_bytes(b"[")
    (data_dir / "jobs.json").chmod(0)
    (data_dir / "workers").chmod(0o644)
    (data_dir / "queue.lock").unlink()
    before = contents(data_dir)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as broken:
        broken.setattr(disk, "replace", full)
        with pytest.raises(StoreUnavailable, match="Nothing was changed"):
            repairs.repair(data_dir, now=NOW)
    assert contents(data_dir) == before
    modes = [stat.S_IMODE((data_dir / name).stat().st_mode) for name in ("jobs.json", "workers")]
    assert modes == [0, 0o644]
    done = repairs.repair(data_dir, now=NOW)
    assert (Path(done.backup) / "jobs.json").read_bytes() == b"["


def test_the_copy_goes_where_it_is_wanted(data_dir: Path, queuectl: QueueCtl) -> None:
    fill(data_dir).close()
    (data_dir / "jobs.json").write_bytes(b"[")
    (queuectl.here / "elsewhere").mkdir()
    report = repaired(queuectl, "--copy", "elsewhere")
    copy = Path(report["backup"])
    assert (copy.parent, copy.is_absolute()) == (queuectl.here / "elsewhere", True)
    assert (copy / "jobs.json").read_bytes() == b"["
    assert not list(data_dir.parent.glob("*.backup-*"))
    done = queuectl.run(b"", "doctor", "--repair", "--copy", "nowhere")
    assert (done.code, "nowhere" in done.err) == (2, True)


def test_what_changes_while_it_is_copied_is_in_the_copy(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the modes are mended, others may work there."""
    store = fill(data_dir)
    (data_dir / "config.json").write_text('{"bass": 4}')
    real = repairs._open_up

    def open_up(folder: Path) -> Iterator[str]:
        (folder / "config.json").write_text('{"bass": 4, "base": 5}')
        yield from real(folder)

    monkeypatch.setattr(repairs, "_open_up", open_up)
    done = repairs.repair(data_dir, now=NOW)
    assert (Path(done.backup) / "config.json").read_text() == '{"bass": 4, "base": 5}'
    store.close()


def test_files_of_a_person_are_no_litter(data_dir: Path, queuectl: QueueCtl) -> None:
    fill(data_dir).close()
    mine = [".notes.tmp", ".jobs.json.tmp", ".notes.17.tmp", ".jobs.json.x.tmp", "jobs.json.17.tmp"]
    ours = [".jobs.json.17.tmp", ".worker_pids.json.1.tmp", ".kept-20250301T120000Z-a1b2.txt.4.tmp"]
    for name in (*mine, *ours):
        (data_dir / name).write_text("notes")
    assert {Path(each.path).name for each in check(data_dir) if each.kind == "litter"} == set(ours)
    assert queuectl.run(b"", "enqueue", "--id", "k", "--", "true").code == 0
    (data_dir / "jobs.json").write_bytes(b"[")
    repaired(queuectl)
    assert [name for name in (*mine, *ours) if (data_dir / name).exists()] == mine


# -- what is no file --


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def make_link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


@pytest.fixture
def sound(queuectl: QueueCtl) -> QueueCtl:
    """Return the program on a queue with a job that prints."""
    assert queuectl.run(b"", "enqueue", "--id", "a", "--", "echo said").code == 0
    return queuectl


@pytest.mark.parametrize("make", [make_pipe, make_socket, make_link, Path.mkdir])
@pytest.mark.parametrize("name", [f"{'5' * 16}.lock", f"{'5' * 16}.pool", "x.lock"])
def test_what_bears_the_name_of_a_workers_file_and_is_none_is_nobodys(
    data_dir: Path, sound: QueueCtl, make: Callable[[Path], None], name: str
) -> None:
    make(data_dir / "workers" / name)
    for words, out in (
        ("enqueue --id b -- true", "Job added to the queue with job id: b\n"),
        ("remove b", "Job 'b' has been removed.\n"),
        ("worker stop", "No active workers.\n"),
        ("worker list --json", "[]\n"),
    ):
        done = sound.run(b"", *words.split())
        assert (done.code, done.out) == (0, out), done
    assert not folders.has_workers(data_dir)
    [found] = check(data_dir)
    assert (found.severity, found.path) == (Severity.WARNING, str(data_dir / "workers" / name))
    assert "it is nobody's" in found.problem


@pytest.mark.parametrize("make", [make_pipe, make_socket, make_link, Path.mkdir])
def test_a_job_waits_while_something_else_is_in_the_place_of_its_dead_workers_file(
    data_dir: Path, sound: QueueCtl, make: Callable[[Path], None]
) -> None:
    """Nobody could hold the lock under which it is taken back; all other jobs go on."""
    store = LocalStore(data_dir)
    store.claim(Claim(4194301, f"{'5' * 16}.1"), now=NOW)
    store.close()
    in_its_place = data_dir / "workers" / f"{'5' * 16}.lock"
    make(in_its_place)
    done = sound.run(b"enqueue --id b -- true\nworker start\nwait b --timeout 60s\nworker stop\n")
    assert (done.code, done.err) == (0, "")
    assert listed(sound)["a"]["state"] == "in_progress"
    assert kinds(data_dir) >= {("warning", "hanging"), ("warning", "symlink" if make is make_link else "form")}
    in_its_place.rename(data_dir / "moved")
    assert sound.run(b"worker start\nwait a --timeout 60s\n").code == 0


@pytest.mark.parametrize("make", [make_pipe, make_socket, make_link, Path.mkdir])
def test_a_log_of_workers_that_is_no_file_is_refused_in_words(
    data_dir: Path, sound: QueueCtl, make: Callable[[Path], None]
) -> None:
    make(data_dir / "logs" / "workers.log")
    done = sound.run(b"", "worker", "start")
    assert (done.code, f"{data_dir}/logs/workers.log is " in done.err) == (5, True), done
    [found] = check(data_dir)
    assert (found.severity, found.path) == (Severity.WARNING, str(data_dir / "logs" / "workers.log"))
    assert '"worker start" is refused' in found.problem


@pytest.mark.parametrize("make", [make_pipe, make_link, Path.touch])
def test_a_folder_of_outputs_that_is_none_is_found(
    data_dir: Path, sound: QueueCtl, make: Callable[[Path], None]
) -> None:
    make(data_dir / "logs" / "000000")
    done = sound.run(b"worker start\nwait a --timeout 60s\nworker stop\n")
    assert (done.code, done.err) == (0, "")
    [found] = check(data_dir)
    assert (found.severity, found.path) == (Severity.WARNING, str(data_dir / "logs" / "000000"))
    assert "no output is kept" in found.problem


def test_the_history_is_the_programs_own_unless_it_is_a_link(data_dir: Path, sound: QueueCtl) -> None:
    (data_dir / "history").touch()
    assert check(data_dir) == []
    (data_dir / "history").unlink()
    make_link(data_dir / "history")
    assert ["history" in found.path for found in check(data_dir)] == [True]
    assert kinds(data_dir) == {("warning", "symlink")}


# -- jobs that hang --


def leave_running(folder: Path, namespace: str | None = None) -> LocalStore:
    """Leave a job in progress whose worker is dead, in another PID *namespace* perhaps."""
    store = fill(folder)
    worker = WorkerFile.create(folder, pid=4194301, pool_pid=4194300)
    claim = new_claim()
    claim = type(claim)(4194301, f"{worker.worker_id}.1")
    job = store.claim(claim, now=NOW)
    assert job is not None
    if namespace is not None:
        record = json.loads(os.pread(worker._fd, 1024, 0)) | {"namespace": namespace}
        os.pwrite(worker._fd, json.dumps(record).encode().ljust(1023) + b"\n", 0)
    os.close(worker._fd)
    store.rest()
    return store


def test_a_job_whose_worker_is_dead_is_a_finding_and_taken_back(data_dir: Path, queuectl: QueueCtl) -> None:
    leave_running(data_dir).close()
    before = contents(data_dir)
    found = [each for each in check(data_dir) if each.kind == "hanging"]
    assert ['job "p1" is in progress' in each.problem for each in found] == [True]
    assert contents(data_dir) == before
    report = repaired(queuectl)
    assert 'job "p1": taken back, it is pending' in report["actions"]
    assert listed(queuectl)["p1"]["state"] == "pending"


def test_a_job_of_another_container_is_given_back_on_a_persons_word(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here nothing can be seen of it, so that only a person can say that it no longer runs."""
    from queuectl import checkup

    monkeypatch.setattr(processes, "pid_namespace", lambda: "pid:[4026532000]")
    store = leave_running(data_dir, namespace="pid:[4026532001]")
    found = [each for each in check(data_dir) if each.kind == "hanging"]
    assert ["another container" in each.problem for each in found] == [True]
    asked: list[int] = []

    def answer(is_sure: bool) -> Callable[[int], bool]:
        def reply(count: int) -> bool:
            asked.append(count)
            return is_sure

        return reply

    assert checkup.mend(store, data_dir, is_sure=answer(False)) == []
    assert store.job("p1").state is State.IN_PROGRESS
    actions = checkup.mend(store, data_dir, is_sure=answer(True))
    assert actions == ['job "p1": given back on your word, it is pending']
    assert asked == [1, 1]
    job = store.job("p1")
    assert (job.state, job.attempts, job.crashes) == (State.PENDING, 0, 0)
    assert ids_of(store.claimed()) == []
    store.close()
    assert kinds(data_dir) == set()


def test_a_dead_worker_of_another_container_makes_no_stranger_of_who_has_its_pid_here(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(processes, "pid_namespace", lambda: "pid:[17]")
        worker = WorkerFile.create(data_dir, pid=os.getpid(), pool_pid=os.getppid())
    worker.close()
    (data_dir / "worker_pids.json").write_text(json.dumps([os.getpid()]))
    monkeypatch.setattr(processes, "pid_namespace", lambda: "pid:[18]")
    assert strangers.find(data_dir) == {}
    monkeypatch.setattr(processes, "pid_namespace", lambda: "pid:[17]")
    assert list(strangers.find(data_dir)) == [os.getpid()]


def test_a_worker_that_was_killed_is_found_by_the_real_program(data_dir: Path, queuectl: QueueCtl) -> None:
    done = queuectl.run(b"enqueue --id slow -- sleep 300\nworker start\n")
    assert done.code == 0
    until(lambda: listed(queuectl)["slow"]["state"] == "in_progress", what="the start of the job")
    [info] = liveness.read_workers(data_dir)
    assert info.pid is not None
    assert info.pool_pid is not None
    processes_of = [psutil.Process(pid) for pid in (info.pool_pid, info.pid)]
    for process in processes_of:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes_of, timeout=10)
    until(lambda: not folders.has_workers(data_dir), what="the worker's end")
    done = queuectl.run(b"", "doctor")
    assert (done.code, 'job "slow" is in progress' in done.out) == (1, True), done
    assert repaired(queuectl)["diagnosis"]["findings"] == []
    assert listed(queuectl)["slow"]["state"] == "pending"
