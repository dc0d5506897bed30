"""Completion in the user's own shell: the script that is printed, sourced in a real one."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from queuectl.commands.completion_script import CHANGES, SHELLS
from tests.acceptance.conftest import PROGRAM, QueueCtl

#: Where a shell is run without the user's own settings: to check a script, to run one.
CHECKS = {"bash": ("bash", "-n"), "zsh": ("zsh", "-f", "-n"), "fish": ("fish", "--no-config", "--no-execute")}


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a folder with a program "queuectl", as an installation makes one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "queuectl"
    program.write_text('#!/bin/sh\nexec "{}" "{}" "$@"\n'.format(*PROGRAM))
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize("shell", SHELLS)
def test_script_is_printed_and_its_shell_accepts_it(queuectl: QueueCtl, shell: str, tmp_path: Path) -> None:
    result = queuectl.run(b"", "completion", shell)

    assert (result.code, result.err) == (0, "")
    assert "_QUEUECTL_COMPLETE=" in result.out
    assert "%(" not in result.out
    assert str(Path(sys.executable).parent) not in result.out  # it finds the program by its name
    if shutil.which(shell):
        file = tmp_path / "script"
        file.write_text(result.out)
        done = subprocess.run([*CHECKS[shell], file], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_unknown_shell_is_a_usage_error(queuectl: QueueCtl) -> None:
    result = queuectl.run(b"", "completion", "tcsh")
    assert (result.code, result.out) == (2, "")
    assert "bash" in result.err


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    "typed, completed",
    [
        (["li"], ["list"]),
        (["worker", "st"], ["start", "stop"]),
        (["worker", "start", "--fo"], ["--foreground"]),
        (["--data", "'a folder'", "dlq", "re"], ["retry"]),
        (["--da"], ["--data"]),
        (["completion", "z"], ["zsh"]),
        (["nonsense", "x"], []),
        (["exi"], []),  # there is no session to leave
    ],
)
def test_bash_completes(queuectl: QueueCtl, installed: Path, typed: list[str], completed: list[str]) -> None:
    """What Tab does: the words are set, the function is called, the answers are in COMPREPLY."""
    script = """
        source <(queuectl completion bash)
        [[ $(complete -p queuectl) == *_queuectl_completion* ]] || exit 1
        COMP_WORDS=(queuectl "$@"); COMP_CWORD=$#; COMPREPLY=()
        _queuectl_completion queuectl
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    environment = queuectl.environment
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *typed],
        env=environment | {"PATH": f"{installed}:{environment['PATH']}"},
        cwd=queuectl.here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", completed)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    "words, line, completed",
    [
        (["show", "a", ":"], "show a:", ["b:d", "b:c"]),
        (["show", "a", ":", "b", ":"], "show  a:b:", ["d", "c"]),
        (["show", "a", ":b"], "show a :b", []),
        (["show", '"a:'], 'show "a:', ["a:b:d", "a:b:c"]),
        (["cancel", "a", ":", "b", ":", "c", "x"], "cancel a:b:c x", ["xyz"]),
        (["list", "--state", "pending,f"], "list --state pending,f", ["pending,failed"]),
    ],
)
def test_bash_completes_words_that_it_splits_itself(
    queuectl: QueueCtl, installed: Path, words: list[str], line: str, completed: list[str]
) -> None:
    """Bash breaks words at colons, and inserts an answer behind the last of them."""
    assert queuectl.run("enqueue --id a:b:c -- true\nenqueue --id a:b:d -- true\nenqueue --id xyz -- true\n").code == 0
    script = """
        source <(queuectl completion bash)
        COMP_WORDS=(queuectl "${@:2}"); COMP_LINE="queuectl $1"; COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _queuectl_completion queuectl
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    environment = queuectl.environment
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", line, *words],
        env=environment | {"PATH": f"{installed}:{environment['PATH']}"},
        cwd=queuectl.here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", completed)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_changed_in_the_scripts_is_in_them(shell: str) -> None:
    """A new version of click may have another script: then the changes have to be looked at again."""
    kind = get_completion_class(shell)
    assert kind is not None
    for text, _ in CHANGES[shell]:
        assert kind.source_template.count(text) == 1


def test_fish_keeps_the_commas_of_an_answer(queuectl: QueueCtl) -> None:
    assert 'string split --max 1 "," $completion' in queuectl.run(b"", "completion", "fish").out


@pytest.mark.parametrize("words, answer", [("--data\n", "dir,\n"), ("enqueue\n-f\n", "file,\n")])
def test_names_of_files_are_left_to_the_shell(queuectl: QueueCtl, words: str, answer: str) -> None:
    place = str(words.count("\n") + 1)
    asks = {"_QUEUECTL_COMPLETE": "bash_complete", "COMP_WORDS": f"queuectl\n{words}", "COMP_CWORD": place}
    result = queuectl.run(b"", env=asks)
    assert (result.code, result.out, result.err) == (0, answer, "")


def test_zsh_finds_the_script_in_its_folders(queuectl: QueueCtl) -> None:
    """Of a file in $fpath it reads the first line only."""
    assert queuectl.run(b"", "completion", "zsh").out.startswith("#compdef queuectl\n")


def test_completing_touches_no_folder(queuectl: QueueCtl) -> None:
    asks = {"_QUEUECTL_COMPLETE": "bash_complete", "COMP_WORDS": "queuectl\nst", "COMP_CWORD": "1"}
    result = queuectl.run(b"", env=asks)
    assert (result.code, result.out, result.err) == (0, "plain,status\n", "")
    assert not queuectl.data.exists()


def test_nonsense_is_answered_by_nothing(queuectl: QueueCtl) -> None:
    for asked in ("", "bash", "bash_nonsense", "nonsense_complete"):
        result = queuectl.run(b"", env={"_QUEUECTL_COMPLETE": asked})
        assert (result.code, result.out, result.err) == (0, "", "")
