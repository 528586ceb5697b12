"""Draws benchmark reports: where the time goes, and how steady it was. Needs the extra `report`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from acne_edge import files
from acne_edge.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

# Milliseconds by stage, `total` among them, in the order of measuring.
Series: TypeAlias = "Mapping[str, Sequence[float] | NDArray[np.float64]]"
KINDS = (".png", ".svg", ".pdf")
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")  # Paul Tol's bright scheme, told apart by most eyes
GREY = "#bbbbbb"


def check(path: Path) -> None:
    """Raise what `save` would raise of a file's name or a missing package, before anything is measured."""
    if path.suffix.lower() not in KINDS:
        raise UsageError(f"{path}: a plot is written as {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}")
    _matplotlib()


def save(path: Path, contenders: Mapping[str, Series], title: str) -> None:
    """Draw contenders by name into a file, a picture for each: medians by stage, and every total in the order of measuring.

    Raises MissingExtraError without the extra `report`, UsageError for a file of another kind, AcneEdgeError if it cannot be
    written.
    """
    check(path)
    matplotlib = _matplotlib()
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        rows = 0.8 + 0.5 * len(contenders)
        figure = Figure(figsize=(7, 4.2 + rows), layout="constrained")
        figure.suptitle(title)
        stages, times = figure.subplots(2, 1, height_ratios=(rows, 2))
        _stages(stages, contenders)
        _times(times, contenders)
        drawn = io.BytesIO()
        figure.savefig(drawn, format=path.suffix[1:].lower(), dpi=150)
    files.write(path, drawn.getvalue())


def _stages(axes: Axes, contenders: Mapping[str, Series]) -> None:
    """A bar a contender, of the medians of its stages; what the stages leave of the total is grey."""
    names = list(dict.fromkeys(stage for series in contenders.values() for stage in series if stage != "total"))
    for row, (name, series) in enumerate(contenders.items()):
        medians = {stage: float(np.median(series[stage])) for stage in series}
        left = 0.0
        axes.text(0, row - 0.3, name, va="bottom")
        for stage, colour in zip(names, np.resize(COLOURS, len(names)), strict=True):
            axes.barh(row, medians.get(stage, 0.0), 0.5, left, color=colour, label=stage if row == 0 else None)
            left += medians.get(stage, 0.0)
        axes.barh(row, max(0.0, medians["total"] - left), 0.5, left, color=GREY, label="rest" if row == 0 else None)
        axes.text(max(left, medians["total"]), row, f" {medians['total']:.1f}", va="center")
    axes.set_yticks([])
    axes.set_ylim(len(contenders) - 0.6, -0.7)
    axes.margins(x=0.12)
    axes.set_xlabel("ms, medians")
    below = (0.5, -0.2 - 0.35 / len(contenders))  # of the axes' height
    axes.legend(loc="upper center", bbox_to_anchor=below, ncols=7, columnspacing=1.0, handlelength=1.2, frameon=False)


def _times(axes: Axes, contenders: Mapping[str, Series]) -> None:
    """Every total: a quiet machine gives a flat line."""
    from matplotlib.ticker import MaxNLocator

    for colour, (name, series) in zip(np.resize(COLOURS, len(contenders)), contenders.items(), strict=True):
        axes.plot(range(1, len(series["total"]) + 1), series["total"], ".", markersize=3, color=colour, label=name)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.set_xlabel("prediction")
    axes.set_ylabel("ms, total")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), frameon=False, markerscale=3)


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report", "a plot") from error
    return matplotlib
