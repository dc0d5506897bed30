"""What tests of every kind share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real_queue import RealQueue


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what tells the torture tests how long to go on, and where to begin."""
    group = parser.getgroup("torture")
    group.addoption("--long", action="store_true", help="tests/torture in its long form, which takes hours")
    group.addoption("--seed", type=int, metavar="N", help="draw as the run of tests/torture that said N")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return where a queue of the test's own may be made; the folder does not exist yet."""
    return tmp_path / "data"


@pytest.fixture
def queue(data_dir: Path) -> Iterator[RealQueue]:
    """Return a queue whose workers and commands are ended with the test."""
    opened = RealQueue(data_dir)
    yield opened
    opened.close()
