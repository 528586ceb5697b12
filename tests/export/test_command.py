from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from acne_edge.console import run as run_tool
from acne_edge.fit.constants import fit_uncertainty
from acne_edge.fit.outputs import LabelledOutputs, OutOfFold
from acne_edge.training.calibrate import calibrated as calibrate
from acne_edge.training.checkpoint import load_network
from acne_edge.training.data import load_images, read_samples
from calibration.crops import draw, save
from export import gate
from export.__main__ import app
from export.graph import attach, read, to_onnx
from export.parity import outputs, torch_runner
from tests.calibration.conftest import make_dataset
from tests.export.conftest import FEW_BINS, make_calibration, make_manifest
from tests.export.test_verify import spoil

NAMES = ("toy-fp32.onnx", "toy-int8.onnx", "toy-int8-trt.onnx")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("acne"))


@pytest.fixture(scope="module")
def crops(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crops") / "crops.npz"
    save(path, draw(read_samples(dataset, "train.txt"), 100, 32), seed=0)
    return path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Exit code, stdout and stderr of `python -m export`."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["export", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            run_tool(app, "export")
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def finished(run_directory: Path, dataset: Path) -> Path:
    """The run with its lists."""
    for name in ("train.txt", "val.txt"):
        (run_directory / name).write_text((dataset / "Classification" / name).read_text())
    return run_directory


@pytest.fixture(scope="module")
def exported(finished: Path) -> bytes:
    """The run's graph."""
    return to_onnx(load_network(finished / "model.safetensors")).SerializeToString()


@pytest.fixture(scope="module")
def calibrated(finished: Path) -> bytes:
    return to_onnx(load_network(finished / "model.safetensors"), make_calibration()).SerializeToString()


@pytest.fixture(autouse=True)
def _export_once(exported: bytes, calibrated: bytes, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing takes seconds; only the first test does it through the command."""
    monkeypatch.setattr("calibration.ranges.BINS", FEW_BINS)
    if "real_export" not in request.fixturenames:
        traced = {True: exported, False: calibrated}
        monkeypatch.setattr("acne_edge.training.calibrate.fit_calibration", lambda data: make_calibration())
        monkeypatch.setattr("export.__main__.to_onnx", lambda network, c: onnx.load_from_string(traced[c is None]))


@pytest.fixture
def real_export() -> None:
    """Wanted by the test that traces."""


@pytest.fixture
def arguments(finished: Path, dataset: Path, crops: Path, tmp_path: Path) -> list[object]:
    return ["model", finished, "--data", dataset, "--calibration", crops, "--out", tmp_path / "out", "--name", "toy"]


@pytest.fixture
def loose(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random network stands on the border between grades; its gate is tested where its labels are its own."""
    monkeypatch.setattr(gate, "BUDGET", dict.fromkeys(gate.BUDGET, 10.0))
    monkeypatch.setattr("export.verify.REDUCED", {"grade_probs": 0.25, "count_probs": 0.15, "lesion_map": 0.25})


@pytest.mark.usefixtures("loose", "real_export")
def test_a_run_becomes_three_files_twice_the_same(call, arguments: list[object], tmp_path: Path, finished: Path) -> None:
    code, out, err = call(*arguments, "--method", "minmax")
    assert (code, err) == (0, "")
    written = {name: (tmp_path / "out" / name).read_bytes() for name in NAMES}
    assert (tmp_path / "out" / "ranges.png").read_bytes().startswith(b"\x89PNG")
    for name, recipe in zip(NAMES, ("", "U8S8", "S8S8"), strict=True):
        proto, manifest = read(tmp_path / "out" / name)
        assert manifest.quantisation.get("recipe", "").startswith(recipe)
        assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 18)]
    kept = read(tmp_path / "out" / NAMES[1])[1].quantisation
    assert (kept["reduce_range"], kept["crops"]["n"], kept["excluded"]) == (True, 100, [])
    assert set(kept["gate"]["losses"]) == set(gate.BUDGET)
    assert all(loss["low"] <= loss["value"] <= loss["high"] for loss in kept["gate"]["losses"].values())

    code, again, _ = call(*arguments, "--method", "minmax")
    assert code == 0
    assert "ranges read from" in again
    assert "ranges measured on 100 crops (none cached)" in out
    assert {name: (tmp_path / "out" / name).read_bytes() for name in NAMES} == written

    code, out, err = call("verify", finished, *(f"--model={tmp_path / 'out' / name}" for name in NAMES))
    assert (code, err) == (0, "")
    assert out.count(" ok") == 3 * 5 * 3
    code, out, err = call(
        "bench", finished, "--calibration", arguments[5], "--out", tmp_path / "out", "--name", "toy", "--rounds", 5
    )
    assert (code, err) == (0, "")
    assert [line.split("  ")[0] for line in out.splitlines()[2:5]] == ["PyTorch eager", "ONNX Runtime fp32", "ONNX Runtime INT8"]
    assert "computes in float: " in out


