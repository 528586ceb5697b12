from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
from acne_edge.errors import ModelError, UsageError
from acne_edge.fit.familiarity import FeatureDistance, FittedFamiliarity, fit_threshold
from acne_edge.grading import Familiarity
from acne_edge.manifest import FAMILIARITY
from acne_edge.training import checkpoint
from acne_edge.training.familiarity import fine_features, fit_distance, held_out_distances, run_features
from acne_edge.training.model import FusionModel
from acne_edge.training.run import Run
from calibration.ranges import Ranges
from export import restamp
from export.familiarity import append, described, extend_shipped, fit
from export.graph import attach, read
from export.quantize import cpu, quantize, tensorrt
from tests.toy_model import draw_images, make_manifest, make_network, narrow
from tests.training import acne04

LISTS = {"train": {"sha256": "a" * 64}}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return draw_images(24, seed=5)


@pytest.fixture(scope="module")
def distance(network: FusionModel, images: np.ndarray) -> FeatureDistance:
    return fit_distance(fine_features(network, images))


@pytest.fixture
def fitted(distance: FeatureDistance) -> FittedFamiliarity:
    lost = {"all": {"images": 100, "unfamiliar": 1}}
    return FittedFamiliarity(distance, Familiarity(1.5, "some"), LISTS, {"split": "some", "lost": lost})


def test_the_graph_tells_the_distance_of_the_networks_features(
    graph: onnx.ModelProto, network: FusionModel, distance: FeatureDistance, images: np.ndarray
) -> None:
    manifest = make_manifest(familiarity=Familiarity(1.0), requires=(FAMILIARITY,))
    found = OnnxRuntimeBackend(attach(append(graph, distance), manifest)).run(images).unfamiliarity
    assert found is not None
    np.testing.assert_allclose(found, distance(fine_features(network, images)), rtol=1e-3)
    assert found.std() > 0.01  # it depends on the image


@pytest.mark.parametrize("recipe", [cpu(), tensorrt()], ids=lambda recipe: recipe.suffix)
def test_the_other_outputs_of_an_int8_graph_stay_what_they_are_to_the_last_bit(
    recipe, graph: onnx.ModelProto, ranges: dict[str, Ranges], distance: FeatureDistance, images: np.ndarray
) -> None:
    plain = quantize(graph, ranges["minmax"], recipe)
    before = plain.SerializeToString()
    told = append(plain, distance)
    assert plain.SerializeToString() == before
    manifest = make_manifest(familiarity=Familiarity(1.0), requires=(FAMILIARITY,))
    old = OnnxRuntimeBackend(attach(plain, make_manifest())).run(images)
    new = OnnxRuntimeBackend(attach(told, manifest)).run(images)
    for name in ("grade_probs", "count_probs", "lesion_map"):
        np.testing.assert_array_equal(getattr(old, name), getattr(new, name))
    assert new.unfamiliarity is not None
    assert np.isfinite(new.unfamiliarity).all()


def test_an_output_that_is_there_is_replaced(graph: onnx.ModelProto, distance: FeatureDistance) -> None:
    once = append(graph, distance)
    other = replace(distance, mean=distance.mean + 1)
    assert append(once, other) == append(graph, other)
    assert append(once, other) != once


def test_features_of_another_size_or_graphs_of_others_are_refused(graph: onnx.ModelProto, distance: FeatureDistance) -> None:
    with pytest.raises(ModelError, match="features are not those of the distance"):
        append(graph, FeatureDistance(distance.mean[1:], distance.whitening[1:]))
    strange = onnx.ModelProto()
    strange.CopyFrom(graph)
    next(node for node in strange.graph.node if node.name == "grade_head").name = "head"
    with pytest.raises(ModelError, match="no LayerNormalization where"):
        append(strange, distance)
    with pytest.raises(UsageError, match="no ResNet"):
        fine_features(make_network("vit"), np.zeros((1, 32, 32, 3), np.uint8))


def test_whitened_features_have_a_root_mean_square_of_one() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(3, 2, (500, 12)) @ rng.normal(0, 1, (12, 12))
    distances = fit_distance(features)(features)
    assert np.sqrt(np.square(distances).mean()) == pytest.approx(1, abs=0.1)  # shrinking the covariance moves it
    assert (fit_distance(features)(features + 1000) > 10).all()


