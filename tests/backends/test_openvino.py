from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from acne_edge import AcneGrader
from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
from acne_edge.backends.openvino import OpenVinoBackend
from acne_edge.errors import BackendError, MissingExtraError, ModelError
from acne_edge.grading import CloseUp, Familiarity
from tests.test_onnx_file import with_external_weights
from tests.toy_model import SIDE, make_manifest, toy_model

FACE = Path(__file__).parents[1] / "assets" / "drawn_face.png"


def test_without_the_extra_its_name_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"acne-edge\[openvino\]"):
        AcneGrader.load(backend="openvino")


@pytest.fixture(scope="module")
def backend() -> OpenVinoBackend:
    pytest.importorskip("openvino")
    return OpenVinoBackend(telling(), threads=2)


def telling() -> bytes:
    """A model with every output."""
    manifest = make_manifest(familiarity=Familiarity(1.0), close_up=CloseUp(0.5), requires=("familiarity-1",))
    return toy_model(manifest, more=("unfamiliarity", "close_up"))


def images(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)


def test_it_agrees_with_onnx_runtime(backend: OpenVinoBackend) -> None:
    assert backend.name == "openvino:CPU"
    for n in (1, 3):
        for ours, theirs in zip(backend.run(images(n)), OnnxRuntimeBackend(telling()).run(images(n)), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_threads_share_it(backend: OpenVinoBackend) -> None:
    expected = [backend.run(images(n)).lesion_map for n in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda n: backend.run(images(n)).lesion_map, range(1, 9)))
    for a, b in zip(expected, together, strict=True):
        np.testing.assert_array_equal(a, b)


def quantised(reduce_range: bool) -> bytes:
    return toy_model(make_manifest(quantisation={"recipe": "U8S8 Q/DQ", "reduce_range": reduce_range}))


def test_weights_that_saturate_its_sums_are_refused() -> None:
    pytest.importorskip("openvino")
    with pytest.raises(ModelError, match="8-bit weights"):
        OpenVinoBackend(quantised(reduce_range=False))
    OpenVinoBackend(quantised(reduce_range=True)).close()


def test_it_agrees_with_onnx_runtime_on_the_shipped_model() -> None:
    pytest.importorskip("openvino")
    with AcneGrader.load(backend="openvino") as ours, AcneGrader.load(backend="onnxruntime") as theirs:
        a, b = (grader.predict(FACE) for grader in (ours, theirs))
    assert a.count == pytest.approx(b.count, abs=1.0)
    assert a.grade_probs == pytest.approx(b.grade_probs, abs=0.05)


def test_bad_models_and_closed_backends_raise(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(ModelError):
        AcneGrader.load(tmp_path / "junk.onnx", backend="openvino")
    closed = OpenVinoBackend(toy_model())
    closed.close()
    with pytest.raises(BackendError, match="closed"):
        closed.run(images(1))


def test_weights_in_the_working_directory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    model, values = with_external_weights(toy_model())
    monkeypatch.chdir(tmp_path)
    Path("weights.bin").write_bytes(values)
    with pytest.raises(ModelError, match="keeps weights outside its file"):
        OpenVinoBackend(model)
