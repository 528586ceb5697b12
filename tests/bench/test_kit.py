"""The device kit: on the CPU really, on a GPU against a stand-in for TensorRT and CUDA."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acne_edge import models
from acne_edge.backends.tensorrt import backend as running
from acne_edge.backends.tensorrt import build as building
from acne_edge.backends.tensorrt import cuda
from acne_edge.backends.tensorrt.engine_file import BuildKey, Engine, pack, unpack
from acne_edge.bench import kit
from acne_edge.bench.parity import simulated_runner
from acne_edge.cli import main as cli
from acne_edge.errors import BackendError
from acne_edge.evaluation.perturb import judge
from acne_edge.evaluation.perturbations import PERTURBATIONS
from acne_edge.grader import AcneGrader
from tests.command import Done, call
from tests.docs.pages import ROOT
from tests.docs.test_snippets import alike

ORIN = {"name": "Orin", "compute_capability": "8.7", "tensorrt": "tensorrt 10.3.0.26"}
SPEED = {"contenders": [{"stages": {"total": {"p50": 5.0}}}]}


def run(file: Path, *arguments: object) -> tuple[Done, dict[str, Any]]:
    """`acne-edge device-kit`, and the report that it wrote."""
    done = call(cli.main, "device-kit", "--output", file, *arguments)
    return done, json.loads(file.read_text())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small drawn photographs, two perturbations, no benchmark."""
    monkeypatch.setattr(kit, "portrait", partial(kit.portrait, width=192, height=216))
    monkeypatch.setattr(kit, "LESIONS", (2, 7))
    monkeypatch.setattr(kit.perturb, "judge", partial(judge, perturbations=PERTURBATIONS[:2]))
    monkeypatch.setattr(kit.benchmark, "run", lambda settings: dict(SPEED))


