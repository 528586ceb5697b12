from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
from acne_edge.errors import ModelError, UsageError
from acne_edge.fit.familiarity import FeatureDistance
from acne_edge.grading import CloseUp, Familiarity
from acne_edge.manifest import FAMILIARITY
from acne_edge.training.data import read_samples
from acne_edge.training.model import FusionModel
from calibration.ranges import Ranges
from export import restamp
from export import view as views
from export.familiarity import append as append_distance
from export.graph import attach, read
from export.quantize import cpu, quantize
from export.view import FittedView, append, extend_shipped, extended, fit, fit_probe, head_features, read_views
from tests.export.test_familiarity import LISTS, make_run
from tests.toy_model import draw_images, make_manifest, narrow
from tests.training import acne04

MEASURED = {"split": "some", "close_ups": 3, "flagged": 2, "flagged_close_ups": 2}


@pytest.fixture(scope="module")
def fitted(graph: onnx.ModelProto) -> FittedView:
    size = next(len(w.dims) and w.dims for w in graph.graph.initializer if w.name.endswith("grade_head.weight"))
    weights = np.random.default_rng(3).normal(0, 0.1, max(size)).astype(np.float32)
    return FittedView(weights, 0.2, CloseUp(0.7, "some"), LISTS, MEASURED)


def test_the_graph_tells_the_probability_and_its_other_outputs_stay(
    graph: onnx.ModelProto, network: FusionModel, ranges: dict[str, Ranges], fitted: FittedView
) -> None:
    images = draw_images(8, seed=5)
    manifest = make_manifest(close_up=CloseUp(0.5))
    found = OnnxRuntimeBackend(attach(append(graph, fitted), manifest)).run(images).close_up
    features = heads_input(network, images)
    np.testing.assert_allclose(found, fitted(features), rtol=1e-3)
    assert found is not None
    assert found.std() > 1e-4  # it depends on the image
    plain = quantize(graph, ranges["minmax"], cpu())
    old = OnnxRuntimeBackend(attach(plain, make_manifest())).run(images)
    new = OnnxRuntimeBackend(attach(append(plain, fitted), manifest)).run(images)
    for name in ("grade_probs", "count_probs", "lesion_map"):
        np.testing.assert_array_equal(getattr(old, name), getattr(new, name))


def heads_input(network: FusionModel, images: np.ndarray) -> np.ndarray:
    """What `head_features` gives of pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "load_images", lambda samples, size: images)
        return head_features(network, [])


def test_it_goes_with_familiarity_in_either_order(graph: onnx.ModelProto, fitted: FittedView) -> None:
    distance = FeatureDistance(np.zeros(24, np.float32), np.eye(24, dtype=np.float32))
    manifest = make_manifest(close_up=CloseUp(0.5), familiarity=Familiarity(1.0), requires=(FAMILIARITY,))
    one, other = append_distance(append(graph, fitted), distance), append(append_distance(graph, distance), fitted)
    a, b = (OnnxRuntimeBackend(attach(file, manifest)).run(draw_images(2, seed=1)) for file in (one, other))
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_an_output_that_is_there_is_replaced(graph: onnx.ModelProto, fitted: FittedView) -> None:
    once, changed = append(graph, fitted), replace(fitted, bias=-1.0)
    assert append(once, changed) == append(graph, changed)
    assert append(once, changed) != once
    with pytest.raises(ModelError, match="features are not those of the probe"):
        append(graph, replace(fitted, weights=fitted.weights[1:]))


def test_the_threshold_keeps_nine_of_ten_right() -> None:
    rng = np.random.default_rng(0)
    close = rng.random(300) < 0.3
    features = rng.normal(0, 1, (300, 20)) + 1.2 * close[:, None] * (np.arange(20) < 4)
    weights, bias, threshold = fit_probe(features, close, np.arange(300))
    flagged = FittedView(weights, bias, CloseUp(threshold), {}, {})(features) >= threshold
    assert close[flagged].mean() >= 0.85
    assert flagged[close].mean() >= 0.5
    with pytest.raises(UsageError, match="do not tell"):
        fit_probe(rng.normal(0, 1, (300, 20)), close, np.arange(300))


def test_what_was_fitted_is_kept_in_a_file(fitted: FittedView, tmp_path: Path) -> None:
    fitted.save(tmp_path / "v.npz")
    loaded = FittedView.load(tmp_path / "v.npz")
    np.testing.assert_array_equal(loaded.weights, fitted.weights)
    assert replace(loaded, weights=fitted.weights) == fitted
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04")
    for missing in ("bad.npz", "none.npz"):
        with pytest.raises(UsageError, match="not what python -m export view writes"):
            FittedView.load(tmp_path / missing)


def test_shipped_models_are_extended_and_those_of_other_runs_refused(
    graph: onnx.ModelProto, fitted: FittedView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restamp, "FOLDER", tmp_path)
    (tmp_path / "a.onnx").write_bytes(attach(graph, make_manifest(name="a", training={"lists": LISTS})))
    (tmp_path / "index.json").write_text(json.dumps({"models": [{"name": "a", "file": "a.onnx", "sha256": "", "bytes": 0}]}))
    extend_shipped(fitted)
    manifest = read(tmp_path / "a.onnx")[1]
    assert (manifest.close_up, manifest.metrics["view"]) == (fitted.close_up, MEASURED)
    with pytest.raises(ModelError, match="not of the run"):
        extended(graph, make_manifest(training={"lists": {}}), fitted)


def test_a_probe_is_fitted_on_told_views_and_judged_on_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = acne04.build(tmp_path / "acne04")
    samples = read_samples(data, views.ALL)
    monkeypatch.setattr(views, "read_groups", lambda names: np.arange(len(names)))
    monkeypatch.setattr(views, "FOLDS", 2)
    told = [(s.name, ("close_up", "half")[n % 2], ("judge", "fit")[n > 3]) for n, s in enumerate(samples)]
    features = {s.name: np.r_[n % 2 == 0, np.zeros(3)] + 0.01 * n for n, s in enumerate(samples)}
    monkeypatch.setattr(views, "head_features", lambda model, chosen: np.array([features[s.name] for s in chosen], np.float32))
    table = tmp_path / "views.csv"
    table.write_text("file,view,part\n" + "".join(f"{','.join(row)}\n" for row in told))
    with narrow():
        found = fit(make_run(tmp_path / "run", data, 1), data, table, tmp_path / "v.npz")
    assert {k: v for k, v in found.measured.items() if k != "split"} == {"close_ups": 2, "flagged": 2, "flagged_close_ups": 2}
    assert found.close_up.fitted_on.startswith(f"{len(samples) - 4} photographs")
    assert FittedView.load(tmp_path / "v.npz").close_up == found.close_up
    table.write_text("file,view,part\nnobody.jpg,half,fit\n")
    with narrow(), pytest.raises(UsageError, match=r"nobody\.jpg is not in"):
        fit(tmp_path / "run", data, table, tmp_path / "v.npz")
    table.write_text("name,view\n")
    with pytest.raises(UsageError, match="not a table with the columns"):
        read_views(tmp_path / "none.csv")
