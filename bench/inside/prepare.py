"""Print how many seconds the store takes until it can claim: ``prepare.py FOLDER``."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from queuectl.stores import open_store

store = open_store(Path(sys.argv[1]))
begun = time.perf_counter()
store.prepare_for_work()
print(time.perf_counter() - begun)
store.close()
