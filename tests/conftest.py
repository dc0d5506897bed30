"""What tests of every kind share."""

from pathlib import Path

import pytest


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return where a queue of the test's own may be made; the folder does not exist yet."""
    return tmp_path / "data"
