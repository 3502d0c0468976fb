"""Curves as SVG inside the page: small, sharp, and in the page's own colours by day and by night.

Matplotlib draws with stand-in colours that are then replaced by the page's CSS variables.
"""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from anatomical_embedding.report.markup import Markup, element

SIZE_INCHES = (4.0, 2.9)
POINTS_PER_INCH = 72.0
SMALLEST_DOT, LARGEST_DOT = 14.0, 260.0
"""Areas of dots in square points."""
INK, FAINT = "#0a0b01", "#0a0b02"
SERIES = tuple(f"#0a0c{number:02x}" for number in range(8))
"""Stand-ins for the colours `--series-0` (ours) to `--series-7`."""
DASHES = ((), (5, 2), (1, 1.5), (5, 1.5, 1, 1.5), (9, 2), (3, 1), (7, 2, 1, 2, 1, 2), (2, 2))
"""Dashes and gaps in line widths for each colour, so that curves can be told apart without it."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
}


class Chart:
    """A figure with one pair of axes.

    Parameters
    ----------
    description : what a reader who cannot see the figure is told.
    x_label, y_label : axes with units.
    """

    def __init__(self, *, description: str, x_label: str, y_label: str):
        self.description = description
        with matplotlib.rc_context(STYLE):
            self.figure = Figure(figsize=SIZE_INCHES, layout="constrained")
            self.axes: Axes = self.figure.add_subplot()
        self.axes.set_xlabel(x_label)
        self.axes.set_ylabel(y_label)

    def line(self, x: ArrayLike, y: ArrayLike, *, series: int) -> None:
        """Add a curve in the colour and dash pattern of a series; series 0 is drawn thicker and on top."""
        series %= len(SERIES)
        is_ours = series == 0
        self.axes.plot(
            x,
            y,
            color=SERIES[series],
            linestyle=(0, DASHES[series]) if DASHES[series] else "-",
            linewidth=2.2 if is_ours else 1.4,
            zorder=3 if is_ours else 2,
        )

    def dots(self, places: Sequence[tuple[float, float, float]], *, series: int) -> None:
        """Add dots in the colour of a series: x, y and the share of the largest area, 0 to 1."""
        x, y, shares = zip(*places, strict=True) if places else ((), (), ())
        areas = [SMALLEST_DOT + LARGEST_DOT * share for share in shares]
        self.axes.scatter(x, y, s=areas, color=SERIES[series % len(SERIES)], zorder=4, clip_on=False)

    def render(self, *, caption: str) -> Markup:
        """Return the figure with its caption."""
        with matplotlib.rc_context({**STYLE, "svg.hashsalt": self.description}):
            stream = io.StringIO()
            self.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        return element("figure", _themed(stream.getvalue(), self.description), element("figcaption", caption))


def legend(labels: Sequence[tuple[int, str]]) -> Markup:
    """Return which colour and dash pattern stands for what: pairs of series and label."""
    return element(
        "ul", *[_legend_item(series % len(SERIES), label) for series, label in labels], class_="legend"
    )


def _legend_item(series: int, label: str) -> Markup:
    dashes = " ".join(f"{2 * length:g}" for length in DASHES[series]) or None
    line = element("line", x1=0, y1=5, x2=36, y2=5, stroke_dasharray=dashes, stroke=f"var(--series-{series})")
    sample = element("svg", line, viewBox="0 0 36 10", width=36, height=10, aria_hidden="true")
    return element("li", sample, label)


def _themed(svg: str, description: str) -> Markup:
    """Return the SVG without XML preamble, ids of groups and fixed size, in the page's colours."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = svg.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")
    for number, colour in enumerate(SERIES):
        svg = svg.replace(colour, f"var(--series-{number})")
    opening = element("svg", role="img", aria_label=description).removesuffix("></svg>")
    opening += f' viewBox="0 0 {SIZE_INCHES[0] * POINTS_PER_INCH:g} {SIZE_INCHES[1] * POINTS_PER_INCH:g}">'
    return Markup(opening + svg[svg.index(">") + 1 :])
