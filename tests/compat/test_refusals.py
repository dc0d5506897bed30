"""What cannot be used is refused in words, with exit code 5, and every byte stays as it was."""

import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from queuectl.errors import StoreUnavailable
from queuectl.stores.local import folder as folders
from queuectl.stores.local import ownership
from queuectl.stores.local.examine import examine
from queuectl.stores.local.findings import Severity
from queuectl.stores.local.repair import repair
from queuectl.stores.local.store import LocalStore
from tests.acceptance.conftest import PROGRAM
from tests.compat.conftest import FOLDERS, QueueCtl, contents, jobs_of
from tests.samples import NOW, specs

COMMANDS = ("list", "status", "show a", "enqueue --id new -- true", "cancel a", "dlq retry --all")
SCRIPT = "\n".join(COMMANDS).encode()
ENTRY = '{"id": "a", "command": "true"}'


def put(content: str | bytes, name: str = "jobs.json") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def cut(size: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / "jobs.json", size)


def double(folder: Path) -> None:
    (folder / "jobs.json").write_bytes((folder / "jobs.json").read_bytes() * 2)


def link(name: str, target: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        if (folder / name).exists():
            (folder / name).rename(folder.parent / "elsewhere")
        (folder / name).symlink_to(target)

    return change


def become(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "jobs.json").unlink()
        make(folder / "jobs.json")

    return change


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut off": (cut(200), r"jobs\.json.*line 9, column.*the end were missing"),
    "put together": (double, r"jobs\.json.*line 38, column 2.*two files had been put together"),
    "no UTF-8": (put(b'[\n{"id": "a", "command": "\xff"}]'), r"jobs\.json.*line 2, column 25.*UTF-8"),
    "an id twice": (put(f"[{ENTRY}, {ENTRY}]"), r'jobs\.json.*"a" is there twice'),
    "an unknown field": (
        put('[{"id": "a", "command": "true", "prioritty": 2}]'),
        r'jobs\.json.*job number 1 \("a"\).*"prioritty"',
    ),
    "a link": (link("jobs.json", "../elsewhere"), r"jobs\.json is a symbolic link"),
    "a link to nowhere": (link("jobs.json", "../nowhere"), r"jobs\.json is a symbolic link"),
    "a folder": (become(Path.mkdir), r"jobs\.json is not a plain file"),
    "a pipe": (become(os.mkfifo), r"jobs\.json is not a plain file"),
    "a journal that is a link": (link("journal.jsonl", "../journal"), r"journal\.jsonl is a symbolic link"),
    "a lock that is a link": (link("queue.lock", "../lock"), r"queue\.lock is a symbolic link"),
    "a newer version": (put('{"queuectl":2}'.ljust(299) + "\n", "journal.jsonl"), "newer"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_or_foreign_file_is_refused_and_left_alone(
    take: Callable[[str], Path], queuectl: QueueCtl, what: str
) -> None:
    damage, pattern = DAMAGE[what]
    folder = take("seed")
    damage(folder)
    before = jobs_of(folder) if (folder / "jobs.json").is_file() else {}
    refusals = queuectl.run(SCRIPT)
    assert (refusals.code, refusals.out) == (1, "")
    assert len(re.findall(f"script:[0-9]: .*?(?:{pattern}).*?Nothing was changed", refusals.err)) == len(COMMANDS), (
        refusals
    )
    done = queuectl.run(b"", "list")
    assert (done.code, "Traceback" in done.err) == (5, False), done
    if before:
        assert jobs_of(folder) == before
    else:
        assert not (folder / "jobs.json").is_file()
    # And doctor says the same, also in JSON, without changing a byte.
    everything = contents(folder)
    done = queuectl.run(b"", "doctor", "--json")
    assert done.code == 5, done
    severities = [finding["severity"] for finding in json.loads(done.out)["findings"]]
    assert "damage" in severities
    assert contents(folder) == everything


def test_a_folder_that_is_a_link_is_the_users_choice(
    take: Callable[[str], Path], queuectl: QueueCtl, tmp_path: Path
) -> None:
    folder = take("seed")
    (tmp_path / "link").symlink_to(folder)
    done = queuectl.run(b"", "--data", str(tmp_path / "link"), "enqueue", "--id", "x", "--", "true")
    assert done.code == 0, done
    assert (tmp_path / "link").is_symlink()
    assert '"x"' in (folder / "jobs.json").read_text()


@pytest.mark.parametrize("target", ["../mine.json", "../nowhere"])
def test_settings_that_are_a_link_are_neither_read_nor_replaced(
    take: Callable[[str], Path], queuectl: QueueCtl, tmp_path: Path, target: str
) -> None:
    folder = take("seed")
    (folder / "config.json").rename(tmp_path / "mine.json")
    (folder / "config.json").symlink_to(target)
    for command in (("get", "base"), ("set", "base", "4")):
        done = queuectl.run(b"", "config", *command)
        assert (done.code, done.out, "symbolic link" in done.err) == (5, "", True)
    assert (folder / "config.json").is_symlink()


def test_settings_that_are_a_pipe_are_refused_at_once(take: Callable[[str], Path], queuectl: QueueCtl) -> None:
    folder = take("seed")
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    done = queuectl.run(b"", "config", "get", "base")
    assert (done.code, "not a plain file" in done.err) == (5, True)


@pytest.mark.parametrize("name", ["logs", "workers"])
def test_a_folder_in_the_folder_that_is_a_link_is_refused(
    take: Callable[[str], Path], queuectl: QueueCtl, tmp_path: Path, name: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (take("seed") / name).symlink_to(tmp_path / "elsewhere")
    done = queuectl.run(b"", "enqueue", "--id", "x", "--", "true")
    assert (done.code, "symbolic link" in done.err) == (5, True)
    assert not any((tmp_path / "elsewhere").iterdir())
    assert queuectl.run(b"", "doctor").code == 5


def test_a_folder_of_somebody_else_is_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns the folder could run commands as whoever works on it."""
    data_dir.mkdir()
    (data_dir / "jobs.json").write_text(f"[{ENTRY}]")
    if os.geteuid() == 0:
        os.chown(data_dir, 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: data_dir.stat().st_uid + 1)
    with pytest.raises(StoreUnavailable, match="somebody else"):
        LocalStore(data_dir)
    assert (data_dir / "jobs.json").read_text() == f"[{ENTRY}]"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert folders.foreign_owner(data_dir) is None, "the superuser may do anything"


#: Runs the program without the superuser's rights, which no mode holds back. All is loaded before.
UNPRIVILEGED = """
import encodings.utf_8_sig
import difflib, importlib, json, logging, mmap, os, pkgutil, platform, pwd, shlex, sys, traceback
import filelock, psutil, queuectl
for module in pkgutil.walk_packages(queuectl.__path__, "queuectl."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
importlib.import_module("queuectl.commands.doctor")._versions()  # what that needs differs among Pythons
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit(importlib.import_module("queuectl.cli").main())
"""


def run_unprivileged(folder: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, "--data", str(folder), *args],
        cwd=Path(PROGRAM[1]).parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def give(paths: list[Path]) -> None:
    """Let *paths* be of the user that ``run_unprivileged`` becomes."""
    for path in paths:
        path.chmod(0o755 if path.is_dir() else 0o644)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """Return a folder that every user can come to; pytest closes its own whenever it starts."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("what", ["the folder", "a file", "a file and the folder"])
def test_a_folder_or_file_that_may_not_be_written_is_refused(open_dir: Path, what: str) -> None:
    folder = open_dir / "data"
    shutil.copytree(FOLDERS / "seed", folder)
    give([open_dir, folder, *folder.iterdir()])
    if "file" in what:
        (folder / "jobs.json").chmod(0o400)
    if "folder" in what:
        folder.chmod(0o500)
    before = contents(folder)
    for command in ("list", "enqueue --id new -- true"):
        done = run_unprivileged(folder, *command.split())
        assert done.returncode == 5, done
        assert re.search("may not be read and written|Permission denied", done.stderr), done.stderr
        for name, data in before.items():
            assert (folder / name).read_bytes() == data
    done = run_unprivileged(folder, "doctor")
    assert done.returncode == 5, done
    assert "may not be read and written by this user" in done.stdout
    assert {name: (folder / name).read_bytes() for name in before} == before
    done = run_unprivileged(folder, "doctor", "--repair")
    assert done.returncode == 0, done
    done = run_unprivileged(folder, "enqueue", "--id", "new", "--", "true")
    assert done.returncode == 0, done


# -- where nothing can be written --


def test_a_read_only_file_system_is_one_finding_with_a_way_out(
    take: Callable[[str], Path], queuectl: QueueCtl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modes do not matter there, and chmod would be bad advice."""
    folder = take("seed")
    real_access = os.access
    monkeypatch.setattr(folders, "is_read_only", lambda path: True)
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and real_access(path, mode))
    before = contents(folder)
    with pytest.raises(StoreUnavailable, match=r"read-only: copy the folder elsewhere and use it with --data"):
        LocalStore(folder)
    found = [each for each in examine(folder).findings if each.severity is not Severity.NOTE]
    assert [(each.kind, each.can_repair) for each in found] == [("read-only", False)]
    assert found[0].remedy == "copy the folder elsewhere and use it with --data"
    with pytest.raises(StoreUnavailable, match=r"Nothing was changed: copy the folder elsewhere"):
        repair(folder, now=NOW)
    assert contents(folder) == before
    # And where there is none yet, doctor does not say that all is well.
    [finding] = examine(folder / "a" / "b").findings
    assert (finding.severity, finding.kind) == (Severity.DAMAGE, "read-only")


def test_a_folder_that_cannot_be_made_on_a_read_only_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreUnavailable, match="read-only: choose another folder with --data"):
        LocalStore(tmp_path / "new")


@pytest.mark.parametrize("what", ["the folder", "its logs", "where it would be"])
def test_a_folder_of_ours_that_may_not_be_written_is_refused_by_all(open_dir: Path, what: str) -> None:
    """Half of a queue would be worse: jobs that run, and workers that nobody can see."""
    folder = open_dir / "data"
    LocalStore(folder).close()
    give([open_dir, folder, *folder.iterdir()])
    closed = {"the folder": folder, "its logs": folder / "logs", "where it would be": open_dir}[what]
    if closed is open_dir:
        shutil.rmtree(folder)
    closed.chmod(0o500)
    before = contents(open_dir)
    for command in ("list", "enqueue --id new -- true", "worker start", "config set base 3", "doctor"):
        done = run_unprivileged(folder, *command.split())
        assert done.returncode == 5, (command, done)
        assert re.search("may not be (read and )?written|Permission denied", done.stdout + done.stderr), done
        assert contents(open_dir) == before


def test_settings_that_may_not_be_read_are_refused_in_words(open_dir: Path) -> None:
    folder = open_dir / "data"
    store = LocalStore(folder)
    store.set_setting("base", 3)
    store.close()
    give([open_dir, folder, *folder.iterdir()])
    (folder / "config.json").chmod(0)
    for command in ("enqueue -- true", "config list", "worker start"):
        done = run_unprivileged(folder, *command.split())
        assert (done.returncode, "config.json may not be read" in done.stderr) == (5, True), (command, done)


def test_a_folder_of_a_newer_version_stays_as_it_is(queuectl: QueueCtl, data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "journal.jsonl").write_bytes(b'{"queuectl":2}'.ljust(299) + b"\n")
    before = contents(data_dir)
    for command in ("list", "config list", "config set base 3", "config unset base", "worker start", "worker list"):
        done = queuectl.run(b"", *command.split())
        assert (done.code, "newer" in done.err) == (5, True), (command, done)
        assert contents(data_dir) == before


# -- the superuser in somebody else's folder --


def test_whatever_the_superuser_makes_belongs_to_the_folders_owner(
    take: Callable[[str], Path], queuectl: QueueCtl
) -> None:
    """Or its owner would be locked out of the queue. (To others than the superuser, all is their own anyway.)"""
    folder = take("seed")
    uid, gid = (65534, 65533) if os.geteuid() == 0 else (os.geteuid(), folder.stat().st_gid)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid)
    script = (
        "config set base 3\nenqueue --id new -- echo out\nenqueue --id bad -- 'echo err >&2; exit 1'\n"
        "worker start\nwait --timeout 60s new\n"
    )
    done = queuectl.run(script)
    assert done.code == 0, done
    [bell] = [*folder.glob("workers/*.idle"), *folder.glob("workers/*.busy")]
    assert (bell.lstat().st_uid, bell.lstat().st_gid) == (uid, gid)
    assert queuectl.run("worker stop\n").code == 0
    (folder / "jobs.json").write_bytes((folder / "jobs.json").read_bytes()[:-20])
    report = json.loads(queuectl.run(b"", "doctor", "--repair", "--json").out)
    made = {path.name for path in folder.rglob("*")}
    assert made >= {"config.json", "worker_pids.json", "workers.log", "applied", "journal.jsonl", "000000"}
    for path in (*folder.rglob("*"), Path(report["backup"]), *Path(report["backup"]).rglob("*")):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (uid, gid), path


def test_a_file_with_another_name_is_not_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be the superuser's own, put there by the folder's owner."""
    (tmp_path / "mine").touch()
    (tmp_path / "log").hardlink_to(tmp_path / "mine")
    given: list[object] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda *args: given.append(args))
    monkeypatch.setattr(ownership, "_is_owned", lambda status, owner: False)
    with (tmp_path / "log").open() as file:
        ownership.hand_over(file.fileno(), tmp_path)
    assert given == []


def test_doctor_says_who_can_give_a_file_back(open_dir: Path) -> None:
    """What root has left there its owner cannot chmod."""
    folder = open_dir / "data"
    store = LocalStore(folder)
    store.enqueue(specs("a"), now=NOW)
    store.close()
    give([open_dir, folder, *folder.iterdir()])
    if os.geteuid() == 0:
        os.chown(folder / "jobs.json", 0, 0)
        done = run_unprivileged(folder, "doctor")
        assert done.returncode == 5, done
        assert f"root has to run: chown -R 65534:65534 {folder / 'jobs.json'}" in done.stdout
        assert run_unprivileged(folder, "doctor", "--repair").returncode == 5
        assert {each.kind for each in examine(folder).findings if each.severity is Severity.WARNING} == {"owner"}
        repair(folder, now=NOW)
    done = run_unprivileged(folder, "list")
    assert done.returncode == 0, done


# -- living processes of others --


def test_a_living_process_in_the_list_of_workers_is_told(take: Callable[[str], Path], queuectl: QueueCtl) -> None:
    """It may be the old program's worker, which still runs the job that is taken over."""
    folder = take("seed")
    with subprocess.Popen(["sleep", "300"]) as other:
        try:
            (folder / "worker_pids.json").write_text(json.dumps([other.pid, 4194301]))
            notice = f"worker_pids.json names process {other.pid} (sleep 300): if it is another program's worker, stop"
            done = queuectl.run(b"", "doctor")
            assert f"warning: worker_pids.json: it names {other.pid} (sleep 300), which runs" in done.out, done
            assert "stop it first" in done.out
            assert "it names 4194301, which is no worker here" in done.out
            assert notice in queuectl.run(b"", "list").err
            assert queuectl.run(b"", "list").err == "", "the folder is ours now"
            started = queuectl.run("worker start\nworker start\n")
            assert (started.code, started.err.count(notice)) == (0, 1), started
        finally:
            other.kill()
    assert queuectl.run("worker stop\n").code == 0
    assert queuectl.run("worker start\n").err == ""


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.argv[1:] = sys.argv[2:]
from queuectl.cli import main
sys.exit(main())
"""


def test_a_disk_that_takes_no_more_refuses_a_job_and_keeps_all_others(queuectl: QueueCtl, data_dir: Path) -> None:
    """A file may not grow here, which is what a full disk looks like; every confirmed job stays, and the rest works."""
    assert queuectl.run(b"", "enqueue", "--id", "a", "--", "true").code == 0
    before = (data_dir / "jobs.json").read_bytes()
    command = "x" * 5000
    for limit, args in ((1500, ("enqueue", "--id", "b", "--", command)), (100, ("enqueue", "--id", "b", "--", "true"))):
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, str(limit), "--data", str(data_dir), *args],
            cwd=Path(PROGRAM[1]).parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 5, done
        assert "Traceback" not in done.stderr
        assert (data_dir / "jobs.json").read_bytes() == before
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert queuectl.run(b"", "enqueue", "--id", "c", "--", "true").code == 0
    assert [job["id"] for job in json.loads(queuectl.run(b"", "list", "--json").out)] == ["a", "c"]


def test_an_edit_while_workers_run_goes_through_the_real_program(queuectl: QueueCtl, data_dir: Path) -> None:
    """A job is added by hand, indented and with ``status``, while a worker is busy: both run, once each."""
    done = queuectl.run(b"enqueue --id slow -- sleep 1.5\nworker start\n")
    assert done.code == 0, done
    jobs = json.loads((data_dir / "jobs.json").read_bytes())
    jobs.append({"id": "mine", "command": "echo ran >> mine.txt", "status": "pending", "cwd": str(queuectl.here)})
    (data_dir / "jobs.json").write_text(json.dumps(jobs, indent=4))
    done = queuectl.run(b"wait --timeout 60s\nlist --json\n")
    assert done.code == 0, done
    assert (queuectl.here / "mine.txt").read_text() == "ran\n"
    assert queuectl.run(b"worker stop\n").code == 0
    rested = {job["id"]: (job["state"], job["attempts"]) for job in json.loads((data_dir / "jobs.json").read_bytes())}
    assert rested == {"slow": ("completed", 1), "mine": ("completed", 1)}


def test_damage_while_workers_run_is_refused_until_it_is_mended(queuectl: QueueCtl, data_dir: Path) -> None:
    """The worker keeps its result meanwhile, and nobody writes to the broken file."""
    done = queuectl.run(b"enqueue --id slow -- sleep 0.5\nworker start\n")
    assert done.code == 0, done
    whole = (data_dir / "jobs.json").read_bytes()
    broken = whole[: whole.index(b"sleep")]
    (data_dir / "jobs.json").write_bytes(broken)
    assert queuectl.run(b"", "list").code == 5
    done = queuectl.run(b"", "doctor", "--repair")
    assert (done.code, "worker stop" in done.err) == (4, True), done
    assert (data_dir / "jobs.json").read_bytes() == broken
    (data_dir / "jobs.json").write_bytes(whole)
    done = queuectl.run(b"wait --timeout 60s\n")
    assert done.code == 0, done
    assert queuectl.run(b"worker stop\n").code == 0


def test_an_edit_at_rest_through_the_real_program(data_dir: Path, queuectl: QueueCtl) -> None:
    store = LocalStore(data_dir)
    store.enqueue(specs("a", "b"), now=NOW)
    store.close()
    jobs = [job for job in json.loads((data_dir / "jobs.json").read_bytes()) if job["id"] != "a"]
    jobs.append({"id": "new", "command": "true"})
    (data_dir / "jobs.json").write_text(json.dumps(jobs, indent=2))
    edited = (data_dir / "jobs.json").read_bytes()
    assert queuectl.run(b"", "doctor").code == 0
    assert (data_dir / "jobs.json").read_bytes() == edited
    assert [job["id"] for job in json.loads(queuectl.run(b"", "list", "--json").out)] == ["b", "new"]


def test_workers_that_cannot_start_on_a_full_disk_say_so(queuectl: QueueCtl, data_dir: Path) -> None:
    """A file may not grow here, as above; the log, which cannot grow either, is left without half a traceback."""
    assert queuectl.run(b"", "enqueue", "--id", "a", "--", "true").code == 0
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "0", "--data", str(data_dir), "worker", "start"],
        cwd=Path(PROGRAM[1]).parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, os.strerror(errno.EFBIG) in done.stderr) == (5, True), done
    assert "Traceback" not in (data_dir / "logs" / "workers.log").read_text()
    assert queuectl.run(b"", "list").code == 0
