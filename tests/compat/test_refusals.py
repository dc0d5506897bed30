"""What cannot be used is refused in words, with exit code 5, and every byte stays as it was."""

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
import email.parser, encodings.utf_8_sig
import importlib, importlib.metadata, json, os, pkgutil, platform, pwd, sys, traceback
import psutil, queuectl
for module in pkgutil.walk_packages(queuectl.__path__, "queuectl."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
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
    for path in (open_dir, folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
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
