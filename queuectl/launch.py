"""The program's entrance, which loads all the rest.

A command lives for as long as it takes to load it, so Python's search for
garbage in cycles, of which loading makes none, would be a tenth of its time.
"""

import gc

_SEARCH_AT = 100_000  # objects: more than any command makes at its start, no more than a shell can spare


def main() -> int:
    """Run the command line; return its exit code."""
    gc.set_threshold(_SEARCH_AT)
    from queuectl.cli import main as run

    try:
        return run()
    finally:
        gc.freeze()  # whatever there is goes with the process
