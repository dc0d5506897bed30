"""How commands are declared: what every one of them has in common.

A declaration is plain click; this adds examples to the help, did-you-mean to
the names, and ``--json`` to what reads.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from importlib import import_module
from typing import Any

import click

from queuectl import times
from queuectl.commands.results import Json, Result

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

SHORT_HELP = 80  #: signs; a menu is as wide as it takes, and a terminal cuts what it has no room for

#: What ``cli`` takes before the command, named here for those who write it behind.
PROGRAM_OPTIONS = frozenset({"--data", "--debug", "--stop-on-error", "--version"})


class UnknownCommand(click.UsageError):
    """Raised when no command has this name."""

    def __init__(self, name: str, known: Sequence[str], ctx: click.Context) -> None:
        path = ctx.command_path.removeprefix("queuectl").strip()
        import difflib  # here, as everywhere: only mistakes need it

        near = difflib.get_close_matches(name, known, n=1)
        if name.endswith((";", "&", "|")):
            hint = f'"{name[-1]}" joins no commands here, each has a line of its own.'
        elif near:
            hint = f'did you mean "{f"{path} {near[0]}".strip()}"?'
        else:
            hint = f'"help{f" {path}" if path else ""}" lists them.'
        super().__init__(f'No command "{f"{path} {name}".strip()}": {hint}', ctx)
        self.name = name


class AmbiguousCommand(UnknownCommand):
    """Raised when a name is the beginning of several commands."""

    def __init__(self, name: str, candidates: Sequence[str], ctx: click.Context) -> None:
        path = ctx.command_path.removeprefix("queuectl").strip()
        short = f"{path} {name}".strip()
        hint = f"{', '.join(candidates[:-1])} or {candidates[-1]}"
        click.UsageError.__init__(self, f'"{short}" is the beginning of several commands: {hint}?', ctx)
        self.name = name


class Command(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **attributes: Any) -> None:
        attributes.setdefault("context_settings", CONTEXT_SETTINGS)
        super().__init__(*args, **attributes)
        self.examples = examples
        self._all_params: list[click.Parameter] | None = None

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters; click checks them anew each time, several times a line."""
        if self._all_params is None:
            self._all_params = super().get_params(ctx)
        return self._all_params

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they would be typed here."""
        write_examples(self.examples, ctx, formatter)

    def get_short_help_str(self, limit: int = SHORT_HELP) -> str:
        """Return the first sentence of the help."""
        return super().get_short_help_str(limit)


class Group(click.Group):
    """Commands under one noun, in the order of their declaration."""

    command_class = Command

    def __init__(self, *args: Any, examples: Sequence[str] = (), **attributes: Any) -> None:
        attributes.setdefault("context_settings", CONTEXT_SETTINGS)
        super().__init__(*args, **attributes)
        self.examples = examples

    def get_short_help_str(self, limit: int = SHORT_HELP) -> str:
        """Return the first sentence of the help."""
        return super().get_short_help_str(limit)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as help lists them."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is refused with the nearest name."""
        if ctx.resilient_parsing:
            found = self.matching(args[0])
            return super().resolve_command(ctx, [found[0], *args[1:]] if len(found) == 1 else args)
        if args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        return super().resolve_command(ctx, [self.full_name(ctx, args[0]), *args[1:]])

    def matching(self, name: str) -> list[str]:
        """Return the names that *name* may stand for: itself, or all that it is the beginning of."""
        if name in self.commands:
            return [name]
        # All of them, the hidden ones too: an abbreviation means the same everywhere.
        return [known for known in self.commands if name and known.startswith(name)]

    def full_name(self, ctx: click.Context, name: str) -> str:
        """Return the name that *name* is, or is short for; raise ``UnknownCommand`` if that is not one."""
        found = self.matching(name)
        if len(found) > 1:
            raise AmbiguousCommand(name, found, ctx)
        if not found:
            raise UnknownCommand(name, self.list_commands(ctx), ctx)
        return found[0]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they would be typed here."""
        write_examples(self.examples, ctx, formatter)


class Places(MutableMapping[str, click.Command]):
    """Commands by their names, and where each is declared: its module is loaded when the command is looked at."""

    def __init__(self, package: str, places: Mapping[str, str]) -> None:
        """Begin with *places*, such as ``jobs.show``: in the module ``jobs`` of *package* under the name ``show``."""
        self._package = package
        self._known: dict[str, str | click.Command] = dict(places)

    def __getitem__(self, name: str) -> click.Command:
        known = self._known[name]
        if isinstance(known, str):
            module, _, attribute = known.partition(".")
            known = self._known[name] = getattr(import_module(f"{self._package}.{module}"), attribute)
        return known

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class Number(click.IntRange):
    """A whole number within limits, refused in the words of everything else."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return *value* as a number; fail for anything else."""
        limits = f"from {self.min}" + (f" to {self.max}" if self.max is not None else " on")
        try:
            number = int(value)
        except ValueError:
            self.fail(f'"{value}" is no number: write one {limits}.', param, ctx)
        if number < (self.min or 0) or (self.max is not None and number > self.max):
            self.fail(f"{number} is out of range: write a number {limits}.", param, ctx)
        return number


def read_duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return an option's *value* as seconds: a callback for click."""
    try:
        return None if value is None else times.parse_duration_s(value)
    except ValueError:
        msg = f'"{value}" is no duration: write 90, 90s or 1h30m.'
        raise click.BadParameter(msg, ctx, param) from None


def reads(handler: Callable[..., Result]) -> Callable[..., Result]:
    """Give a command that reads its ``--json``."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
    @functools.wraps(handler)
    def answer(*args: Any, as_json: bool, **options: Any) -> Result:
        result = handler(*args, **options)
        return Json(result) if as_json else result

    return answer


def write_examples(examples: Sequence[str], ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """End a help page with *examples*, one a line and never wrapped."""
    program = ctx.find_root().info_name
    with formatter.section("Examples"):
        for example in examples:
            formatter.write("  " + " ".join(filter(None, (program, example))) + "\n")
