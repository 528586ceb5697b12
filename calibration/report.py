"""Draws the activation ranges: which layers have outliers, and how each method treats them."""

from __future__ import annotations

import io
from pathlib import Path

import onnx

from acne_edge.errors import MissingExtraError
from acne_edge.files import write
from calibration.ranges import Ranges, layers, measured

OUTLIER = 2.0  # min-max range over percentile range above which a tensor is called an outlier


def outliers(ranges: dict[str, Ranges]) -> dict[str, float]:
    """Tensors whose min-max range is over `OUTLIER` times the percentile range, worst first, with that ratio.

    There, a few extreme values cost all others at least one bit of resolution.
    """
    ratios = {name: _width(bounds) / max(_width(ranges["percentile"][name]), 1e-12) for name, bounds in ranges["minmax"].items()}
    return dict(sorted(((n, r) for n, r in ratios.items() if r > OUTLIER), key=lambda item: -item[1]))


def titles(graph: onnx.ModelProto) -> dict[str, str]:
    """A title for each measured tensor: the layer whose input or output it is, or the node whose output it is."""
    found = {name: f"{node.name} output" for node in graph.graph.node for name in node.output}
    found |= {node.input[0]: f"{node.name} input" for node in reversed(layers(graph))}
    return {tensor: found[tensor] for tensor in measured(graph)}


def draw(path: Path, graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    """Write a PNG with one row per tensor, in the graph's order, and one bar per method; outliers are red.

    Raises MissingExtraError without matplotlib, AcneEdgeError if the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "export", "the report of the ranges") from error
    labels, wild = titles(graph), outliers(ranges)
    names = list(labels)
    figure = Figure(figsize=(9, 1.5 + 0.16 * len(names)), layout="constrained")
    axes = figure.subplots()
    for offset, (method, colour) in enumerate({"minmax": "#b0bec5", "percentile": "#1565c0", "entropy": "#2e7d32"}.items()):
        lows, highs = zip(*(ranges[method][name] for name in names), strict=True)
        axes.barh(
            [row + 0.28 * (offset - 1) for row in range(len(names))],
            [high - low for low, high in zip(lows, highs, strict=True)],
            left=lows,
            height=0.26,
            color=colour,
            label=method,
        )
    axes.set_yticks(range(len(names)), list(labels.values()), fontsize=5)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_color("#c62828" if name in wild else "black")
    axes.set_xscale("symlog")
    axes.set_xlabel("activation (red: a few values widen the min-max range more than twofold)")
    axes.set_ylim(len(names), -1)
    axes.legend(loc="upper right", fontsize=7)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    write(path, image.getvalue())


def _width(bounds: tuple[float, float]) -> float:
    return bounds[1] - bounds[0]
