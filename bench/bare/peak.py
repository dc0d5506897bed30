"""Run a command and print, behind what it prints, the most memory it had, in MB: ``peak.py COMMAND...``."""

import os
import sys

pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1_000_000)
sys.exit(os.waitstatus_to_exitcode(status))