def test_a_failed_gate_writes_no_int8_file_and_keeps_the_old(
    call, arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BUDGET", dict.fromkeys(gate.BUDGET, -1.0))
    monkeypatch.setattr(gate, "strain", lambda lost, names=(): 2.0)
    monkeypatch.setattr(gate, "MAX_EXCLUDED", 0.1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAMES[1]).write_bytes(b"old")
    code, out, err = call(*arguments)
    assert code == 4
    assert err.count("\n") == 1
    assert "the gate fails even with" in err
    assert "outputs suffer most from" in out
    assert (tmp_path / "out" / NAMES[0]).exists()
    assert (tmp_path / "out" / NAMES[1]).read_bytes() == b"old"
    assert not (tmp_path / "out" / NAMES[2]).exists()


def test_a_full_disk_is_one_line(call, arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAMES[0]).write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = call(*arguments)
    assert code == 1
    assert "No space left on device" in err
    assert err.count("\n") == 1
    assert [p.name for p in (tmp_path / "out").iterdir()] == [NAMES[0]]
    assert (tmp_path / "out" / NAMES[0]).read_bytes() == b"old"


def test_crops_that_score_the_model_are_refused(
    call, arguments: list[object], finished: Path, dataset: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("model.safetensors", "run.json", "train.txt"):
        (run / name).write_bytes((finished / name).read_bytes())
    (run / "val.txt").write_text((dataset / "Classification" / "train.txt").read_text())
    code, _, err = call("model", run, *arguments[2:])
    assert code == 2
    assert "100 photographs also score the model" in err


def test_a_run_that_held_nothing_out_has_its_constants_from_the_folds(
    call, arguments: list[object], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BUDGET", dict.fromkeys(gate.BUDGET, 10.0))
    run, folds = tmp_path / "run", tmp_path / "out_of_fold.npz"
    run.mkdir()
    for name in ("model.safetensors", "run.json", "train.txt"):
        (run / name).write_bytes((finished / name).read_bytes())
    random = np.random.default_rng(0)
    predicted = LabelledOutputs(
        random.dirichlet(np.ones(4), 80), random.dirichlet(np.ones(66), 80), random.uniform(0, 60, 80),
        np.arange(80) % 4, np.arange(80) % 60,
    )  # fmt: skip
    OutOfFold(predicted, [f"{i}.jpg" for i in range(80)], np.ones(80, int), {}).save(folds)
    assert "so it takes an --out-of-fold" in call("model", run, *arguments[2:])[2]
    assert "so it takes no --out-of-fold" in call(*arguments, "--out-of-fold", folds)[2]
    assert "not out-of-fold predictions" in call("model", run, *arguments[2:], "--out-of-fold", run / "run.json")[2]
    code, _, err = call("model", run, *arguments[2:], "--method", "minmax", "--out-of-fold", folds)
    assert (code, err) == (0, "")
    code, out, _ = call("verify", run, f"--model={tmp_path / 'out' / NAMES[0]}", "--data", arguments[3], "--number", 4)
    assert (code, out.count("photographs")) == (0, 3), "of the training list, as there is no other"
    manifest = read(tmp_path / "out" / NAMES[1])[1]
    assert manifest.uncertainty.fitted_on.startswith("80 photographs held out, each predicted by one of 1 runs of these settings")
    predicted = calibrate(predicted, make_calibration())
    assert manifest.uncertainty == fit_uncertainty(predicted, manifest.decoding, 0.9, manifest.uncertainty.fitted_on)
    assert manifest.quantisation["gate"]["split"].startswith("10 photographs and their mirror images")
    assert manifest.quantisation["gate"]["split"].endswith("of training, held out of calibration and choice")


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ("model {out}/none --data {data} --calibration {crops} --out {out}", 2, "cannot be read as a checkpoint"),
        ("model {run} --data {data} --calibration {out} --out {out}", 2, "not a calibration set"),
        ("model {run} --data {out} --calibration {crops} --out {out}", 2, "no Classification/JPEGImages"),
        ("model {run} --data {data} --calibration {crops} --out {out} --method best", 2, "unknown calibration method"),
        ("verify {run} --model {text}", 4, "cannot be read as an ONNX model"),
        ("verify {run} --model {bare}", 4, "holds no acne-edge manifest"),
        ("engine {bare} --target sm89", 4, "holds no acne-edge manifest"),
        ("engine {external} --target sm89", 4, "external data"),
        ("engine {custom} --target sm89", 4, "custom operators of com.example"),
    ],
)
def test_bad_input_is_one_line(
    call, given: str, code: int, message: str, finished: Path, dataset: Path, crops: Path, tmp_path: Path
) -> None:
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    proto = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", value[:1], value[1:]), opset_imports=[onnx.helper.make_opsetid("", 18)]
    )
    paths = {name: tmp_path / f"{name}.onnx" for name in ("text", "bare", "external", "custom")}
    paths["text"].write_text("text")
    onnx.save(proto, paths["bare"])
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(3, np.float32), "w"))
    proto.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    paths["external"].write_bytes(proto.SerializeToString())
    del proto.graph.initializer[:]
    proto.graph.node[0].domain = "com.example"
    paths["custom"].write_bytes(proto.SerializeToString())
    names = {"run": finished, "data": dataset, "crops": crops, "out": tmp_path, **paths}
    found, _, err = call(*given.format(**names).split())
    assert found == code
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_verify_knows_the_output_calibration_that_export_fitted(call, finished: Path, calibrated: bytes, tmp_path: Path) -> None:
    graph = onnx.load_from_string(calibrated)
    fitted, plain = tmp_path / "fitted.onnx", tmp_path / "plain.onnx"
    fitted.write_bytes(attach(graph, make_manifest(training={"output_calibration": make_calibration().to_dict()})))
    plain.write_bytes(attach(graph, make_manifest()))
    assert call("verify", finished, "--model", fitted)[0] == 0
    code, _, err = call("verify", finished, "--model", plain)
    assert code == 4
    assert "differs in grade_probs" in err
    code, _, err = call("verify", finished, "--model", plain, "--model", fitted)
    assert code == 2
    assert "differ in their output calibration" in err


