"""Count the states of the jobs in a file: ``states.py JOBS_JSON``."""

import sys
from collections import Counter

import msgspec


class Entry(msgspec.Struct):
    """The one field that counts."""

    state: str


with open(sys.argv[1], "rb") as source:  # noqa: PTH123 - nothing that the script can do without
    entries = msgspec.json.Decoder(list[Entry]).decode(source.read())
for state, count in Counter(entry.state for entry in entries).items():
    print(state, count)
