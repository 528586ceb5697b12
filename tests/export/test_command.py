from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch

from acne_edge import AcneGrader, models
from acne_edge.backends.base import OUTPUT_NAMES
from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
from acne_edge.evaluation.learned import learned
from acne_edge.fit.constants import fit_uncertainty
from acne_edge.fit.familiarity import FittedFamiliarity
from acne_edge.fit.outputs import LabelledOutputs, OutOfFold
from acne_edge.grading import Familiarity
from acne_edge.training.calibrate import calibrated
from acne_edge.training.checkpoint import load_network
from acne_edge.training.data import load_images, read_samples
from acne_edge.training.familiarity import fine_features, fit_distance
from acne_edge.training.run import Run
from calibration.crops import draw, save
from export import gate, search
from export.__main__ import app, main
from export.graph import attach, read, to_onnx, trace
from export.model import exposures
from export.parity import outputs, torch_runner
from tests import command
from tests.calibration.conftest import make_dataset
from tests.command import Done
from tests.export.conftest import FEW_BINS
from tests.export.test_verify import spoil
from tests.toy_model import draw_images, make_calibration, make_manifest, narrow, toy_model

ROOT = Path(__file__).parents[2]
NAMES = ("toy-fp32.onnx", "toy-int8.onnx", "toy-int8-trt.onnx")


def call(*arguments: object) -> Done:
    """`python -m export`, with narrow networks."""
    with narrow():
        return command.call(main, *arguments)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("acne"))


