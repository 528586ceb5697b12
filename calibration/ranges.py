"""Measures activation ranges of a float graph by three methods, in one pass over the calibration crops, and caches them.

* `minmax`: from the least to the largest value seen.
* `percentile`: the range that holds 99.999 % of the values.
* `entropy`: the range whose 8-bit version has the least Kullback-Leibler divergence (Migacz, GTC 2017).

The last two use ONNX Runtime's histogram collector on a regular sample of each tensor (32768 values per batch). The sample takes
a hundredth of the time, and changes a range by less than the choice of method does. `minmax` uses every value.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import HistogramCollector

from acne_edge import console, files
from acne_edge.errors import ModelError, UsageError
from acne_edge.files import write
from acne_edge.manifest import InputSpec
from calibration import METHODS
from calibration.crops import CropSet

PERCENTILE = 99.999
BINS = 512  # of a histogram, before it grows with its values
SAMPLE = 1 << 15  # values of one tensor in one batch that enter its histogram
BATCH = 8
MAX_CACHE = 1 << 26  # bytes

Range = tuple[float, float]
Ranges = dict[str, Range]  # by tensor

logger = logging.getLogger(__name__)


class StaleRangesError(UsageError):
    """The cached ranges were measured with another model, other crops or other software."""


def layers(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes to quantise: convolutions and products with constant weights, in the graph's order.

    Residual additions, LayerNorm, Softmax, GELU and the products of attention stay in float, because a ViT does not
    survive the quantisation of its residual stream.
    """
    constants = {tensor.name for tensor in graph.graph.initializer}
    return [n for n in graph.graph.node if n.op_type in ("Conv", "Gemm", "MatMul") and n.input[1] in constants]


def collect(graph: onnx.ModelProto, images: NDArray[np.uint8], methods: Collection[str] = METHODS) -> dict[str, Ranges]:
    """The range of each tensor that a recipe may quantise, by method.

    Args:
        graph: the float graph, with input `image`.
        images: calibration crops, uint8 [N, S, S, 3], RGB.
        methods: names of the methods to use.

    Raises ModelError if ONNX Runtime cannot run the graph, or an activation is not finite.
    """
    names = measured(graph)
    session = observed(graph, names)
    extremes: dict[str, list[Range]] = {name: [] for name in names}
    histograms = HistogramCollector("entropy", symmetric=False, num_bins=BINS, num_quantized_bins=128,
                                    percentile=PERCENTILE, scenario=None)  # fmt: skip
    compute = {"percentile": histograms.compute_percentile, "entropy": histograms.compute_entropy}
    starts = range(0, len(images), BATCH)
    for start in console.progress(iter(starts), "measuring activation ranges", len(starts)):
        values = dict(zip(names, session.run(names, {"image": images[start : start + BATCH]}), strict=True))
        for name, value in values.items():
            extremes[name].append((float(value.min()), float(value.max())))
            if not np.isfinite(extremes[name][-1]).all():
                raise ModelError(f"activations of {name} are not finite on the calibration crops")
        if compute.keys() & methods:
            # An odd step reaches every channel and column of a tensor whose sides are even.
            histograms.collect_value({name: v.ravel()[:: max(1, v.size // SAMPLE) | 1] for name, v in values.items()})
    found = {"minmax": {name: (min(low for low, _ in seen), max(high for _, high in seen)) for name, seen in extremes.items()}}
    for method in compute.keys() & methods:
        with contextlib.redirect_stdout(io.StringIO()):  # the collector prints its progress
            ranges = compute[method]()
        found[method] = {name: (float(values[0]), float(values[1])) for name, values in ranges.items()}
    return {method: found[method] for method in METHODS if method in methods}


def measured(graph: onnx.ModelProto) -> list[str]:
    """The tensors whose ranges are needed, in the graph's order: inputs of layers, and outputs of Conv and Relu."""
    inputs = {node.input[0] for node in layers(graph)}
    outputs = {node.output[0] for node in graph.graph.node if node.op_type in ("Conv", "Relu")}
    return [name for node in graph.graph.node for name in node.output if name in inputs | outputs]


def observed(graph: onnx.ModelProto, names: list[str]) -> ort.InferenceSession:
    """A session that runs the graph and returns the tensors `names`.

    It computes Q/DQ graphs in float32, not with INT8 kernels, whose sums saturate on processors without VNNI.
    Raises ModelError if the runtime refuses the graph.
    """
    probe = onnx.ModelProto()
    probe.CopyFrom(graph)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.add_session_config_entry(
        "session.force_spinning_stop", "1"
    )  # a search keeps sessions, whose threads must not wait busily
    try:
        return ort.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions share no public base class
        raise ModelError(f"ONNX Runtime cannot load the graph: {str(error).splitlines()[0]}") from error


def key(graph: onnx.ModelProto, crops: CropSet, spec: InputSpec) -> dict[str, str]:
    """Everything that ranges depend on: model, crops, preprocessing, method settings and versions."""
    bare = onnx.ModelProto()
    bare.CopyFrom(graph)
    del bare.metadata_props[:]
    settings = {"methods": METHODS, "percentile": PERCENTILE, "bins": BINS, "sample": SAMPLE, "batch": BATCH}
    return {
        "model": hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest(),
        "crops": crops.sha256,
        "preprocessing": _digest(vars(spec)),
        "method": _digest(settings),
        "versions": f"onnxruntime {ort.__version__}, onnx {onnx.__version__}, numpy {np.__version__}",
    }


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def save(path: Path, ranges: dict[str, Ranges], wanted: dict[str, str]) -> None:
    """Write ranges with their key."""
    write(path, (json.dumps({"key": wanted, "ranges": ranges}, indent=1, sort_keys=True) + "\n").encode())


def load(path: Path, wanted: dict[str, str]) -> dict[str, Ranges]:
    """Read ranges that `save` wrote, by method and tensor.

    Raises StaleRangesError, naming what differs, if their key is not `wanted`; UsageError if the file cannot be read.
    """
    try:
        stored = json.loads(files.read(path, MAX_CACHE))
        found = dict(stored["key"])
        ranges = {m: {name: (float(low), float(high)) for name, (low, high) in r.items()} for m, r in stored["ranges"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: cannot be read as activation ranges ({error})") from error
    differs = [name for name in wanted if found.get(name) != wanted[name]]
    if differs:
        raise StaleRangesError(f"{path}: the ranges are stale ({', '.join(differs)} changed)")
    return ranges


def load_or_collect(path: Path, graph: onnx.ModelProto, crops: CropSet, spec: InputSpec) -> dict[str, Ranges]:
    """The ranges cached at `path` if they fit this graph and these crops; else new ones, which replace the cache.

    A log line says which.
    """
    wanted = key(graph, crops, spec)
    reason = "none cached"
    if path.is_file():
        try:
            ranges = load(path, wanted)
        except UsageError as error:
            reason = str(error)
        else:
            logger.info(f"ranges read from {path}")
            return ranges
    ranges = collect(graph, crops.images)
    save(path, ranges, wanted)
    logger.info(f"ranges measured on {len(crops.images)} crops ({reason}) and cached in {path}")
    return ranges
