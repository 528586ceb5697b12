from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from acne_edge.errors import AcneEdgeError, ManifestError, ModelError, UsageError
from acne_edge.evaluation.labels import Label
from acne_edge.files import write
from acne_edge.fit.outputs import LabelledOutputs
from acne_edge.training import checkpoint
from acne_edge.training.calibrate import calibrated
from acne_edge.training.checkpoint import load_network
from acne_edge.training.model import FusionModel
from acne_edge.training.run import Run
from calibration.ranges import layers
from export.graph import attach, check, read, to_onnx
from export.parity import difference, onnx_runner, outputs, torch_runner
from export.quantize import candidates
from tests.test_onnx_file import with_external_weights
from tests.toy_model import draw_images, make_calibration, make_manifest, make_network, narrow, toy_model


def copy(graph: onnx.ModelProto) -> onnx.ModelProto:
    twin = onnx.ModelProto()
    twin.CopyFrom(graph)
    return twin


def test_the_graph_computes_what_torch_computes(network: FusionModel, graph: onnx.ModelProto) -> None:
    images = draw_images(5, seed=3)
    expected = outputs(torch_runner(network), images)
    found = outputs(onnx_runner(attach(graph, make_manifest())), images)
    assert expected.grade_probs.std(0).max() > 0.01  # the outputs do depend on the images
    assert max(difference(expected, found).values()) < 1e-4


@pytest.mark.slow
def test_an_output_calibration_is_part_of_the_graph_and_never_quantised(
    network: FusionModel, graph: onnx.ModelProto, capfd: pytest.CaptureFixture[str]
) -> None:
    calibration = make_calibration()
    level = logging.getLogger("torch.onnx").level
    images = draw_images(5, seed=3)
    plain = LabelledOutputs.of(outputs(torch_runner(network), images)._asdict(), [Label("", 0, 1)] * 5)
    expected = calibrated(plain, calibration)
    with_calibration = to_onnx(network, calibration)
    assert capfd.readouterr() == ("", ""), "the exporter is silent"
    assert logging.getLogger("torch.onnx").level == level, "and its logger is as it was"
    found = outputs(onnx_runner(attach(with_calibration, make_manifest())), images)
    for name in ("grade_probs", "count_probs"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-4)
        assert np.abs(getattr(expected, name) - getattr(plain, name)).max() > 0.02
    assert {"calibration.grade", "calibration.count"} <= {node.name for node in with_calibration.graph.node}
    assert candidates(with_calibration) == candidates(graph)


def test_layers_bear_the_names_of_modules(network: FusionModel, graph: onnx.ModelProto) -> None:
    names = [node.name for node in layers(graph)]
    assert len(set(names)) == len(names)
    assert {"resnet.layer2.1.conv2", "vit.blocks.0.attn.q", "vit.channel_attention.squeeze.2", "count_head"} <= set(names)
    modules = {name for name, _ in network.named_modules()} | {f"vit.blocks.0.attn.{part}" for part in "qkv"}
    assert {name.removesuffix(".2") for name in names} <= modules


def test_the_graph_moves_data_no_more_than_it_must(graph: onnx.ModelProto) -> None:
    """What arranges tokens costs runtimes time: these are as few as with reshape and permute written out."""
    moves = Counter(node.op_type for node in graph.graph.node)
    assert (moves["Transpose"], moves["Reshape"], moves["Concat"], moves["Shape"]) == (7, 13, 4, 1)


def test_the_graph_says_nothing_of_this_machine(graph: onnx.ModelProto) -> None:
    text = graph.SerializeToString()
    for trace in (str(Path.cwd()), "stack_trace", "torch/", "site-packages"):
        assert trace.encode() not in text
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 18)]


@pytest.mark.slow
def test_another_process_exports_the_same_bytes(graph: onnx.ModelProto) -> None:
    code = (
        "import sys; from export.graph import to_onnx; from tests.toy_model import make_network;"
        "sys.stdout.buffer.write(to_onnx(make_network()).SerializeToString(deterministic=True))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == graph.SerializeToString(deterministic=True)
    assert done.stderr == b""


def test_external_data_is_refused(graph: onnx.ModelProto) -> None:
    broken = copy(graph)
    broken.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    with pytest.raises(ModelError, match="external data"):
        check(broken)


def test_custom_operators_are_refused(graph: onnx.ModelProto) -> None:
    broken = copy(graph)
    broken.graph.node[3].domain = "com.example"
    with pytest.raises(ModelError, match=r"custom operators of com\.example"):
        check(broken)


def test_an_old_opset_and_a_broken_graph_are_refused(graph: onnx.ModelProto) -> None:
    old, broken = copy(graph), copy(graph)
    old.opset_import[0].version = 16
    broken.graph.node[5].input[0] = "nothing"
    with pytest.raises(ModelError, match="opset 16; at least 17"):
        check(old)
    with pytest.raises(ModelError, match=r"onnx\.checker refuses"):
        check(broken)


def test_reading_a_file_without_manifest(graph: onnx.ModelProto, tmp_path: Path) -> None:
    path, bare = tmp_path / "bare.onnx", copy(graph)
    del bare.metadata_props[:]
    onnx.save(bare, path)
    with pytest.raises(ManifestError, match=r"bare\.onnx: the ONNX file holds no acne-edge manifest"):
        read(path)


def test_reading_what_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a model")
    with pytest.raises(ModelError, match=r"text\.onnx: cannot be read as an ONNX model"):
        read(path)
    os.mkfifo(tmp_path / "pipe.onnx")
    for name in ("nowhere.onnx", "pipe.onnx"):
        with pytest.raises(ModelError, match="cannot be read as an ONNX model"):
            read(tmp_path / name)


def test_reading_a_model_with_weights_elsewhere_or_a_manifest_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(with_external_weights(toy_model())[0])
    with pytest.raises(ModelError, match=r"model\.onnx: the model keeps weights outside its file"):
        read(path)
    path.write_bytes(toy_model(make_manifest(licence="caf?")).replace(b"caf?", b"caf\xe9"))
    with pytest.raises(ManifestError, match=r"model\.onnx: the manifest is not UTF-8"):
        read(path)


def test_a_model_file_comes_back_with_its_manifest(graph: onnx.ModelProto, tmp_path: Path) -> None:
    manifest = make_manifest()
    write(tmp_path / "model.onnx", attach(graph, manifest))
    assert read(tmp_path / "model.onnx")[1] == manifest


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path, run_directory: Path) -> None:
    path = tmp_path / "model.safetensors"
    config = make_network("resnet").config.to_dict()
    checkpoint.save(path, {"stem.weight": torch.zeros(3)}, {"model": config})
    with pytest.raises(UsageError, match="has another architecture") as error:
        load_network(path)
    assert "\n" not in str(error.value)
    checkpoint.save(path, {}, {"model": {**config, "width": 3}})
    with pytest.raises(UsageError, match="has another architecture"):
        load_network(path)
    with narrow():
        assert np.isfinite(load_network(Run(run_directory).model).count_head.weight.detach().numpy()).all()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    write(path, b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"os.{call}", full)
    with pytest.raises(AcneEdgeError, match=r"model\.onnx: cannot be written \(No space left on device\)") as error:
        write(path, b"new")
    assert error.value.exit_code == 1
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_attach_is_deterministic(graph: onnx.ModelProto) -> None:
    described = copy(graph)
    helper.set_model_props(described, {"left": "over"})
    assert attach(described, make_manifest()) == attach(graph, make_manifest())
