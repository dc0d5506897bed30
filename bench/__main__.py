"""``python -m bench``: measure, print the tables, and write them into ``docs/performance.md``."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import drain, growth, intake, limits, loading, machine, memory, output, peers, reading, waking
from bench.figures import Measurement
from bench.report import Report
from bench.scale import FULL, QUICK, USUAL, Scale
from bench.workplace import ROOT, Workplace, workplace

GROUPS: dict[str, Callable[[Workplace, Scale], Iterator[Measurement]]] = {
    "drain": drain.comparisons,
    "growth": growth.comparisons,
    "loading": loading.comparisons,
    "enqueue": intake.measurements,
    "status": reading.comparisons,
    "idle": waking.surveys,
    "memory": memory.surveys,
    "output": output.measurements,
    "limits": limits.surveys,
}
PAGE = ROOT / "docs" / "performance.md"
PEERS_PYTHON = "BENCH_PEERS_PYTHON"  #: names, in the environment, the Python that has the peers' packages
_BUSY = 0.5  #: a load before the start that is worth a word


def main() -> int:
    """Measure what the command line asks for."""
    parser = _parser()
    options = parser.parse_args()
    for name in options.groups:
        if name not in GROUPS:
            parser.error(f'no group "{name}": there are {", ".join(GROUPS)}')
    is_whole = not options.quick and not options.groups
    if options.write and not is_whole:
        parser.error("--write: the page holds a measurement of everything, and not a quick one")
    scale = QUICK if options.quick else FULL if options.full else USUAL
    description = machine.describe(options.folder)
    if (load := machine.load()) > _BUSY:
        _note(f"This machine is busy (load {load:.1f}): ratios will scatter.")
    with workplace(options.folder.resolve(), peers_python=options.peers_python) as place:
        names = options.groups or list(GROUPS)
        missing = peers.missing(place) if "drain" in names else []
        groups = {name: [one.run(_note) for one in GROUPS[name](place, scale)] for name in names}
    report = Report(description, "make bench-full" if options.full else "make bench", groups, missing)
    print(report.text())
    if options.json:
        options.json.write_text(report.as_json(), encoding="utf-8")
    if is_whole and options.write is not False:
        report.write(PAGE)
        _note(f"Written: {PAGE.relative_to(ROOT)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench", description="Measure QueueCTL beside other programs, in turns.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"only these: {', '.join(GROUPS)}")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small sizes, for a look, not for the page")
    size.add_argument("--full", action="store_true", help="large sizes: also 1,000,000 jobs, and 10 minutes of idling")
    parser.add_argument(
        "--write",
        action=argparse.BooleanOptionalAction,
        help="write the tables into docs/performance.md (the default when everything is measured, and not quickly)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measured value into FILE")
    parser.add_argument("--folder", type=Path, default=ROOT, help="where to work; the disk of this folder is measured")
    parser.add_argument(
        "--peers-python",
        default=os.environ.get(PEERS_PYTHON, sys.executable),
        metavar="PYTHON",
        help=f"a Python that has persist-queue, litequeue and huey; also {PEERS_PYTHON} in the environment",
    )
    return parser


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted: nothing was written.")
