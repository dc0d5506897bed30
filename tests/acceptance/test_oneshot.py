"""One command on the command line, or a few with -c: the real program, and what a shell script needs of it."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from queuectl import __version__
from queuectl.errors import ExitCode
from queuectl.times import from_text
from tests.acceptance.conftest import PROGRAM, ROOT, QueueCtl
from tests.waiting import until


def test_arguments_are_one_command(queuectl: QueueCtl) -> None:
    added = queuectl.run("", "enqueue", "--id", "job1", "--", "echo", "a b")
    assert (added.code, added.out, added.err) == (0, "Job added to the queue with job id: job1\n", "")
    listed = queuectl.run("", "list", "--json")
    assert (listed.code, json.loads(listed.out)[0]["command"]) == (0, "echo 'a b'")


def test_options_of_the_program_come_first(queuectl: QueueCtl, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert queuectl.run("", "--data", str(other), "enqueue", "{command: true}").code == 0
    assert (other / "jobs.json").exists()
    assert not queuectl.data.exists()


def test_folder_is_that_of_the_environment_or_data(queuectl: QueueCtl, tmp_path: Path) -> None:
    assert queuectl.run("", "status", env={"QUEUECTL_DATA": ""}, here=tmp_path).code == 0
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert queuectl.run("", "status", env={"QUEUECTL_DATA": "elsewhere"}, here=tmp_path).code == 0
    assert (tmp_path / "elsewhere" / "jobs.json").exists()


def test_several_commands_with_c(queuectl: QueueCtl) -> None:
    result = queuectl.run("", "-c", "enqueue {id: a, command: true}", "-c", "lst", "-c", "list --json")
    assert result.code == 2
    assert result.out.startswith("Job added to the queue with job id: a\n[\n")
    assert result.err.startswith('queuectl: No command "lst"')
    assert queuectl.run("", "-c", "exit", "-c", "lst").code == 0
    assert queuectl.run("", "-c", "show nobody").code == 3
    assert queuectl.run("", "-c", "status", "list").code == 2


@pytest.mark.parametrize(
    "args, code",
    [
        (["status"], 0),
        (["frobnicate"], 2),
        (["--frobnicate"], 2),
        (["--data", "", "status"], 2),
        (["show", "nobody"], 3),
        (["cancel", "ended"], 4),
        (["enqueue", "{id: ended, command: x}"], 4),
        (["wait", "waiting", "--timeout", "0.01"], 124),
        (["wait", "ended"], 1),
    ],
)
def test_exit_code_says_what_happened(queuectl: QueueCtl, args: list[str], code: int) -> None:
    queuectl.run("enqueue --id waiting -- true\nenqueue --id ended -- true\ncancel ended\n")
    result = queuectl.run("", *args)
    assert result.code == code
    assert ("queuectl: " in result.err) == (code not in (0, 1))


def test_version_and_help(queuectl: QueueCtl) -> None:
    assert queuectl.run("", "--version").out == f"queuectl {__version__}\n"
    helped = queuectl.run("", "--help")
    assert helped.out == queuectl.run("", "-h").out
    for part in ("--data DIR", "--stop-on-error", "  enqueue ", "Examples:"):
        assert part in helped.out
    assert "  exit " not in helped.out
    assert not queuectl.data.exists()


def test_standard_input_is_for_enqueue(queuectl: QueueCtl) -> None:
    result = queuectl.run("echo 1\necho 2\n", "enqueue", "-")
    assert (result.code, result.out.count("\n")) == (0, 2)
    assert queuectl.run('{"id": "a", "command": "x"}', "-c", "enqueue -f -").code == 0


def test_output_that_nobody_reads_is_no_error(queuectl: QueueCtl, tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("true\n" * 20_000, encoding="utf-8")
    assert queuectl.run("", "enqueue", "-f", "plain.txt", here=tmp_path).code == 0
    with queuectl.start("list") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 0


def test_streams_that_are_closed_are_no_error(queuectl: QueueCtl) -> None:
    """A file of the queue must not take the place of a closed stream."""
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        line = f'exec "$0" "$1" enqueue "{{command: true}}" {closed}'
        done = subprocess.run(["/bin/sh", "-c", line, *PROGRAM], env=queuectl.environment, timeout=30, check=False)
        assert done.returncode == 0, closed
    assert len(json.loads(queuectl.run("", "list", "--json").out)) == 4


@pytest.mark.parametrize(
    "environment", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_text_is_utf8_whatever_the_locale(queuectl: QueueCtl, environment: dict[str, str]) -> None:
    assert queuectl.run("", "enqueue", "--id", "a", "--", "echo", "grüße 日本", env=environment).code == 0
    assert "echo 'grüße 日本'" in queuectl.run("list\n", env=environment).out
    assert json.loads(queuectl.run("", "show", "a", "--json", env=environment).out)["command"] == "echo 'grüße 日本'"


def test_arguments_that_are_not_utf8_are_refused(queuectl: QueueCtl) -> None:
    words: list[list[str | bytes]] = [["enqueue", "--", b"echo \xff"], ["show", b"\xff"]]
    for args in words:
        result = queuectl.run("", *args)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("queuectl: ")
        assert "not UTF-8" in result.err
    assert queuectl.run("", "list", "--json").out == "[]\n"


def test_logs_are_the_very_bytes(queuectl: QueueCtl) -> None:
    queuectl.run("enqueue --id a -- \"printf '\\\\033[1m\\\\377'; printf 'e\\\\001' >&2\"\nworker start\nwait a\n")
    done = subprocess.run(
        [*PROGRAM, "logs", "a"], capture_output=True, env=queuectl.environment, timeout=30, check=True
    )
    assert (done.stdout, done.stderr) == (b"\x1b[1m\xff", b"e\x01")


def test_wait_notices_the_end_soon(queuectl: QueueCtl) -> None:
    """The moment that the job notes and the moment that ``wait`` answers are far less than a look's second apart."""
    queuectl.run("worker start\n")
    delays = []
    for id in ("a", "b", "c"):
        with queuectl.start() as process:
            assert process.stdin
            assert process.stdout
            process.stdin.write(f"enqueue --id {id} -- sleep 0.5\nwait {id}\nshow {id} --json\n".encode())
            process.stdin.flush()
            process.stdout.readline()
            assert process.stdout.readline() == b"1 job has ended: 1 completed.\n"
            noticed_at = datetime.now(UTC)
            process.stdin.close()
            shown = json.loads(process.stdout.read())
        delays.append((noticed_at - from_text(shown["finished_at"])).total_seconds())
    assert min(delays) < 0.15


