"""``python -m tools pages`` and ``python -m tools pictures``: write what is made from the program itself."""

import argparse
from pathlib import Path

from tools import manpage, reference

DOCS = Path(__file__).resolve().parent.parent / "docs"

#: The pages that follow from the declarations, by their file below docs/.
PAGES = {"commands.md": reference.page, "queuectl.1": manpage.page}


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser("python -m tools", description=__doc__)
    parser.add_argument("what", choices=("pages", "pictures"))
    if parser.parse_args().what == "pages":
        for name, make in PAGES.items():
            (DOCS / name).write_text(make(), encoding="utf-8")
        return
    # Here, because it needs a terminal, which not every system has.
    from tools import pictures

    pictures.write(DOCS / "pictures")


if __name__ == "__main__":
    main()
