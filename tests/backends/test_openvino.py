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
from tests.backends.test_onnxruntime import SIDE, model


def test_without_the_extra_its_name_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"acne-edge\[openvino\]"):
        AcneGrader.load(backend="openvino")


@pytest.fixture(scope="module")
def backend() -> OpenVinoBackend:
    pytest.importorskip("openvino")
    return OpenVinoBackend(model(), threads=2)


def images(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)


def test_it_agrees_with_onnx_runtime(backend: OpenVinoBackend) -> None:
    assert backend.name == "openvino:CPU"
    for n in (1, 3):
        for ours, theirs in zip(backend.run(images(n)), OnnxRuntimeBackend(model()).run(images(n)), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_threads_share_it(backend: OpenVinoBackend) -> None:
    expected = [backend.run(images(n)).lesion_map for n in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda n: backend.run(images(n)).lesion_map, range(1, 9)))
    for a, b in zip(expected, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_file_made_for_onnx_runtime_is_refused() -> None:
    pytest.importorskip("openvino")
    with pytest.raises(ModelError, match="quantised for ONNX Runtime"):
        AcneGrader.load(backend="openvino")


def test_bad_models_and_closed_backends_raise(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(ModelError):
        AcneGrader.load(tmp_path / "junk.onnx", backend="openvino")
    closed = OpenVinoBackend(model())
    closed.close()
    with pytest.raises(BackendError, match="closed"):
        closed.run(images(1))
