"""What tests with real workers share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real_queue import RealQueue


@pytest.fixture
def queue(data_dir: Path) -> Iterator[RealQueue]:
    """Return a queue whose workers and commands are ended with the test."""
    opened = RealQueue(data_dir)
    yield opened
    opened.close()
