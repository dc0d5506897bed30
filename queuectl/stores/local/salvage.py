"""Jobs out of a file that is damaged: all that can be read, and word for word all that cannot.

Pure. Nothing is dropped: what does not become a job is in *kept*.
"""

import json
import re
from collections.abc import Iterable, Iterator
from copy import copy
from typing import Any

import msgspec

from queuectl import times
from queuectl.job import ID_PATTERN, Job
from queuectl.stores.local import foreign
from queuectl.stores.local.records import File

_STRUCTURE = " \t\r\n,[]\0\ufeff"  #: of what lies between jobs, what says nothing
_NO_ID = re.compile(r"[^A-Za-z0-9._:@-]+")
_LONGEST_ID = 255
_decoder = json.JSONDecoder(object_pairs_hook=foreign.Object.of)


class Kept(msgspec.Struct, frozen=True):
    """A piece that has not become a job as it was: *why*, and its *text* as it stood."""

    file: str
    why: str
    text: str


class Salvaged(msgspec.Struct, frozen=True):
    """What was found in one file."""

    jobs: list[Job]
    kept: list[Kept]


def salvage(content: bytes, file: File) -> Salvaged:
    """Return the jobs in *content*, whatever is wrong with it as a whole."""
    text = content.decode("utf-8", "surrogateescape")
    jobs: list[Job] = []
    kept: list[Kept] = []
    for entry, source in _objects(text):
        if entry is None:
            kept.append(Kept(f"{file}.json", "no job", source))
            continue
        job, why = _mended(entry, file)
        if job is not None:
            jobs.append(job)
        if why:
            kept.append(Kept(f"{file}.json", why, source))
    return Salvaged(jobs, kept)


def _objects(text: str) -> Iterator[tuple[Any, str]]:
    """Yield each object that looks like a job, with its text, and what lies between as (None, text)."""
    place = done = 0
    while (place := text.find("{", place)) >= 0:
        try:
            entry, end = _decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place += 1
            continue
        source = text[place:end]
        if not _looks_like_job(entry) or not _is_text(source):
            place += 1
            continue
        if between := text[done:place].strip(_STRUCTURE):
            yield None, between
        yield entry, source
        place = done = end
    if rest := text[done:].strip(_STRUCTURE):
        yield None, rest


def _looks_like_job(entry: Any) -> bool:
    return isinstance(entry, dict) and any(name in entry for name in ("command", "cmd"))


def _is_text(source: str) -> bool:
    try:
        source.encode()
    except UnicodeEncodeError:  # a byte that was no UTF-8: it may have been anything
        return False
    return True


def _mended(entry: dict[str, Any], file: File) -> tuple[Job | None, str]:
    """Return the job in *entry*, and why it is not quite what stood there; no job if it cannot be told."""
    fields = copy(entry)
    why: list[str] = []
    for _ in range(3):
        try:
            return foreign.job(fields, file), "; ".join(why)
        except foreign.Unreadable as error:
            why.append(error.message)
            for name in error.fields:
                fields.pop(name, None)
            if not error.fields and not _rename(fields):
                break
    return None, "; ".join(why)


def _rename(fields: dict[str, Any]) -> bool:
    """Give *fields* an id that can be one; return whether that has changed anything."""
    for name in ("id", "job_id", "jobId"):
        id = fields.get(name)
        if isinstance(id, str) and re.fullmatch(ID_PATTERN, id) is None:
            fields[name] = _NO_ID.sub("-", id).strip("._:@-")[:_LONGEST_ID] or "unnamed"
            return True
    if not any(name in fields for name in ("id", "job_id", "jobId")):
        fields["id"] = "unnamed"
        return True
    return False


def distinct(jobs: Iterable[tuple[File, Job]]) -> tuple[list[Job], list[Kept]]:
    """Return *jobs*, each from its file, with each id once.

    Of two that are one job at different times, the later stays. Another job
    under the same id gets a new one, which nothing else has.
    """
    variants: dict[str, list[tuple[File, Job]]] = {}
    kept: list[Kept] = []
    for file, job in jobs:
        found = variants.setdefault(job.id, [])
        same = next((place for place, known in enumerate(found) if _is_same(known[1], job)), None)
        if same is None:
            found.append((file, job))
            continue
        older, newer = sorted((found[same], (file, job)), key=lambda each: (each[1].updated_at, each[1].attempts))
        found[same] = newer
        kept.append(Kept(f"{older[0]}.json", "the same job once more, as it is now or was earlier", _text(older[1])))
    chosen = []
    ids = set(variants)
    for (_, first), *others in variants.values():
        chosen.append(first)
        number = 2
        for file, job in others:
            while (id := f"{job.id[: _LONGEST_ID - 10]}-{number}") in ids:
                number += 1
            ids.add(id)
            kept.append(Kept(f"{file}.json", f'another job had its id: it is "{id}" now', _text(job)))
            chosen.append(msgspec.structs.replace(job, id=id))
    return chosen, kept


def _is_same(one: Job, other: Job) -> bool:
    if one.command != other.command:
        return False
    has_times = times.EPOCH_TEXT not in (one.created_at, other.created_at)
    return one.created_at == other.created_at if has_times else one == other


def _text(job: Job) -> str:
    return msgspec.json.encode(job).decode()
