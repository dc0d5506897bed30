"""``python -m bench``: measure, print the tables, and write them into ``docs/performance.md``."""

import argparse
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

from bench import comparison, drain, intake, machine, reading, report
from bench.comparison import Comparison
from bench.scale import FULL, QUICK, Scale
from bench.workplace import ROOT, Workplace, workplace

GROUPS: dict[str, Callable[[Workplace, Scale], Generator[Comparison, None, None]]] = {
    "drain": drain.comparisons,
    "enqueue": intake.comparisons,
    "status": reading.comparisons,
}
PAGE = ROOT / "docs" / "performance.md"
_BUSY = 0.5  #: a load before the start that is worth a word


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser("python -m bench", description="Measure QueueCTL beside bare programs, in turns.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"only these: {', '.join(GROUPS)}")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, under a minute; for a look, not for the page"
    )
    parser.add_argument(
        "--write",
        action=argparse.BooleanOptionalAction,
        help="write the tables into docs/performance.md (the default when everything is measured in full)",
    )
    parser.add_argument("--folder", type=Path, default=ROOT, help="where to work; the disk of this folder is measured")
    options = parser.parse_args()
    for name in options.groups:
        if name not in GROUPS:
            parser.error(f'no group "{name}": there are {", ".join(GROUPS)}')
    is_full = not options.quick and not options.groups
    if options.write and not is_full:
        parser.error("--write: the page holds the full measurement of everything")
    description = machine.describe(options.folder)
    if (load := machine.load()) > _BUSY:
        _note(f"This machine is busy (load {load:.1f}): ratios will scatter.")
    results = {}
    with workplace(options.folder.resolve()) as place:
        for name in options.groups or GROUPS:
            with closing(GROUPS[name](place, QUICK if options.quick else FULL)) as found:
                results[name] = [comparison.run(one, _note) for one in found]
    print(report.text(description, results))
    if is_full and options.write is not False:
        report.write(PAGE, description, results)
        _note(f"Written: {PAGE.relative_to(ROOT)}")
    return 0


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted: nothing was written.")
