"""What must be there when the next processes come to a queue, whatever has happened to the last ones."""

import json
from pathlib import Path
from typing import NamedTuple

from queuectl.job import Job
from queuectl.stores.local.store import LocalStore
from tests.samples import NOW, after, plain, specs
from tests.torture.lives import Seen, claim_as, seen
from tests.torture.stage import Stage
from tests.torture.system import THIS_BOOT, Count, System


class Found(NamedTuple):
    """What the first who came has found, what it did to the disk to find it, and all files once it is done."""

    seen: Seen
    steps: tuple[str, ...]
    contents: dict[str, bytes]


def check(stage: Stage, system: System, allowed: list[Seen], where: str, witness: LocalStore | None = None) -> Found:
    """Come to the queue as the next processes: all that was confirmed is there, once, and the queue works.

    *witness* has been there before, and remembers how it was; else a new process comes.
    """
    first = Count()
    with system.working("first", first):
        store = witness or LocalStore(stage.folder)
        found = seen(store)
    assert found in allowed, f"{where}: {explain(found, allowed)}"
    system.bury("first")
    system.bury("witness")
    if system.boot == THIS_BOOT:  # else the first has relied on nothing
        forget_applied(stage.folder)
        with system.working("second"):
            LocalStore(stage.folder).counts()
        system.bury("second")
    contents = stage.contents()
    for name in ("jobs.json", "dlq.json", "worker_pids.json", "config.json"):
        # Who worked before a power cut is of no interest after it.
        if name in contents and (name != "worker_pids.json" or system.boot == THIS_BOOT):
            json.loads(contents[name])
    forget_applied(stage.folder)
    with system.working("third"):
        store = LocalStore(stage.folder)
        jobs = store.jobs()
        assert (plain(jobs), store.settings()) == found, where
        assert stage.contents() == contents, f"{where}: a second recovery has changed something"
        store.enqueue(specs("next"), now=NOW)
        waiting = {job.id for job in jobs if job.state.is_waiting} | {"next"}
        claimed = [store.claim(claim_as(number), now=after(10**6)) for number in (901, 902)]
        ids = [job.id for job in claimed if job is not None]
        assert len(set(ids)) == len(ids) == min(2, len(waiting)), where
        assert set(ids) <= waiting, f"{where}: {ids} were not waiting"
        store.close()
    system.bury("third")
    with system.working("last"):
        at_last = LocalStore(stage.folder).jobs()
    system.bury("last")
    assert [job.id for job in at_last] == [*(job.id for job in jobs), "next"], where
    unclaimed = [plain(job) for job in at_last if job.id not in ids and job.id != "next"]
    assert unclaimed == [plain(job) for job in jobs if job.id not in ids], where
    steps = tuple(f"{call.name} {call.path.rpartition('/')[2]}" for call in first.calls if call.changes)
    return Found(found, steps, contents)


def explain(found: Seen, allowed: list[Seen]) -> str:
    """Say in what *found* differs from the last of what is *allowed*, job by job."""
    jobs, settings = found
    last_jobs, last_settings = allowed[-1]
    there, wanted = ({job.id: job for job in each} for each in (jobs, last_jobs))
    lines = [
        f"{id}: {_brief(there.get(id))}, not {_brief(wanted.get(id))}"
        for id in there | wanted
        if there.get(id) != wanted.get(id)
    ]
    if [*there] != [*wanted]:
        lines.append(f"order: {' '.join(there)}, not {' '.join(wanted)}")
    if settings != last_settings:
        lines.append(f"settings: {settings.chosen}, not {last_settings.chosen}")
    return "; ".join(lines)


def _brief(job: Job | None) -> str:
    return "none" if job is None else f"{job.state} after {job.attempts}, {job.claim}, {job.updated_at}"


def forget_applied(folder: Path) -> None:
    """Let the next process not know how far the journal is in the files: it has to recover everything."""
    applied = folder / "applied"
    if applied.exists() and applied.stat().st_size:
        applied.write_bytes(b" " * 1024)