def test_verify_names_the_first_diverging_layer(call, finished: Path, exported: bytes, tmp_path: Path) -> None:
    path = tmp_path / "spoiled.onnx"
    path.write_bytes(attach(spoil(onnx.load_from_string(exported), "resnet.layer3.0.conv1"), make_manifest()))
    code, out, err = call("verify", finished, "--model", path)
    assert code == 4
    assert "FAILS" in out
    assert "first diverging layer: resnet.layer3.0.conv1" in err


def test_evaluate_quantises_runs_on_what_they_learned_and_judges_them_on_the_rest(
    call, finished: Path, dataset: Path, exported: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.evaluate.to_onnx", lambda network: onnx.load_from_string(exported))
    monkeypatch.setattr("acne_edge.training.studies.compare.DIVISIONS", 1)
    run = shutil.copytree(finished, tmp_path / "run")
    arguments = ["evaluate", run, "--data", dataset, "--part", "val", "--out", tmp_path / "int8.json"]
    code, _, err = call(*arguments)
    assert code == 2
    assert "no finished run that did without photographs, as there is no val_outputs.npz" in err
    network, samples = load_network(run / "model.safetensors"), read_samples(dataset, "val.txt")
    predicted = outputs(torch_runner(network), load_images(samples, network.config.image_size))
    np.savez(run / "val_outputs.npz", **predicted._asdict())
    code, out, _ = call(*arguments)
    assert code == 0
    results = json.loads((tmp_path / "int8.json").read_text())
    assert (results["images"], results["trained_on"], results["method"]) == (len(samples), [120], "minmax")
    assert list(results["figures"]) == ["float32", "U8S8 Q/DQ, weights per channel", "S8S8 Q/DQ, symmetric, weights per channel"]
    assert out.count("mae_increase") == 2
    (run / "train.txt").write_text((run / "val.txt").read_text())
    code, _, err = call(*arguments)
    assert (code, "also score the model" in err) == (2, True)
    other = shutil.copytree(run, tmp_path / "other")
    (other / "run.json").write_text('{"config": {"lr": 1}}')
    code, _, err = call(*arguments, other)
    assert (code, "has other settings than" in err) == (2, True)
