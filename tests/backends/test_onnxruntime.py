from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from acne_edge import AcneGrader
from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
from acne_edge.errors import BackendError, ManifestError, ModelError
from acne_edge.grading import HAYASHI
from acne_edge.manifest import KEY, InputSpec, Manifest

onnx = pytest.importorskip("onnx")
SIDE = 16
MANIFEST = Manifest("tiny", "1.0.0", InputSpec(SIDE, SIDE), 66, HAYASHI)


def model(manifest: str | None = MANIFEST.to_json(), **changes: Any) -> bytes:
    """A graph that keeps the contract but for the `changes`: its outputs are means of the image, spread over the bins."""
    options: dict[str, Any] = {
        "input": "image", "dtype": onnx.TensorProto.UINT8, "side": SIDE, "grades": 4, "bins": 66, "map": "lesion_map",
        "rows": SIDE, **changes,
    }  # fmt: skip
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", [options["input"]], ["x"], to=real),
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Reshape", ["mean", "rows"], ["column"]),
        helper.make_node("MatMul", ["column", "g"], ["grade_probs"]),
        helper.make_node("MatMul", ["column", "k"], ["count_probs"]),
        helper.make_node("ReduceMean", ["x"], [options["map"]], axes=[3], keepdims=0),
    ]
    constants = {
        "rows": np.array([-1, 1], np.int64),
        "g": np.full((1, options["grades"]), 0.25, np.float32),
        "k": np.full((1, options["bins"]), 1 / 66, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(options["input"], options["dtype"], ["n", options["side"], options["side"], 3])],
        [
            helper.make_tensor_value_info("grade_probs", real, ["n", options["grades"]]),
            helper.make_tensor_value_info("count_probs", real, ["n", options["bins"]]),
            helper.make_tensor_value_info(options["map"], real, ["n", options["rows"], options["side"]]),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if manifest is not None:
        helper.set_model_props(proto, {KEY: manifest})
    return proto.SerializeToString()


def test_a_model_that_keeps_the_contract_runs_any_batch() -> None:
    backend = OnnxRuntimeBackend(model(), threads=1)
    assert backend.manifest == MANIFEST
    assert backend.name == "onnxruntime:CPUExecutionProvider"
    for n in (1, 3):
        out = backend.run(np.full((n, SIDE, SIDE, 3), 8, np.uint8))
        assert out.grade_probs.shape == (n, 4)
        assert out.count_probs.shape == (n, 66)
        np.testing.assert_allclose(out.lesion_map, np.full((n, SIDE, SIDE), 8.0))


def test_each_thread_has_buffers_of_its_own_and_results_outlive_them() -> None:
    backend = OnnxRuntimeBackend(model(), threads=1)

    def means(values: list[int]) -> list[float]:
        outputs = [backend.run(np.full((1, SIDE, SIDE, 3), value, np.uint8)) for value in values]
        return [float(out.lesion_map.mean()) for out in outputs]

    series = [[10 * t + i for i in range(10)] for t in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(means, series)) == series


def test_a_map_whose_size_is_open_runs() -> None:
    backend = OnnxRuntimeBackend(model(rows="h"))
    assert backend.run(np.full((1, SIDE, SIDE, 3), 8, np.uint8)).lesion_map.shape == (1, SIDE, SIDE)


@pytest.mark.parametrize("images", [np.zeros((1, SIDE, SIDE, 3), np.float32), np.zeros((1, 1, SIDE, 3), np.uint8)])
def test_another_input_than_the_contract_is_refused(images: np.ndarray) -> None:
    with pytest.raises(BackendError, match=rf"expected uint8 \[N, {SIDE}, {SIDE}, 3\]"):
        OnnxRuntimeBackend(model()).run(images)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"input": "picture"}, "image -> grade_probs"),
        ({"map": "heatmap"}, "image -> grade_probs"),
        ({"dtype": onnx.TensorProto.FLOAT}, r"tensor\(float\)"),
        ({"side": 32}, "not the manifest's uint8"),
        ({"grades": 5}, r"\[5, 66\] grades and count bins"),
        ({"bins": 60}, r"\[4, 60\] grades and count bins"),
    ],
)
def test_a_model_that_breaks_the_contract_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        OnnxRuntimeBackend(model(**changes))


def test_a_model_without_a_manifest_is_refused() -> None:
    with pytest.raises(ManifestError, match="no acne-edge manifest"):
        OnnxRuntimeBackend(model(None))
    with pytest.raises(ManifestError, match="not valid JSON"):
        OnnxRuntimeBackend(model("{"))


def test_what_the_runtime_says_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = OnnxRuntimeBackend(model())
    monkeypatch.setattr(backend, "manifest", replace(MANIFEST, input=InputSpec(8, 8)))  # so that the runtime has to refuse it
    with pytest.raises(BackendError, match="ONNX Runtime failed") as caught:
        backend.run(np.zeros((2, 8, 8, 3), np.uint8))
    assert "\n" not in str(caught.value)


def test_a_closed_backend_raises() -> None:
    backend = OnnxRuntimeBackend(model())
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.run(np.zeros((1, SIDE, SIDE, 3), np.uint8))


def test_between_two_frames_no_thread_works(grader: AcneGrader) -> None:
    grader.warmup()
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.03
