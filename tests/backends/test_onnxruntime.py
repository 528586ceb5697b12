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
from acne_edge.grading import CloseUp, Familiarity
from acne_edge.manifest import InputSpec
from tests.toy_model import MANIFEST, SIDE, make_manifest, toy_model

onnx = pytest.importorskip("onnx", reason="needs the extra export to draw a model")


def test_a_model_that_keeps_the_contract_runs_any_batch() -> None:
    backend = OnnxRuntimeBackend(toy_model(), threads=1)
    assert backend.manifest == MANIFEST
    assert backend.name == "onnxruntime:CPUExecutionProvider"
    for n in (1, 3):
        out = backend.run(np.full((n, SIDE, SIDE, 3), 8, np.uint8))
        for probs, width in ((out.grade_probs, 4), (out.count_probs, 66)):
            assert probs.shape == (n, width)
            np.testing.assert_allclose(probs.sum(1), 1, rtol=1e-5)
        np.testing.assert_allclose(out.lesion_map, np.full((n, SIDE, SIDE), 8.0))


def test_each_thread_has_buffers_of_its_own_and_results_outlive_them() -> None:
    backend = OnnxRuntimeBackend(toy_model(), threads=1)

    def means(values: list[int]) -> list[float]:
        outputs = [backend.run(np.full((1, SIDE, SIDE, 3), value, np.uint8)) for value in values]
        return [float(out.lesion_map.mean()) for out in outputs]

    series = [[10 * t + i for i in range(10)] for t in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(means, series)) == series


def test_a_map_whose_size_is_open_runs() -> None:
    backend = OnnxRuntimeBackend(toy_model(rows="h"))
    assert backend.run(np.full((1, SIDE, SIDE, 3), 8, np.uint8)).lesion_map.shape == (1, SIDE, SIDE)


def test_unfamiliarity_is_read_where_the_manifest_says_what_it_means() -> None:
    images = np.full((2, SIDE, SIDE, 3), 8, np.uint8)
    told = make_manifest(familiarity=Familiarity(4.0), requires=("familiarity-1",))
    backend = OnnxRuntimeBackend(toy_model(told, more=("unfamiliarity",)))
    for n in (1, 2):
        found = backend.run(images[:n]).unfamiliarity
        assert found is not None
        np.testing.assert_allclose(found, [8.0] * n)
    assert OnnxRuntimeBackend(toy_model(more=("unfamiliarity",))).run(images).unfamiliarity is None
    with pytest.raises(ModelError, match=r"image -> grade_probs, count_probs, lesion_map, unfamiliarity"):
        OnnxRuntimeBackend(toy_model(told))


def test_what_only_some_models_tell_is_read_by_name() -> None:
    images = np.full((1, SIDE, SIDE, 3), 8, np.uint8)
    outputs = OnnxRuntimeBackend(toy_model(make_manifest(close_up=CloseUp(0.5)), more=("close_up",))).run(images)
    assert outputs.close_up == pytest.approx([8.0])
    assert outputs.unfamiliarity is None
    with pytest.raises(ModelError, match=r"lesion_map, close_up"):
        OnnxRuntimeBackend(toy_model(make_manifest(close_up=CloseUp(0.5))))


def test_outputs_that_nobody_knows_are_passed_over() -> None:
    backend = OnnxRuntimeBackend(toy_model(more=("added_later",)))
    for n in (1, 2):
        assert backend.run(np.zeros((n, SIDE, SIDE, 3), np.uint8)).lesion_map.shape == (n, SIDE, SIDE)


@pytest.mark.parametrize("images", [np.zeros((1, SIDE, SIDE, 3), np.float32), np.zeros((1, 1, SIDE, 3), np.uint8)])
def test_another_input_than_the_contract_is_refused(images: np.ndarray) -> None:
    with pytest.raises(BackendError, match=rf"expected uint8 \[N, {SIDE}, {SIDE}, 3\]"):
        OnnxRuntimeBackend(toy_model()).run(images)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"input": "picture"}, "image -> grade_probs"),
        ({"map": "heatmap"}, "image -> grade_probs"),
        ({"dtype": onnx.TensorProto.FLOAT}, r"tensor\(float\)"),
        ({"side": SIDE + 8}, "not the manifest's uint8"),
        ({"grades": 5}, r"\[5, 66\] grades and count bins"),
        ({"bins": 60}, r"\[4, 60\] grades and count bins"),
    ],
)
def test_a_model_that_breaks_the_contract_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        OnnxRuntimeBackend(toy_model(**changes))


def test_a_model_without_a_manifest_is_refused() -> None:
    with pytest.raises(ManifestError, match="no acne-edge manifest"):
        OnnxRuntimeBackend(toy_model(None))
    with pytest.raises(ManifestError, match="not valid JSON"):
        OnnxRuntimeBackend(toy_model("{"))


def test_what_the_runtime_says_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = OnnxRuntimeBackend(toy_model())
    monkeypatch.setattr(backend, "manifest", replace(MANIFEST, input=InputSpec(8, 8)))  # so that the runtime has to refuse it
    with pytest.raises(BackendError, match="ONNX Runtime failed") as caught:
        backend.run(np.zeros((2, 8, 8, 3), np.uint8))
    assert "\n" not in str(caught.value)


def test_a_closed_backend_raises() -> None:
    backend = OnnxRuntimeBackend(toy_model())
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.run(np.zeros((1, SIDE, SIDE, 3), np.uint8))


def test_between_two_frames_no_thread_works(grader: AcneGrader) -> None:
    grader.warmup()
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.03
