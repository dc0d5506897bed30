"""Run ``sh -c true`` a number of times, one after the other, with output to a file that each command begins anew.

``loop.py popen|spawn COUNT``, in a folder of its own. Waits for a byte on standard input before it begins, and prints
the monotonic time when it has ended.
"""

import os
import subprocess
import sys
import time

OUTPUT = "output"


def by_popen() -> int:
    """Use the ordinary way of the standard library."""
    with open(OUTPUT, "wb") as output:  # noqa: PTH123 - nothing that a bare loop can do without
        return subprocess.Popen(["sh", "-c", "true"], stdin=subprocess.DEVNULL, stdout=output, stderr=output).wait()


def by_spawn() -> int:
    """Use the fewest calls there are from Python."""
    output = os.open(OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    actions = ((os.POSIX_SPAWN_DUP2, NULL, 0), (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2))
    pid = os.posix_spawn("/bin/sh", ("/bin/sh", "-c", "true"), os.environ, file_actions=actions)
    os.close(output)
    return os.waitpid(pid, 0)[1]


NULL = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
run = {"popen": by_popen, "spawn": by_spawn}[sys.argv[1]]
count = int(sys.argv[2])
print("ready", flush=True)
os.read(0, 1)
for _ in range(count):
    if run() != 0:
        sys.exit("a command has failed")
print(time.monotonic())
