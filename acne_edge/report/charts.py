"""Charts as SVG that stands in a page: its colours are the page's, light or dark, and its words are the catalogue's.

matplotlib draws with stand-ins, which are replaced in the SVG: a colour a role (`ROLES`), and a word in capitals for each text,
because it need not have the letters of every language.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from acne_edge.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

Values: TypeAlias = "NDArray[np.floating] | NDArray[np.integer]"

INK, QUIET, DOT, MARK, GRID = "#010101", "#020202", "#030303", "#040404", "#050505"
ROLES = {INK: "ink", QUIET: "quiet", DOT: "dot", MARK: "mark", GRID: "line"}  # stand-in -> the page's variable
SIZE = (5.2, 3.9)  # inches of 72 units
AREA = (0.115, 0.135, 0.845, 0.77)  # of the axes in the figure: left, bottom, width, height
SETTINGS: Any = {  # matplotlib spells out the names of all settings in its type
    "svg.fonttype": "none",
    "svg.hashsalt": "acne-edge",  # equal charts are equal files
    "font.size": 10.5,
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


@dataclass(frozen=True)
class Share:
    """A share of n things, with an interval."""

    value: float  # 0..1
    low: float
    high: float
    n: int


def wilson(hits: int, n: int, z: float = 1.96) -> Share:
    """The share hits / n, n > 0, with its 95 % interval by Wilson (Journal of the American Statistical Association 22, 1927).

    It has a width also where all or none of the things are hits; a bootstrap has not.
    """
    share, scale = hits / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    reach = z / scale * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return Share(share, max(0.0, centre - reach), min(1.0, centre + reach), n)


def scatter(name: str, truth: Values, count: Values, bands: Sequence[int], texts: Mapping[str, str]) -> str:
    """Count over label; `bands` are the counts at which grades begin. Texts: alt, x, y."""
    top = float(max(truth.max(), count.max(), 1)) * 1.04

    def draw(ax: Axes) -> None:
        for band in bands:
            if 0 < band < top:
                ax.axvline(band - 0.5, color=GRID, linewidth=0.8)
                ax.axhline(band - 0.5, color=GRID, linewidth=0.8)
        ax.plot([0, top], [0, top], color=MARK, linewidth=1.6)
        _dots(ax, truth, count)
        ax.set_xlim(0, top)
        ax.set_ylim(0, top)
        _whole(ax)

    return _chart(name, draw, texts)


def bland_altman(name: str, truth: Values, count: Values, limits: tuple[float, float], texts: Mapping[str, str]) -> str:
    """Difference over mean; `limits` of agreement may be nan. Texts: alt, x, y, bias, lower, upper (the names of the lines)."""
    middle, difference = (truth + count) / 2, count - truth
    right = float(max(middle.max(), 1)) * 1.04
    lines = {"BIAS": float(difference.mean()), "LOWER": limits[0], "UPPER": limits[1]}

    def draw(ax: Axes) -> None:
        ax.axhline(0, color=GRID, linewidth=0.8)
        for word, value in lines.items():
            if not np.isnan(value):
                ax.axhline(value, color=MARK, linewidth=1.6, linestyle="-" if word == "BIAS" else (0, (5, 3)))
                ax.annotate(
                    word, (right, value), xytext=(0, 3), textcoords="offset points", ha="right", va="bottom", color=INK, zorder=5
                )
        _dots(ax, middle, difference)
        ax.set_xlim(0, right)
        reach = float(np.nanmax([*np.abs(difference), *np.abs(limits), 1])) * 1.15
        ax.set_ylim(-reach, reach)
        _whole(ax)

    return _chart(name, draw, texts)


def reliability(name: str, confidence: Sequence[float], right: Sequence[Share], texts: Mapping[str, str]) -> str:
    """Share of right grades over the probability that was given, a dot a group. Texts: alt, x, y."""

    def draw(ax: Axes) -> None:
        ax.plot([0, 1], [0, 1], color=MARK, linewidth=1.6)
        _bars(ax, confidence, right)
        ax.set_xlim(0, 1.02)
        ax.set_ylim(0, 1.05)

    return _chart(name, draw, texts)


def coverage(name: str, bands: Sequence[str], holds: Sequence[Share | None], level: float, texts: Mapping[str, str]) -> str:
    """Share of intervals that hold the count, by band (None: without photographs). Texts: alt, x, y."""
    known = [(place, share) for place, share in enumerate(holds) if share is not None]

    def draw(ax: Axes) -> None:
        ax.axhline(100 * level, color=MARK, linewidth=1.6)
        _bars(ax, [place for place, _ in known], [share for _, share in known], 100)
        ax.set_xlim(-0.6, len(bands) - 0.4)
        ax.set_ylim(0, 105)
        ax.set_xticks(range(len(bands)), bands)

    return _chart(name, draw, texts)


def timeline(
    name: str,
    days: Sequence[date],
    counts: NDArray[np.float64],
    flagged: Sequence[bool],
    bands: Sequence[int],
    events: Sequence[date],
    texts: Mapping[str, str],
) -> str:
    """Counts over time: `counts` [N, 3] are count, low and high on the `days`; crosses are `flagged` photographs.

    `bands` are the counts at which grades begin; `events` are numbered from E1. Nothing is told by colour alone. Texts: alt, y.
    """
    top = max(float(counts.max()), 6.0) * 1.12
    ends = [day.toordinal() for day in (*days, *events)]
    margin = max(3.0, 0.05 * (max(ends) - min(ends)))

    def draw(ax: Axes) -> None:
        x = np.array([day.toordinal() for day in days])
        for band in bands:
            if 0 < band < top:
                ax.axhline(band - 0.5, color=GRID, linewidth=0.8)
        for number, event in enumerate(events, 1):
            ax.axvline(event.toordinal(), color=MARK, linewidth=1.2, linestyle=(0, (2, 2)))
            ax.annotate(f"E{number}", (event.toordinal(), top), ha="right", va="top", color=INK, annotation_clip=False)
        ax.plot(x, counts[:, 0], color=QUIET, linewidth=1)
        ax.vlines(x, counts[:, 1], counts[:, 2], color=DOT, linewidth=1.8, zorder=3)
        for place, count, poor in zip(x, counts[:, 0], flagged, strict=True):
            ax.plot([place], [count], "x" if poor else "o", color=DOT, markersize=8, markeredgewidth=2, clip_on=False, zorder=4)
        ax.set_xlim(min(ends) - margin, max(ends) + margin)
        ax.set_ylim(0, top)
        ax.locator_params(axis="y", integer=True)
        kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), 4)).round().astype(int))
        ax.set_xticks(x[kept], [days[i].isoformat() for i in kept])

    return _chart(name, draw, texts)


def _whole(ax: Axes) -> None:
    """Ticks at whole lesions."""
    ax.locator_params(nbins=7, integer=True)


def _dots(ax: Axes, x: Values, y: Values) -> None:
    ax.plot(x, y, "o", color=DOT, markersize=4.6, alpha=0.55, markeredgewidth=0, clip_on=False, zorder=3)


def _bars(ax: Axes, x: Sequence[float], shares: Sequence[Share], scale: float = 1) -> None:
    y = np.array([share.value for share in shares]) * scale
    ends = np.array([(share.low, share.high) for share in shares]).reshape(-1, 2).T * scale
    ax.vlines(x, ends[0], ends[1], color=DOT, linewidth=1.8, zorder=3)
    ax.plot(x, y, "o", color=DOT, markersize=7.5, markeredgewidth=0, clip_on=False, zorder=4)


def _chart(name: str, draw: Callable[[Axes], None], texts: Mapping[str, str]) -> str:
    """The SVG of what `draw` puts on axes. `name` tells its parts from those of other charts in the page."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report", "a chart") from error
    with rc_context(SETTINGS):
        figure = Figure(SIZE)
        ax = figure.add_axes(AREA)
        draw(ax)
        ax.set_xlabel("X" if texts.get("x") else "")
        ax.set_title("Y", loc="left", pad=10)  # above the axis, because turned letters are hard to read
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _for_a_page(stream.getvalue(), name, texts)


def _for_a_page(svg: str, name: str, texts: Mapping[str, str]) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\b(id="|href="#)|(url\(#)', lambda m: f"{m[0]}{name}-", svg)
    for stand_in, role in ROLES.items():
        svg = svg.replace(stand_in, f"var(--{role})")
    for key, text in texts.items():
        svg = svg.replace(f">{key.upper()}</text>", f">{escape(text)}</text>")
    head = f'<svg class="chart" role="img" aria-labelledby="{name}-title" '
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    body = svg[svg.index(">") + 1 :]
    svg = f'{head}{box[0]}>\n<title id="{name}-title">{escape(texts["alt"])}</title>{body}'
    return re.sub(r"\s*xlink:href", " href", svg).replace("\n", " ")
