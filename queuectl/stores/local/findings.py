"""What an examination says: values, which others put into words and act on."""

from enum import StrEnum
from functools import partial
from pathlib import Path

import msgspec


class Severity(StrEnum):
    """How much a finding matters: to know, to be mended, or so much that the queue cannot be used."""

    NOTE = "note"
    WARNING = "warning"
    DAMAGE = "damage"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be: what, where, and how to mend it."""

    severity: Severity
    kind: str  #: a word for programs
    path: str
    problem: str
    remedy: str
    can_repair: bool = False  #: whether ``doctor --repair`` mends it


def _finding(
    severity: Severity, kind: str, path: Path, problem: str, remedy: str, *, can_repair: bool = False
) -> Finding:
    """Return a finding of one severity."""
    return Finding(severity=severity, kind=kind, path=str(path), problem=problem, remedy=remedy, can_repair=can_repair)


note = partial(_finding, Severity.NOTE)
warning = partial(_finding, Severity.WARNING)
damage = partial(_finding, Severity.DAMAGE)