@pytest.fixture
def orin(quick: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A GPU that computes what the model file says; called with an error, it is that far off."""
    off = [0.0]
    data = models.load_model(kit.GPU_MODEL).data
    with AcneGrader.load(kit.GPU_MODEL, backend="onnxruntime") as grader:
        manifest = grader.manifest
    exact = simulated_runner(data)

    class OnOrin:
        name = "tensorrt:Orin"

        def __init__(self, model: bytes) -> None:
            self.manifest = unpack(model).manifest

        def run(self, images: np.ndarray) -> Any:
            found = exact(images)
            return found._replace(count_probs=found.count_probs + np.float32(off[0]))

        def close(self) -> None:
            pass

    key = BuildKey("ab" * 32, ORIN["tensorrt"], "Orin", "8.7", "int8", (1, 1, 8), (256, 256))
    monkeypatch.setattr(kit, "graphics", lambda: ORIN)
    monkeypatch.setattr(building, "build", lambda model: pack(Engine(key, manifest, b"plan")))
    monkeypatch.setattr(running, "TensorRTBackend", OnOrin)
    return lambda error: off.__setitem__(0, error)


@pytest.mark.slow
def test_a_gpu_is_built_for_verified_measured_and_perturbed(orin: object, tmp_path: Path) -> None:
    done, report = run(tmp_path / "kit.json")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1].startswith(f"{tmp_path}/kit.json: complete; send it back.")
    assert list(report["parts"]) == [
        "environment", "gpu engine",
        "cpu verification", "cpu benchmark", "cpu perturbations",
        "gpu verification", "gpu benchmark", "gpu perturbations",
    ]  # fmt: skip
    assert report["complete"] is True
    assert report["parts"]["environment"]["gpu"] == ORIN
    assert report["parts"]["gpu engine"]["build"]["gpu"] == "Orin"
    verified = report["parts"]["gpu verification"]
    assert verified["backend"] == "tensorrt:Orin"
    assert {row["images"] for row in verified["rows"]} == {"black", "white", "noise", "tiny", "huge", "drawn photographs"}
    steady = report["parts"]["gpu perturbations"]
    assert [row["row"] for row in steady["rows"]] == ["nothing", *(p.name for p in PERTURBATIONS[:2])]
    assert [photograph["lesions"] for photograph in steady["drawn"]] == [2, 7]


@pytest.mark.slow
def test_an_engine_that_counts_otherwise_is_told_and_the_file_is_written(orin: Callable[[float], None], tmp_path: Path) -> None:
    orin(0.1)
    done, report = run(tmp_path / "kit.json")
    assert done.code == 4
    assert "gpu verification" in done.out.splitlines()[-1]
    part = report["parts"]["gpu verification"]
    assert part["ok"] is report["complete"] is False
    assert "count_probs" in part["error"]["message"]
    assert report["parts"]["cpu verification"]["ok"]
    assert report["parts"]["gpu perturbations"]["ok"], "the other parts go on"


def test_an_engine_that_cannot_be_built_leaves_the_parts_of_the_cpu(
    orin: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(model: bytes) -> bytes:
        raise RuntimeError(f"{tmp_path}/libnvinfer.so.10: no kernel on {platform.node()}")

    monkeypatch.setattr(building, "build", fail)
    done, report = run(tmp_path / "kit.json")
    assert done.code == 4
    assert report["parts"]["gpu engine"]["error"]["message"] == "RuntimeError: libnvinfer.so.10: no kernel on (name)"
    assert [name for name in report["parts"] if name.startswith("gpu")] == ["gpu engine"]
    assert report["parts"]["cpu perturbations"]["ok"]


def test_without_a_gpu_it_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none() -> None:
        raise BackendError("no NVIDIA GPU can be used on this machine")

    monkeypatch.setattr(cuda, "Cuda", none)
    done = call(cli.main, "device-kit", "-o", tmp_path / "kit.json")
    assert done.code == 4
    assert done.err.count("\n") == 1
    assert "no NVIDIA GPU" in done.err
    assert "--cpu" in done.err
    assert not (tmp_path / "kit.json").exists()


def test_a_folder_is_no_file_to_write(tmp_path: Path) -> None:
    done = call(cli.main, "device-kit", "--cpu", "-o", tmp_path)
    assert (done.code, done.err.count("\n")) == (2, 1)
    done = call(cli.main, "device-kit", "--cpu", "-o", tmp_path / "none" / "kit.json")
    assert (done.code, done.err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("/home/anna/.cache/acne-edge/engines: others may write to it", "engines: others may write to it"),
        (r"C:\Users\anna\trt.dll is damaged", "trt.dll is damaged"),
        ("cannot open '/opt/lib/libcuda.so.1'", "cannot open 'libcuda.so.1'"),
        ("INT8/FP16 at 1/2 of the speed", "INT8/FP16 at 1/2 of the speed"),
    ],
)
def test_messages_lose_their_folders(said: str, written: str) -> None:
    assert kit.anonymous(said) == written


def test_names_of_machine_and_user_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit.platform, "node", lambda: "ward-7")
    monkeypatch.setattr(kit.getpass, "getuser", lambda: "anna")
    assert kit.anonymous("anna on ward-7: annals of ward-72") == "(name) on (name): annals of ward-72"


@pytest.mark.slow
def test_the_parts_of_the_cpu_are_measured_really(tmp_path: Path) -> None:
    done, report = run(tmp_path / "kit.json", "--cpu", "--samples", 3)
    assert done.code == 0, done.err
    assert report["complete"] is True
    shown = (ROOT / "docs" / "devices" / "device-kit.md").read_text().split("--samples 5\n")[1].split("\n```")[0]
    assert alike(tuple(shown.splitlines()[:-1]), done.out.splitlines()[:-1])
    assert done.out.splitlines()[-1].partition(": ")[2] == shown.splitlines()[-1].partition(": ")[2]
    assert report["parts"]["cpu benchmark"]["samples"] == 3
    assert len(report["parts"]["cpu perturbations"]["rows"]) == 1 + len(PERTURBATIONS)
    text = json.dumps(report)
    assert str(tmp_path.parent) not in text
    assert str(Path.home()) not in text
    assert "/tmp" not in text
