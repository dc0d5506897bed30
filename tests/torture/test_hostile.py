"""T8: hostile lines, specs and scripts. Each ends at once, with an exit code and words, whatever it holds.

The bulk of them goes through ``run_line`` in this process, on a queue in a scratch folder. What would start another
program there, or leave the scratch folder, is taken away first; a table of lines goes through the real program.
"""

import io
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from queuectl import pool, script, service, tokens
from queuectl.commands import session, wait
from queuectl.commands.context import Context, Mode
from queuectl.commands.line import run_line
from queuectl.errors import DuplicateId, ExitCode, SyntaxProblem, UsageError
from queuectl.specs import read_specs
from queuectl.stores.local import disk
from queuectl.stores.local.store import LocalStore
from tests.acceptance.conftest import QueueCtl, queuectl
from tests.samples import NOW
from tests.torture.conftest import Figures

__all__ = ["queuectl"]

SESSION = 250  #: lines on one queue
LIMIT_S = 1.0  #: of the processor, for one line
PATIENCE_S = 20.0  #: by the clock: other work on this machine may take its time
ENDINGS = {*ExitCode} - {ExitCode.INTERRUPTED}

LINES = [
    *("enqueue '{id: job1, command: \"echo Hello\"}'", 'enqueue {"id":"b","command":"true","max_retries":0}'),
    *("enqueue --id c --max-retries 1 --timeout 1m --env A=b -- sleep 5", "enqueue [{command: a}, {command: b}]"),
    *("enqueue -f jobs.json", "enqueue -f script.txt", "enqueue -f bytes", "enqueue -", "enqueue --cwd /tmp -- 'a b'"),
    *("list", "list --state failed,dead --limit 3", "list --json", "show job1", "show job1 --json", "logs job1 --raw"),
    *("logs job1 --attempt 1", "status", "status --json", "wait --timeout 0", "wait job1 c --timeout 1ms --exit-zero"),
    *("cancel job1 c", "cancel --all --yes", "cancel --all --state pending", "remove job1", "delete --all --yes"),
    *("dlq list", "dlq list --json", "dlq retry job1", "dlq retry --all", "dlq purge --all --yes", "dlq purge job1"),
    *("worker start --count 2", "worker start --foreground", "worker stop", "worker stop 1 2 --now", "worker list"),
    *("config set max-retries 5", "config set base 1.5", "config set timeout 1h30m", "config get base", "config list"),
    *("config unset base", "config set notify none", "doctor", "doctor --json", "doctor --repair --yes"),
    *("source script.txt", "source bytes", "source .", "service install --count 2 --name x", "service status"),
    *("service remove --name x", "completion bash", "help", "help worker start", "exit", "quit", "# a comment", ""),
    *("!ls", "! rm -rf /", "!", "  !x", "enqueue --help", "worker -h", "li", "s", "config s base 2", "wait --json"),
]
WORDS = [
    *(
        "\x1b[2J",
        "\x1b]52;c;eA==\x07",
        "\x9b31m",
        "\0",
        "\r",
        "\t",
        "\v",
        "\u2028",
        "\u202e",
        "\ud800",
        "\udcff",
        "\ufeff",
    ),
    *(
        "é",
        "🎉",
        "“",
        "’",
        "'",
        '"',
        '\\"',
        "\\",
        "\\\n",
        "\n",
        "#",
        "$HOME",
        "$(id)",
        "`id`",
        "*",
        "|",
        ";",
        "&&",
        ">x",
    ),
    *(
        "{",
        "}",
        "[",
        "]",
        "{{",
        "}}",
        "{}",
        "[]",
        "[[]]",
        "{a:}",
        "{:}",
        "{,}",
        "{id:",
        "command:",
        ",",
        ":",
        "=",
        "A=b",
    ),
    *(
        "--",
        "-",
        "-x",
        "--all",
        "--yes",
        "--json",
        "--id",
        "--id=",
        "--env",
        "--count",
        "--state",
        "--limit",
        "--timeout",
    ),
    *(
        "-1",
        "0",
        "1e308",
        "1e309",
        "nan",
        "inf",
        "9" * 30,
        "9" * 5000,
        "0x10",
        "1_000",
        "1h",
        "1d" * 30,
        "-0.0",
        "²",
        "٣",
    ),
    *(
        "..",
        "../..",
        "/",
        "../../etc/passwd",
        "a/b",
        "~",
        "x" * 300,
        "x" * 5000,
        "data",
        "CON",
        "job1",
        "b",
        "c",
        "none",
    ),
    *("null", "true", "NaN", '"\\ud800"', '"\\u0000"', "{" * 40, "[" * 3000, "'" * 3001, '{"a":' * 500, "a: b, " * 400),
]
SIGNS = "abcxyz019 \t\n\"'\\{}[]:,=-#!$/.é\x1b\0"
SPECS = [
    "{id: job1, command: echo a, b}",
    '{"id": "a", "command": "x", "max_retries": 3, "timeout": "1h", "env": {"A": "b", "C": 1}, "cwd": "/tmp"}',
    "[{id: a, command: 'b c'}, {command: \"d\"}]",
    '{"command": "a"}\n{"command": "b"}\n',
    "echo one\n# two\nsleep 3\n",
    "{id: a, command: python -c 'print({1: [2]})', env: {PATH: /bin:/usr/bin}}",
]


