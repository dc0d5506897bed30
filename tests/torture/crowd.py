"""A crowd at one queue: workers in pools, programs that enqueue, a person at a terminal; any of them may be killed.

What the jobs do is written down outside the store, so that the store need not be believed.
"""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pexpect

from queuectl import liveness, processes
from queuectl.errors import QueueCtlError
from queuectl.processes import Proc
from tests.real_queue import RealQueue

ROOT = Path(__file__).resolve().parents[2]
JOB = ". ./job.sh"

#: Every attempt says when it begins and ends, in one file that is only appended to. The first makes the marker of its
#: job; a later one, which finds it there, looks for processes of an earlier one, and says so if there are any.
#: Most also say it on stdout and stderr, before what they write into that file; what runs late says so there.
#: All is done by the shell itself, so that a job is one process.
JOB_SCRIPT = r"""
me="$QUEUECTL_JOB_ID $QUEUECTL_CLAIM"
which="$me $QUEUECTL_ATTEMPT"
if [ "$KIND" != silent ] && [ "$KIND" != late ]; then
    echo "begin $which"
    echo "begin $which" >&2
fi
set -C
if ! { : ; } 2>/dev/null >"markers/$QUEUECTL_JOB_ID"; then
    set +C
    for other in $(grep -lsz "^QUEUECTL_JOB_ID=$QUEUECTL_JOB_ID\$" /proc/[0-9]*/environ); do
        claim=$({ tr '\0' '\n' <"$other"; } 2>/dev/null | sed -n 's/^QUEUECTL_CLAIM=//p')
        [ -z "$claim" ] || [ "$claim" = "$QUEUECTL_CLAIM" ] || echo "$me $other $claim" >>overlaps
    done
fi
set +C
echo "begin $which" >>ledger
case $KIND in
slow) sleep 0.3 ;;
tree)
    sleep 0.3 &
    setsid sleep 0.3 &
    nohup sleep 0.3 2>/dev/null &
    wait
    ;;
endless) sleep 99 ;;
late) { sleep 0.1; echo "late $which"; } & ;;
esac
case $KIND in
silent | late) ;;
*) echo "end $which" ;;
esac
echo "end $which" >>ledger
[ "$KIND" != failing ]
"""
#: How many of a hundred jobs do what, and what each needs for it.
KINDS: tuple[tuple[int, dict[str, Any]], ...] = (
    (46, {}),
    (30, {"env": {"KIND": "silent"}}),
    (4, {"env": {"KIND": "late"}}),
    (6, {"env": {"KIND": "slow"}}),
    (6, {"env": {"KIND": "tree"}}),
    (6, {"env": {"KIND": "failing"}, "max_retries": 2}),
    (2, {"env": {"KIND": "endless"}, "max_retries": 1, "timeout": 0.3}),
)

#: Enqueues until there is enough, and notes each id once it is confirmed, in a file that is brought to the disk.
PRODUCER = """
import os, random, sys, time
from datetime import UTC, datetime
from pathlib import Path
from queuectl.errors import StoreBusy
from queuectl.specs import JobSpec
from queuectl.stores.local.store import LocalStore
from tests.torture.crowd import JOB, KINDS
folder, work, notes, seed, per_s = sys.argv[1:]
dice = random.Random(seed)
store = LocalStore(Path(folder))
confirmed = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
weights = [weight for weight, _ in KINDS]
while not os.path.exists(os.path.join(work, "enough")):
    begun = time.monotonic()
    chosen = dice.choices(KINDS, weights, k=dice.choice([1, 1, 2, 5, 16]))
    specs = [JobSpec(command=JOB, cwd=work, **fields) for _, fields in chosen]
    try:
        ids = store.enqueue(specs, now=datetime.now(UTC))
    except StoreBusy:
        continue  # somebody who holds the lock was stopped: nothing was added
    os.write(confirmed, "".join(f"{id}\\n" for id in ids).encode())
    os.fsync(confirmed)
    time.sleep(max(begun + len(ids) / float(per_s) - time.monotonic(), 0))
store.close()
"""


class Victim(NamedTuple):
    """Somebody of the crowd; *worker_id* if it is a worker."""

    kind: str
    proc: Proc
    worker_id: str | None = None


