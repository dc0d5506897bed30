"""What tests of every kind share."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what tells the torture tests how long to go on, and where to begin."""
    group = parser.getgroup("torture")
    group.addoption("--long", action="store_true", help="tests/torture in its long form, which takes hours")
    group.addoption("--seed", type=int, metavar="N", help="draw as the run of tests/torture that said N")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return where a queue of the test's own may be made; the folder does not exist yet."""
    return tmp_path / "data"
