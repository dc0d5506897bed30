"""The shell, at a terminal of its own: what stands on the screen, and what the keys do."""

from collections.abc import Iterator

import pexpect
import pytest

from tests.acceptance.conftest import QueueCtl
from tests.acceptance.terminal import PROMPT, Terminal

GREETING = "Welcome to QueueCTL shell. Type 'exit' to quit."
CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"

# The program is started by a fork of this process, which may have threads if tests run side by side.
pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")


@pytest.fixture
def terminal(queuectl: QueueCtl) -> Iterator[Terminal]:
    """Return a terminal where the shell has just been started."""
    opened = Terminal(queuectl)
    yield opened
    opened.child.close(force=True)


def test_shell_greets_and_prompts(terminal: Terminal) -> None:
    assert terminal.until_prompt() == [GREETING, PROMPT.rstrip()]


@pytest.mark.parametrize("word", ["exit", "quit"])
def test_words_that_leave(terminal: Terminal, word: str) -> None:
    terminal.until_prompt()
    terminal.type(f"{word}\r")
    assert terminal.end() == 0


def test_commands_run_and_answer(terminal: Terminal) -> None:
    lines = terminal.run("enqueue '{id: job1, command: \"echo Hello\"}'")
    assert lines[-2] == "Job added to the queue with job id: job1"
    lines = terminal.run("list")
    assert lines[-2] == "job1            pending    echo Hello"


def test_error_is_told_and_the_shell_goes_on(terminal: Terminal) -> None:
    lines = terminal.run("lst")
    assert lines[-4:-1] == ['No command "lst": did you mean "list"?', "  lst", "  ^"]
    lines = terminal.run("help status")
    assert "Usage: status [OPTIONS]" in lines


def test_ctrl_c_drops_the_line(terminal: Terminal) -> None:
    terminal.until_prompt()
    terminal.type("frobnicate")
    terminal.until(lambda lines: lines[-1] == f"{PROMPT}frobnicate")
    terminal.type(CTRL_C)
    terminal.until_prompt()
    lines = terminal.run("list")
    assert not [line for line in lines if line.startswith("No command")]


def test_ctrl_d_leaves(terminal: Terminal) -> None:
    terminal.until_prompt()
    terminal.type(CTRL_D)
    assert terminal.end() == 0


def test_ctrl_c_ends_the_running_command_only(terminal: Terminal) -> None:
    terminal.run("enqueue --id a -- true")
    terminal.type("wait\r")
    terminal.until(lambda lines: any(line.startswith("No worker is running") for line in lines))
    terminal.type(CTRL_C)
    lines = terminal.until_prompt()
    assert "Interrupted." in lines[-2]
    terminal.run("status")


def test_command_goes_on_in_the_next_line_while_a_brace_is_open(terminal: Terminal) -> None:
    terminal.until_prompt()
    terminal.type("enqueue '{id: a,\r")
    terminal.until(lambda lines: lines[-1].strip() == "...>")
    terminal.type("command: true}'\r")
    lines = terminal.until_prompt()
    assert lines[-2] == "Job added to the queue with job id: a"


def test_pasted_lines_are_commands_of_their_own(terminal: Terminal) -> None:
    terminal.until_prompt()
    terminal.type("\x1b[200~enqueue --id a -- true\nenqueue --id b -- true\x1b[201~\r")
    lines = terminal.until(lambda lines: "Job added to the queue with job id: b" in lines)
    assert "Job added to the queue with job id: a" in lines


def test_history_is_private_and_comes_back(queuectl: QueueCtl, terminal: Terminal) -> None:
    terminal.run("list --limit 3")
    terminal.run(" list --limit 4")
    terminal.type("exit\r")
    terminal.end()
    history = queuectl.data / "history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert queuectl.data.stat().st_mode & 0o777 == 0o700
    text = history.read_text(encoding="utf-8")
    assert "+list --limit 3\n" in text
    assert "limit 4" not in text
    again = Terminal(queuectl)
    again.until_prompt()
    again.type(UP + UP)
    again.until(lambda lines: lines[-1] == f"{PROMPT}list --limit 3")
    again.type(CTRL_C + CTRL_D)
    assert again.end() == 0


