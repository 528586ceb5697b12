"""How fast the versions of one model are on this machine, all in one interleaved run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import torch

from acne_edge.training.model import FusionModel
from calibration.ranges import layers
from export.parity import Images, Runner, onnx_runner, torch_runner

Call = Callable[[], Any]


def contestants(network: FusionModel, fp32: bytes, int8: bytes, symmetric: bytes, crops: Images, threads: int) -> dict[str, Call]:
    """What is timed, by name, one image a call: PyTorch eager, ONNX Runtime and, where it (and NNCF) is installed, OpenVINO.

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
