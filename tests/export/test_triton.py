"""The model repository for Triton. No server is asked: its configuration is parsed with the server's own schema, and its Python
step runs with a stand-in for the server's module, which runs the networks in ONNX Runtime.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from acne_edge import AcneGrader
from acne_edge.backends.tensorrt.engine_file import BuildKey, Engine, pack
from acne_edge.errors import ModelError, UsageError
from acne_edge.models import load_model
from acne_edge.onnx_file import manifest_text
from export.__main__ import main
from export.triton import write_repository
from tests import command, drawing
from tests.toy_model import MANIFEST, SIDE, toy_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "toy.onnx"
    file.write_bytes(toy_model())
    return file


def engine_of(model: Path, package: str = "tensorrt 10.3.0.26") -> Path:
    key = BuildKey(load_model(model).sha256, package, "some GPU", "8.6", "int8", (1, 1, 8), (SIDE, SIDE))
    file = model.with_suffix(".engine")
    file.write_bytes(pack(Engine(key, MANIFEST, b"the plan")))
    return file


def parsed(folder: Path) -> Any:
    schema = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient is not installed")
    from google.protobuf import text_format

    return text_format.Parse((folder / "config.pbtxt").read_text(), schema.ModelConfig())


def test_the_networks_configuration_is_that_of_the_file(model: Path, tmp_path: Path) -> None:
    step, network = write_repository(str(model), tmp_path / "repository")
    config = parsed(network)
    assert (
        (config.name, config.backend, config.max_batch_size)
        == (network.name, "onnxruntime", 16)
        == ("toy-onnx", "onnxruntime", 16)
    )
    assert config.HasField("dynamic_batching")
    assert [(tensor.name, list(tensor.dims)) for tensor in config.input] == [("image", [SIDE, SIDE, 3])]
    assert [(tensor.name, list(tensor.dims)) for tensor in config.output] == [
        ("grade_probs", [4]), ("count_probs", [66]), ("lesion_map", [SIDE, SIDE]),
    ]  # fmt: skip
    assert (network / "1" / "model.onnx").read_bytes() == model.read_bytes()
    config = parsed(step)
    assert (config.name, config.backend, config.max_batch_size) == ("toy", "python", 0)
    assert config.parameters["network"].string_value == network.name
    assert [(group.count, group.kind) for group in config.instance_group] == [(4, 2)]  # KIND_CPU


def test_the_runtime_takes_what_the_configuration_says(model: Path, tmp_path: Path) -> None:
    _, network = write_repository(str(model), tmp_path / "repository")
    config, session = parsed(network), ort.InferenceSession(network / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    kinds = {"tensor(uint8)": 2, "tensor(float)": 11}  # TYPE_UINT8, TYPE_FP32
    for told, real in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [(t.name, t.data_type, list(t.dims)) for t in told] == [(r.name, kinds[r.type], list(r.shape[1:])) for r in real]


def test_an_engine_becomes_a_plan_that_the_step_asks(model: Path, tmp_path: Path) -> None:
    step, onnx, plan = write_repository(str(model), tmp_path / "repository", engine_of(model))
    assert (onnx.name, plan.name) == ("toy-onnx", "toy-tensorrt")
    config = parsed(plan)
    assert (config.platform, config.max_batch_size) == ("tensorrt_plan", 8), "the largest batch that it was built for"
    assert (plan / "1" / "model.plan").read_bytes() == b"the plan"
    assert parsed(step).parameters["network"].string_value == "toy-tensorrt"


def test_an_engine_that_does_not_fit_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="built by tensorrt_rtx"):
        write_repository(str(model), tmp_path / "repository", engine_of(model, "tensorrt_rtx 1.2"))
    engine = engine_of(model)
    with pytest.raises(ModelError, match="built from another model file"):
        write_repository(None, tmp_path / "repository", engine)
    assert not (tmp_path / "repository").exists()


def test_a_folder_that_holds_something_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not empty"):
        write_repository(str(model), tmp_path)


def test_the_command_names_what_it_wrote(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    done = command.call(main, "triton", model, "-o", folder)
    assert (done.code, done.out.split()) == (0, [str(folder / "toy"), str(folder / "toy-onnx")])


class Server(ModuleType):
    """What a step needs of `triton_python_backend_utils`. It serves the networks of a repository."""

    def __init__(self, repository: Path) -> None:
        super().__init__("triton_python_backend_utils")
        self.batches: list[int] = []
        self.broken = ""
        server = self

        class Tensor:
            def __init__(self, name: str, values: np.ndarray) -> None:
                self._name, self._values = name, values

            def name(self) -> str:
                return self._name

            def as_numpy(self) -> np.ndarray:
                return self._values

        class InferenceResponse:
            def __init__(self, output_tensors: list[Tensor] | None = None, error: Any = None) -> None:
                self.tensors, self._error = output_tensors or [], error

            def has_error(self) -> bool:
                return self._error is not None

            def error(self) -> Any:
                return self._error

        class InferenceRequest:
            def __init__(self, model_name: str, requested_output_names: list[str], inputs: list[Tensor]) -> None:
                self.model, self.names, self.inputs = model_name, requested_output_names, inputs

            def exec(self) -> InferenceResponse:
                if server.broken:
                    return InferenceResponse(error=TritonError(server.broken))
                file = repository / self.model / "1" / "model.onnx"
                session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
                found = session.run(self.names, {tensor.name(): tensor.as_numpy() for tensor in self.inputs})
                return InferenceResponse([Tensor(name, values) for name, values in zip(self.names, found, strict=True)])

        class TritonError:
            def __init__(self, message: str) -> None:
                self._message = message

            def message(self) -> str:
                return self._message

        self.Tensor, self.InferenceRequest, self.InferenceResponse, self.TritonError = (
            Tensor, InferenceRequest, InferenceResponse, TritonError,
        )  # fmt: skip

    def get_input_tensor_by_name(self, request: Any, name: str) -> Any:
        return next(tensor for tensor in request.inputs if tensor.name() == name)

    def get_output_tensor_by_name(self, response: Any, name: str) -> Any:
        return next(tensor for tensor in response.tensors if tensor.name() == name)

    def photograph(self, data: bytes) -> Any:
        return SimpleNamespace(inputs=[self.Tensor("photograph", np.array([data], np.object_))])


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Any]]:
    """The stand-in, and the step of the shipped model as the server would load it."""
    step, _ = write_repository(None, tmp_path / "repository")
    server = Server(step.parent)
    monkeypatch.setitem(sys.modules, server.__name__, server)
    code = ModuleType("model")
    exec(compile((step / "1" / "model.py").read_text(), str(step / "1" / "model.py"), "exec"), code.__dict__)
    parameters = {key: {"string_value": value.string_value} for key, value in parsed(step).parameters.items()}
    model = code.TritonPythonModel()
    model.initialize(
        {"model_config": json.dumps({"parameters": parameters}), "model_repository": str(step), "model_version": "1"}
    )
    yield server, model
    model.finalize()


def test_the_step_answers_as_the_grader_does(served: tuple[Server, Any]) -> None:
    server, model = served
    photographs = [drawing.encode(drawing.face(9, 1), "JPEG"), b"no photograph", drawing.encode(drawing.face(30, 2))]
    responses = model.execute([server.photograph(data) for data in photographs])
    found = [json.loads(server.get_output_tensor_by_name(r, "prediction").as_numpy()[0]) for r in responses]
    with AcneGrader.load(backend="onnxruntime") as grader:
        for data, answer in zip(photographs, found, strict=True):
            expected = grader.try_predict(data).to_dict()
            for record in (answer, expected):
                record.pop("timings", None)
            if "error" not in expected:
                assert answer.pop("model") == {**expected.pop("model"), "backend": "triton:acne-edge-s-onnx"}
            assert answer == expected
    assert found[1]["error"]["code"] == "image_decode"


def test_a_server_that_fails_is_an_error_and_no_prediction(served: tuple[Server, Any]) -> None:
    server, model = served
    server.broken = "out of memory"
    (response,) = model.execute([server.photograph(drawing.encode(drawing.face()))])
    assert response.has_error()
    assert "out of memory" in response.error().message()


def test_the_manifest_of_the_step_is_the_models(tmp_path: Path) -> None:
    step, _ = write_repository(None, tmp_path / "repository")
    assert (step / "1" / "manifest.json").read_text() == manifest_text(load_model().data)
