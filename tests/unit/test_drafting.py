"""A line while it is typed: its colours, what it may go on with, the help it asks for."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl import drafting
from queuectl.commands.context import Context, Mode
from queuectl.completion import describe
from queuectl.job import State
from queuectl.tokens import read_draft, split
from tests.program import Program
from tests.samples import job as sample

TEXTS = st.text(alphabet="ab- '\"{}[],:#\\\n!?|é", max_size=40)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Return what a shell knows; its jobs are one of each state."""
    context = Context(tmp_path, mode=Mode.SHELL)
    context.known_jobs = lambda: [sample(id=f"{state}-job", state=state) for state in State]
    return context


def offered(text: str, context: Context) -> list[str]:
    return [candidate.text for candidate in drafting.candidates(text, context)]


def coloured(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in drafting.spans(text)]


@pytest.mark.parametrize(
    "text, words",
    [
        ("w", ["wait", "worker"]),
        ("dlq ", ["list", "retry", "purge"]),
        ("list --st", ["--state"]),
        ("list --state d", ["dead"]),
        ("list --state dead,p", ["dead,pending"]),
        ("config unset kill", ["kill-after"]),
        ("config set timeout ", ["none"]),
        ("config set notify f", ["failures"]),
        ("help dlq p", ["purge"]),
        ("dlq retry ", ["dead-job"]),
        ("wait ", ["pending-job", "in_progress-job", "failed-job"]),
        ("wait pending-job failed", ["failed-job"]),
        ("wait pending-job pending", []),
        ("can fa", ["failed-job"]),
        ("logs p", []),
        ("status ", ["--json", "--help"]),
        ("status -h", ["-h"]),
        ("cancel --state c", []),
        ("remove --state i", []),
        ("enqueue --id ", []),
        ("enqueue --timeout ", []),
        ("enqueue '{id: a, m", ["max_retries: "]),
        ("enqueue -- l", []),
        ("list # s", []),
        ("!l", []),
        ("", None),
        ("nonsense ", []),
        ("worker nonsense ", []),
    ],
)
def test_what_a_word_may_become(context: Context, text: str, words: list[str] | None) -> None:
    found = offered(text, context)
    if words is not None:
        assert sorted(found) == sorted(words)


def test_files_are_offered_quoted_where_need_be(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a b.txt").touch()
    (tmp_path / "plain").mkdir()
    (tmp_path / ".hidden").touch()
    monkeypatch.chdir(tmp_path)
    assert offered("source ", context) == ["'a b.txt'", "plain/"]
    assert offered("enqueue -f pl", context) == ["plain/"]
    assert offered(f"source missing{os.sep}", context) == []


def test_ids_come_from_the_store_where_nobody_watches(program: Program) -> None:
    """As for bash: of a folder that is no queue yet nothing is asked."""
    program.add("a", "b")
    assert offered("show a", program.context) == []
    (program.context.folder / "journal.jsonl").touch()
    assert offered("show ", program.context) == ["b", "a"]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"state": State.DEAD, "error": "exit code 1", "attempts": 3}, "dead · exit code 1 · 3 attempts"),
        ({"state": State.PENDING, "command": "echo \x1b[2J"}, "pending · echo \\x1b[2J"),
        ({"state": State.FAILED, "error": "x" * 80, "attempts": 1}, f"failed · {'x' * 59}… · 1 attempt"),
    ],
)
def test_job_is_described_in_a_word(changes: dict[str, Any], words: str) -> None:
    assert describe(sample(**changes)) == words


@pytest.mark.parametrize(
    "text, spans",
    [
        ("status --json", [("command", "status"), ("option", "--json")]),
        ("wo sta --coun 2", [("command", "wo"), ("command", "sta"), ("error", "--coun")]),
        ("wo sta --coun", [("command", "wo"), ("command", "sta")]),
        ("frob", [("error", "frob")]),
        ("s", []),
        ("show 'job 1'", [("command", "show"), ("string", "'job 1'")]),
        (
            "enqueue {id: j, command: echo a, b: c",
            [
                ("command", "enqueue"),
                ("string", "{id: j, command: echo a, b: c"),
                ("key", "id"),
                ("key", "command"),
            ],
        ),
        ("enqueue -- ls --frob", [("command", "enqueue"), ("option", "--")]),
        ("list # all", [("command", "list"), ("comment", "# all")]),
        ("list “x”", [("command", "list"), ("error", "“x”")]),
        ("!ls 'a", [("program", "!ls 'a")]),
    ],
)
def test_words_have_the_colour_of_what_they_are(text: str, spans: list[tuple[str, str]]) -> None:
    assert coloured(text) == spans


@given(TEXTS)
def test_nothing_that_is_typed_is_too_odd(text: str) -> None:
    context = Context(Path("/nowhere"), mode=Mode.SHELL)
    context.known_jobs = lambda: []
    assert all(0 <= span.start <= span.end <= len(text) for span in drafting.spans(text))
    assert all(0 <= found.start <= len(text) for found in drafting.candidates(text, context))
    drafting.takes_no_text(text)
    assert "Usage:" in drafting.help_for(text, "", context)


@given(TEXTS)
def test_a_draft_has_the_words_of_the_finished_line(text: str) -> None:
    draft = read_draft(text)
    try:
        words = split(text)
    except Exception:  # noqa: BLE001 - whatever is wrong with it
        return
    typed = [draft.word] if draft.word.end > draft.word.start else []
    assert [*draft.tokens, *typed] == words


@pytest.mark.parametrize(
    "text, usage",
    [
        ("", "Usage: [OPTIONS] COMMAND"),
        ("worker", "Usage: worker"),
        ("wo sta ", "Usage: worker start"),
        ("show job1", "Usage: show"),
        ("frob", "Usage: [OPTIONS] COMMAND"),
    ],
)
def test_help_is_that_of_the_command_at_hand(context: Context, text: str, usage: str) -> None:
    assert drafting.help_for(text, "", context).replace("  ", " ").startswith(usage)


@pytest.mark.parametrize("text", ["", "wor", "worker", "worker ", "worker start ", "list --limit", "list -"])
def test_question_mark_asks_at_names_and_options(text: str) -> None:
    assert drafting.takes_no_text(text)


@pytest.mark.parametrize("text", ["show a ", "list --limit ", "enqueue -- ls -l", "enqueue -- ls ", "!ls", "x"])
def test_question_mark_is_text_in_arguments(text: str) -> None:
    assert not drafting.takes_no_text(text)


@pytest.mark.parametrize(
    "before, after, told",
    [
        ("list --limit", "", "--limit: "),
        ("list --li", "mit 5", "--limit: "),
        ("list --state de", "ad", "dead: has no attempt left"),
        ("config set max-ret", "ries 5", "max-retries: "),
        ("enqueue '{id: a, timeo", "ut: 5}'", "timeout: "),
    ],
)
def test_help_begins_with_the_word_at_the_cursor(context: Context, before: str, after: str, told: str) -> None:
    first, _, page = drafting.help_for(before, after, context).partition("\n\n")
    assert first.startswith(told)
    assert page.startswith("Usage: ")
