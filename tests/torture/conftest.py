"""How long a torture test goes on, what it draws, and the figures that it leaves.

``make test`` runs the short form, ``make torture`` the long one (``--long``). Every test that draws at random draws
from ``seed``; a failed one says it, and ``--seed N`` draws the same again.
"""

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Figures = Callable[[str, object], None]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let no limit of the short form end a long run: each long test has limits of its own."""
    if config.getoption("--long"):
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)


@pytest.fixture
def is_long(request: pytest.FixtureRequest) -> bool:
    """Return whether this is the long form."""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def volume(is_long: bool) -> Callable[[int, int], int]:
    """Return what chooses between how much the short form does and how much the long one."""
    return lambda short, long: long if is_long else short


@pytest.fixture
def figure(request: pytest.FixtureRequest, record_property: Figures) -> Figures:
    """Return what notes a figure of this run, to be shown at its end: kills, states, a p99."""
    name = request.node.name

    def note(what: str, value: object) -> None:
        record_property(f"figure {name}: {what}", str(value))

    return note


@pytest.fixture
def seed(request: pytest.FixtureRequest, figure: Figures) -> int:
    """Return where this run begins to draw: ``--seed``, or another one every time."""
    chosen = request.config.getoption("--seed")
    number: int = random.SystemRandom().randrange(10**6) if chosen is None else chosen
    figure("seed", number)
    print(f"to draw the same again: --seed {number}")  # noqa: T201 - pytest shows it if the test fails
    return number


@pytest.fixture
def dice(seed: int) -> random.Random:
    """Return a source of chance that draws the same from the same seed."""
    return random.Random(seed)


@pytest.fixture
def fast_path(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory, where there is one, for what is put back thousands of times."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="queuectl-", dir=memory) as made:
        yield Path(made)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of all tests, also of those that have passed."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    lines = [
        f"{name.removeprefix('figure ')} = {value}"
        for report in reports
        if report.when == "call"
        for name, value in report.user_properties
        if name.startswith("figure ")
    ]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.line(line)
