"""Measures the speed of a model's versions on this machine, in one interleaved run."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch

from acne_edge.training.model import FusionModel
from calibration.ranges import layers
from export.parity import Images, Runner, onnx_runner, torch_runner

Call = Callable[[], Any]


def contestants(network: FusionModel, fp32: bytes, int8: bytes, symmetric: bytes, crops: Images, threads: int) -> dict[str, Call]:
    """The timed calls by name, one image per call: PyTorch eager, ONNX Runtime and, if installed, OpenVINO (and NNCF).

    `int8` is the U8S8 file and `symmetric` the S8S8 one, which OpenVINO prefers. NNCF calibrates on the crops.
    """
    image = crops[:1]
    torch.set_num_threads(threads)
    runners: dict[str, Runner] = {
        "PyTorch eager": torch_runner(network),
        "ONNX Runtime fp32": onnx_runner(fp32, threads),
        "ONNX Runtime INT8": onnx_runner(int8, threads),
    }
    try:
        import openvino
    except ImportError:
        pass
    else:
        runners |= _openvino(openvino, fp32, symmetric, crops, threads)
    return {name: partial(run, image) for name, run in runners.items()}


def _openvino(openvino: ModuleType, fp32: bytes, symmetric: bytes, crops: Images, threads: int) -> dict[str, Runner]:
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = {
        "OpenVINO fp32": core.compile_model(core.read_model(fp32), "CPU", {**settings, "INFERENCE_PRECISION_HINT": "f32"}),
        "OpenVINO S8S8 file": core.compile_model(core.read_model(symmetric), "CPU", settings),
    }
    try:
        import nncf
    except ImportError:
        pass
    else:
        dataset = nncf.Dataset([crop[None] for crop in crops])
        quantised = nncf.quantize(core.read_model(fp32), dataset, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(crops))
        compiled["OpenVINO NNCF INT8"] = core.compile_model(quantised, "CPU", settings)
    return {name: lambda image, model=model: model([image]) for name, model in compiled.items()}


def interleaved(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call. Calls take turns, so that other load affects all alike; two rounds warm up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 2):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn >= 2:
                times[name].append((time.perf_counter() - start) * 1e3)
    return times


def table(times: dict[str, list[float]], baseline: str) -> str:
    """Median, 5th and 95th percentile in ms, and the speed against `baseline`, as aligned text."""
    reference = statistics.median(times[baseline])
    lines = [f"{'':<20} {'median':>8} {'p5':>8} {'p95':>8}   speed (1 = {baseline})"]
    for name, values in times.items():
        median, (low, high) = statistics.median(values), np.percentile(values, [5, 95])
        lines.append(f"{name:<20} {median:>8.2f} {low:>8.2f} {high:>8.2f}   {reference / median:.2f}x")
    return "\n".join(lines)


def operators(model: bytes, images: Images, threads: int, rounds: int) -> dict[str, tuple[int, float]]:
    """The operators that ONNX Runtime runs after its own fusions, slowest first: number of nodes, and milliseconds.

    Milliseconds are sums of each node's median over `rounds` calls with one image. Profiling makes calls slower.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/"
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        for _ in range(rounds):
            session.run(None, {"image": images[:1]})
        events = json.loads(Path(session.end_profiling()).read_text())
    nodes: dict[tuple[str, str], list[float]] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            nodes.setdefault((event["args"]["op_name"], event["name"]), []).append(event["dur"] / 1e3)
    kinds = {kind for kind, _ in nodes}
    found = {kind: [statistics.median(times) for (k, _), times in nodes.items() if k == kind] for kind in kinds}
    return dict(sorted(((kind, (len(times), sum(times))) for kind, times in found.items()), key=lambda item: -item[1][1]))


def operator_table(fp32: dict[str, tuple[int, float]], int8: dict[str, tuple[int, float]], least: float = 0.01) -> str:
    """Two results of `operators` side by side; operators under a share `least` of both are summed as `others`."""
    sides = (fp32, int8)
    totals = [sum(ms for _, ms in side.values()) for side in sides]

    def row(kinds: Collection[str]) -> list[tuple[int, float]]:
        found = [[side[kind] for kind in kinds if kind in side] for side in sides]
        return [(sum(n for n, _ in values), sum(ms for _, ms in values)) for values in found]

    shown = {
        kind: row([kind])
        for kind in {**fp32, **int8}
        if any(side.get(kind, (0, 0.0))[1] >= least * total for side, total in zip(sides, totals, strict=True))
    }
    rows = dict(sorted(shown.items(), key=lambda item: -max(ms for _, ms in item[1])))
    rows["others"] = row({*fp32, *int8} - set(shown))
    rows["all"] = row({*fp32, *int8})
    lines = [f"{'':<20} {'fp32':>4} {'ms':>8}   {'INT8':>4} {'ms':>8}"]
    lines += [f"{kind:<20} {a[0]:>4} {a[1]:>8.2f}   {b[0]:>4} {b[1]:>8.2f}" for kind, (a, b) in rows.items()]
    return "\n".join(lines)


def float_layers(graph: onnx.ModelProto) -> list[str]:
    """The layers with weights that an INT8 graph still computes in float."""
    return [node.name for node in layers(graph)]  # a quantised layer's weight is a DequantizeLinear's output, no constant
