"""`acne-edge doctor`: tries what this machine can do, and names what to install for the rest."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import typer

EXTRAS = {
    "heif": (("pillow_heif",), "read HEIC photographs"),
    "serve": (("fastapi", "uvicorn", "python_multipart", "prometheus_client"), "serve the page and the REST interface"),
    "pandas": (("pandas",), "give results as a data frame"),
    "dicom": (("pydicom", "highdicom"), "read DICOM photographs and write Structured Reports"),
    "fhir": (("fhir",), "give results as FHIR resources"),
    "report": (("jinja2", "matplotlib", "weasyprint"), "write pages of a study or a visit"),
    "drift": (("scipy",), "compare newer photographs with earlier ones"),
    "ray": (("ray", "pyarrow"), "predict large batches on a Ray cluster"),
    "openvino": (("openvino",), "run on OpenVINO"),
    "tensorrt": (("tensorrt", "cuda"), "build TensorRT engines and run them on an NVIDIA GPU"),
    "tensorrt-rtx": (("tensorrt_rtx", "tensorrt_rtx_bindings"), "build TensorRT engines without a GPU; run them on RTX cards"),
    "camera": (("cv2",), "read cameras and video"),
    "export": (("onnx", "torch"), "export and quantise models"),
    "train": (("torch", "sklearn"), "train"),
}
ANY_OF = ("tensorrt-rtx",)  # extras of which one package is enough
IN_A_CHECKOUT = ("export", "calibration")  # folders of the sources that no wheel has
VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}  # makers of graphics cards, by PCI number
TENSORRT_BY_APT = (
    "TensorRT comes with JetPack, not with pip: sudo apt install python3-libnvinfer, "
    "python3 -m venv --system-site-packages .venv, and there pip install acne-edge 'cuda-python>=12.3,<13' onnx"
)


def doctor() -> None:
    """Try what this machine can do, and name what to install for the rest."""
    healthy = True
    for check in diagnose():
        healthy = healthy and check.ok is not False
        mark = {True: "ok", False: "FAIL", None: "-"}[check.ok]
        print(f"{mark:<6}{check.name:<21} {check.detail}", flush=True)
    if not healthy:
        raise typer.Exit(4)


@dataclass(frozen=True)
class Check:
    """One finding. `ok` is None for something optional that is missing."""

    name: str
    ok: bool | None
    detail: str


def diagnose() -> Iterator[Check]:
    """Yield all findings, each as soon as it is known. `ok` False means that predictions do not work."""
    from acne_edge import __version__, models
    from acne_edge.backends import NVIDIA_DEVICE_FILES
    from acne_edge.cpus import available_cpus, limited_cpus
    from acne_edge.environment import environment

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
    yield Check("without extras", True, "can predict photographs, watch folders, evaluate labelled photographs, measure speed")
    present = installed()
    for extra, (_, purpose) in EXTRAS.items():
        if extra in present:
            yield Check(f"extra {extra}", True, f"can {purpose}" + (", in a checkout" if extra in IN_A_CHECKOUT else ""))
        else:
            yield Check(f"extra {extra}", None, f"to {purpose}: pip install 'acne-edge[{extra}]'")
    yield _checkout()
    advice = fitting(str(env["machine"]), env["cpu_flags"], gpu, graphics_cards(), present)
    yield Check("fits this machine", None if "install" in advice else True, advice)


def installed() -> list[str]:
    """The extras whose packages are installed."""
    found = []
    for extra, (packages, _) in EXTRAS.items():
        present = [find_spec(package) is not None for package in packages]
        if any(present) if extra in ANY_OF else all(present):
            found.append(extra)
    return found


def graphics_cards() -> set[str]:
    """The makers of this machine's graphics cards, as far as the system reports them."""
    found = set()
    for file in Path("/sys/class/drm").glob("card*/device/vendor"):
        with suppress(OSError):
            found.add(VENDORS.get(file.read_text(encoding="utf-8").strip(), "another maker"))
    return found


def fitting(machine: str, flags: Collection[str], gpu: str | None, cards: Collection[str], extras: Collection[str]) -> str:
    """Which runtime fits a machine, and the command that installs it if it is missing.

    Args:
        machine: architecture, as `platform.machine` names it.
        flags: INT8 instructions of the processor, as `environment` names them.
        gpu: the device file of an NVIDIA GPU with its driver; None: there is none.
        cards: makers of the graphics cards, with or without a driver.
        extras: names of installed extras.
    """
    if gpu is not None and {"tensorrt", "tensorrt-rtx"} & set(extras):
        return "TensorRT, which is installed: see the line of the NVIDIA GPU"
    if gpu is not None and machine == "aarch64":
        return TENSORRT_BY_APT
    if gpu is not None:
        return "TensorRT: pip install 'acne-edge[tensorrt]', or 'acne-edge[tensorrt-rtx]' for an RTX card"
    if "NVIDIA" in cards:
        return "there is an NVIDIA card, but not its driver: install that first, then run doctor again"
    others = f"; nothing here runs on the {' and '.join(sorted(cards))} graphics" if cards else ""
    if machine in ("x86_64", "AMD64") and not {"avx512_vnni", "avx_vnni"} & set(flags):
        install = "" if "openvino" in extras else "pip install 'acne-edge[openvino]', then "
        compare = "`acne-edge bench --backend onnxruntime --backend openvino`"
        return f"without VNNI, INT8 gains little; OpenVINO may gain more: {install}{compare} tells{others}"
    return f"ONNX Runtime, which comes with the package{others}"


def _checkout() -> Check:
    tools = " and ".join(f"python -m {folder}" for folder in IN_A_CHECKOUT)
    for root in (Path(__file__).resolve().parents[2], Path.cwd()):  # the package of an editable installation lies in one
        if all((root / folder / "__main__.py").is_file() for folder in IN_A_CHECKOUT):
            return Check("checkout", True, f"{root}: {tools} work there, with the extra `export`")
    return Check("checkout", None, f"none: {tools}, which make models, need a checkout of the sources; nothing else does")


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
