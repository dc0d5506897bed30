"""How much is measured: sizes and numbers of rounds."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scale:
    """*rounds* of what takes seconds, *short_rounds* of what takes a fraction of one."""

    drain_jobs: int
    crowd_jobs: int  #: drained by more workers than cores
    crowds: tuple[int, ...]  #: how many workers
    peer_jobs: int  #: drained by each of the peers, which are slower
    sizes: tuple[int, ...]  #: jobs in a large queue; growth and memory take the last
    little: int  #: jobs in the queue that a large one is compared with
    script_jobs: int
    few_jobs: int  #: a small queue
    latencies: int
    idle_s: float  #: how long a worker idles before it has to be quick
    idle_queues: int
    wakeups_s: float  #: how long wake-ups are counted
    output_bytes: int
    verb_jobs: int  #: settled and claimed without being run
    verb_processes: tuple[int, ...]
    rounds: int
    short_rounds: int


QUICK = Scale(
    drain_jobs=200,
    crowd_jobs=200,
    crowds=(8,),
    peer_jobs=40,
    sizes=(20_000,),
    little=1_000,
    script_jobs=50,
    few_jobs=100,
    latencies=20,
    idle_s=1.0,
    idle_queues=3,
    wakeups_s=3.0,
    output_bytes=50_000_000,
    verb_jobs=400,
    verb_processes=(2, 8),
    rounds=3,
    short_rounds=5,
)
USUAL = Scale(
    drain_jobs=3_000,
    crowd_jobs=1_000,
    crowds=(8, 16),
    peer_jobs=500,
    sizes=(100_000,),
    little=1_000,
    script_jobs=1_000,
    few_jobs=100,
    latencies=200,
    idle_s=5.0,
    idle_queues=10,
    wakeups_s=10.0,
    output_bytes=200_000_000,
    verb_jobs=4_000,
    verb_processes=(2, 4, 8, 16),
    rounds=5,
    short_rounds=7,
)
FULL = Scale(
    drain_jobs=3_000,
    crowd_jobs=3_000,
    crowds=(8, 16),
    peer_jobs=3_000,
    sizes=(100_000, 1_000_000),
    little=1_000,
    script_jobs=3_000,
    few_jobs=100,
    latencies=500,
    idle_s=600.0,
    idle_queues=20,
    wakeups_s=20.0,
    output_bytes=1_000_000_000,
    verb_jobs=20_000,
    verb_processes=(2, 4, 8, 16, 32, 64),
    rounds=7,
    short_rounds=15,
)
