"""Claim and settle jobs without running them, as a worker does: ``exchange.py FOLDER NAME``.

Prints ``ready`` once the index is loaded, waits for a byte on standard input, and prints how many jobs it has settled
and the monotonic time when there were none left.
"""

import os
import sys
import time
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from queuectl.job import Claim, Outcome
from queuectl.stores import open_store
from queuectl.waiter import FLUSH_AFTER_S

store = open_store(Path(sys.argv[1]))
store.prepare_for_work()
claims = (Claim(os.getpid(), f"{sys.argv[2]}.{number}") for number in count(1))
outcome = Outcome(exit_code=0)
print("ready", flush=True)
os.read(0, 1)
settled, flush_at = 0, 0.0
job = store.claim(next(claims), now=datetime.now(UTC))
while job is not None:
    job = store.settle(job, outcome, next_claim=next(claims), now=datetime.now(UTC)).next
    settled += 1
    if time.monotonic() >= flush_at:
        store.flush()
        flush_at = time.monotonic() + FLUSH_AFTER_S
store.flush()
print(settled, time.monotonic(), flush=True)
store.close()
