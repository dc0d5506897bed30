"""How much is measured: sizes and numbers of rounds."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scale:
    """*rounds* of what takes seconds, *short_rounds* of what takes a fraction of one."""

    drain_jobs: int
    batch_jobs: int
    script_jobs: int
    few_jobs: int  #: a small queue
    rounds: int
    short_rounds: int


FULL = Scale(drain_jobs=3_000, batch_jobs=100_000, script_jobs=1_000, few_jobs=100, rounds=9, short_rounds=25)
QUICK = Scale(drain_jobs=300, batch_jobs=10_000, script_jobs=100, few_jobs=100, rounds=5, short_rounds=7)
