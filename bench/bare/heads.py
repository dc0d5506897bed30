"""Decode what an index needs of the jobs in a file: ``heads.py JOBS_JSON``; print their number and the seconds."""

import sys
import time

import msgspec


class Head(msgspec.Struct):
    """What decides which job is next."""

    id: str
    state: str
    seq: int
    run_at: str | None = None
    claim: str | None = None


decode = msgspec.json.Decoder(list[Head]).decode
begun = time.perf_counter()
with open(sys.argv[1], "rb") as source:  # noqa: PTH123 - nothing that the script can do without
    heads = decode(source.read())
seconds = time.perf_counter() - begun
print(len(heads), seconds)
