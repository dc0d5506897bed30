"""What SECURITY.md promises of the folder, by the real program: rights, links, ids, and what a terminal is shown."""

import json
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.acceptance.conftest import QueueCtl, queuectl
from tests.acceptance.terminal import Terminal

__all__ = ["queuectl"]

HOSTILE = "\x1b]52;c;eA==\x07\x1b[2J"
CTRL_D = "\x04"


@pytest.fixture(params=[0, 0o077, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Return the rights of all that is in *folder*, but for those that only its owner has."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        right = 0o700 if stat.S_ISDIR(status.st_mode) else 0o600
        if not stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) != right:
            found[str(path.relative_to(folder))] = f"{stat.S_IMODE(status.st_mode):o}"
    return found


def test_all_that_is_in_the_folder_is_its_owners_alone(queuectl: QueueCtl, umask: int) -> None:
    script = "enqueue --id a -- 'echo out; echo err >&2'\nconfig set base 1\nworker start\nwait a\nstatus\n"
    done = queuectl.run(script)
    assert done.code == 0, done
    assert modes(queuectl.data) == {}
    assert (queuectl.data / "logs" / "000000" / "1-1.out").read_text() == "out\n"
    assert queuectl.run("worker stop\n").code == 0
    assert modes(queuectl.data) == {}


@pytest.mark.parametrize("id", ["../../../escaped", "/tmp/escaped", "..", "a/b", "a\0b", "", "-x", HOSTILE, "x" * 256])
def test_an_id_is_never_a_path(queuectl: QueueCtl, id: str) -> None:
    """Not one of a command, nor one that somebody has written into the file."""
    queuectl.run("status\n")
    done = queuectl.run(f"enqueue {shlex.quote(json.dumps([{'id': id, 'command': 'true'}]))}\n")
    assert (done.code, done.out, "cannot be an id" in done.err) == (1, "", True)
    (queuectl.data / "jobs.json").write_text(json.dumps([{"id": id, "command": "true"}]))
    for command in ("list", "status", "enqueue --id b -- true"):
        done = queuectl.run(b"", *command.split())
        assert (done.code, done.out, "cannot be an id" in done.err) == (5, "", True)
        assert "\x1b" not in done.err
    assert not Path("/tmp/escaped").exists()


def test_the_longest_and_strangest_ids_are_only_names(queuectl: QueueCtl) -> None:
    ids = ["x" * 255, "a..b", "con", "A", "a:@-_.", "0"]
    queuectl.run("".join(f"enqueue --id {id} -- echo {number}\n" for number, id in enumerate(ids)))
    assert queuectl.run("worker start\nwait\nworker stop\n").code == 0
    for number, id in enumerate(ids):
        assert queuectl.run(b"", "logs", id).out == f"{number}\n"
    names = {path.name for path in (queuectl.data / "logs").rglob("*.*")}
    assert {name for name in names if not name.endswith(".log")} == {f"{place + 1}-1.out" for place in range(len(ids))}


def test_links_in_the_place_of_outputs_are_not_followed(queuectl: QueueCtl, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    queuectl.run("enqueue --id a -- echo out\nworker start\nwait a\nworker stop\n")
    output = queuectl.data / "logs" / "000000" / "1-1.out"
    output.unlink()
    output.symlink_to(tmp_path / "secret")
    for words in (["logs", "a"], ["logs", "a", "--json"]):
        done = queuectl.run(b"", *words)
        assert (done.code, done.out, "1-1.out" in done.err) == (5, "", True)
    queuectl.run("remove a\n")
    assert (tmp_path / "secret").read_text() == "secret"
    assert not os.path.lexists(output)


def test_a_link_in_the_place_of_a_folder_of_outputs_is_not_followed(queuectl: QueueCtl, tmp_path: Path) -> None:
    """Neither by the worker, nor by who takes back the job of one that was killed, nor when it is shown or removed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1-1.out").write_text("mine")
    queuectl.run("status\n")
    (queuectl.data / "logs" / "000000").symlink_to(elsewhere)
    queuectl.run("enqueue --id a -- 'echo out; test -e again || { touch again; kill -9 $PPID; }'\nworker start\n")
    assert queuectl.run("wait a --timeout 30\nworker stop\n").code == 0
    assert json.loads(queuectl.run("show a --json\n").out)["attempts"] == 2
    done = queuectl.run(b"", "logs", "a")
    assert (done.code, done.out, "000000" in done.err) == (5, "", True)
    assert queuectl.run("remove a\n").code == 0
    assert {path.name: path.read_text() for path in elsewhere.iterdir()} == {"1-1.out": "mine"}
    assert "cannot be kept" in (queuectl.data / "logs" / "workers.log").read_text()


def test_a_link_in_the_place_of_the_history_is_not_followed(queuectl: QueueCtl, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine\n")
    (tmp_path / "mine").chmod(0o644)
    queuectl.run("status\n")
    (queuectl.data / "history").symlink_to(tmp_path / "mine")
    terminal = Terminal(queuectl)
    terminal.run("status")
    terminal.type(CTRL_D)
    assert terminal.end() == 0
    assert (tmp_path / "mine").read_text() == "mine\n"
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o644


def test_a_terminal_is_shown_escapes_and_sent_none(queuectl: QueueCtl) -> None:
    command = f"printf '%s' '{HOSTILE}'; printf '%s' '{HOSTILE}' >&2; exit 1"
    (queuectl.here / "jobs.json").write_text(json.dumps([{"id": "a", "command": command, "max_retries": 1}]))
    queuectl.run("enqueue -f jobs.json\nworker start\nwait a\nworker stop\n")
    shown = {
        "list": r"\x1b]52;c;eA==\x07",
        "show a": r"\x1b]52;c;eA==\x07",
        "dlq list": r"\x1b]52;c;eA==\x07",
        "logs a": r"\x1b]52;c;eA==\x07\x1b[2J",
        "logs a --json": r"\u001b]52;c;eA==\u0007\u001b[2J",
        "list --json": r"\u001b]52;c;eA==\u0007\u001b[2J",
        "doctor": "All is well.",
        "show \x1b[2J": r'No job "\x1b[2J"',
    }
    for words, text in shown.items():
        code = 3 if words.startswith("show \x1b") else 0
        done = queuectl.run(f"{words}\n")
        assert done.code == min(code, 1), done
        if words != "logs a":
            assert not {"\x1b", "\x07"} & set(done.out + done.err), words
            assert text in done.out + done.err, words
        written = at_terminal(queuectl, words, code)
        assert not [escape for escape in ("\x1b]52", "\x1b[2J", "\x07") if escape in written], words
        assert text in written, words
    assert HOSTILE in at_terminal(queuectl, "logs a --raw", 0)


def at_terminal(queuectl: QueueCtl, command: str, code: int) -> str:
    """Return all that the program sends to a terminal when it runs *command*, and ends with *code*."""
    terminal = Terminal(queuectl, "-c", command)
    terminal.child.expect(pexpect.EOF)
    written = terminal.child.before
    terminal.child.close()
    assert written is not None
    assert terminal.child.exitstatus == code, written
    return written
