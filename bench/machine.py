"""What the measurements ran on, as far as it explains them; no names of hosts, people or folders."""

import os
import platform
from pathlib import Path

from queuectl.stores.local.folder import file_system


def describe(folder: Path) -> str:
    """Return the machine as a line of text, with the file system of *folder*."""
    facts = (
        f"{_cores()} cores{_model()}",
        f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.0f} GiB of memory",
        f"{platform.system()} {platform.release().partition('-')[0]}",
        _disk(folder),
        f"{platform.python_implementation()} {platform.python_version()}",
        f"`/bin/sh` is {Path('/bin/sh').resolve().name}",
    )
    return ", ".join(facts)


def load() -> float:
    """Return how many processes wanted to run during the last minute."""
    return os.getloadavg()[0]


def _cores() -> int:
    # Those that this process may use: a container may have fewer than the machine.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _disk(folder: Path) -> str:
    """Return the file system; one without a journal of its own behaves differently where files come and go."""
    system = file_system(folder) or "file system unknown"
    number = folder.stat().st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve().name
    has_none = Path("/proc/fs/ext4", device).exists() and not any(Path("/proc/fs/jbd2").glob(f"{device}-*"))
    return f"{system} without a journal" if has_none else system


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    models = [
        value.strip() for name, _, value in (line.partition(":") for line in lines) if name.strip() == "model name"
    ]
    return f" ({models[0]})" if models else ""
