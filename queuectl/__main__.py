"""``python -m queuectl``, and ``python /path/to/queuectl/__main__.py`` from anywhere."""

import sys
from pathlib import Path


def main() -> int:
    """Run the command line; return its exit code."""
    if not __package__:
        # Run by its path: Python looks for modules in this folder, where the package itself is not to be found.
        folder = Path(__file__).resolve().parent
        if sys.path and Path(sys.path[0]).resolve() == folder:
            del sys.path[0]
        sys.path.insert(0, str(folder.parent))

    if sys.argv[1:2] == ["_pool"]:  # what ``pool.start`` runs
        from queuectl.supervisor import main as be_pool

        data, count, *report_fd = sys.argv[2:]
        return be_pool(Path(data), int(count), int(report_fd[0]) if report_fd else None)

    from queuectl.launch import main as run

    return run()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # as in ``launch``
