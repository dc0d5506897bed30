"""Run one command of the program and print, behind its output, how many seconds it has held the queue's lock.

``held.py FOLDER WORD...``. Looks at the calls that take and release file locks; the lock has to be free.
"""

import fcntl
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from queuectl.cli import main


class Holding:
    """Takes note of the locks of one file."""

    def __init__(self, inode: int) -> None:
        self._inode = inode
        self._since: float | None = None
        self.seconds = 0.0
        self.count = 0

    def note(self, event: str, arguments: tuple[object, ...]) -> None:
        """Hear of *event*, which is about to happen in this process."""
        if event not in ("fcntl.flock", "fcntl.lockf"):
            return
        fd, operation = arguments[:2]
        if not isinstance(fd, int) or not isinstance(operation, int) or os.fstat(fd).st_ino != self._inode:
            return
        now = time.perf_counter()
        if not operation & fcntl.LOCK_UN:
            self._since = now
        elif self._since is not None:
            self.seconds += now - self._since
            self.count += 1
            self._since = None


folder = Path(sys.argv[1])
holding = Holding((folder / "queue.lock").stat().st_ino)
sys.addaudithook(holding.note)
exit_code = main(["--data", str(folder), *sys.argv[2:]])
print(holding.seconds, flush=True)
if not holding.count:
    sys.exit("the lock was never held: what takes it cannot be seen any more")
sys.exit(exit_code)