def test_wait_can_be_interrupted(queuectl: QueueCtl) -> None:
    queuectl.run("", "enqueue", "--id", "a", "--", "true")
    with queuectl.start("wait", "a") as process:
        assert process.stderr
        assert b"No worker is running" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
        assert process.stderr.read() == b"queuectl: Interrupted.\n"


def test_store_is_left_at_rest(queuectl: QueueCtl) -> None:
    queuectl.run("", "enqueue", "{id: a, command: true}")
    assert '"id":"a"' in (queuectl.data / "jobs.json").read_text(encoding="utf-8")
    assert len((queuectl.data / "journal.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_cwd_of_a_job_is_where_it_was_enqueued(queuectl: QueueCtl, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    queuectl.run("", "enqueue", "--id", "a", "--", "pwd", here=tmp_path / "sub")
    queuectl.run("worker start\nwait a\n")
    assert queuectl.run("", "logs", "a").out == f"{(tmp_path / 'sub').resolve()}\n"


def test_folder_that_cannot_be_made_is_a_sentence(queuectl: QueueCtl) -> None:
    nowhere = "/proc/data" if sys.platform == "linux" else "/System/data"  # where not even root can make a folder
    result = queuectl.run("", "--data", nowhere, "status")
    assert result.code == 5
    assert f"Cannot use the data folder {nowhere}" in result.err
    assert "Traceback" not in result.err


def test_folder_that_is_a_file_is_a_sentence(queuectl: QueueCtl) -> None:
    queuectl.data.write_text("not a folder", encoding="utf-8")
    result = queuectl.run("", "status")
    assert (result.code, result.out) == (5, "")
    assert "Traceback" not in result.err
    queuectl.data.unlink()


def test_heavy_packages_are_left_alone(queuectl: QueueCtl) -> None:
    check = (
        "import sys; from queuectl.cli import main; main(['status']); main(['list', '--json']); main(['help']);"
        "print([name for name in ('prompt_toolkit', 'rich', 'psutil', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        capture_output=True,
        env=queuectl.environment,
        cwd=Path(PROGRAM[1]).parent,
        timeout=30,
        check=True,
    )
    assert done.stdout.decode().splitlines()[-1] == "[]"


def test_workers_outlive_the_program(queuectl: QueueCtl) -> None:
    started = queuectl.run("", "worker", "start", "--count", "2")
    pids = json.loads(started.out.splitlines()[-1].removeprefix("PIDs: "))
    assert json.loads(queuectl.run("", "status", "--json").out)["workers"] == sorted(pids)
    assert [row["pid"] for row in json.loads(queuectl.run("", "worker", "list", "--json").out)]
    stopped = queuectl.run("", "worker", "stop", str(pids[0]))
    assert stopped.out == f"Stopped worker PID {pids[0]}\n"
    assert queuectl.run("", "worker", "stop").out == f"Stopped worker PID {pids[1]}\nAll workers stopped.\n"
    until(lambda: queuectl.run("", "worker", "stop").out == "No active workers.\n")


#: Runs a program of ours by its path, and presses Ctrl-C when it loads a certain module, or "at the end".
INTERRUPTED = """
import atexit, os, runpy, signal, sys
moment, *sys.argv = sys.argv[1:]
press = lambda: os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(lambda event, args: press() if event == "import" and args[0] == moment else None)
if moment == "at the end":
    atexit.register(press)
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_interrupted(queuectl: QueueCtl, moment: str, program: str, **how: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED, moment, str(ROOT / program), "config", "get", "base"],
        env=queuectl.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **how,
    )


@pytest.mark.parametrize("program", ["queuectl.py", "queuectl/__main__.py"])
@pytest.mark.parametrize("moment", ["queuectl.launch", "click", "platform", "queuectl.commands.context", "at the end"])
def test_ctrl_c_is_no_traceback_from_the_first_moment_to_the_last(
    queuectl: QueueCtl, moment: str, program: str
) -> None:
    """Some of these modules are loaded by what makes another error of the exception."""
    done = run_interrupted(queuectl, moment, program)
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, "")
    assert done.stdout == ("2\n" if moment == "at the end" else "")


@pytest.mark.parametrize("moment", ["click", "queuectl.stores.local.store", "at the end"])
def test_who_is_started_with_ctrl_c_ignored_ignores_it(queuectl: QueueCtl, moment: str) -> None:
    """As a command in the background of a script is, which Ctrl-C is not for."""
    done = run_interrupted(
        queuectl, moment, "queuectl.py", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")
