"""Everything that is measured, once and in small: each run checks its own result."""

import os
from pathlib import Path

import pytest

from bench import drain, growth, intake, limits, linux, loading, memory, output, peers, reading, waking
from bench.__main__ import GROUPS
from bench.comparison import Comparison
from bench.peers import PEERS, Peer
from bench.scale import Scale
from bench.survey import Survey
from bench.workplace import Workplace

MODULES = (drain, growth, loading, intake, reading, waking, memory, output, limits)


@pytest.mark.parametrize("name", GROUPS)
def test_group_measures(name: str, place: Workplace, tiny: Scale) -> None:
    """Each side of each comparison takes some time, each survey finds figures; and nothing is left behind."""
    count = 0
    for measurement in GROUPS[name](place, tiny):
        count += 1
        if isinstance(measurement, Comparison):
            for side in measurement.sides:
                assert side.run() > 0, side.name
        else:
            assert isinstance(measurement, Survey)
            assert measurement.look(lambda _: None)
    assert count or not linux.IS_THERE
    assert list(place.path.iterdir()) == []


def test_every_module_of_measurements_is_a_group() -> None:
    assert {function.__module__ for function in GROUPS.values()} == {module.__name__ for module in MODULES}


@pytest.mark.parametrize("peer", PEERS, ids=[peer.name for peer in PEERS])
def test_peer_drains(peer: Peer, place: Workplace) -> None:
    assert peer.find(place)
    assert peer.drain(place, 5, 2) > 0


def test_a_peer_that_fails_ends_the_measurement(
    place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate of commands that have not run well is worth nothing."""
    program = tmp_path / "parallel"
    program.write_text(f'#!/bin/sh\nsed "s/^true$/false/" | {place_of("parallel")} "$@"\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    parallel = next(peer for peer in PEERS if "parallel" in peer.name)
    with pytest.raises(AssertionError):
        parallel.drain(place, 5, 2)


def place_of(program: str) -> Path:
    return Path(__file__).resolve().parent / "fakes" / "bin" / program


def test_missing_peers_are_named_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    place = Workplace(tmp_path, peers_python="/bin/false")
    assert peers.missing(place) == [peer.name for peer in PEERS]
    assert peers.sides(place, 5, 2) == []
