"""`acne-edge doctor`: what this machine can do, found out by trying, and what to install for the rest."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import typer

EXTRAS = {
    "heif": (("pillow_heif",), "read HEIC photographs"),
    "pandas": (("pandas",), "give results as a data frame"),
    "openvino": (("openvino",), "run on OpenVINO"),
    "tensorrt": (("tensorrt",), "build and run TensorRT engines"),
    "tensorrt-rtx": (("tensorrt_rtx", "tensorrt_rtx_bindings"), "build TensorRT engines without a GPU; run them on RTX cards"),
    "camera": (("cv2",), "read cameras and video"),
    "export": (("onnx", "torch"), "export and quantise models"),
    "train": (("torch", "sklearn"), "train"),
}
ANY_OF = ("tensorrt-rtx",)  # one of the packages is enough


def doctor() -> None:
    """Say what this machine can do, by trying, and what to install for the rest."""
    healthy = True
    for check in diagnose():
        healthy = healthy and check.ok is not False
        mark = {True: "ok", False: "FAIL", None: "-"}[check.ok]
        print(f"{mark:<6}{check.name:<20} {check.detail}", flush=True)
    if not healthy:
        raise typer.Exit(4)


@dataclass(frozen=True)
class Check:
    """One finding. `ok` is None for what is absent and optional."""

    name: str
    ok: bool | None
    detail: str


def diagnose() -> Iterator[Check]:
    """All findings, each as soon as it is made. A False one means that predictions do not work."""
    from acne_edge import __version__, models
    from acne_edge.backends import NVIDIA_DEVICE_FILES
    from acne_edge.bench.environment import environment
    from acne_edge.cpus import available_cpus, limited_cpus

    env = environment()
    yield Check("acne-edge", True, f"{__version__} on Python {platform.python_version()}, {env['system']}")
    flags = " ".join(env["cpu_flags"]) or "no INT8 instructions known here"
    cpus = f"{env['cores']} cores" if not limited_cpus() else f"{available_cpus()} of {env['cores']} cores may be used here"
    yield Check("processor", True, f"{env['cpu']}, {cpus}, {flags}")
    yield _onnxruntime()
    for name in models.index():
        yield _model(name)
    gpu = next((sign for sign in NVIDIA_DEVICE_FILES if Path(sign).exists()), None)
    yield Check("NVIDIA GPU", True if gpu else None, gpu or "none: TensorRT engines cannot run here")
    for extra, (packages, purpose) in EXTRAS.items():
        found = [find_spec(package) is not None for package in packages]
        if any(found) if extra in ANY_OF else all(found):
            yield Check(f"extra {extra}", True, f"can {purpose}")
        else:
            yield Check(f"extra {extra}", None, f"to {purpose}: pip install 'acne-edge[{extra}]'")


def _onnxruntime() -> Check:
    try:
        import onnxruntime
    except Exception as error:  # a broken installation raises anything
        return Check("ONNX Runtime", False, f"cannot be imported ({error}); reinstall onnxruntime")
    return Check("ONNX Runtime", True, f"{onnxruntime.__version__}, providers {', '.join(onnxruntime.get_available_providers())}")


def _model(name: str) -> Check:
    from acne_edge.errors import AcneEdgeError
    from acne_edge.grader import AcneGrader

    try:
        with AcneGrader.load(name) as grader:
            grader.warmup(1)
            start = perf_counter()
            grader.warmup(1)
            took = 1e3 * (perf_counter() - start)
            return Check(f"model {name}", True, f"sha256 verified, runs on {grader.model.backend}, {took:.0f} ms an inference")
    except AcneEdgeError as error:
        return Check(f"model {name}", False, str(error))
