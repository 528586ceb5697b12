from __future__ import annotations

import hashlib
import json
from pathlib import Path

import onnx
import pytest

from acne_edge.errors import ManifestError, UsageError
from acne_edge.evaluation import learned
from acne_edge.manifest import Manifest
from acne_edge.onnx_file import manifest_text
from export import restamp as module
from export.graph import attach
from export.restamp import merged, restamp
from tests.calibration.conftest import make_dataset
from tests.toy_model import make_manifest


@pytest.fixture
def shipped(graph: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two shipped models."""
    entries = []
    for name in ("first", "second"):
        twin = onnx.ModelProto()
        twin.CopyFrom(graph)
        data = attach(twin, make_manifest(name=name, metrics={"accuracy": 0.5}))
        (tmp_path / f"{name}.onnx").write_bytes(data)
        entries.append({"name": name, "file": f"{name}.onnx", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)})
    (tmp_path / "index.json").write_text(json.dumps({"models": entries}))
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    return tmp_path


def write_patch(folder: Path, **fields: object) -> Path:
    path = folder / "patch.json"
    path.write_text(json.dumps(fields))
    return path


def manifest_of(file: Path) -> Manifest:
    text = manifest_text(file.read_bytes())
    assert text is not None
    return Manifest.from_json(text)


POSITIONS = {"rule": "cross", "threshold": 0.25, "fitted_on": "drawings"}


def test_fields_change_and_the_network_does_not(shipped: Path, graph: onnx.ModelProto) -> None:
    restamp(write_patch(shipped, positions=POSITIONS, metrics={"f1": 0.7}))
    for name in ("first", "second"):
        manifest = manifest_of(shipped / f"{name}.onnx")
        assert vars(manifest.positions) == POSITIONS
        assert (manifest.name, manifest.metrics) == (name, {"accuracy": 0.5, "f1": 0.7})
        proto = onnx.load(shipped / f"{name}.onnx")
        assert proto.graph.SerializeToString(deterministic=True) == graph.graph.SerializeToString(deterministic=True)


def test_the_index_lists_the_new_files_in_the_old_order(shipped: Path) -> None:
    before = {path.name: path.read_bytes() for path in shipped.glob("*.onnx")}
    restamp(write_patch(shipped, positions=POSITIONS), ["second"])
    models = json.loads((shipped / "index.json").read_text())["models"]
    assert [entry["name"] for entry in models] == ["first", "second"]
    for entry in models:
        data = (shipped / entry["file"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert (data == before[entry["file"]]) == (entry["name"] == "first")


def test_a_patch_that_makes_a_manifest_invalid_changes_no_file(shipped: Path) -> None:
    before = {path.name: path.read_bytes() for path in shipped.glob("*.*") if path.name != "patch.json"}
    with pytest.raises(ManifestError, match=r"positions\.threshold"):
        restamp(write_patch(shipped, positions={**POSITIONS, "threshold": 7}))
    assert {name: (shipped / name).read_bytes() for name in before} == before


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("acne"))


@pytest.fixture
def run(dataset: Path, tmp_path: Path) -> Path:
    """A run on the lists of the shipped models, which have none."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("train.txt", "val.txt"):
        (folder / name).write_text((dataset / "Classification" / name).read_text())
    (folder / "run.json").write_text(json.dumps({"config": {}}))
    return folder


def test_fingerprints_of_what_a_run_learned_are_put_in(shipped: Path, dataset: Path, run: Path) -> None:
    restamp(write_patch(shipped, metrics={"f1": 0.7}), run=run, data=dataset)
    photographs = sorted((dataset / "Classification" / "JPEGImages").iterdir())
    for name in ("first", "second"):
        manifest = manifest_of(shipped / f"{name}.onnx")
        assert learned.learned(manifest.training, photographs) == {"train": 120, "val": 20}
        assert manifest.metrics == {"accuracy": 0.5, "f1": 0.7}


def test_a_run_that_is_not_the_models_is_refused(shipped: Path, dataset: Path, run: Path) -> None:
    before = (shipped / "first.onnx").read_bytes()
    (run / "run.json").write_text(json.dumps({"config": {}, "lists": {"train": {"n": 120, "sha256": "0"}}}))
    with pytest.raises(UsageError, match=r"first\.onnx: was trained on other lists than the run"):
        restamp(None, run=run, data=dataset)
    assert (shipped / "first.onnx").read_bytes() == before


def test_photographs_too_many_for_a_manifest_are_left_out(
    shipped: Path, dataset: Path, run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(learned, "MOST", 139)
    restamp(None, run=run, data=dataset)
    assert "fingerprints" not in manifest_of(shipped / "first.onnx").training
    assert "140 photographs are too many" in caplog.text


def test_a_patch_or_a_model_that_is_not_there_is_refused(shipped: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read as a patch"):
        restamp(shipped / "missing.json")
    with pytest.raises(UsageError, match="no shipped model 'third'; there are: first, second"):
        restamp(write_patch(shipped), ["third"])


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": 1}, [1], [1]),
    ],
)
def test_patches_are_merged_as_rfc_7396_says(target: object, patch: object, result: object) -> None:
    assert merged(target, patch) == result
