from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from acne_edge import AcneGrader
from acne_edge.errors import BackendError, MissingExtraError, ModelError


def test_without_the_extra_its_name_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"acne-edge\[openvino\]"):
        AcneGrader.load(backend="openvino")


@pytest.fixture(scope="module")
def openvino_grader() -> AcneGrader:
    pytest.importorskip("openvino")
    return AcneGrader.load(backend="openvino", threads=2)


def test_it_agrees_with_onnx_runtime(openvino_grader: AcneGrader, grader: AcneGrader, face: np.ndarray) -> None:
    ours, theirs = openvino_grader.predict(face), grader.predict(face)
    assert ours.model.backend == "openvino:CPU"
    assert ours.count == pytest.approx(theirs.count, abs=0.5)
    assert ours.grade_probs == pytest.approx(theirs.grade_probs, abs=0.05)


def test_threads_share_it(openvino_grader: AcneGrader, face: np.ndarray) -> None:
    alone = openvino_grader.predict(face).count
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: openvino_grader.predict(face).count, range(8)))
    assert together == pytest.approx([alone] * 8, abs=1e-4)


def test_bad_models_and_closed_backends_raise(face: np.ndarray, tmp_path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(ModelError):
        AcneGrader.load(tmp_path / "junk.onnx", backend="openvino")
    grader = AcneGrader.load(backend="openvino")
    grader.close()
    with pytest.raises(BackendError, match="closed"):
        grader.predict(face)
