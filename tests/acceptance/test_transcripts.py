"""The transcripts: what users type and what they see, character for character, PIDs and counts aside."""

import re

import pytest

from tests.acceptance.conftest import ROOT, QueueCtl

README = ROOT / "README.md"
SESSION = ROOT / "examples" / "readme.txt"
PROMPT = "queuectl> "

#: (command, output) in the order of the mission.
TRANSCRIPTS = (
    (
        "enqueue '{id: job1, command: \"echo Hello\"}'",
        "Job added to the queue with job id: job1\n",
    ),
    (
        "worker start --count 2",
        "Starting 2 worker(s)...\nWorkers started and running in background.\nPIDs: [12345, 12346]\n",
    ),
    (
        "worker stop",
        "Stopped worker PID 12345\nStopped worker PID 12346\nAll workers stopped.\n",
    ),
    (
        "status",
        "Total Jobs: 3\n  Pending     : 1\n  In_progress : 0\n  Completed   : 2\n  Failed      : 0\n"
        "  Dead        : 0\nActive Workers: 2\nWorker PIDs: 12345, 12346\n",
    ),
    (
        "list --state pending",
        "ID              State      Command\n"
        "------------------------------------------------------------\n"
        "job3            pending    python script.py\n",
    ),
    (
        "dlq list",
        "ID              Command                       Error\n"
        "----------------------------------------------------------------------\n"
        "job2            python fail_script.py         RuntimeError\n",
    ),
    ("dlq retry job2", "Job 'job2' has been moved back to the main queue for retry.\n"),
    ("config set max-retries 5", ""),
    ("config set base 3", ""),
)


def comparable(text: str) -> str:
    """Return *text* with its PIDs and counts made alike."""
    pids = re.sub(
        r"(?m)^((?:PIDs|Worker PIDs|Stopped worker PID)\b.*)$", lambda line: re.sub(r"\d+", "N", line[1]), text
    )
    return re.sub(r"(?m)^(Total Jobs: |  [A-Z]\w+ *: )\d+$", r"\1N", pids)


def console_blocks(page: str) -> list[tuple[str, str]]:
    """Return (command, output) for every prompt in the ```console blocks of *page*."""
    pairs = []
    for block in re.findall(r"(?ms)^```console\n(.*?)^```$", page):
        for part in re.split(rf"(?m)^{PROMPT}", block)[1:]:
            command, _, output = part.partition("\n")
            pairs.append((command, output.rstrip("\n") + "\n" if output.strip() else ""))
    return pairs


def check_in_order(pairs: list[tuple[str, str]], printed: str) -> None:
    """Fail unless the outputs of *pairs* are in *printed* one after the other."""
    rest = comparable(printed)
    for command, output in pairs:
        before, found, rest = rest.partition(comparable(output)) if output else ("", "yes", rest)
        assert found, f"the output of {command!r} is not, or not in its place, in\n{printed}"
        assert not before or before.endswith("\n")


@pytest.fixture
def printed(queuectl: QueueCtl) -> str:
    """Return what the README's session prints."""
    result = queuectl.run(SESSION.read_bytes(), here=ROOT)
    assert (result.code, result.err) == (0, "")
    return result.out


def test_session_prints_the_transcripts(printed: str) -> None:
    check_in_order(list(TRANSCRIPTS), printed)


def test_session_types_the_commands_of_the_transcripts() -> None:
    lines = iter(SESSION.read_text(encoding="utf-8").splitlines())
    for command, _ in TRANSCRIPTS:
        assert command in lines, f"{command!r} is not, or not in its place, in {SESSION.name}"


def test_settings_are_confirmed_with_their_values(printed: str) -> None:
    assert "\nmax-retries = 5\nbase = 3\n" in printed


def test_readme_shows_what_its_session_prints(printed: str) -> None:
    pairs = console_blocks(README.read_text(encoding="utf-8"))
    assert pairs, f'the README has no ```console block with lines that begin with "{PROMPT}"'
    check_in_order(pairs, printed)


def test_first_session_runs_and_can_be_run_again(queuectl: QueueCtl) -> None:
    for _ in range(2):
        result = queuectl.run((ROOT / "examples" / "first.txt").read_bytes())
        assert (result.code, result.err) == (0, "")
        for line in ("1\n4\n9\n", "all is well\n", "All workers stopped.\n"):
            assert line in result.out
        assert "report          cat /tmp/queuectl-first-session.txt cat: " in result.out


@pytest.mark.parametrize(
    "page, pairs",
    [
        (
            "text\n```console\nqueuectl> status\nTotal Jobs: 3\n  Dead : 0\n```\n",
            [("status", "Total Jobs: 3\n  Dead : 0\n")],
        ),
        ("```console\nqueuectl> a\nA\n\nqueuectl> b\n```\n```\nqueuectl> c\n```\n", [("a", "A\n"), ("b", "")]),
    ],
)
def test_console_blocks_are_read(page: str, pairs: list[tuple[str, str]]) -> None:
    assert console_blocks(page) == pairs


def test_examples_hold_what_the_session_runs() -> None:
    scripts = set(re.findall(r'"python (\w+\.py)"', SESSION.read_text(encoding="utf-8")))
    assert scripts == {path.name for path in SESSION.parent.glob("*.py")}
