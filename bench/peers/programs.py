"""Adapters of peers that are programs in ``PATH``."""

import re
import shutil
import time
from collections.abc import Callable

from bench.gate import Gate
from bench.workplace import Workplace

_TSP_BATCH = 500  #: it takes at most some 990 waiting commands
_NQ_BATCH = 100  #: each waiting command is a process, and each looks at the files of all before it
_NQ_END = re.compile(r"\[exited with status (\d+)\.\]")
_GLANCE_S = 0.02
_PATIENCE_S = 30.0


def is_in_path(program: str) -> bool:
    """Whether there is such a program."""
    return shutil.which(program) is not None


def by_parallel(place: Workplace, jobs: int, runners: int) -> float:
    """Let GNU parallel run the lines of a file."""
    with place.folder() as folder, Gate(folder / "gate") as gate:
        commands, log = folder / "commands.txt", folder / "joblog"
        commands.write_text("\n".join([gate.command] * runners + ["true"] * jobs) + "\n")
        variables = {"PARALLEL_SHELL": "/bin/sh", "PARALLEL_HOME": str(folder), "TMPDIR": str(folder)}
        argv = ["parallel", "--will-cite", f"-j{runners}", "--joblog", str(log)]
        with commands.open() as source, place.started(argv, stdin=source, variables=variables) as process:
            gate.await_rings(runners)
            began = time.monotonic()
            gate.open(runners)
            process.wait()
            ended = time.monotonic()
        exit_codes = [row.split("\t")[6] for row in log.read_text().splitlines()[1:]]
        assert exit_codes == ["0"] * (runners + jobs)
        return ended - began


def by_tsp(place: Workplace, jobs: int, runners: int, *, with_adding: bool) -> float:
    """Let a server of task-spooler run them, in batches that it can take."""
    with place.folder() as folder:
        variables = {"TS_SOCKET": str(folder / "s"), "TMPDIR": str(folder), "TS_MAXFINISHED": str(2 * _TSP_BATCH)}

        def call(*argv: str) -> str:
            return place.run(["tsp", *argv], variables=variables).output

        def batch(size: int) -> float:
            with Gate(folder / f"gate.{time.monotonic_ns()}") as gate:
                passing = Passing(gate, size, runners, with_adding=with_adding)
                seconds = passing.run(lambda _, command: call("sh", "-c", command))
                _await(lambda: _exit_codes(call("-l")) == passing.good_exit_codes)
                call("-C")
                return seconds

        call("-S", str(runners))
        try:
            return sum(batch(size) for size in _batches(jobs, _TSP_BATCH))
        finally:
            call("-K")


def _exit_codes(listing: str) -> list[str]:
    """Return the exit code of each command that *listing* has; of one that has not ended, something else."""
    rows = [row.split() for row in listing.splitlines()[1:]]
    return [row[3] if row[1] == "finished" else row[1] for row in rows]


def by_nq(place: Workplace, jobs: int, runners: int, *, with_adding: bool) -> float:
    """Let nq run them: it runs one at a time in a folder, so in as many folders as there are to be runners."""

    def batch(size: int) -> float:
        with place.folder() as folder, Gate(folder / "gate") as gate:
            queues = [folder / str(number) for number in range(runners)]

            def add(number: int, command: str) -> None:
                place.run(["nq", "-q", "sh", "-c", command], variables={"NQDIR": str(queues[number % runners])})

            def have_ended() -> bool:
                texts = [path.read_text() for queue in queues for path in queue.glob(",*")]
                return ["".join(_NQ_END.findall(text)) for text in texts] == passing.good_exit_codes

            passing = Passing(gate, size, runners, with_adding=with_adding)
            seconds = passing.run(add)
            _await(have_ended)
            return seconds

    return sum(batch(size) for size in _batches(jobs, _NQ_BATCH))


class Passing:
    """Commands that are added one by one, and in the end, for each runner, one that waits at a gate.

    Unless the time *with_adding* is wanted, the runners wait there in the beginning, too, until all are added.
    """

    def __init__(self, gate: Gate, jobs: int, runners: int, *, with_adding: bool) -> None:
        self._gate = gate
        self._runners = runners
        self._waits = not with_adding
        at_gate = [gate.command] * runners
        self._commands = [*(at_gate if self._waits else ()), *["true"] * jobs, *at_gate]

    @property
    def good_exit_codes(self) -> list[str]:
        """What all commands have to end with."""
        return ["0"] * len(self._commands)

    def run(self, add: Callable[[int, str], object]) -> float:
        """*add* all commands, with their numbers; return how long it took until the runners were at the last gate."""
        began = time.monotonic()
        for number, command in enumerate(self._commands):
            add(number, command)
        if self._waits:
            self._gate.await_rings(self._runners)
            began = time.monotonic()
            self._gate.open(self._runners)
        self._gate.await_rings(self._runners)
        ended = time.monotonic()
        self._gate.open(self._runners)
        return ended - began


def _await(is_there: Callable[[], bool]) -> None:
    """Wait until it *is_there* that all commands have ended well; what is not there in time is wrong."""
    deadline = time.monotonic() + _PATIENCE_S
    while not is_there():
        assert time.monotonic() < deadline, "not all commands have ended with exit code 0"
        time.sleep(_GLANCE_S)


def _batches(jobs: int, largest: int) -> list[int]:
    return [min(largest, jobs - done) for done in range(0, jobs, largest)]
