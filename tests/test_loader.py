from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from acne_edge import AcneGrader, BackendError, ModelError, ModelIntegrityError, UsageError, backends, models
from acne_edge.backends import load_backend
from acne_edge.loader import ModelLoader
from tests.conftest import ASSETS


def test_a_grader_that_loads_in_the_background_predicts_the_same(grader: AcneGrader) -> None:
    with AcneGrader.load(background=True) as other:
        assert other.predict(ASSETS / "drawn_face.png").count == pytest.approx(grader.predict(ASSETS / "drawn_face.png").count)
        assert other.model == grader.model
        assert other.backend_reason == grader.backend_reason


def test_the_manifest_is_there_before_the_model(grader: AcneGrader) -> None:
    loading = ModelLoader()
    assert loading.manifest() == grader.manifest == loading.backend().manifest
    loading.close()


def test_what_goes_wrong_in_the_background_is_raised_on_use(tmp_path: Path) -> None:
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"junk")
    grader = AcneGrader.load(junk, background=True)
    image = ASSETS / "drawn_face.png"
    for use in (
        lambda: grader.predict(image),
        lambda: list(grader.predict_many([image] * 3)),
        lambda: grader.try_predict("gone.jpg"),
    ):
        with pytest.raises(ModelError, match="cannot load"):
            use()
    grader.close()


def test_another_file_than_the_first_time_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(models.load_model().data)
    first = ModelLoader(file)
    first.backend()
    file.write_bytes(b"another")
    with pytest.raises(ModelIntegrityError, match="changed"):
        first.clone().backend()


def test_bad_options_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="abacus"):
        ModelLoader(backend="abacus")
    with pytest.raises(UsageError, match="threads"):
        ModelLoader(threads=-1)


def test_auto_says_why_it_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.load_model()
    monkeypatch.setattr(backends, "NVIDIA_DEVICE_FILES", ("/no/gpu",))
    backend, why = load_backend("auto", model)
    assert backend.name == "onnxruntime:CPUExecutionProvider"
    assert why.startswith("auto: no NVIDIA GPU here")
    assert load_backend("onnxruntime", model)[1] == "asked for"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A machine with a GPU; `obstacle` is what TensorRT would say against the model."""
    sign = tmp_path / "nvidia0"
    sign.touch()
    monkeypatch.setattr(backends, "NVIDIA_DEVICE_FILES", (str(sign),))
    machine = SimpleNamespace(obstacle=None, name="tensorrt:Orin")

    def pretend(model: bytes) -> SimpleNamespace:
        if machine.obstacle:
            raise machine.obstacle
        return SimpleNamespace(name=machine.name, manifest=None)

    monkeypatch.setattr("acne_edge.backends.tensorrt.backend.TensorRTBackend", pretend)
    return machine


def test_auto_takes_a_gpu_that_tensorrt_runs_the_model_on(gpu: SimpleNamespace) -> None:
    backend, why = load_backend("auto", models.load_model(), strict=True)
    assert backend.name == "tensorrt:Orin"
    assert "nvidia0" in why


def test_auto_says_why_it_does_not_use_a_gpu_and_strict_refuses(gpu: SimpleNamespace) -> None:
    gpu.obstacle = UsageError("the model is quantised for CPUs")
    backend, why = load_backend("auto", models.load_model())
    assert backend.name.startswith("onnxruntime")
    assert "the NVIDIA GPU is not used" in why
    assert "quantised for CPUs" in why
    with pytest.raises(BackendError, match="strict: auto would not use"):
        load_backend("auto", models.load_model(), strict=True)


def test_an_engine_file_goes_to_tensorrt(gpu: SimpleNamespace) -> None:
    engine = models.ModelFile("x.engine", backends.ENGINE_MAGIC + b"...", "0")
    assert load_backend("auto", engine)[1] == "auto: the file is a TensorRT engine"
    for other in ("onnxruntime", "openvino"):
        with pytest.raises(
            UsageError, match=rf"^x.engine is a TensorRT engine, which {other} cannot run: choose .* tensorrt or auto$"
        ):
            load_backend(other, engine)


def test_strict_refuses_a_runtime_that_runs_on_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    azure = SimpleNamespace(name="onnxruntime:AzureExecutionProvider")
    monkeypatch.setattr("acne_edge.backends.onnxruntime.OnnxRuntimeBackend", lambda *_: azure)
    assert load_backend("onnxruntime", models.load_model())[0].name.endswith("AzureExecutionProvider")
    with pytest.raises(BackendError, match="strict: the model runs on onnxruntime:Azure"):
        load_backend("onnxruntime", models.load_model(), strict=True)