def mutate(dice: random.Random, text: str) -> str:
    """Return *text*, changed in some places."""
    for _ in range(dice.choice([0, 1, 1, 2, 3, 8])):
        begin = dice.randrange(len(text) + 1)
        end = min(len(text), begin + dice.choice([0, 0, 1, 2, 10, 1000]))
        sign = dice.choice(SIGNS)
        text = text[:begin] + dice.choice(["", sign, sign * 3, text[begin:end] * 2, dice.choice(WORDS)]) + text[end:]
    return text


def make_line(dice: random.Random) -> str:
    kind = dice.random()
    if kind < 0.45:
        return mutate(dice, dice.choice(LINES))
    if kind < 0.75:
        begin = dice.choice(LINES).split(" ")[: dice.choice([1, 1, 2])]
        return " ".join([*begin, *dice.choices(WORDS, k=dice.randrange(5))])
    if kind < 0.95:
        quote = dice.choice(["'", '"', "", ""])
        return f"enqueue {quote}{mutate(dice, dice.choice(SPECS))}{quote}"
    if kind < 0.999:
        return "".join(dice.choices(SIGNS, k=dice.randrange(60)))
    return dice.choice(WORDS) * dice.randrange(400_000 // 5000) + "a" * dice.choice([0, tokens.MAX_LINE])


class Stage:
    """A scratch folder, and sessions of the program in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.foreign: Counter[str] = Counter()  # what would have reached beyond
        self.endings: Counter[str] = Counter()
        self.slowest_s = 0.0
        self.context: Context | None = None
        (root / "jobs.json").write_text('[{"command": "a"}, {"id": "file", "command": "b"}]')
        (root / "script.txt").write_text("list\nsource script.txt\nenqueue {\n!ls\nshow x\n'open\n")
        (root / "bytes").write_bytes(bytes(range(256)) * 20)

    def begin(self, dice: random.Random) -> None:
        """Begin a session on an empty queue."""
        self.end()
        for path in self.root.glob("data*"):
            shutil.rmtree(path)
        mode = dice.choice(list(Mode))
        context = Context(self.root / "data", mode=mode, reads_script=mode is Mode.SCRIPT)
        context.run_file = lambda path: script.run_file(path, context)
        self.context = context
        # As if a worker had been there.
        store = LocalStore(context.folder)
        store.close()

    def end(self) -> None:
        """End the session; what it has left has to be a queue."""
        if self.context is not None:
            self.context.close()
            store = LocalStore(self.root / "data")
            assert sum(store.counts().values()) == len(store.jobs())
            store.close()

    def check(self, act: Callable[[Context], int], what: object) -> None:
        """Do *act*, and hold its ending and its words against what is promised."""
        assert self.context is not None
        streams = [io.BytesIO(), io.BytesIO()]
        # Put back each time: a patch remembers what it has replaced, and the garbage collection of some hundred
        # thousand streams takes a second, which would count as the line's.
        out, err = (io.TextIOWrapper(stream, "utf-8", "backslashreplace", write_through=True) for stream in streams)
        with redirect_stdout(out), redirect_stderr(err):
            began, began_cpu = time.monotonic(), time.process_time()
            code = act(self.context)
            took_s, cpu_s = time.monotonic() - began, time.process_time() - began_cpu
        said = [stream.getvalue().decode() for stream in streams]
        assert code in ENDINGS, (what, code)
        assert code == 0 or any(said), what
        assert not any(word in said[1] for word in ("Traceback", "Something unexpected")), (what, said)
        assert not set("".join(said)) & set("\x1b\x9b\0\x07\u202e"), (what, said)
        assert (cpu_s < LIMIT_S, took_s < PATIENCE_S) == (True, True), (what, cpu_s, took_s)
        self.slowest_s = max(self.slowest_s, cpu_s)
        self.endings[str(int(code))] += 1


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    foreign = stage.foreign

    def run_program(context: Context, command: str) -> int:
        foreign["programs"] += 1
        return 0

    def start(folder: Path, count: int) -> list[int]:
        foreign["workers"] += count
        return list(range(1, count + 1))

    watch = wait._watch
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setattr(session, "run_program", run_program)
    monkeypatch.setattr(pool, "start", start)
    monkeypatch.setattr(pool, "run", start)
    monkeypatch.setattr(pool, "stop", lambda folder, pids, **limits: iter(pids or []))
    monkeypatch.setattr(service, "has_systemd", lambda: False)
    monkeypatch.setattr(service, "is_lingering", lambda: True)
    monkeypatch.setattr(service, "activity", lambda name: "active")
    monkeypatch.setattr(wait, "_watch", lambda context, goal, timeout, bar: watch(context, goal, 0.0, bar))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from the pipe\n")))
    # No power is cut here.
    monkeypatch.setattr(disk, "sync", lambda fd: None)
    monkeypatch.setattr(disk, "sync_folder", lambda folder: None)
    yield stage
    stage.end()
    names = {path.name for path in tmp_path.iterdir() if not path.name.startswith("data")}
    assert names <= {"jobs.json", "script.txt", "bytes", "home"}
    units = {path.parent for path in (tmp_path / "home").rglob("*") if path.is_file()}
    assert units <= {tmp_path / "home" / "systemd" / "user"}


def test_any_line_ends_at_once_with_a_code_and_words(
    stage: Stage, dice: random.Random, volume: Callable[[int, int], int], figure: Figures
) -> None:
    lines = volume(3_000, 300_000)
    for number in range(lines):
        if number % SESSION == 0:
            stage.begin(dice)
        line = make_line(dice)
        kind = dice.random()
        if kind < 0.9:
            stage.check(lambda context, line=line: run_line(line, context), line)  # type: ignore[misc]
        elif kind < 0.95:  # as the words of a command line
            words = line.replace("\0", "").split(" ")
            stage.check(lambda context, words=words: run_line(words, context), words)  # type: ignore[misc]
        else:  # as a part of a script, in whatever encoding
            text = line.encode("utf-8", "surrogatepass") + dice.choice([b"", dice.randbytes(3)])
            source = io.BytesIO(dice.choice([b"\n", b"\r\n", b"\0"]).join([text, b"list", text]))
            stage.check(lambda context, source=source: script.run_script(source, context), source.getvalue())  # type: ignore[misc]
    figure("lines", lines)
    figure("exit codes", dict(sorted(stage.endings.items())))
    figure("would have been started", dict(stage.foreign))
    figure("slowest line", f"{stage.slowest_s:.3f} s")


def test_any_spec_is_read_or_refused_at_its_place(
    dice: random.Random, volume: Callable[[int, int], int], figure: Figures
) -> None:
    found: Counter[str] = Counter()
    slowest_s = 0.0
    for _ in range(volume(7_000, 700_000)):
        text = mutate(dice, dice.choice(SPECS))
        if dice.random() < 0.1:
            text = "".join(dice.choices(SIGNS, k=dice.randrange(80)))
        began = time.process_time()
        has_place = True
        try:
            specs = read_specs(text, allow_plain=dice.random() < 0.5, now=NOW).specs
            found[f"{min(len(specs), 3)} jobs"] += 1
            for each in specs:
                each.command.encode()
        except (UsageError, DuplicateId) as error:
            found[type(error).__name__] += 1
            has_place = not isinstance(error, SyntaxProblem) or 0 <= error.offset <= len(error.text)
        except Exception:
            print(repr(text))  # noqa: T201 - pytest shows it if the test fails
            raise
        assert has_place, text
        slowest_s = max(slowest_s, time.process_time() - began)
    assert slowest_s < LIMIT_S
    for what, count in found.items():
        figure(what, count)
    figure("slowest", f"{slowest_s:.3f} s")


#: A line of a script, and how it ends.
TABLE = [
    ("enqueue --id ok -- true", 0),
    ("enqueue '{id: \"\\u001b[2J\", command: x}'", 2),
    ("enqueue --id ../../x -- true", 2),
    ("enqueue --id . -- true", 2),
    ("enqueue --id ok -- true", 4),
    ("enqueue -- \x1b[2J", 0),
    ("enqueue " + "{" * 100, 2),
    ("enqueue " + "[" * 100_000, 2),
    ("enqueue '{command: a, command: b}'", 2),
    ('enqueue \'{"command": "\\u0000"}\'', 2),
    ('enqueue \'{"command": "\\ud800"}\'', 2),
    ("enqueue --max-retries " + "9" * 5000 + " -- x", 2),
    ("enqueue --timeout 1e309 -- x", 2),
    ("enqueue --env =x -- x", 2),
    ("enqueue -f /", 2),
    ("enqueue -f -", 2),
    ("enqueue -f /dev/stdin", 2),
    ("show \x1b]0;title\x07", 3),
    ("show " + "x" * 100_000, 3),
    ("logs ok", 1),
    ("list --state \u202e", 2),
    ("list --limit -1", 2),
    ("cancel --all", 2),
    ("remove $(id) `id` *", 3),
    ("config set base nan", 2),
    ("config set base " + "9" * 5000, 2),
    ("config set \0 1", 2),
    ("worker stop 1", 3),
    ("worker stop 999999999999999999999999", 3),
    ("worker start --count 0", 2),
    ("worker start --count 1000000", 2),
    ("worker start --foreground", 2),
    ("service install --name ../../x", 2),
    ("wait ok --timeout 0", 124),
    ("wait --timeout nan", 2),
    ("source /", 5),
    ("source missing", 5),
    ("help ../x", 2),
    ("!exit 300", 1),
    ("!kill -9 $$", 1),
    ("!", 2),
    ("'open", 2),
    ("“list”", 2),
    ("\x00", 2),
    ("LIST", 2),
    ("x" * 2_000_000, 2),
]


def test_a_table_of_hostile_lines_goes_through_the_real_program(queuectl: QueueCtl, tmp_path: Path) -> None:
    began = time.monotonic()
    done = queuectl.run("\n".join(text for text, _ in TABLE).encode() + b"\n\xff")
    assert time.monotonic() - began < PATIENCE_S
    assert done.code == 1
    assert not set(done.out + done.err) & set("\x1b\x9b\0\x07\u202e")
    assert "Traceback" not in done.err
    for number, (text, code) in enumerate(TABLE, 1):
        assert (f"script:{number}: " in done.err) == (code != 0), (number, text[:80], done.err[:3000])
    assert f"script:{len(TABLE) + 1}: The line is not UTF-8" in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


#: Of these, some as the one command of the program, which then may read from its standard input.
SOME = [(text, code) for text, code in TABLE if code and len(text) < 90_000 and "-f" not in text][::6]


@pytest.mark.parametrize("text, code", SOME)
def test_a_hostile_line_ends_with_its_exit_code(queuectl: QueueCtl, text: str, code: int) -> None:
    queuectl.run("enqueue --id ok -- true\n")
    done = queuectl.run(b"", "-c", text.replace("\0", "\x01"))
    assert (done.code, done.err.count("\n") > 0, "Traceback" in done.err) == (code, True, False), done


def test_words_that_are_no_utf_8_are_refused(queuectl: QueueCtl) -> None:
    for words in ((b"show", b"\xff"), (b"-c", b"show \xff"), (b"enqueue", b"--", b"\xff\xfe")):
        done = queuectl.run(b"", *words)
        assert (done.code, "not UTF-8" in done.err, done.out) == (2, True, ""), done
