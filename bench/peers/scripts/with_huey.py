"""``with_huey.py JOBS RUNNERS``: its own consumer, with processes as workers.

The tasks come in order: as many that wait at the gate as there are workers, then the commands, then as many that say
when they were reached; these wait as well, so that each worker gets one.
"""

import multiprocessing
import os
import sys
import time

from huey import SqliteHuey
from runner import await_gate, command, say

jobs, runners = map(int, sys.argv[1:])
huey = SqliteHuey(filename="huey.db")
ended = multiprocessing.get_context("fork").Semaphore(0)


def begin() -> int:
    """Wait at the gate."""
    say("ready")
    await_gate()
    return 0


def end() -> int:
    """Say when."""
    say(str(time.monotonic()))
    await_gate()
    ended.release()
    return 0


begin_task, command_task, end_task = (huey.task()(function) for function in (begin, command, end))
results = []
for task, count in ((begin_task, runners), (command_task, jobs), (end_task, runners)):
    results += [task() for _ in range(count)]
consumer = huey.create_consumer(
    workers=runners,
    worker_type="process",
    periodic=False,
    initial_delay=0.001,
    max_delay=0.01,
    check_worker_health=False,
)
consumer.start()
for _ in range(runners):
    ended.acquire()
exit_codes = [result.get(blocking=True, timeout=10) for result in results]
consumer.stop()
if exit_codes != [0] * (jobs + 2 * runners):
    print(exit_codes, file=sys.stderr)
    os._exit(1)
os._exit(0)
