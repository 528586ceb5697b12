"""`acne-edge engine`: real engines, built by TensorRT for RTX on a machine that needs no GPU."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from acne_edge import models
from acne_edge.backends.tensorrt import backend as running
from acne_edge.backends.tensorrt import build as building
from acne_edge.backends.tensorrt.engine_file import ANY_GPU, BuildKey, Engine, pack, unpack
from acne_edge.cli import main as cli
from acne_edge.errors import BackendError, MissingExtraError
from tests.command import Done
from tests.command import call as run
from tests.test_onnx_file import with_external_weights
from tests.toy_model import MANIFEST, SIDE, toy_model

ROOT = Path(__file__).parents[2]


def call(*arguments: object) -> Done:
    """`acne-edge engine`."""
    return run(cli.main, "engine", *arguments)


@pytest.fixture
def rtx() -> None:
    """TensorRT for RTX is installed."""
    try:
        trt = building.find_tensorrt()
    except MissingExtraError:
        pytest.skip("no TensorRT for RTX: install the extra tensorrt-rtx")
    if not hasattr(trt, "ComputeCapability"):
        pytest.skip(f"{trt.__name__} builds only for the GPU of the machine: install the extra tensorrt-rtx")


ALONE = """
import sys
for absent in ("torch", "einops", "safetensors", "onnxscript", "sklearn", "yaml", "export", "calibration"):
    sys.modules[absent] = None  # what an installed wheel with the extra tensorrt-rtx alone does not have
from acne_edge.cli.main import main
for model, output in (("acne-edge-s-trt", "shipped.engine"), ("float.onnx", "float.engine")):
    sys.argv = ["acne-edge", "engine", model, "--target", "sm89", "-o", output]
    main()
"""


@pytest.mark.slow
def test_engines_are_built_without_torch_and_without_a_checkout(rtx: None, tmp_path: Path) -> None:
    (tmp_path / "float.onnx").write_bytes(toy_model())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("shipped.engine: int8 for any GPU of compute capability 8.9, tensorrt_rtx ")
    assert done.stdout.splitlines()[1].startswith("float.engine: fp16 for any GPU of compute capability 8.9, tensorrt_rtx ")
    engine = unpack((tmp_path / "shipped.engine").read_bytes())
    assert engine.key.onnx_sha256 == models.load_model("acne-edge-s-trt").sha256
    assert engine.manifest.name == "acne-edge-s"
    assert len(engine.plan) > 1_000_000
    assert unpack((tmp_path / "float.engine").read_bytes()).manifest.name == "toy"


def test_an_engine_lies_in_the_working_directory_unless_told_otherwise(
    rtx: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "toy-fp32.onnx").write_bytes(toy_model())
    done = call("folder/toy-fp32.onnx", "--target", "sm86")
    assert (done.code, done.err) == (0, "")
    assert unpack(Path("toy-fp32-sm86.engine").read_bytes()).key.compute_capability == "8.6"


@pytest.mark.parametrize(("target", "extra"), [("current", "tensorrt"), ("sm89", "tensorrt-rtx")])
def test_without_tensorrt_the_extra_is_named(target: str, extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(building, "PACKAGES", ("no_such_tensorrt",))
    code, out, err = call("acne-edge-s-trt", "--target", target, "-o", tmp_path / "x.engine")
    assert (code, out) == (2, "")
    assert f"pip install 'acne-edge[{extra}]'" in err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """An engine file for a GPU that this machine lacks, as a build machine has it."""
    key = BuildKey("ab" * 32, "tensorrt_rtx 1.7.1.116", ANY_GPU, "8.9", "int8", (1, 1, 8), (SIDE, SIDE))
    path = tmp_path / "x.engine"
    path.write_bytes(pack(Engine(key, MANIFEST, b"plan")))
    return path


@pytest.mark.parametrize("found", [True, False])
def test_info_shows_what_an_engine_was_built_for_where_it_cannot_run(
    found: bool, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TensorRT but no GPU, and without TensorRT."""
    monkeypatch.setattr(running, "find_tensorrt", (lambda: ModuleType("tensorrt")) if found else building.find_tensorrt)
    monkeypatch.setattr(building, "PACKAGES", ("no_such_tensorrt",))
    monkeypatch.setattr(running, "Cuda", no_gpu)
    done = run(cli.main, "info", "--model", foreign)
    assert (done.code, done.err) == (0, "")
    shown = json.loads(done.out)
    assert shown["build"]["tensorrt"] == "tensorrt_rtx 1.7.1.116"
    assert shown["build"]["compute_capability"] == "8.9"
    assert shown["manifest"]["name"] == shown["model"]["name"] == "toy"
    assert shown["model"]["sha256"] == hashlib.sha256(foreign.read_bytes()).hexdigest()
    assert shown["model"]["backend"] is None
    assert shown["backend_reason"].startswith("it cannot run here: ")
    assert ("no GPU" if found else "acne-edge[tensorrt]") in shown["backend_reason"]


def test_info_with_strict_fails_for_an_engine_that_cannot_run(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "PACKAGES", ("no_such_tensorrt",))
    done = run(cli.main, "info", "--strict", "--model", foreign)
    assert (done.code, done.out) == (2, "")
    assert "acne-edge[tensorrt]" in done.error


def test_info_of_a_damaged_engine_is_one_line(foreign: Path) -> None:
    foreign.write_bytes(foreign.read_bytes()[:-1])
    done = run(cli.main, "info", "--model", foreign)
    assert (done.code, done.out, done.err.count("\n")) == (4, "", 1)
    assert "the engine file is damaged" in done.err


def no_gpu() -> None:
    """`Cuda` on a machine without a GPU."""
    raise BackendError("no GPU")


def test_the_targets_that_need_no_gpu_are_named_where_there_is_none(rtx: None, tmp_path: Path) -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    code, _, err = call("acne-edge-s-trt", "-o", tmp_path / "x.engine")
    assert code in (2, 4)
    assert "the targets sm86, sm89, sm120 need none" in err or "cuda-python" in err


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ("acne-edge-s --target sm89", 2, "TensorRT takes the S8S8 one, as the shipped acne-edge-s-trt"),
        ("acne-edge-s-trt --target sm89 --precision fp16", 2, "this file is for int8"),
        ("acne-edge-s-trt --target sm75", 2, "'sm75' is not one of 'current', 'sm86', 'sm89', 'sm120'"),
        ("nowhere.onnx --target sm89", 4, "cannot read the model file"),
        ("bare.onnx --target sm89", 4, "no acne-edge manifest"),
        ("external.onnx --target sm89", 4, "keeps weights outside its file"),
        ("custom.onnx --target sm89", 4, "cannot load the model"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    rtx: None, given: str, code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bare.onnx").write_bytes(toy_model(None))
    Path("external.onnx").write_bytes(with_external_weights(toy_model())[0])
    Path("custom.onnx").write_bytes(toy_model().replace(b"Softmax", b"Sofamax"))
    before = sorted(tmp_path.iterdir())
    done = call(*given.split())
    assert (done.code, done.out) == (code, "")
    assert says in done.error
    assert done.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
