#!/usr/bin/env python3
"""Run QueueCTL from a checkout: ``python queuectl.py``.

It has to be readable for any old Python, which then says which one is needed.
``import queuectl`` gives the package beside it, not this file.
"""

import os
import sys

NEEDED = (3, 11)
PACKAGES = ("click", "filelock", "msgspec", "prompt_toolkit", "psutil", "rich")


def main():
    """Run the command line; return its exit code."""
    if sys.version_info < NEEDED:
        return refuse(
            "QueueCTL needs Python %d.%d or newer; this is %d.%d.%d (%s)."
            % (NEEDED + tuple(sys.version_info[:3]) + (sys.executable,))
        )
    try:
        from queuectl.launch import main as run

        return run()
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        if package not in PACKAGES:
            raise
        folder = os.path.dirname(os.path.abspath(__file__))
        return refuse(
            'The Python package "%s" is missing, or too old, for %s.\nIn %s, either\n'
            "    make run\n"
            "or\n"
            "    pip install -r requirements.txt\n"
            "    python queuectl.py" % (package, sys.executable, folder)
        )


def refuse(message):
    """Say why QueueCTL does not start; return the exit code for it."""
    sys.stderr.write(message + "\n")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # as in queuectl/launch.py