@pytest.fixture(scope="module")
def crops(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crops") / "crops.npz"
    save(path, draw(read_samples(dataset, "train.txt"), 100, 32), seed=0)
    return path


@pytest.fixture(scope="module")
def finished(run_directory: Path, dataset: Path) -> Path:
    """The run with its lists."""
    for name in ("train.txt", "val.txt"):
        (run_directory / name).write_text((dataset / "Classification" / name).read_text())
    return run_directory


@pytest.fixture(scope="module", autouse=True)
def _cheap() -> Iterator[None]:
    """Few bins, few crops for statistics, and budgets that a random network keeps, which stands on the border between grades: its
    gate is tested where its labels are its own.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calibration.ranges.BINS", FEW_BINS)
        patch.setattr(search, "STATISTICS_IMAGES", 16)
        patch.setattr(gate, "BUDGET", dict.fromkeys(gate.BUDGET, 10.0))
        patch.setattr("export.verify.REDUCED", {"grade_probs": 0.25, "count_probs": 0.15, "lesion_map": 0.25})
        yield


def arguments(run: Path, dataset: Path, crops: Path, out: Path) -> list[object]:
    return ["model", run, "--data", dataset, "--crops", crops, "--out", out, "--name", "toy", "--method", "minmax"]


class Export(NamedTuple):
    """The command line of an export, and its result."""

    arguments: list[object]
    done: Done
    folder: Path


@pytest.fixture(scope="module")
def familiarity(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A distance of the run's features."""
    path = tmp_path_factory.mktemp("familiarity") / "familiarity.npz"
    with narrow():
        distance = fit_distance(fine_features(load_network(Run(finished).model), draw_images(32, seed=0)))
    FittedFamiliarity(distance, Familiarity(1.5, "some"), {}, {}).save(path)
    return path


@pytest.fixture(scope="module")
def exported(finished: Path, dataset: Path, crops: Path, familiarity: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The run after a real export; all other tests trace nothing."""
    folder = tmp_path_factory.mktemp("exported") / "out"
    given = [*arguments(finished, dataset, crops, folder), "--familiarity", familiarity]
    return Export(given, call(*given), folder)


@pytest.fixture(scope="module")
def programs(finished: Path) -> dict[bool, torch.onnx.ONNXProgram]:
    """The run's network as the exporter traced it, without output calibration and with one."""
    with narrow():
        network = load_network(Run(finished).model)
    return {False: trace(network), True: trace(network, make_calibration())}


@pytest.fixture
def traced(programs: dict[bool, torch.onnx.ONNXProgram], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands trace nothing, and fit no other output calibration than the one that was traced."""
    monkeypatch.setattr("acne_edge.training.calibrate.fit_calibration", lambda data: make_calibration())
    for module in ("graph", "verify"):
        monkeypatch.setattr(f"export.{module}.trace", lambda network, calibration=None: programs[calibration is not None])


def test_a_run_becomes_three_files(exported: Export, dataset: Path) -> None:
    assert exported.done.code == 0, exported.done.err
    assert (exported.folder / "ranges.png").read_bytes().startswith(b"\x89PNG")
    for name, recipe in zip(NAMES, ("", "U8S8", "S8S8"), strict=True):
        proto, manifest = read(exported.folder / name)
        assert manifest.quantisation.get("recipe", "").startswith(recipe)
        assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 18)]
        assert (manifest.familiarity, manifest.requires) == (Familiarity(1.5, "some"), ("framing-1", "familiarity-1"))
        assert OnnxRuntimeBackend((exported.folder / name).read_bytes()).run(draw_images(2, seed=0)).unfamiliarity is not None
        images = dataset / "Classification" / "JPEGImages"
        assert learned(manifest.training, images.iterdir()) == {"train": 120, "val": 20}
        assert manifest.reference is not None
        assert (manifest.reference.photographs, manifest.reference.fitted_on) == (20, manifest.uncertainty.fitted_on)
        assert len(manifest.reference.values["count"]) == len(manifest.reference.values["skin"]) == 20
    kept = read(exported.folder / NAMES[1])[1].quantisation
    assert (kept["reduce_range"], kept["crops"]["n"], kept["excluded"]) == (True, 100, [])
    assert set(kept["gate"]["losses"]) == set(gate.BUDGET)
    assert all(loss["low"] <= loss["value"] <= loss["high"] for loss in kept["gate"]["losses"].values())


def test_what_was_done_is_logged_and_ends_in_a_table(exported: Export) -> None:
    _, out, err = exported.done
    assert "ranges measured on 100 crops (none cached)" in err
    assert err.count("passes") == 4  # both kinds of INT8, on the images to choose by and on those that judge
    head, budget, *rows = (line.split() for line in out.splitlines())
    assert head[:3] == ["file", "MB", "ranges"]
    assert budget[:3] == ["may", "change", "by"]
    assert [row[0] for row in rows] == list(NAMES)
    assert [row[2:4] for row in rows] == [["-", "-"], ["minmax", "0"], ["minmax", "0"]]


@pytest.mark.slow
def test_another_export_reads_the_ranges_and_gives_the_same_bytes(exported: Export) -> None:
    written = {name: (exported.folder / name).read_bytes() for name in NAMES}
    code, _, err = call(*exported.arguments)
    assert code == 0
    assert "ranges read from" in err
    assert {name: (exported.folder / name).read_bytes() for name in NAMES} == written


def test_the_files_agree_with_the_checkpoint(exported: Export, finished: Path) -> None:
    code, out, err = call("verify", finished, *(f"--model={exported.folder / name}" for name in NAMES))
    assert (code, err) == (0, "")
    assert len([line for line in out.splitlines() if line.endswith(" ok")]) == 3 * 5 * 3


def test_the_files_are_timed(exported: Export, finished: Path, crops: Path) -> None:
    code, out, err = call("bench", finished, "--crops", crops, "--out", exported.folder, "--name", "toy", "--rounds", 5)
    assert (code, err) == (0, "")
    assert [line.split("  ")[0] for line in out.splitlines()[2:5]] == ["PyTorch eager", "ONNX Runtime fp32", "ONNX Runtime INT8"]
    assert "computes in float: " in out


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_a_failed_gate_writes_no_int8_file_and_keeps_the_old(
    exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BUDGET", dict.fromkeys(gate.BUDGET, -1.0))
    monkeypatch.setattr(search, "strain", lambda lost, names=(): 2.0)
    monkeypatch.setattr(search, "MAX_EXCLUDED", 0.1)
    monkeypatch.setattr(search, "RANKING_IMAGES", 8)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAMES[1]).write_bytes(b"old")
    done = call(*exported.arguments, "--out", tmp_path / "out", "--method", "auto")
    assert done.code == 4
    assert "the gate fails even with" in done.error
    assert "outputs suffer most from" in done.err
    assert [line.split()[0] for line in done.out.splitlines()[2:]] == [NAMES[0]]
    assert (tmp_path / "out" / NAMES[0]).exists()
    assert (tmp_path / "out" / NAMES[1]).read_bytes() == b"old"
    assert not (tmp_path / "out" / NAMES[2]).exists()


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_an_interrupted_search_says_how_to_go_on(exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("export.model.search_int8", interrupt)
    done = call(*exported.arguments, "--out", tmp_path)
    assert (done.code, done.out) == (130, "")
    assert "interrupted; to resume, run the same command" in done.error
    assert str(tmp_path / "ranges.json") in done.error
    assert (tmp_path / "ranges.json").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_a_full_disk_is_one_line(exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAMES[0]).write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    done = call(*exported.arguments, "--out", tmp_path / "out")
    assert done.code == 1
    assert "No space left on device" in done.error
    assert [p.name for p in (tmp_path / "out").iterdir()] == [NAMES[0]]
    assert (tmp_path / "out" / NAMES[0]).read_bytes() == b"old"


def copy_of(finished: Path, folder: Path, *files: str) -> Path:
    """A run with some of the files of the finished one."""
    folder.mkdir()
    for name in ("model.safetensors", "run.json", *files):
        shutil.copy(finished / name, folder)
    return folder


def test_crops_that_score_the_model_are_refused(exported: Export, finished: Path, dataset: Path, tmp_path: Path) -> None:
    run = copy_of(finished, tmp_path / "run", "train.txt")
    (run / "val.txt").write_text((dataset / "Classification" / "train.txt").read_text())
    code, _, err = call("model", run, *exported.arguments[2:])
    assert code == 2
    assert "100 photographs also score the model" in err


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_a_run_that_held_nothing_out_has_its_constants_from_the_folds(
    exported: Export, finished: Path, dataset: Path, tmp_path: Path
) -> None:
    run, folds, out = copy_of(finished, tmp_path / "run", "train.txt"), tmp_path / "out_of_fold.npz", tmp_path / "out"
    random = np.random.default_rng(0)
    predicted = LabelledOutputs(
        random.dirichlet(np.ones(4), 80), random.dirichlet(np.ones(66), 80), random.uniform(0, 60, 80),
        np.arange(80) % 4, np.arange(80) % 60,
    )  # fmt: skip
    OutOfFold(predicted, [f"{i}.jpg" for i in range(80)], np.ones(80, int), {"distill": 0.0}).save(
        folds
    )  # a run from before that setting has 0
    given = ["model", run, *exported.arguments[2:], "--out", out]
    assert "so it takes an --out-of-fold" in call(*given).err
    assert "so it takes no --out-of-fold" in call(*exported.arguments, "--out-of-fold", folds).err
    assert "not out-of-fold predictions" in call(*given, "--out-of-fold", run / "run.json").err
    code, _, err = call(*given, "--out-of-fold", folds)
    assert code == 0, err
    code, shown, _ = call("verify", run, f"--model={out / NAMES[0]}", "--data", dataset, "--number", 4)
    assert (code, shown.count("photographs")) == (0, 3), "of the training list, as there is no other"
    manifest = read(out / NAMES[1])[1]
    assert manifest.uncertainty.fitted_on.startswith("80 photographs held out, each predicted by one of 1 runs of these settings")
    predicted = calibrated(predicted, make_calibration())
    assert manifest.uncertainty == fit_uncertainty(predicted, manifest.decoding, 0.9, manifest.uncertainty.fitted_on)
    assert manifest.quantisation["gate"]["split"].startswith("10 photographs and their mirror images")
    assert manifest.quantisation["gate"]["split"].endswith("of training, held out of calibration and choice")


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ("model {out}/none --data {data} --crops {crops} --out {out}", 2, "cannot be read as a checkpoint"),
        ("model {run} --data {data} --crops {out} --out {out}", 2, "not a calibration set"),
        ("model {run} --data {out} --crops {crops} --out {out}", 2, "no Classification/JPEGImages"),
        ("model {run} --data {data} --crops {crops} --out {text}", 2, "cannot be made"),
        ("verify {run} --model {text}", 4, "cannot be read as an ONNX model"),
        ("verify {run} --model {bare}", 4, "holds no acne-edge manifest"),
        ("verify {run} --model {external}", 4, "external data"),
        ("verify {run} --model {custom}", 4, "custom operators of com.example"),
        ("register {bare}", 4, "no acne-edge manifest"),
        ("register {out}/none.onnx", 4, "none.onnx: cannot read the model file"),
    ],
)
@pytest.mark.usefixtures("traced")
def test_bad_input_is_one_line(
    given: str, code: int, message: str, finished: Path, dataset: Path, crops: Path, tmp_path: Path
) -> None:
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    proto = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", value[:1], value[1:]), opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9
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
    done = call(*given.format(**names).split())
    assert done.code == code
    assert message in done.error
    assert done.err.count("export: ") == 1 + done.err.count("torch vs ONNX")
    assert "Traceback" not in done.err


HELP = """
import sys
for absent in ("torch", "onnx", "onnxscript", "safetensors", "einops", "matplotlib"):
    sys.modules[absent] = None
from calibration.__main__ import main as calibration
from export.__main__ import app, main as export
tools = [(export, command.callback.__name__) for command in app.registered_commands]
for main, name in [*tools, (calibration, "crops"), (calibration, "ranges")]:
    sys.argv = ["tool", name, "--help"]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, name
print("numpy" in sys.modules)
sys.argv = ["tool", "verify", "run", "--model", "model.onnx"]
export()
"""


def test_help_needs_none_of_the_packages_that_the_work_needs() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.count("Usage: ")) == (2, len(app.registered_commands) + 2), done.stderr
    assert done.stdout.splitlines()[-1] == "False"  # nor anything else that takes time
    assert "install it with: pip install 'acne-edge[export]'" in done.stderr


def test_an_option_is_known_by_its_old_name_which_help_does_not_show(finished: Path, dataset: Path, tmp_path: Path) -> None:
    for given in (["--calibration", tmp_path / "no.npz"], [f"--calibration={tmp_path / 'no.npz'}"]):
        code, _, err = call("model", finished, "--data", dataset, "--out", tmp_path, *given)
        assert (code, "no.npz" in err) == (2, True), err
    assert "--calibration" not in call("model", "--help").out


def test_without_a_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxscript'", name="onnxscript")

    monkeypatch.setattr("export.__main__.app", missing)
    code, _, err = call("model")
    assert code == 2
    assert "needs onnxscript; install it with: pip install 'acne-edge[export]'" in err


@pytest.mark.slow
def test_verify_knows_the_output_calibration_that_export_fitted(
    finished: Path, programs: dict[bool, torch.onnx.ONNXProgram], traced: None, tmp_path: Path
) -> None:
    with narrow():
        graph = to_onnx(load_network(Run(finished).model), make_calibration())
    fitted, plain = tmp_path / "fitted.onnx", tmp_path / "plain.onnx"
    fitted.write_bytes(attach(graph, make_manifest(training={"output_calibration": make_calibration().to_dict()})))
    plain.write_bytes(attach(graph, make_manifest()))
    assert call("verify", finished, "--model", fitted).code == 0
    code, _, err = call("verify", finished, "--model", plain)
    assert code == 4
    assert "differs in grade_probs" in err
    code, _, err = call("verify", finished, "--model", plain, "--model", fitted)
    assert code == 2
    assert "differ in their output calibration" in err


@pytest.mark.usefixtures("traced")
def test_verify_names_the_first_diverging_layer(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "spoiled.onnx"
    with narrow():
        graph = to_onnx(load_network(Run(finished).model))
    path.write_bytes(attach(spoil(graph, "resnet.layer3.0.conv1"), make_manifest()))
    code, out, err = call("verify", finished, "--model", path)
    assert code == 4
    assert "FAILS" in out
    assert "first diverging layer: resnet.layer3.0.conv1" in err


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_evaluate_quantises_runs_on_what_they_learned_and_judges_them_on_the_rest(
    finished: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.evaluate.STATISTICS_IMAGES", 16)
    monkeypatch.setattr("acne_edge.training.studies.compare.DIVISIONS", 1)
    run = shutil.copytree(finished, tmp_path / "run")
    arguments = ["evaluate", run, "--data", dataset, "--part", "val", "--out", tmp_path / "int8.json"]
    code, _, err = call(*arguments)
    assert code == 2
    assert "not a finished run that held photographs out: it has no val_outputs.npz" in err
    with narrow():
        network, samples = load_network(run / "model.safetensors"), read_samples(dataset, "val.txt")
    predicted = outputs(torch_runner(network), load_images(samples, network.config.image_size))
    np.savez(run / "val_outputs.npz", **{name: getattr(predicted, name) for name in OUTPUT_NAMES})
    code, out, err = call(*arguments, "--keep", tmp_path / "kept")
    assert code == 0, err
    with AcneGrader.load(tmp_path / "kept" / "run.onnx") as grader:
        assert grader.manifest.is_framed
    with np.load(tmp_path / "kept" / "run.npz") as kept:
        assert kept["names"].tolist() == [s.name for s in samples]
        assert LabelledOutputs.of(dict(kept), samples).grade_probs.shape == (len(samples), 4)
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


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package's folder of models."""
    folder = shutil.copytree(models.FOLDER, tmp_path / "models")
    monkeypatch.setattr(models, "FOLDER", str(folder))
    models.index.cache_clear()
    yield folder
    models.index.cache_clear()


def test_a_registered_model_is_listed_last_and_replaces_one_of_its_name(package: Path, tmp_path: Path) -> None:
    before = list(models.index())
    for version in ("1", "2"):
        file = tmp_path / "toy.onnx"
        file.write_bytes(toy_model(make_manifest(version=version)))
        done = call("register", file)
        assert done.code == 0, done.err
        assert list(models.index()) == [*before, "toy"]
        assert models.load_model("toy").data == file.read_bytes()
        assert models.load_model("toy").sha256 in done.out


def test_a_model_is_registered_as_the_default_on_request(package: Path, tmp_path: Path) -> None:
    before, file = list(models.index()), tmp_path / "toy.onnx"
    file.write_bytes(toy_model())
    assert call("register", file, "--default").code == 0
    assert list(models.index()) == ["toy", *before]
    assert models.load_model().data == file.read_bytes()


def test_a_model_that_is_too_large_to_ship_is_refused(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.register.MAX_BYTES", 1000)
    (tmp_path / "toy.onnx").write_bytes(toy_model())
    code, _, err = call("register", tmp_path / "toy.onnx")
    assert code == 4
    assert "a shipped model may have at most" in err
    assert "toy" not in (package / "index.json").read_text()


def test_few_photographs_are_shown_in_more_exposures_so_that_one_flip_does_not_decide() -> None:
    assert exposures(300, 1) == (1.0,)
    assert exposures(300, 2) == (1.0, 0.9)
    assert 2 * 22 * len(exposures(22, 1)) >= 200
    assert len(exposures(3, 1)) == 5
