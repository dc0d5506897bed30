"""The picture of the rates: one bar each, as long as its ratio to ``xargs``. Measures nothing."""

import statistics
from xml.sax.saxutils import escape

from bench.comparison import Measured
from bench.drain import OURS, XARGS
from bench.figures import number

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _BAR = 880, 360, 70, 64, 30, 18
_STYLE = """
  text { font: 14px system-ui, sans-serif; fill: #24292f; }
  .bar { fill: #8c959f; }
  .ours { fill: #0969da; }
  .mark { stroke: #57606a; stroke-dasharray: 4 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .bar { fill: #6e7681; }
    .ours { fill: #4493f8; }
    .mark { stroke: #9198a1; }
  }
"""


def of_rates(measured: Measured) -> str:
    """Return the SVG of the rates of all sides of the drain, the fastest first."""
    sides = measured.comparison.sides
    xargs = next(side for side in sides if side.name == XARGS)
    bars = sorted(((statistics.median(measured.ratios(side, xargs)), side.name) for side in sides), reverse=True)
    scale = (_WIDTH - _LEFT - _RIGHT) / max(ratio for ratio, _ in bars)
    height = _TOP + _ROW * len(bars) + 12
    title = f"Commands a second ÷ {XARGS}, median of {measured.comparison.rounds} rounds".replace("`", "")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text x="12" y="28">{escape(title)}</text>',
    ]
    for row, (ratio, name) in enumerate(bars):
        top = _TOP + _ROW * row
        kind = "bar ours" if name == OURS else "bar"
        lines += [
            f'<text x="{_LEFT - 10}" y="{top + 14}" text-anchor="end">{escape(name.replace("`", ""))}</text>',
            f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{ratio * scale:.1f}" height="{_BAR}" rx="2"/>',
            f'<text x="{_LEFT + ratio * scale + 8:.1f}" y="{top + 14}">{number(ratio)}</text>',
        ]
    mark = _LEFT + scale
    lines += [f'<line class="mark" x1="{mark:.1f}" x2="{mark:.1f}" y1="{_TOP - 12}" y2="{height - 8}"/>', "</svg>", ""]
    return "\n".join(lines)