def test_a_threshold_loses_a_hundredth_of_all_and_a_fiftieth_of_each_source() -> None:
    common, rare = np.linspace(0, 1, 900), np.linspace(1, 3, 100)
    distances, sources = np.concatenate([common, rare]), np.repeat(["hospital", "web"], [900, 100])
    threshold = fit_threshold(distances, sources)
    assert (rare > threshold).sum() == 2
    assert (distances > threshold).mean() <= 0.01
    assert fit_threshold(distances, np.repeat(["web"], 1000)) < threshold  # of all: ten of a thousand


def test_what_was_fitted_is_kept_in_a_file(fitted: FittedFamiliarity, tmp_path: Path) -> None:
    fitted.save(tmp_path / "f.npz")
    loaded = FittedFamiliarity.load(tmp_path / "f.npz")
    assert (loaded.familiarity, loaded.lists, loaded.measured) == (fitted.familiarity, fitted.lists, fitted.measured)
    np.testing.assert_array_equal(loaded.distance.whitening, fitted.distance.whitening)
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04")
    for missing in ("bad.npz", "none.npz"):
        with pytest.raises(UsageError, match="not what python -m export familiarity writes"):
            FittedFamiliarity.load(tmp_path / missing)


def test_a_manifest_says_that_its_readers_must_know(fitted: FittedFamiliarity) -> None:
    manifest = make_manifest(training={"lists": LISTS}, requires=("framing-1",), metrics={"accuracy": 0.8})
    told = described(manifest, fitted)
    assert told.requires == ("framing-1", FAMILIARITY)
    assert described(told, fitted) == told
    assert told.metrics["familiarity"]["lost"]["all"] == {"images": 100, "unfamiliar": 1}
    with pytest.raises(ModelError, match="not of the run"):
        described(make_manifest(training={"lists": {}}), fitted)


def test_shipped_models_are_extended_and_listed(
    graph: onnx.ModelProto, fitted: FittedFamiliarity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restamp, "FOLDER", tmp_path)
    (tmp_path / "a.onnx").write_bytes(attach(graph, make_manifest(name="a", training={"lists": LISTS})))
    index = {"models": [{"name": "a", "file": "a.onnx", "sha256": "", "bytes": 0}]}
    (tmp_path / "index.json").write_text(json.dumps(index))
    (line,) = extend_shipped(fitted)
    listed = json.loads((tmp_path / "index.json").read_text())["models"][0]
    assert line == f"a: a.onnx, sha256 {listed['sha256']}"
    assert listed["bytes"] == (tmp_path / "a.onnx").stat().st_size
    assert read(tmp_path / "a.onnx")[1].familiarity == fitted.familiarity


def make_run(folder: Path, data: Path, fold: int) -> Path:
    """A finished run on a fold, of a random network."""
    folder.mkdir()
    run = Run(folder)
    model = make_network("resnet", seed=fold)
    checkpoint.save(run.model, model.state_dict(), {"model": model.config.to_dict()})
    for part, name in (("train", "trainval"), ("test", "test")):
        run.list_file(part).write_text((data / "Classification" / f"NNEW_{name}_{fold}.txt").read_text())
    config = {"protocol": "official", "cross_validation": fold, "epochs": 3}
    run.results_file.write_text(json.dumps({"config": config, "lists": LISTS}))
    return folder


def test_a_distance_is_the_runs_own_and_the_threshold_of_photographs_that_folds_held_out(tmp_path: Path) -> None:
    data = acne04.build(tmp_path / "acne04")
    with narrow():
        one, two = (make_run(tmp_path / f"fold-{fold}", data, fold) for fold in (1, 2))
        fitted = fit(one, [one, two], data, "test", tmp_path / "f.npz")
        own = fit_distance(run_features(Run(one), data, "train")[1])
        held_out = held_out_distances([Run(one), Run(two), Run(one)], data, "test")
    np.testing.assert_array_equal(fitted.distance.mean, own.mean)
    assert len(set(held_out.names)) == len(held_out.names) == 16  # each once
    assert fitted.familiarity.threshold == fit_threshold(held_out.distances, held_out.sources)
    assert "test list of official fold 1, 3 epochs; test list of official fold 2" in fitted.familiarity.fitted_on
    assert fitted.measured["lost"]["all"]["images"] == 16
    assert FittedFamiliarity.load(tmp_path / "f.npz").familiarity == fitted.familiarity
    with pytest.raises(UsageError, match="held out no val list"):
        held_out_distances([Run(one)], data, "val")
