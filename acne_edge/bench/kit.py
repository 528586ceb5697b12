"""The device kit: measures on a device what no other machine can show, into one report that can be sent back.

The report holds figures, versions and names of hardware. It holds no photograph (the kit draws its own), and no path, host or
user name. A part that fails is reported with its error, and the others go on.
"""

from __future__ import annotations

import getpass
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

from acne_edge import console, models
from acne_edge.backends import load_backend
from acne_edge.bench import run as benchmark
from acne_edge.bench.parity import REDUCED, Images, adversarial, rows, simulated_runner
from acne_edge.bench.portrait import portrait
from acne_edge.environment import environment
from acne_edge.errors import AcneEdgeError, BackendError
from acne_edge.evaluation import perturb
from acne_edge.evaluation.labels import Label
from acne_edge.evaluation.tables import strict
from acne_edge.grader import AcneGrader
from acne_edge.grading import HAYASHI
from acne_edge.image import read
from acne_edge.preprocess import pack

SCHEMA = "1.0"
LESIONS = (0, 1, 3, 5, 8, 12, 18, 26)  # of the drawn photographs, which are seeded by their place
GPU_MODEL, CPU_MODEL = "acne-edge-s-trt", "acne-edge-s"
PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[\\/](?:[^\\/\s:'\"]+[\\/])*([^\\/\s:'\",;)]*)")
L4T_RELEASE = Path("/etc/nv_tegra_release")

Part = dict[str, Any]
Tell = Callable[[str, Part], None]


def run(gpu: bool, samples: int = 100, tell: Tell = lambda name, part: None) -> dict[str, Any]:
    """Measure everything; returns the report (JSON-ready, schema 1.0).

    Args:
        gpu: build an engine for this machine's NVIDIA GPU and measure it too; without, only ONNX Runtime on the CPU.
        samples: measured predictions of each benchmark; p99 needs 100.
        tell: called with the name and the report of each part when it is done.

    `parts` holds `environment`, `gpu engine`, and for `cpu` and `gpu` each a `verification`, a `benchmark` and `perturbations`,
    as in `cpu benchmark`. Each part has `ok`, and `error` with its code and message if it failed. Without an engine there are no
    further parts of the GPU. `complete` says that all parts are ok.

    Raises BackendError if `gpu` is asked for where TensorRT or the GPU is missing.
    """
    report: dict[str, Any] = {"schema": SCHEMA, "tool": "acne-edge device-kit", "gpu": gpu, "parts": {}}
    report["date"] = datetime.now(timezone.utc).date().isoformat()
    hardware = graphics() if gpu else None

    def measure(name: str, work: Callable[..., Part], *arguments: Any) -> None:
        report["parts"][name] = part = attempt(work, *arguments)
        tell(name, part)

    measure("environment", lambda: {**environment(), "gpu": hardware})
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        labels = draw(folder)
        devices = {"cpu": ("onnxruntime", CPU_MODEL, CPU_MODEL)}
        if gpu:
            file = folder / "kit.engine"
            measure("gpu engine", engine, file)
            if file.exists():
                devices["gpu"] = ("tensorrt", str(file), GPU_MODEL)
        for device, (backend, model, source) in devices.items():
            settings = benchmark.Settings(samples=samples, model=model, backends=(backend,))
            measure(f"{device} verification", verification, backend, model, source, folder, labels)
            measure(f"{device} benchmark", benchmark.run, settings)
            measure(f"{device} perturbations", perturbations, backend, model, folder, labels)
    report["complete"] = all(part["ok"] for part in report["parts"].values())
    return report


def graphics() -> dict[str, str]:
    """The GPU and what drives it. Raises BackendError, with what to do, if TensorRT cannot run here."""
    from acne_edge.backends.tensorrt.build import find_tensorrt, package_of
    from acne_edge.backends.tensorrt.cuda import Cuda

    try:
        device = Cuda().device()
        package = package_of(find_tensorrt())
    except AcneEdgeError as error:
        raise BackendError(
            f"{error}; acne-edge doctor says what fits this machine, and --cpu measures what needs no GPU"
        ) from error
    found = {"name": device.name, "compute_capability": device.compute_capability, "tensorrt": package}
    if L4T_RELEASE.is_file():  # "# R36 (release), REVISION: 4.0, GCID: ..."
        found["l4t"] = ", ".join(L4T_RELEASE.read_text().lstrip("# ").split(",")[:2])
    return found


def attempt(work: Callable[..., Part], *arguments: Any) -> Part:
    """The report of a part, with `ok`; a failure is a finding of a device too, so it is reported."""
    try:
        part = work(*arguments)
    except AcneEdgeError as error:
        return {"ok": False, "error": {"code": error.code, "message": anonymous(str(error))}}
    except Exception as error:  # TensorRT's and CUDA's exceptions share no public base class
        return {"ok": False, "error": {"code": "internal", "message": anonymous(f"{type(error).__name__}: {error}")}}
    return {"ok": True, **strict(part)}


def anonymous(text: str) -> str:
    """A message without folders, and without the names of the machine and the user."""
    names = {platform.node()}
    with suppress(Exception):  # a container may have a user without a name
        names.add(getpass.getuser())
    text = PATH.sub(lambda found: found[1] or "(folder)", text)
    for name in filter(None, names):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "(name)", text)
    return text


