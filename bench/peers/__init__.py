"""Other programs that drain a queue of shell commands, as far as they are installed.

Each adapter fills its queue, lets both runners come to a gate, and times from the opening of the gate to the end of
the last command; so neither filling nor starting counts. Where it would be wrong to leave that out, it counts, too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.comparison import Side
from bench.peers import libraries, programs
from bench.workplace import Workplace


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One of them. *find* says whether it is there, *drain* runs that many times ``true`` with that many runners."""

    name: str
    records: str  #: what is left when the commands have ended
    find: Callable[[Workplace], bool]
    drain: Callable[[Workplace, int, int], float]


#: These two start a process for each command when it is added, so without that a part of the work is left out.
_ADDING = (("adding included", True), ("all added before", False))
PEERS = (
    Peer(
        name="GNU parallel (`-j2 --joblog`)",
        records="a line a command with times and exit code, not durable; output on stdout",
        find=lambda _: programs.is_in_path("parallel"),
        drain=programs.by_parallel,
    ),
    *(
        Peer(
            name=f"task-spooler (`tsp`), {how}",
            records="exit code and times in the memory of its server; output in files; no queue after a crash",
            find=lambda _: programs.is_in_path("tsp"),
            drain=partial(programs.by_tsp, with_adding=with_adding),
        )
        for how, with_adding in _ADDING
    ),
    *(
        Peer(
            name=f"`nq`, two folders, {how}",
            records="output and exit code in a file a command, not durable; no retries",
            find=lambda _: programs.is_in_path("nq"),
            drain=partial(programs.by_nq, with_adding=with_adding),
        )
        for how, with_adding in _ADDING
    ),
    Peer(
        name="persist-queue (SQLite), 2 threads of `Popen`",
        records="a mark that it was acknowledged, durable at once; no exit code, no output, no attempts",
        find=lambda place: libraries.is_importable(place, "persistqueue"),
        drain=libraries.by_script("with_persistqueue.py"),
    ),
    Peer(
        name="litequeue (SQLite), 2 processes of `Popen`",
        records="a mark that it is done and its times, durable later; no exit code, no output, no attempts",
        find=lambda place: libraries.is_importable(place, "litequeue"),
        drain=libraries.by_script("with_litequeue.py"),
    ),
    Peer(
        name="huey (SQLite), its consumer with 2 processes",
        records="the exit code as the task's result, durable at once; no output, no attempts",
        find=lambda place: libraries.is_importable(place, "huey"),
        drain=libraries.by_script("with_huey.py"),
    ),
)


def sides(place: Workplace, jobs: int, runners: int) -> list[Side]:
    """Return those that are there, to run *jobs* commands each."""
    return [_side(peer, place, jobs, runners) for peer in PEERS if peer.find(place)]


def missing(place: Workplace) -> list[str]:
    """Return the names of those that are not there."""
    return [peer.name for peer in PEERS if not peer.find(place)]


def _side(peer: Peer, place: Workplace, jobs: int, runners: int) -> Side:
    return Side(name=peer.name, records=peer.records, run=lambda: peer.drain(place, jobs, runners), items=jobs)
