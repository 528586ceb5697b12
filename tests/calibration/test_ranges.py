from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from acne_edge.errors import ModelError, UsageError
from acne_edge.manifest import InputSpec
from calibration import ranges as module
from calibration.crops import CropSet
from calibration.ranges import Ranges, StaleRangesError, collect, key, layers, load, load_or_collect, measured, save
from calibration.report import draw, outliers

SPEC = InputSpec(32, 32)


def toy(weight: float = 1.0) -> onnx.ModelProto:
    """Image -> float -> 1x1 convolution of one channel each -> Relu -> product of two activations."""
    kernel = np.eye(3, dtype=np.float32)[:, :, None, None] * np.float32(weight)
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["cast"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "kernel"], ["y"], name="conv"),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("MatMul", ["z", "z"], ["product"], name="attention"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 32, 32, 3])
    out = helper.make_tensor_value_info("product", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "toy", [image], [out], [numpy_helper.from_array(kernel, "kernel")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(scope="module")
def crops() -> CropSet:
    images = np.random.default_rng(0).normal(100, 15, (100, 32, 32, 3)).clip(60, 140).astype(np.uint8)
    images[0, 0, 0, 0] = 255  # the outlier
    return CropSet(images, ("a",) * 100, "hash")


def test_only_constant_products_are_layers() -> None:
    assert [node.name for node in layers(toy())] == ["conv"]
    assert measured(toy()) == ["x", "y", "z"]


def test_three_methods_in_one_pass(crops: CropSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERCENTILE", 99.9)
    runs = []
    observed = module.observed
    monkeypatch.setattr(module, "observed", lambda *given: runs.append(given) or observed(*given))
    found = collect(toy(2.0), crops.images)
    assert len(runs) == 1
    assert found["minmax"] == {"x": (60.0, 255.0), "y": (120.0, 510.0), "z": (120.0, 510.0)}
    low, high = found["percentile"]["x"]
    assert 58 <= low <= 65
    assert 130 <= high <= 150  # without the outlier
    assert found["minmax"]["x"][0] <= found["entropy"]["x"][0] < found["entropy"]["x"][1] <= found["minmax"]["x"][1]
    assert outliers(found) == {name: pytest.approx(2.6, abs=0.4) for name in ("x", "y", "z")}


def test_methods_that_are_not_wanted_are_left_out(crops: CropSet) -> None:
    graph = toy(2.0)
    assert collect(graph, crops.images, ["minmax"]) == {"minmax": collect(graph, crops.images)["minmax"]}


def test_activations_that_are_not_finite_are_refused(crops: CropSet) -> None:
    with pytest.raises(ModelError, match="activations of y are not finite"):
        collect(toy(3e38), crops.images)


def test_the_cache_serves_its_own_and_refuses_others(tmp_path: Path, crops: CropSet) -> None:
    path, wanted = tmp_path / "ranges.json", key(toy(), crops, SPEC)
    found = {"minmax": {"x": (0.0, 1.5)}}
    save(path, found, wanted)
    assert load(path, wanted) == found
    others = {
        "model": key(toy(2.0), crops, SPEC),
        "crops": key(toy(), CropSet(crops.images, crops.names, "another"), SPEC),
        "preprocessing": key(toy(), crops, InputSpec(32, 32, decode_scale=4)),
        "method": wanted | {"method": "other settings"},
        "versions": wanted | {"versions": "onnxruntime 0"},
    }
    for what, changed in others.items():
        with pytest.raises(StaleRangesError, match=rf"stale \({what} changed\)"):
            load(path, changed)


def test_metadata_is_no_part_of_the_model(crops: CropSet) -> None:
    described = toy()
    helper.set_model_props(described, {"acne_edge.manifest": "{}"})
    assert key(described, crops, SPEC) == key(toy(), crops, SPEC)


def test_stale_and_damaged_caches_are_replaced(tmp_path: Path, crops: CropSet, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "calibration")
    path = tmp_path / "ranges.json"

    def of(graph: onnx.ModelProto) -> tuple[dict[str, Ranges], str]:
        return load_or_collect(path, graph, crops, SPEC), caplog.messages[-1]

    first, said = of(toy())
    assert "none cached" in said
    assert of(toy()) == (first, f"ranges read from {path}")
    other, said = of(toy(2.0))
    assert "model changed" in said
    assert other["minmax"]["y"][1] == 2 * first["minmax"]["y"][1]
    for damage in ("{", "\xff"):
        path.write_bytes(damage.encode("latin-1"))
        assert "cannot be read as activation ranges" in of(toy(2.0))[1]
        assert json.loads(path.read_text())["ranges"]["minmax"]["y"] == list(other["minmax"]["y"])


@pytest.mark.parametrize("text", ["", "[]", '{"key": 1}', '{"key": {}, "ranges": {"minmax": {"x": [1]}}}'])
def test_what_is_no_cache_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ranges.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="cannot be read as activation ranges"):
        load(path, {})


def test_the_report_is_a_picture(tmp_path: Path, crops: CropSet) -> None:
    path = tmp_path / "ranges.png"
    draw(path, toy(), collect(toy(), crops.images))
    assert path.read_bytes().startswith(b"\x89PNG")