class Person:
    """A person at a terminal, who types one command after the other, and opens another shell when one is killed."""

    def __init__(self, queue: RealQueue, work: Path, seed: int) -> None:
        self.confirmed: list[str] = []
        self.shells = 0
        self.proc: Proc | None = None
        self.problems: list[str] = []
        self._queue = queue
        self._work = work
        self._dice = random.Random(seed)
        self._has_enough = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def leave(self) -> None:
        """Wait until the person has left the shell."""
        self._has_enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._has_enough.is_set():
            self.shells += 1
            child = pexpect.spawn(
                sys.executable,
                [str(ROOT / "queuectl.py"), "--data", str(self._queue.folder)],
                cwd=str(self._work),
                env=os.environ | {"HOME": str(self._work), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
                dimensions=(40, 200),
                encoding="utf-8",
                timeout=60,
            )
            child.delaybeforesend = None
            assert child.pid is not None
            start = processes.start_ticks(child.pid)
            self.proc = None if start is None else Proc(child.pid, start)
            try:
                child.expect("queuectl>")
                while not self._has_enough.is_set():
                    self._type(child)
                child.send("exit\r")
                child.expect(pexpect.EOF)
            except (pexpect.EOF, OSError):
                pass  # it was killed: another is opened
            except pexpect.TIMEOUT as error:
                self.problems.append(str(error))
                return
            finally:
                self.proc = None
                child.close(force=True)

    def _type(self, child: "pexpect.spawn[str]") -> None:
        if self._dice.random() < 0.5:
            child.send(self._dice.choice(["status", "list --limit 3", "worker list", "dlq list --limit 3"]) + "\r")
        else:
            id = f"person-{self.shells}-{len(self.confirmed)}"
            child.send(f'enqueue {{id: {id}, command: "{JOB}"}}\r')
            if child.expect([re.escape(f"job id: {id}\r\n"), "has been locked for .* by process"]) == 0:
                self.confirmed.append(id)
        child.expect("queuectl>\x1b[^ -~]*\x1b?\\[?0?m?\r\r\n")  # an empty prompt, drawn anew
        self._has_enough.wait(0.02)


class Crowd:
    """All who are at the queue, kept at their number until there is enough."""

    def __init__(self, queue: RealQueue, work: Path, dice: random.Random, *, pools: int, in_pool: int) -> None:
        """Begin; *work* is where the jobs run."""
        (work / "markers").mkdir(parents=True)
        (work / "job.sh").write_text(JOB_SCRIPT)
        self.queue = queue
        self.work = work
        self.dice = dice
        self.kills: defaultdict[str, int] = defaultdict(int)
        self.killed_workers: set[str] = set()
        self.starts = 0
        self._pools = pools
        self._in_pool = in_pool
        self._executor = ThreadPoolExecutor(1)
        self._starting: Future[object] | None = None
        self._producers: dict[int, subprocess.Popen[bytes]] = {}
        self._stopped: list[tuple[float, Victim]] = []
        self.person: Person | None = None

    # -- coming and going --

    def enter(self, producers: int, per_s: float) -> None:
        """Let the others come, too: so many programs that enqueue *per_s* jobs each, and a person."""
        self._per_s = per_s
        for number in range(producers):
            self._start_producer(number)
        self.person = Person(self.queue, self.work, self.dice.randrange(10**6))

    def _start_producer(self, number: int) -> None:
        notes = self.work / f"confirmed.{number}"
        seed = self.dice.randrange(10**6)
        self._producers[number] = subprocess.Popen(
            [sys.executable, "-c", PRODUCER, self.queue.folder, self.work, notes, str(seed), str(self._per_s)],
            cwd=ROOT,
        )

    def tend(self) -> None:
        """Start whom there are too few of, and let those go on who were stopped for long enough."""
        while self._stopped and self._stopped[0][0] <= time.monotonic():
            processes.send(self._stopped.pop(0)[1].proc, signal.SIGCONT)
        self.tend_workers()
        for number, process in list(self._producers.items()):
            if process.poll() is not None:
                self._start_producer(number)

    def tend_workers(self) -> None:
        """Start a pool if there are too few of them, without waiting for it."""
        if self._starting is not None:
            if not self._starting.done():
                return
            error = self._starting.exception()
            # It was killed while it began, or the lock was held by one who was stopped.
            assert error is None or isinstance(error, QueueCtlError), error
            self._starting = None
        missing = self._pools * self._in_pool - len(self.workers())
        if missing > 0 and len(self.pools()) < self._pools:
            self.starts += 1
            self._starting = self._executor.submit(self.queue.start, min(missing, self._in_pool))

    def settle_down(self) -> None:
        """Let all go on that were stopped, and those end who enqueue."""
        for _, victim in self._stopped:
            processes.send(victim.proc, signal.SIGCONT)
        self._stopped = []
        (self.work / "enough").touch()
        if self.person is not None:
            self.person.leave()
        for process in self._producers.values():
            process.wait(60)

    def leave(self) -> None:
        """Start nobody any more."""
        self._executor.shutdown()

    # -- who is there, and what befalls them --

    def workers(self) -> list[Victim]:
        return [
            Victim("worker", Proc(info.pid, info.start_ticks), info.worker_id)
            for info in liveness.read_workers(self.queue.folder)
            if info.is_alive and info.pid is not None and info.start_ticks is not None
        ]

    def pools(self) -> list[Victim]:
        return [
            Victim("pool", Proc(info.pid, info.start_ticks))
            for info in liveness.read_pools(self.queue.folder)
            if info.is_alive and info.pid is not None and info.start_ticks is not None
        ]

    def others(self) -> list[Victim]:
        starts = {process.pid: processes.start_ticks(process.pid) for process in self._producers.values()}
        found = [Victim("producer", Proc(pid, start)) for pid, start in starts.items() if start is not None]
        person = self.person.proc if self.person else None
        return found if person is None else [*found, Victim("shell", person)]

    def choose(self) -> Victim | None:
        """Draw somebody: most often a worker."""
        groups = {"worker": self.workers(), "pool": self.pools(), "other": self.others()}
        group = groups[self.dice.choices(["worker", "pool", "other"], [70, 10, 20])[0]]
        return self.dice.choice(group) if group else None

    def _note(self, what: str, victim: Victim) -> None:
        """Write down what befell whom, for whoever looks into a failure."""
        with (self.work / "fates").open("a") as file:
            print(
                f"{datetime.now(UTC):%T.%f} {what} {victim.kind} {victim.proc.pid} {victim.worker_id or ''}", file=file
            )

    def kill(self, victim: Victim) -> None:
        if not processes.is_running(victim.proc):
            return
        processes.send(victim.proc, signal.SIGKILL)
        self._note("killed", victim)
        self.kills[victim.kind] += 1
        if victim.worker_id is not None:
            self.killed_workers.add(victim.worker_id)
        if victim.kind == "pool":
            self.queue.reap(victim.proc.pid)

    @property
    def total(self) -> int:
        """How many processes have been killed."""
        return sum(count for kind, count in self.kills.items() if kind not in ("all", "stopped"))

    def kill_all(self) -> None:
        self.kills["all"] += 1
        for victim in (*self.pools(), *self.workers(), *self.others()):
            self.kill(victim)

    def stop_for(self, victim: Victim, seconds: float) -> None:
        """Stop somebody by SIGSTOP for so long."""
        processes.send(victim.proc, signal.SIGSTOP)
        self._note("stopped", victim)
        self.kills["stopped"] += 1
        self._stopped.append((time.monotonic() + seconds, victim))

    # -- what they have left --

    def confirmed(self) -> set[str]:
        """Return the ids of all jobs whose enqueueing was confirmed to somebody."""
        notes = [path.read_text() for path in self.work.glob("confirmed.*")]
        ids = {line for text in notes for line in text.splitlines(keepends=True) if line.endswith("\n")}
        return {id.strip() for id in ids} | set(self.person.confirmed if self.person else ())


class Run(NamedTuple):
    """One attempt, as the jobs themselves have noted it."""

    token: str
    number: int
    has_ended: bool


def read_ledger(path: Path) -> dict[str, list[Run]]:
    """Return the attempts of each job in their order; fail if one began before another of its job had ended its life.

    One that ends after another has begun has overlapped with it.
    """
    runs: defaultdict[str, list[Run]] = defaultdict(list)
    for line in path.read_text().splitlines():
        what, id, token, number = line.split()
        run = Run(token, int(number), has_ended=False)
        if what == "begin":
            runs[id].append(run)
        else:
            assert runs[id][-1] == run, f"{id}: the attempt {token} ended after {runs[id][-1]} had begun"
            runs[id][-1] = run._replace(has_ended=True)
    return runs
