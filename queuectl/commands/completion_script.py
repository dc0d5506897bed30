"""Completion in bash, zsh and fish: the command that prints the script, and the answer to what the script asks.

Both are click's, but for ``CHANGES``; all that can be completed is what the declarations say.
"""

from pathlib import Path

import click

from queuectl.commands.context import Context, Mode
from queuectl.commands.declare import Command
from queuectl.commands.results import Result, Text
from queuectl.completion import VARIABLE

PROGRAM = "queuectl"  #: the name under which the script finds the program
SHELLS = ("bash", "zsh", "fish")
#: What is changed in click's scripts: a text of it, and what takes its place.
CHANGES = {
    # To bash, "a:b" is three words, of which only the last is completed; to the program it is one.
    "bash": (
        (
            """    response=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD """,
            """    local word rest cword left=$COMP_CWORD line=$COMP_LINE before=
    local -a words=()
    for word in "${COMP_WORDS[@]}"; do
        rest=${line#"${line%%%%[![:space:]]*}"}
        if [[ ${#words[@]} -gt 0 && $rest == "$line" && ( $word == :* || ${words[-1]} == *: ) ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        line=${rest#"$word"}
        (( left-- )) || cword=$((${#words[@]} - 1))
    done
    word=${words[cword]}
    if [[ $COMP_WORDBREAKS == *:* && $word != [\\"\\']* ]]; then
        before=${word%%"${word##*:}"}
    fi

    response=$(env COMP_WORDS="${words[*]}" COMP_CWORD=$cword """,
        ),
        ("COMPREPLY+=($value)", """COMPREPLY+=("${value#"$before"}")"""),
    ),
    # Only the first comma of an answer is not part of a word or its description.
    "fish": (("""string split "," $completion""", """string split --max 1 "," $completion"""),),
    "zsh": (),
}


@click.command(
    "completion",
    cls=Command,
    examples=(
        "completion bash > ~/.local/share/bash-completion/completions/queuectl",
        "completion zsh > ~/.zfunc/_queuectl",
        "completion fish > ~/.config/fish/completions/queuectl.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> Result:
    """Print the script that completes "queuectl" commands in your shell (bash, zsh or fish).

    Put it where your shell looks for such scripts, as in the examples (for zsh, ~/.zfunc has to be in $fpath), or load
    it at each start: eval "$(queuectl completion bash)".
    """
    # Here, because no other command needs it.
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        msg = f"This version of click knows no {shell}."
        raise click.UsageError(msg)
    # Not its source(): that would run bash, to complain if it is old, and the script may be for another machine.
    script = kind(click.Command(PROGRAM), {}, PROGRAM, VARIABLE)
    template = script.source_template
    for text, replacement in CHANGES[shell]:
        template = template.replace(text, replacement)
    return Text((template % script.source_vars()).strip())


class _Whole(click.Group):
    """The program's own options and all commands as one declaration, as they are completed."""

    def __init__(self, program: click.Command, commands: click.Group) -> None:
        options = [param for param in program.params if isinstance(param, click.Option)]
        super().__init__(PROGRAM, params=options, commands=commands.commands)
        self._commands = commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as help lists them."""
        return self._commands.list_commands(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take note of the folder, in which ids are looked for."""
        rest = super().parse_args(ctx, args)
        ctx.obj = Context(Path(ctx.params.get("data") or "data").absolute(), mode=Mode.ONE_SHOT)
        return rest


def answer(program: click.Command, commands: click.Group, instruction: str) -> int:
    """Answer a script's *instruction*, such as ``bash_complete``, on standard output; return the exit code.

    A word that cannot be completed, for whatever reason, is no error: the person who types sees nothing of it.
    """
    import contextlib

    from click.shell_completion import shell_complete

    with contextlib.suppress(Exception):
        shell_complete(_Whole(program, commands), {}, PROGRAM, VARIABLE, instruction)
    return 0
