"""The results as tables, for a terminal, for ``docs/performance.md`` and for programs. Measures nothing."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import limits, picture
from bench.comparison import Measured
from bench.drain import OURS
from bench.figures import Figure, Result, number

BEGIN = "<!-- measured: begin. `make bench` writes what follows. -->"
END = "<!-- measured: end -->"
LIMITS_BEGIN = "<!-- limits: begin. `make bench` writes what follows. -->"
LIMITS_END = "<!-- limits: end -->"
PICTURE = Path("pictures") / "performance.svg"  #: beside the page


@dataclass(frozen=True)
class Report:
    """All results, by the name of the group that reproduces them."""

    machine: str
    recipe: str  #: the command that has measured them
    groups: Mapping[str, Sequence[Result]]
    missing: Sequence[str]  #: the peers that were not there

    def text(self) -> str:
        """Return what is printed."""
        parts = [self.machine, self._missing_text(), _targets(self._figures())]
        for name, results in self.groups.items():
            parts.append(f"{name}:")
            parts += [table for result in results for table in _tables(result, columns=3)]
        return "\n\n".join(part for part in parts if part)

    def as_json(self) -> str:
        """Return everything, each single value included."""
        groups = {name: [_as_dict(result) for result in results] for name, results in self.groups.items()}
        content = {"machine": self.machine, "recipe": self.recipe, "missing": self.missing, "groups": groups}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def write(self, page: Path) -> None:
        """Put the results between the marks of *page*, and the picture beside it; everything else there stays."""
        text = _replace(page.read_text(encoding="utf-8"), BEGIN, END, self._page())
        text = _replace(text, LIMITS_BEGIN, LIMITS_END, limits_text(self.groups["limits"]))
        drained = self._drained()
        (page.parent / PICTURE).write_text(picture.of_rates(drained), encoding="utf-8")
        page.write_text(text, encoding="utf-8")

    def _page(self) -> str:
        parts = [
            f"Measured by `{self.recipe}` on: {self.machine}.",
            self._missing_text(),
            _targets(self._figures()),
            f"![Rates of draining beside xargs]({PICTURE.as_posix()})",
        ]
        for name, results in self.groups.items():
            parts += [f"### {name}", f"Once more: `make bench ARGS={name}`"]
            for result in results:
                parts += [f"{result.title}:", *_tables(result, columns=4)]
        return "\n\n".join(part for part in parts if part)

    def _figures(self) -> Iterator[Figure]:
        return (figure for results in self.groups.values() for result in results for figure in result.figures())

    def _missing_text(self) -> str:
        return f"Not installed, so not measured: {'; '.join(self.missing)}." if self.missing else ""

    def _drained(self) -> Measured:
        """Return the comparison with everybody else."""
        for result in self.groups["drain"]:
            if isinstance(result, Measured) and result.comparison.sides[0].name == OURS:
                return result
        msg = "the drain was not measured"
        raise LookupError(msg)


def limits_text(results: Sequence[Result]) -> str:
    """Return, as sentences, what the group ``limits`` has found."""
    figures = [figure for result in results for figure in result.figures()]
    rates = [figure for figure in figures if figure.subject.startswith(limits.VERBS)]
    size = next(figure for figure in figures if figure.subject.startswith(limits.FILE))
    loading = next(figure for figure in figures if figure.subject.startswith(limits.LOADING))
    best = max(rates, key=lambda figure: figure.value)
    most = rates[-1]
    words = f"{limits.VERBS} "
    return "\n".join(
        [
            f"* **Jobs a second.** With no command run at all, the store hands out and takes back at most "
            f"{best.value:,.0f} jobs a second, to {best.subject.removeprefix(words)}; it does so under one lock, so no "
            f"number of workers gets beyond that.",
            f"* **Workers.** The same with {most.subject.removeprefix(words)}: {most.value:,.0f} jobs a second.",
            f"* **Jobs in the folder.** {size.subject}: {size.value:,.0f} MB, and as much for whoever reads it whole; "
            f"{loading.subject}: {loading.value:.1f} s, once for a pool.",
        ]
    )


def _targets(figures: Iterator[Figure]) -> str:
    """Return the table of all figures that have a target."""
    rows = [("QueueCTL", "measured", "each", "target", "")]
    for figure in figures:
        if figure.target is not None:
            rows.append((figure.subject, _value(figure), _spread(figure), str(figure.target), figure.verdict))
    return _table(rows) if len(rows) > 1 else ""


def _tables(result: Result, *, columns: int) -> list[str]:
    """Return the tables of one result; of the second one only so many *columns*."""
    rows = [("", "measured", "each")]
    rows += [(figure.subject, _value(figure), _spread(figure)) for figure in result.figures()]
    details = [row[:columns] for row in result.details()]
    return [_table(rows), *([_table(details)] if details else [])]


def _value(figure: Figure) -> str:
    return f"**{number(figure.value)}** {figure.unit}{f' {figure.beside}' if figure.beside else ''}"


def _spread(figure: Figure) -> str:
    if len(figure.samples) < 2:
        return ""
    return f"{number(min(figure.samples))} – {number(max(figure.samples))} ({len(figure.samples)})"


def _as_dict(result: Result) -> dict[str, object]:
    figures = [
        {
            "subject": figure.subject,
            "value": figure.value,
            "unit": figure.unit,
            "beside": figure.beside,
            "samples": list(figure.samples),
            "target": str(figure.target) if figure.target else None,
            "verdict": figure.verdict,
        }
        for figure in result.figures()
    ]
    raw = {name: list(values) for name, values in result.raw().items()}
    return {"title": result.title, "figures": figures, "raw": raw}


def _replace(text: str, begin: str, end: str, content: str) -> str:
    """Return *text* with *content* between the marks."""
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        msg = f"the page has no place for the results: {begin} and {end}"
        raise ValueError(msg)
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Return *rows*, the first of which is the head, as a Markdown table with straight columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
        for row in (rows[0], rule, *rows[1:])
    )
