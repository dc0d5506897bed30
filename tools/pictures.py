"""docs/pictures/: what the shell shows, run for real at a terminal without a window, and drawn as SVG."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pyte

from tools.drawing import Cell, draw

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = (sys.executable, str(ROOT / "queuectl.py"))
PROMPT = "queuectl>"
FIRST_PID = 12345  #: the PIDs of a picture count up from here, whatever they were
COLUMNS, ROWS = 92, 40
LIMIT_S = 30.0
QUIET_S = 0.5  #: a screen that has not changed for so long is finished


@dataclass(frozen=True)
class Scene:
    """One picture: what is done before it, and what is typed in it."""

    name: str
    title: str
    before: tuple[str, ...]
    typed: tuple[str, ...]


SCENES = (
    Scene(
        "shell",
        "The shell: jobs are enqueued, workers are started, results are looked at",
        (),
        (
            "enqueue '{id: job1, command: \"echo Hello\"}'",
            "enqueue --id report -- 'sleep 0.1; echo 3 pages written'",
            "worker start --count 2",
            "wait",
            "logs report",
            "status",
        ),
    ),
    Scene(
        "status",
        "status, list and dlq list: a job runs, two wait, one is dead",
        (
            "config set base 0",
            "enqueue --id import -- true",
            "enqueue --id fetch --max-retries 2 -- 'echo ConnectionError: no route to host >&2; false'",
            "worker start",
            "wait --exit-zero",
            "enqueue --id train -- sleep 60",
            "enqueue --id evaluate -- python evaluate.py --all",
            "enqueue --id publish -- make publish",
        ),
        ("status", "list --state running,pending", "dlq list"),
    ),
)


def write(folder: Path) -> None:
    """Write the pictures of all scenes into *folder*."""
    folder.mkdir(exist_ok=True)
    for scene in SCENES:
        with tempfile.TemporaryDirectory() as place:
            rows = _play(scene, Path(place))
        (folder / f"{scene.name}.svg").write_text(draw(rows, COLUMNS, scene.title), encoding="utf-8")


def _play(scene: Scene, here: Path) -> list[list[Cell]]:
    """Play *scene* in the folder *here*, and return the screen at its end."""
    environment = os.environ | {"QUEUECTL_DATA": str(here / "data"), "TERM": "xterm-256color", "COLORTERM": ""}
    environment["PROMPT_TOOLKIT_NO_CPR"] = "1"  # nobody answers the question where the cursor is
    environment.pop("NO_COLOR", None)

    def run(script: str) -> str:
        return subprocess.run(
            PROGRAM, input=script, cwd=here, env=environment, text=True, stdout=subprocess.PIPE, check=True
        ).stdout

    try:
        if scene.before:
            run("\n".join(scene.before))
            deadline = time.monotonic() + LIMIT_S
            while '"in_progress": 0' in run("status --json") and time.monotonic() < deadline:
                pass
        screen = _type(scene.typed, here, environment)
        pids = json.loads(run("status --json"))["workers"]
    finally:
        run("worker stop --now")
    return list(_tidy([_cells(screen, row) for row in range(ROWS)], pids))


def _type(lines: tuple[str, ...], here: Path, environment: dict[str, str]) -> pyte.Screen:
    """Type *lines* in a new shell, each once the prompt is there."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    child = pexpect.spawn(
        PROGRAM[0], [PROGRAM[1]], cwd=here, env=environment, dimensions=(ROWS, COLUMNS), encoding="utf-8"
    )
    try:
        for line in (*lines, None):
            deadline = time.monotonic() + LIMIT_S
            quiet_at = time.monotonic() + QUIET_S
            while screen.display[screen.cursor.y].strip() != PROMPT or time.monotonic() < quiet_at:
                if time.monotonic() > deadline:
                    msg = "the prompt has not come back:\n" + "\n".join(screen.display)
                    raise TimeoutError(msg)
                try:
                    stream.feed(child.read_nonblocking(65536, timeout=0.1))
                    quiet_at = time.monotonic() + QUIET_S
                except pexpect.TIMEOUT:
                    continue
            if line is not None:
                child.send(f"{line}\r")
    finally:
        child.close(force=True)
    return screen


def _cells(screen: pyte.Screen, row: int) -> list[Cell]:
    cells = []
    for column in range(COLUMNS):
        char = screen.buffer[row][column]
        front, back = (char.bg, char.fg) if char.reverse else (char.fg, char.bg)
        cells.append(Cell(char.data, front, back, char.bold, is_reverse=char.reverse))
    return cells


def _tidy(rows: list[list[Cell]], pids: list[int]) -> Iterator[list[Cell]]:
    """Yield *rows* with PIDs that are always the same, and no more than one blank row at a time."""
    names = {str(pid): str(FIRST_PID + place) for place, pid in enumerate(pids)}
    is_blank = True
    while rows and not "".join(cell.text for cell in rows[-1]).strip():
        rows.pop()
    for row in rows:
        text = "".join(cell.text or "\0" for cell in row)  # what a wide sign covers has no text
        was_blank, is_blank = is_blank, not text.strip()
        if was_blank and is_blank:
            continue
        for match in reversed(list(re.finditer(r"\b\d+\b", text))):
            if name := names.get(match[0]):
                style = row[match.start()]
                row[match.start() : match.end()] = [style.with_text(sign) for sign in name]
        yield row[:COLUMNS]
