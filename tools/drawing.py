"""A terminal's screen as SVG: the same cells give the same bytes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from xml.sax.saxutils import escape

FRONT, BACK = "#d8dee9", "#1d2129"
COLOURS = {
    "black": "#3b4252", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b",
    "blue": "#61afef", "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#d8dee9",
    "brightblack": "#7f8896", "brightred": "#ef8088", "brightgreen": "#b1d695", "brightbrown": "#f0d399",
    "brightblue": "#86c5f7", "brightmagenta": "#d898e8", "brightcyan": "#7fcfd8", "brightwhite": "#ffffff",
}  # fmt: skip
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
SIZE, WIDTH, HEIGHT, MARGIN = 14, 8.4, 19, 14  #: of letters, of a column, of a row, around all of them


@dataclass(frozen=True)
class Cell:
    """One place of the screen; a wide sign fills two, the second of which has no text."""

    text: str
    front: str = "default"
    back: str = "default"
    is_bold: bool = False
    is_reverse: bool = False

    def with_text(self, text: str) -> "Cell":
        """Return a cell that looks the same."""
        return replace(self, text=text)

    @property
    def colours(self) -> tuple[str, str]:
        """Of the letter, and of what is behind it."""
        default = (BACK, FRONT) if self.is_reverse else (FRONT, BACK)
        return _colour(self.front, default[0]), _colour(self.back, default[1])


def draw(rows: list[list[Cell]], columns: int, title: str) -> str:
    """Return *rows* of cells as an SVG image with a *title*."""
    width, height = round(columns * WIDTH + 2 * MARGIN), len(rows) * HEIGHT + 2 * MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACK}"/>',
        f'<g font-family="{FONT}" font-size="{SIZE}" xml:space="preserve" style="white-space:pre">',
    ]
    for number, row in enumerate(rows):
        lines.extend(_row(row, MARGIN + number * HEIGHT))
    return "\n".join([*lines, "</g>", "</svg>"]) + "\n"


def _row(row: list[Cell], top: float) -> Iterator[str]:
    """Yield what is behind the letters of a row, then its letters as one text, each run where its columns are."""
    runs = []
    column = 0
    # Blanks between runs are letters too, for who copies the text; those behind the last word are not.
    end = max((number for number, cell in enumerate(row, 1) if cell.text.strip()), default=0)
    for (front, back, is_bold), cells in groupby(row, lambda cell: (*cell.colours, cell.is_bold)):
        run = list(cells)
        text = "".join(cell.text for cell in run)
        x, width = _number(MARGIN + column * WIDTH), _number(len(run) * WIDTH)
        column += len(run)
        if back != BACK:
            yield f'<rect x="{x}" y="{_number(top)}" width="{width}" height="{HEIGHT}" fill="{back}"/>'
        used = min(len(run), end - column + len(run))
        if used > 0:
            text = "".join(cell.text for cell in run[:used])
            weight = ' font-weight="bold"' if is_bold else ""
            length = _number(used * WIDTH)
            runs.append(
                f'<tspan x="{x}" textLength="{length}" lengthAdjust="spacingAndGlyphs" fill="{front}"{weight}>'
                f"{escape(text)}</tspan>"
            )
    if runs:
        yield f'<text y="{_number(top + SIZE)}">{"".join(runs)}</text>'


def _colour(name: str, default: str) -> str:
    if name == "default":
        return default
    return COLOURS.get(name, f"#{name}" if len(name) == 6 else default)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