def draw(folder: Path) -> list[Label]:
    """Draw the photographs into a folder; returns their labels."""
    labels = []
    for number, lesions in enumerate(LESIONS):
        name = f"drawn-{number}.png"
        Image.fromarray(portrait(lesions, seed=number)).save(folder / name)
        labels.append(Label(name, HAYASHI.grade(lesions), lesions))
    return labels


def engine(file: Path) -> Part:
    """Build the engine of the shipped model for this GPU, and write it."""
    from acne_edge.backends.tensorrt.build import build
    from acne_edge.backends.tensorrt.engine_file import unpack

    with console.busy("building the engine"):
        start = perf_counter()
        data = build(models.load_model(GPU_MODEL).data)
        seconds = perf_counter() - start
    file.write_bytes(data)
    return {"seconds": seconds, "bytes": len(data), "build": asdict(unpack(data).key)}


def verification(backend: str, model: str, source: str, folder: Path, labels: list[Label]) -> Part:
    """Compare a backend's outputs with the exact arithmetic of the ONNX file that its model comes from.

    Raises BackendError, naming the worst difference, if one is over its limit.
    """
    reference = simulated_runner(models.load_model(source).data)
    with _loaded(backend, model) as (candidate, size):
        images: dict[str, Images] = adversarial(size)
        images["drawn photographs"] = pack([np.asarray(read(folder / label.name)) for label in labels], size, size)
        found = [row for name, batch in images.items() for row in rows(name, reference(batch), candidate.run(batch), REDUCED)]
        name = candidate.name
    wrong = [row for row in found if not row.ok]
    if wrong:
        worst = max(wrong, key=lambda row: np.nan_to_num(row.difference / row.tolerance, nan=np.inf))
        raise BackendError(
            f"{name}: {len(wrong)} of {len(found)} comparisons differ too much; {worst.output} of {worst.images} is "
            f"{worst.difference:.3g} off, over {worst.tolerance:g}"
        )
    return {"backend": name, "reference": f"{source} in float32 between Q and DQ", "rows": [asdict(row) for row in found]}


@contextmanager
def _loaded(backend: str, model: str) -> Iterator[tuple[Any, int]]:
    """The backend, and the side of its square input in pixels."""
    runtime, _ = load_backend(backend, models.load_model(model))
    try:
        yield runtime, runtime.manifest.input.height
    finally:
        runtime.close()


def perturbations(backend: str, model: str, folder: Path, labels: list[Label]) -> Part:
    """How steady the answers on the drawn photographs are: `perturb.table`, and each photograph's count."""
    with AcneGrader.load(model, backend=backend, on_unfamiliar="warn") as grader:  # a drawing is no photograph
        kept, judged = perturb.judge([(grader, folder, labels)], progress=console.progress)
    counts = judged[perturb.UNCHANGED].count
    drawn = [{"lesions": label.count, "count": float(count)} for label, count in zip(kept, counts, strict=True)]
    return {"backend": grader.model.backend, "drawn": drawn, "rows": perturb.table(kept, judged)}
