"""What ``doctor`` answers, in words: the part of ``render`` that only this command needs. It writes nothing."""

from collections.abc import Iterator
from pathlib import Path

from queuectl import render
from queuectl.commands import results
from queuectl.stores.local.findings import Finding, Severity


@render.lines.register
def _(result: results.Diagnosis) -> Iterator[str]:
    yield f"Data folder: {render.visible(result.folder)}"
    yield ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield from _findings(result)


@render.lines.register
def _(result: results.Repaired) -> Iterator[str]:
    if result.backup is not None:
        yield f"Copied to {render.visible(result.backup)} (all but logs/)"
    yield from (render.visible(action) for action in result.actions)
    yield from _findings(result.diagnosis)


def _findings(result: results.Diagnosis) -> Iterator[str]:
    for finding in result.findings:
        yield render.visible(f"{finding.severity}: {_place(finding, result.folder)}: {finding.problem}")
        yield render.visible(f"    {finding.remedy}")
    count = sum(finding.severity is not Severity.NOTE for finding in result.findings)
    if not count:
        yield "All is well."
        return
    mendable = sum(finding.can_repair for finding in result.findings if finding.severity is not Severity.NOTE)
    hint = f'; "doctor --repair" can mend {"all" if mendable == count else mendable}, after a copy' if mendable else ""
    yield f"{count} finding{'s' if count > 1 else ''}{hint}."


def _place(finding: Finding, folder: str) -> str:
    path = Path(finding.path)
    return str(path.relative_to(folder)) if path != Path(folder) and path.is_relative_to(folder) else finding.path
