"""Adapters of peers that are Python packages: scripts in ``scripts/``, run by a Python that has the package.

Each script prints ``ready`` for each runner that is at the gate, the byte that it reads from standard input; and, once
that runner has nothing more to do, the monotonic time.
"""

import subprocess
import time
from collections.abc import Callable
from functools import cache

from bench.gate import Gate
from bench.workplace import ROOT, Workplace, environment, line

_SCRIPTS = ROOT / "bench" / "peers" / "scripts"


def is_importable(place: Workplace, package: str) -> bool:
    """Whether the Python for the peers has *package*."""
    return _has_package(place.peers_python, package)


@cache
def _has_package(python: str, package: str) -> bool:
    finished = subprocess.run(
        [python, "-c", f"import {package}"], env=environment(), stderr=subprocess.DEVNULL, check=False
    )
    return finished.returncode == 0


def by_script(script: str) -> Callable[[Workplace, int, int], float]:
    """Return what drains by *script*."""

    def drain(place: Workplace, jobs: int, runners: int) -> float:
        with place.folder() as folder, Gate(folder / "gate") as gate:
            argv = [place.peers_python, str(_SCRIPTS / script), str(jobs), str(runners)]
            with place.started(argv, stdin=gate, cwd=folder) as process:
                assert [line(process) for _ in range(runners)] == ["ready"] * runners
                began = time.monotonic()
                gate.open(runners)
                ended = max(float(line(process)) for _ in range(runners))
                gate.open(runners)
                assert process.wait() == 0
                return ended - began

    return drain
