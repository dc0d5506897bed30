"""docs/guide.md is run: each line that is typed in it, in one folder, from its beginning to its end."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.conftest import LIMIT_S, PROGRAM, ROOT, QueueCtl
from tests.acceptance.test_transcripts import PROMPT, comparable

GUIDE = ROOT / "docs" / "guide.md"
HOME = "/home/you/queue"  #: the folder of the guide
SHELL_PROMPT = "$ "

#: One line that is typed, and what is shown below it.
Step = tuple[str, str]


def steps_of(page: str) -> list[Step]:
    """Return the steps of the ```console blocks of *page*; a step keeps its prompt."""
    steps = []
    for block in re.findall(r"(?ms)^```console\n(.*?)^```$", page):
        for part in re.split(rf"(?m)^(?={re.escape(PROMPT)}|{re.escape(SHELL_PROMPT)})", block):
            if part:
                typed, _, shown = part.partition("\n")
                steps.append((typed, shown))
    return steps


def in_runs(steps: list[Step]) -> list[list[Step]]:
    """Return the steps by runs: a line of the user's own shell, or lines of QueueCTL that stand together."""
    runs: list[list[Step]] = []
    for step in steps:
        if runs and step[0].startswith(PROMPT) and runs[-1][0][0].startswith(PROMPT):
            runs[-1].append(step)
        else:
            runs.append([step])
    return runs


def run(steps: list[Step], queuectl: QueueCtl) -> str:
    """Run what is typed in *steps*, and return all that is printed, in its order."""
    if steps[0][0].startswith(SHELL_PROMPT):
        command, text = ["/bin/sh", "-c", steps[0][0].removeprefix(SHELL_PROMPT)], ""
    else:
        command, text = [*PROGRAM], "".join(f"{typed.removeprefix(PROMPT)}\n" for typed, _ in steps)
    done = subprocess.run(
        command,
        input=text,
        cwd=queuectl.here,
        env=queuectl.environment | {"PATH": f"{queuectl.here.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    # A person at the prompt is not told which line it was.
    printed = re.sub(r"(?m)^script:\d+: ", "", done.stdout)
    return comparable(printed.replace(str(queuectl.here), HOME))


@pytest.fixture
def user(queuectl: QueueCtl, tmp_path: Path) -> QueueCtl:
    """Return the program in an empty folder with its queue in ./data, and by its name in PATH."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "queuectl"
    program.write_text('#!/bin/sh\nexec "{}" "{}" "$@"\n'.format(*PROGRAM))
    program.chmod(0o755)
    here = tmp_path / "queue"
    here.mkdir()
    return replace(queuectl, data=here / "data", here=here)


def test_guide_shows_what_is_printed(user: QueueCtl) -> None:
    """Each line that is shown is printed, in its order; hints for a person may stand between them."""
    try:
        for steps in in_runs(steps_of(GUIDE.read_text(encoding="utf-8"))):
            printed = run(steps, user)
            lines = iter(printed.splitlines())
            for typed, shown in steps:
                for line in comparable(shown).splitlines():
                    assert line.rstrip() in (one.rstrip() for one in lines), (
                        f"{typed!r}: no {line!r} in its place in\n{printed}"
                    )
    finally:
        user.run("worker stop --now\n")


def test_guide_begins_with_a_job_and_ends_with_damage() -> None:
    typed = [line for line, _ in steps_of(GUIDE.read_text(encoding="utf-8"))]
    assert typed[0].startswith(f"{PROMPT}enqueue")
    assert len(typed) > 30


@pytest.mark.parametrize(
    "page, steps",
    [
        ("```console\nqueuectl> a\nA\n$ b | c\nB\nC\n```\n", [("queuectl> a", "A\n"), ("$ b | c", "B\nC\n")]),
        ("```\nqueuectl> a\n```\n", []),
    ],
)
def test_steps_are_read(page: str, steps: list[Step]) -> None:
    assert steps_of(page) == steps
