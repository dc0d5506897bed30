"""What a command loads and opens before it answers: nearly all of the time of one command, and easily doubled unseen.

Counted, not timed: a count is the same on every machine.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from typing import NamedTuple

import pytest

from tests.acceptance.conftest import ROOT, QueueCtl

#: Runs a command beside what it cannot do without, and says what it has loaded and opened besides.
PROBE = """
import sys, click, msgspec
before, opened, listed = set(sys.modules), [], []

def note(event, args):
    if event == "open":
        opened.append(str(args[0]))
    elif event in ("os.listdir", "os.scandir"):
        listed.append(str(args[0]))

sys.addaudithook(note)
from queuectl.launch import main
exit_code = main()
names = sorted(set(sys.modules) - before)
import json
print(json.dumps([exit_code, names, opened, listed]), file=sys.stderr)
"""
#: What one change may add without a thought: a module of ours, or of the next Python's own.
OWN_MARGIN, OTHERS_MARGIN = 2, 8
#: What no command that reads, or says that it cannot, has use for.
NEEDLESS = (
    "difflib",
    "filelock",
    "json",
    "logging",
    "prompt_toolkit",
    "psutil",
    "rich",
    "shlex",
    "socket",
    "subprocess",
)


class Start(NamedTuple):
    """What one command has loaded and opened."""

    own: list[str]
    others: list[str]
    opened: Counter[str]  # the files of the queue by name
    listed: int  # how many times a folder of the queue was


def start_of(queuectl: QueueCtl, *args: str) -> Start:
    """Run a command; return what it took to start it."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=queuectl.environment | {"PYTHONPATH": str(ROOT)},
        cwd=queuectl.here,
        timeout=60,
        check=True,
    )
    exit_code, names, opened, listed = json.loads(done.stderr.splitlines()[-1])
    assert exit_code == 0
    own = [name for name in names if name.partition(".")[0] == "queuectl"]
    folder = str(queuectl.data)
    files = Counter(os.path.relpath(path, folder) for path in opened if path.startswith(folder))
    listings = sum(path.startswith(folder) for path in listed)
    return Start(own, [name for name in names if name not in own], files, listings)


@pytest.fixture
def at_rest(queuectl: QueueCtl) -> QueueCtl:
    """Return the program on a queue with jobs that nobody works on."""
    assert queuectl.run("", "enqueue", "--id", "a", "--", "true").code == 0
    assert queuectl.run("", "enqueue", "--id", "b", "--", "true").code == 0
    return queuectl


@pytest.mark.parametrize(
    "line, own, others",
    [
        ("status --json", 46, 11),
        ("status", 46, 11),
        ("list --state pending --limit 50", 47, 11),
        ("show a", 47, 11),
        ("show a --json", 47, 11),
        ("enqueue -- true", 50, 41),
        ('enqueue {"command":"true"}', 50, 41),
    ],
)
def test_a_command_loads_no_more_than_it_needs(at_rest: QueueCtl, line: str, own: int, others: int) -> None:
    start = start_of(at_rest, *line.split())
    assert len(start.own) <= own + OWN_MARGIN, start.own
    assert len(start.others) <= others + OTHERS_MARGIN, start.others


@pytest.mark.parametrize(
    "line", ["status", "status --json", "list", "list --json", "show a", "dlq list", "config list"]
)
def test_a_command_that_reads_loads_nothing_for_others(at_rest: QueueCtl, line: str) -> None:
    """Half of the time of all else is what filelock takes, and a queue at rest is read without its lock."""
    assert [name for name in start_of(at_rest, *line.split()).others if name in NEEDLESS] == []


@pytest.mark.parametrize("line, own", [("--help", 45), ("help", 45), ("--version", 29)])
def test_help_needs_no_store(queuectl: QueueCtl, line: str, own: int) -> None:
    start = start_of(queuectl, *line.split())
    assert "queuectl.stores.local.store" not in start.own
    assert len(start.own) <= own + OWN_MARGIN, start.own
    assert start.opened == {}


@pytest.mark.parametrize(
    "line, opened, listed",
    [
        ("status --json", 12, 3),
        ("list --state pending --limit 50", 11, 2),
        ("show a", 12, 2),
        ("enqueue -- true", 14, 4),
    ],
)
def test_a_command_opens_no_more_than_it_needs(at_rest: QueueCtl, line: str, opened: int, listed: int) -> None:
    start = start_of(at_rest, *line.split())
    assert start.opened.total() <= opened + 1, start.opened
    assert start.listed <= listed


def test_a_command_costs_the_same_with_jobs(at_rest: QueueCtl) -> None:
    """What a command loads and opens does not grow with the queue."""
    before = start_of(at_rest, "status", "--json")
    assert at_rest.run("\n".join(f"enqueue --id j{number} -- true" for number in range(100))).code == 0
    after = start_of(at_rest, "status", "--json")
    assert (after.own, after.others, after.opened) == (before.own, before.others, before.opened)
