"""Adapters of peers that are programs in ``PATH``."""

import re
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

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


def by_tsp(place: Workplace, jobs: int, runners: int) -> float:
    """Let a server of task-spooler run them, in batches that it can take."""
    with place.folder() as folder:
        variables = {"TS_SOCKET": str(folder / "s"), "TMPDIR": str(folder), "TS_MAXFINISHED": str(2 * _TSP_BATCH)}
        place.run(["tsp", "-S", str(runners)], variables=variables)
        try:
            return sum(_batch_of_tsp(place, folder, size, runners, variables) for size in _batches(jobs, _TSP_BATCH))
        finally:
            place.run(["tsp", "-K"], variables=variables)


def _batch_of_tsp(place: Workplace, folder: Path, jobs: int, runners: int, variables: Mapping[str, str]) -> float:
    def call(*argv: str) -> str:
        return place.run(["tsp", *argv], variables=variables).output

    count = jobs + 2 * runners

    def has_ended() -> bool:
        rows = [row.split() for row in call("-l").splitlines()[1:]]
        return [(row[1], row[3]) for row in rows] == [("finished", "0")] * count

    with Gate(folder / f"gate.{time.monotonic_ns()}") as gate:
        for command in _commands(gate, jobs, runners):
            call("sh", "-c", command)
        seconds = _pass_gate(gate, runners)
        _await(has_ended)
    call("-C")
    return seconds


def by_nq(place: Workplace, jobs: int, runners: int) -> float:
    """Let nq run them: it runs one at a time in a folder, so in as many folders as there are to be runners."""
    return sum(_batch_of_nq(place, size, runners) for size in _batches(jobs, _NQ_BATCH))


def _batch_of_nq(place: Workplace, jobs: int, runners: int) -> float:
    with place.folder() as folder, Gate(folder / "gate") as gate:
        queues = [folder / str(number) for number in range(runners)]
        for number, command in enumerate(_commands(gate, jobs, runners)):
            place.run(["nq", "-q", "sh", "-c", command], variables={"NQDIR": str(queues[number % runners])})
        seconds = _pass_gate(gate, runners)
        count = jobs + 2 * runners

        def has_ended() -> bool:
            texts = [path.read_text() for queue in queues for path in queue.glob(",*")]
            return [_NQ_END.findall(text) for text in texts] == [["0"]] * count

        _await(has_ended)
        return seconds


def _commands(gate: Gate, jobs: int, runners: int) -> list[str]:
    """Return commands of which each runner first gets one that waits at *gate*, and in the end another one."""
    return [gate.command] * runners + ["true"] * jobs + [gate.command] * runners


def _pass_gate(gate: Gate, runners: int) -> float:
    """Open *gate* once all *runners* are there, and return how long it took until all were there again."""
    gate.await_rings(runners)
    began = time.monotonic()
    gate.open(runners)
    gate.await_rings(runners)
    ended = time.monotonic()
    gate.open(runners)
    return ended - began


def _await(is_there: Callable[[], bool]) -> None:
    """Wait until it *is_there* that all commands have ended well; what is not there in time is wrong."""
    deadline = time.monotonic() + _PATIENCE_S
    while not is_there():
        assert time.monotonic() < deadline, "not all commands have ended with exit code 0"
        time.sleep(_GLANCE_S)


def _batches(jobs: int, largest: int) -> list[int]:
    return [min(largest, jobs - done) for done in range(0, jobs, largest)]
