"""The results as tables, for a terminal and for ``docs/performance.md``. Measures nothing."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from bench.comparison import Measure, Measured

BEGIN = "<!-- measured: begin. `make bench` writes what follows. -->"
END = "<!-- measured: end -->"

_OF = {Measure.RATE: "the rate of", Measure.TIME: "the time of"}

Groups = Mapping[str, Sequence[Measured]]  #: by the name that reproduces them


def text(machine: str, groups: Groups) -> str:
    """Return what is printed."""
    every = [*chain(*groups.values())]
    return "\n".join([machine, "", _ratios(every), "", _sides(every, with_title=True)])


def write(page: Path, machine: str, groups: Groups) -> None:
    """Put the results between the marks of *page*; everything else there stays."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        msg = f"{page} has no place for the results: {BEGIN} and {END}"
        raise ValueError(msg)
    lines = [f"Measured on: {machine}.", "", _ratios([*chain(*groups.values())])]
    for name, results in groups.items():
        lines += ["", f"### {name}", "", f"Once more: `make bench ARGS={name}`"]
        for measured in results:
            lines += ["", f"{measured.comparison.title}:", "", _sides([measured], with_title=False)]
    page.write_text(before + begin + "\n\n" + "\n".join(lines) + "\n\n" + end + after, encoding="utf-8")


def _ratios(results: Sequence[Measured]) -> str:
    rows = [("QueueCTL", "median ratio", "all rounds", "beside")]
    for measured in results:
        comparison = measured.comparison
        for ratio in measured.ratios():
            name = f": {ratio.ours.name}" if len(comparison.ours) > 1 else ""
            value = f"**{ratio.median:.2f}** × {_OF[comparison.measure]}"
            spread = f"{min(ratio.each):.2f} – {max(ratio.each):.2f} ({len(ratio.each)})"
            rows.append((comparison.title + name, value, spread, ratio.other.name))
    return _table(rows)


def _sides(results: Sequence[Measured], *, with_title: bool) -> str:
    """Return how long each side took; with titles for a terminal, otherwise with what each leaves on the disk."""
    rows = [("measured" if with_title else "", "median", "that is", "leaves on the disk")]
    for measured in results:
        comparison = measured.comparison
        if with_title:
            rows.append((f"{comparison.title}:", "", "", ""))
        for side in comparison.sides:
            seconds = measured.median_s(side)
            rate = f"{comparison.items / seconds:,.0f}/s" if comparison.items > 1 else ""
            rows.append((side.name, f"{seconds:.3f} s", rate, side.records))
    return _table([row[:3] for row in rows] if with_title else rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Return *rows*, the first of which is the head, as a Markdown table with straight columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
        for row in (rows[0], rule, *rows[1:])
    )
