"""A small measure for everything, and stand-ins for the peers."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from bench.scale import Scale
from bench.workplace import Workplace

FAKES = Path(__file__).resolve().parent / "fakes"


@pytest.fixture
def tiny() -> Scale:
    """Return sizes at which a measurement says nothing, but goes through all its steps."""
    return Scale(
        drain_jobs=6,
        crowd_jobs=6,
        crowds=(4,),
        peer_jobs=5,
        sizes=(60,),
        little=10,
        script_jobs=3,
        few_jobs=3,
        latencies=2,
        idle_s=0.1,
        idle_queues=2,
        wakeups_s=0.2,
        output_bytes=5_000_000,
        verb_jobs=8,
        verb_processes=(2,),
        rounds=1,
        short_rounds=1,
    )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """Return a workplace that has all peers, none of them real."""
    monkeypatch.setenv("PATH", f"{FAKES / 'bin'}{os.pathsep}{os.environ['PATH']}")
    python = tmp_path / "python"
    packages = shlex.quote(str(FAKES / "packages"))
    python.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o700)
    work = tmp_path / "work"
    work.mkdir()
    return Workplace(work, peers_python=str(python))
