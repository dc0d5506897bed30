"""Look into a file of jobs: ``look.py list STATE LIMIT JOBS_JSON`` or ``look.py show ID JOBS_JSON``.

Only the fields that decide are decoded of all jobs; what is shown is decoded once more, as a whole.
"""

import sys
from typing import Any

import msgspec


class Listed(msgspec.Struct):
    """What decides whether a job is listed, and where."""

    state: str
    seq: int


class Named(msgspec.Struct):
    """What tells a job from the others."""

    id: str


def read(path: str) -> bytes:
    """Return the whole file."""
    with open(path, "rb") as source:  # noqa: PTH123 - nothing that the script can do without
        return source.read()


def list_jobs(state: str, limit: str, path: str) -> list[Any]:
    """Return the first jobs in *state*."""
    content = read(path)
    heads = msgspec.json.Decoder(list[Listed]).decode(content)
    chosen = sorted((head.seq, place) for place, head in enumerate(heads) if head.state == state)[: int(limit)]
    return _whole(content, [place for _, place in chosen])


def show_job(id: str, path: str) -> list[Any]:
    """Return the job called *id*."""
    content = read(path)
    heads = msgspec.json.Decoder(list[Named]).decode(content)
    return _whole(content, [place for place, head in enumerate(heads) if head.id == id])


def _whole(content: bytes, places: list[int]) -> list[Any]:
    """Return the jobs at *places*, which are lines of their own after the first."""
    lines = content.split(b"\n", max(places) + 2)
    return [msgspec.json.decode(lines[place + 1][1:]) for place in places]


found = list_jobs(*sys.argv[2:]) if sys.argv[1] == "list" else show_job(*sys.argv[2:])
for job in found:
    print(job["id"], job["command"])
