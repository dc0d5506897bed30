"""``with_persistqueue.py JOBS RUNNERS``: threads of one process, for it does not lock out other processes."""

import sys
import threading

import persistqueue
from runner import command, drain

jobs, runners = map(int, sys.argv[1:])
queue = persistqueue.SQLiteAckQueue("queue", multithreading=True)
for number in range(jobs):
    queue.put(number)


def run_next() -> bool:
    """Run the next, if there is one."""
    try:
        item = queue.get(block=False)
    except persistqueue.Empty:
        return False
    if command() == 0:
        queue.ack(item)
    return True


threads = [threading.Thread(target=drain, args=(run_next,)) for _ in range(runners)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if queue.acked_count() != jobs:
    sys.exit(f"{queue.acked_count()} of {jobs} were acknowledged")
