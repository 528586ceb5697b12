"""How fast the versions of one model are on this machine, all in one interleaved run."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from acne_edge.training.model import FusionModel
from calibration.ranges import layers
from export.parity import Images, onnx_runner, torch_runner

Call = Callable[[], Any]


def contestants(network: FusionModel, fp32: bytes, int8: bytes, crops: Images, threads: int) -> dict[str, Call]:
    """What is timed, by name: PyTorch eager, ONNX Runtime, and OpenVINO where it (and NNCF) is installed; one image a call."""
    image = crops[:1]
    torch.set_num_threads(threads)
    runners = {
        "PyTorch eager": torch_runner(network),
        "ONNX Runtime fp32": onnx_runner(fp32, threads),
        "ONNX Runtime INT8": onnx_runner(int8, threads),
    }
    return {name: lambda run=run: run(image) for name, run in runners.items()} | _openvino(fp32, crops, threads)


def _openvino(fp32: bytes, crops: Images, threads: int) -> dict[str, Call]:
    try:
        import openvino
    except ImportError:
        return {}
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(fp32)
        model = core.read_model(path)
    compiled = {"OpenVINO fp32": core.compile_model(model, "CPU", {**settings, "INFERENCE_PRECISION_HINT": "f32"})}
    try:
        import nncf
    except ImportError:
        pass
    else:
        quantised = nncf.quantize(
            model,
            nncf.Dataset(list(crops), lambda crop: crop[None]),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(crops),
        )
        compiled["OpenVINO NNCF INT8"] = core.compile_model(quantised, "CPU", settings)
    return {name: lambda request=request: request([crops[:1]]) for name, request in compiled.items()}


def interleaved(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call, taking turns, so that whatever else the machine does hits all alike. Two rounds warm up."""
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


def float_layers(graph: onnx.ModelProto) -> list[str]:
    """The layers with weights that an INT8 graph still computes in float."""
    return [node.name for node in layers(graph)]  # a quantised layer's weight is a DequantizeLinear's output, no constant
