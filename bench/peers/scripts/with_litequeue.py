"""``with_litequeue.py JOBS RUNNERS``: processes, each with a connection of its own."""

import os
import sys

import litequeue
from runner import command, drain

jobs, runners = map(int, sys.argv[1:])


def be_runner() -> int:
    """Run what there is; return how many that were."""
    queue = litequeue.LiteQueue("queue.db")
    count = 0

    def run_next() -> bool:
        nonlocal count
        message = queue.pop()
        if message is None:
            return False
        if command() == 0:
            queue.done(message.message_id)
            count += 1
        return True

    drain(run_next)
    return count


queue = litequeue.LiteQueue("queue.db")
for number in range(jobs):
    queue.put(str(number))
queue.close()
children = []
for _ in range(runners):
    read_end, write_end = os.pipe()
    if not os.fork():
        os.write(write_end, str(be_runner()).encode())
        os._exit(0)
    os.close(write_end)
    children.append(read_end)
done = sum(int(os.read(read_end, 32)) for read_end in children)
if done != jobs:
    sys.exit(f"{done} of {jobs} are done")
