"""From values to lines on a terminal: the words of ``render``, fitted to its width and coloured.

A result without a layout of its own here looks as in a pipe. Every text of a
job goes through ``visible`` first.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import singledispatch

from queuectl import render, times
from queuectl.commands import results
from queuectl.job import State
from queuectl.render import error_name, visible
from queuectl.screen import BOLD, COLOURS, DIM, Screen, cut, pad, width

_NARROW = 24  # columns under which a text is hard to make out

#: A text, and how it looks (None: plain).
_Cell = tuple[str, str | None]

_TIMES = frozenset({"Next attempt", "Created", "Updated", "Started", "Finished"})


@singledispatch
def lines(result: results.Result, screen: Screen, now: datetime) -> Iterator[str]:
    """Yield the lines that say *result* on *screen* at the time *now*."""
    yield from render.lines(result)


@lines.register
def _(result: results.JobTable, screen: Screen, now: datetime) -> Iterator[str]:
    rows = [
        [_plain(job.id, screen), (render.standing(job), COLOURS[job.state]), _plain(job.command, screen)]
        for job in result.jobs
    ]
    yield from _table(screen, [("ID", 15), ("State", 10), ("Command", 0)], rows, rule=60)


@lines.register
def _(result: results.DeadTable, screen: Screen, now: datetime) -> Iterator[str]:
    rows = [
        [_plain(job.id, screen), _plain(job.command, screen), (visible(error_name(job.error)), COLOURS[State.DEAD])]
        for job in result.jobs
    ]
    yield from _table(screen, [("ID", 15), ("Command", 29), ("Error", 0)], rows, rule=70)


@lines.register
def _(result: results.WorkerTable, screen: Screen, now: datetime) -> Iterator[str]:
    rows: list[list[_Cell]] = [
        [
            (str(worker.pid or "-"), None),
            (relative(worker.started_at, now) if worker.started_at else "-", None),
            (visible(worker.job_id), COLOURS[State.IN_PROGRESS]) if worker.job_id else ("-", DIM),
        ]
        for worker in result.workers
    ]
    yield from _table(screen, [("PID", 10), ("Started", 24), ("Job", 0)], rows, rule=60)


@lines.register
def _(result: results.SettingTable, screen: Screen, now: datetime) -> Iterator[str]:
    rows: list[list[_Cell]] = [
        [
            (row.setting.key, None),
            (row.setting.show(row.value), BOLD if row.is_chosen else None),
            (row.setting.show(row.setting.default), DIM),
            (render.origin(row), None if row.is_chosen else DIM),
        ]
        for row in result.rows
    ]
    yield from _table(screen, [("Key", 15), ("Value", 10), ("Default", 10), ("Origin", 0)], rows, rule=60)


@lines.register
def _(result: results.JobDetails, screen: Screen, now: datetime) -> Iterator[str]:
    for name, value in render.details(result.job):
        if value is None:
            continue
        text = visible(str(value))
        if name in _TIMES:
            text = f"{_local(text)} ({relative(text, now)})"
        style = COLOURS[result.job.state] if name == "State" else None
        yield f"{screen.paint(f'{name:<17}:', DIM)} {screen.paint(text, style)}"


@lines.register
def _(result: results.StatusReport, screen: Screen, now: datetime) -> Iterator[str]:
    styles = {f"  {state.capitalize():<12}": (state, result.counts.get(state, 0)) for state in State}
    for line in render.lines(result):
        state, count = styles.get(line.partition(":")[0], (None, 0))
        if state is None:
            yield line
        else:
            yield screen.paint(line, COLOURS[state] if count else DIM)


@lines.register
def _(result: results.JobsEnded, screen: Screen, now: datetime) -> Iterator[str]:
    for line in render.lines(result):
        for state in State:
            line = line.replace(f" {state}", f" {screen.paint(str(state), COLOURS[state])}")
        yield line


def relative(text: str, now: datetime) -> str:
    """Return the time *text* as a person counts it from *now*: ``3m 20s ago``, ``in 4s``, ``now``."""
    seconds = (times.from_text(text) - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    amount = times.format_duration(int(abs(seconds)))
    return f"in {amount}" if seconds > 0 else f"{amount} ago"


def _local(text: str) -> str:
    """Return the time *text* as the clocks here show it."""
    return times.from_text(text).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z").rstrip()


def _plain(text: str, screen: Screen) -> _Cell:
    """Return *text* as a cell; of a very long one no more is prepared than can be seen."""
    longest = len(text) if screen.columns is None else 8 * screen.columns + 1
    return visible(text[:longest]), None


def _table(
    screen: Screen, columns: Sequence[tuple[str, int]], rows: Sequence[Sequence[_Cell]], *, rule: int
) -> Iterator[str]:
    """Yield a head, a line of *rule* dashes, and *rows*; a column has a title, and a width that it has in any case."""
    least = [least for _, least in columns]
    widths = least
    if screen.columns is not None:
        needed = [
            max([len(title), *(min(width(row[place][0]), screen.columns) for row in rows)])
            for place, (title, _) in enumerate(columns)
        ]
        widths = share_out(needed, least, screen.columns)
    yield _row(screen, widths, [(title, BOLD) for title, _ in columns])
    yield screen.paint("-" * min(rule, screen.columns or rule), DIM)
    for row in rows:
        yield _row(screen, widths, row)


def _row(screen: Screen, widths: Sequence[int], row: Sequence[_Cell]) -> str:
    """Return one line of a table; what does not fit into its column is cut at a terminal, and pushes on in a pipe."""
    parts = []
    last = max((place for place, (text, _) in enumerate(row) if text), default=-1)
    for place, (text, style) in enumerate(row[: last + 1]):
        shown = text if screen.columns is None else cut(text, widths[place])
        gap = "" if place == last else " " * (len(pad(shown, widths[place])) - len(shown))
        parts.append(screen.paint(shown, style) + gap)
    return " ".join(parts)


def share_out(needed: Sequence[int], least: Sequence[int], columns: int) -> list[int]:
    """Return widths that fit into *columns* with a blank between each two.

    Each is what is *needed*, and at *least* what it is in a pipe, as long as
    there is room. The widest gives way first, then blanks that nothing fills.
    """
    widths = list(map(max, needed, least))
    room = columns - (len(widths) - 1)
    while sum(widths) > room:
        place = widths.index(max(widths))
        spare = [place for place, width in enumerate(widths) if width > needed[place]]
        if spare and widths[place] <= _NARROW:
            place = spare[0]
        if widths[place] <= 1:
            break
        widths[place] -= 1
    return widths