def test_history_that_others_can_read_is_closed_to_them(queuectl: QueueCtl) -> None:
    queuectl.run("status\n")
    history = queuectl.data / "history"
    history.touch(mode=0o644)
    history.chmod(0o644)
    terminal = Terminal(queuectl)
    terminal.until_prompt()
    assert history.stat().st_mode & 0o777 == 0o600
    terminal.type(CTRL_D)
    terminal.end()


def test_purge_of_everything_asks(terminal: Terminal) -> None:
    terminal.run("enqueue --id a --max-retries 1 -- false")
    terminal.run("worker start")
    terminal.run("wait")
    terminal.type("dlq purge --all\r")
    terminal.until(lambda lines: lines[-1].startswith("Forget 1 dead job for good?"))
    terminal.type("n\r")
    assert "Nothing was purged." in terminal.until_prompt()
    terminal.type("dlq purge --all\r")
    terminal.until(lambda lines: lines[-1].startswith("Forget 1 dead job for good?"))
    terminal.type("y\r")
    assert terminal.until_prompt()[-2] == "Job 'a' has been purged from the DLQ."


def test_output_of_jobs_cannot_move_the_cursor(terminal: Terminal) -> None:
    terminal.run("enqueue --id a -- \"printf 'x\\\\033[2Jy'\"")
    terminal.run("worker start")
    terminal.run("wait a")
    assert r"x\x1b[2Jy" in terminal.run("logs a")


def test_data_are_at_rest_while_the_shell_waits(queuectl: QueueCtl, terminal: Terminal) -> None:
    terminal.run("enqueue --id a -- true")
    assert len((queuectl.data / "journal.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    assert '"id":"a"' in (queuectl.data / "jobs.json").read_text(encoding="utf-8")


def test_workers_outlive_the_shell(queuectl: QueueCtl, terminal: Terminal) -> None:
    terminal.run("worker start")
    terminal.type("exit\r")
    assert terminal.end() == 0
    assert "Active Workers: 1" in queuectl.run("", "status").out


def test_terminal_that_can_do_little_gets_a_plain_prompt(queuectl: QueueCtl) -> None:
    terminal = Terminal(queuectl, TERM="dumb")
    terminal.child.expect_exact(f"{GREETING}\r\n{PROMPT}")
    terminal.type("enqueue '{id: a,\n")
    terminal.child.expect_exact("     ...> ")
    terminal.type("command: true}'\n")
    terminal.child.expect_exact(f"Job added to the queue with job id: a\r\n{PROMPT}")
    # A signal just before Python begins to read is noticed only at the end of the line: a person presses it again.
    for _ in range(5):
        terminal.type(CTRL_C)
        if terminal.child.expect([rf"(\^C)+\r\n{PROMPT}", pexpect.TIMEOUT], timeout=4) == 0:
            break
    else:
        pytest.fail("Ctrl-C does not give a new prompt")
    terminal.type(CTRL_D)
    terminal.child.expect(pexpect.EOF)
    assert "\x1b" not in (terminal.child.before or "")
    terminal.child.close()
    assert terminal.child.exitstatus == 0


def test_one_shot_at_a_terminal_greets_nobody(queuectl: QueueCtl) -> None:
    terminal = Terminal(queuectl, "status")
    terminal.child.expect(pexpect.EOF)
    assert (terminal.child.before or "").startswith("Total Jobs: 0\r\n")


def test_ctrl_c_in_one_shot_ends_with_130(queuectl: QueueCtl) -> None:
    queuectl.run("enqueue --id a -- true\n")
    terminal = Terminal(queuectl, "wait")
    terminal.child.expect_exact("No worker is running")
    terminal.type(CTRL_C)
    assert terminal.end() == 130
