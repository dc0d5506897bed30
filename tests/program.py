"""A program without a process: commands run on a store in memory, with workers that are only said to exist."""

from dataclasses import dataclass, field

import pytest

from queuectl.commands.context import Context
from queuectl.commands.line import run_line
from queuectl.job import Job
from queuectl.specs import JobSpec
from tests.memory_store import MemoryStore
from tests.samples import FAILED, NOW, OK, new_claim


@dataclass
class Answer:
    """What a command has said, and how it ended."""

    exit_code: int
    out: str
    err: str


@dataclass
class Program:
    """A program at work on *store*; *workers* are the PIDs that are taken for running."""

    store: MemoryStore
    context: Context
    capture: pytest.CaptureFixture[str]
    workers: list[int] = field(default_factory=list)
    stop_limits_s: list[float] = field(default_factory=list)
    rescues: int = 0

    def run(self, line: str | list[str]) -> Answer:
        """Run one command."""
        exit_code = run_line(line, self.context)
        out, err = self.capture.readouterr()
        return Answer(exit_code, out, err)

    def add(self, *ids: str, command: str = "true", max_retries: int = 1) -> None:
        """Enqueue jobs past the commands."""
        self.store.enqueue([JobSpec(id=id, command=command, max_retries=max_retries) for id in ids], now=NOW)

    def start_next(self) -> Job:
        """Let a worker claim the next job."""
        job = self.store.claim(new_claim(), now=self.context.now())
        assert job is not None
        return job

    def finish_next(self, *, fails: bool = False) -> Job:
        """Let a worker run the next job to its end."""
        settled = self.store.settle(
            self.start_next(), FAILED if fails else OK, next_claim=None, now=self.context.now()
        ).settled
        assert settled is not None
        return settled
