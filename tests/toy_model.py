"""Models that keep the contract and are fast: an ONNX file that is made here, and a random network with one block.

python -m tests.toy_model FILE.onnx     writes the ONNX file
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from acne_edge.grading import HAYASHI
from acne_edge.manifest import InputSpec, Manifest
from acne_edge.onnx_file import KEY

if TYPE_CHECKING:
    from acne_edge.training.model import FusionModel, OutputCalibration

SIDE = 32  # pixels
BINS = 66


def make_manifest(**fields: Any) -> Manifest:
    """The manifest of a toy, with other values in some `fields`."""
    values: dict[str, Any] = {"name": "toy", "version": "0", "input": InputSpec(SIDE, SIDE), "count_bins": BINS, "scale": HAYASHI}
    return Manifest(**{**values, **fields})


MANIFEST = make_manifest()


def toy_model(manifest: Manifest | str | None = MANIFEST, **changes: Any) -> bytes:
    """An ONNX file: both distributions depend on the image's mean colour, a cell of the map is the mean of one pixel's channels.

    It keeps the contract but for the `changes`: `input` (name), `dtype`, `side`, `grades`, `bins`, `map` (name), `rows` (of the
    map, as it is declared), `more` (names of outputs [N] beyond those, all the mean of the image's values).
    """
    import onnx
    from onnx import helper

    options: dict[str, Any] = {
        "input": "image", "dtype": onnx.TensorProto.UINT8, "side": SIDE, "grades": 4, "bins": BINS, "map": "lesion_map",
        "rows": SIDE, "more": (), **changes,
    }  # fmt: skip
    real, rng = onnx.TensorProto.FLOAT, np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", [options["input"]], ["x"], to=real),
        helper.make_node("ReduceMean", ["x", "plane"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "g"], ["grade_logits"]),
        helper.make_node("Softmax", ["grade_logits"], ["grade_probs"]),
        helper.make_node("MatMul", ["colour", "k"], ["count_logits"]),
        helper.make_node("Softmax", ["count_logits"], ["count_probs"]),
        helper.make_node("ReduceMean", ["x", "channels"], [options["map"]], keepdims=0),
    ]
    nodes += [helper.make_node("ReduceMean", ["colour", "one"], [name], keepdims=0) for name in options["more"]]
    constants = {
        "one": np.array([1]),
        "plane": np.array([1, 2]),
        "channels": np.array([3]),
        "g": rng.random((3, options["grades"]), np.float32) / 100,
        "k": rng.random((3, options["bins"]), np.float32) / 100,
    }
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info(options["input"], options["dtype"], ["n", options["side"], options["side"], 3])],
        [
            helper.make_tensor_value_info("grade_probs", real, ["n", options["grades"]]),
            helper.make_tensor_value_info("count_probs", real, ["n", options["bins"]]),
            helper.make_tensor_value_info(options["map"], real, ["n", options["rows"], options["side"]]),
            *(helper.make_tensor_value_info(name, real, ["n"]) for name in options["more"]),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if manifest is not None:
        helper.set_model_props(proto, {KEY: manifest if isinstance(manifest, str) else manifest.to_json()})
    return proto.SerializeToString()


@contextmanager
def narrow() -> Iterator[None]:
    """Networks that are made, or loaded, meanwhile have few channels: to round their weights takes a hundredth of the time."""
    from acne_edge.training.model import ResNetTrunk

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResNetTrunk, "widths", (16, 24, 32))
        yield


def make_network(method: str = "fusion", seed: int = 0) -> FusionModel:
    """A narrow random network of one transformer block whose outputs depend on the image, unlike those of a fresh one."""
    import torch

    from acne_edge.training.model import FusionModel, ModelConfig

    torch.manual_seed(seed)
    with narrow():
        model = FusionModel(ModelConfig(method=method, image_size=SIDE))
    if model.vit is not None:
        model.vit.blocks = model.vit.blocks[:1]
    for head in (model.grade_head, model.count_head):
        torch.nn.init.normal_(head.weight, std=0.2)
    return model.eval()


def make_calibration() -> OutputCalibration:
    """An output calibration that changes the heads' probabilities."""
    import torch

    from acne_edge.training.model import OutputCalibration

    calibration = OutputCalibration(4, BINS)
    with torch.no_grad():
        calibration.grade.weight.mul_(2)
        calibration.grade.bias.copy_(torch.tensor([1.0, 0.0, 0.0, -1.0]))
        calibration.sharpness.fill_(1.5)
        calibration.count.bias.copy_(torch.linspace(-2, 2, BINS))
        calibration.count.weight.copy_(torch.linspace(0, 0.5, BINS)[:, None])
    return calibration


def draw_images(number: int, seed: int) -> np.ndarray:
    """Blurred noise of various contrast and colour: uint8 [number, SIDE, SIDE, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, rng.uniform(20, 90, (number, 1, 1, 1)), (number, SIDE // 4, SIDE // 4, 3))
    tint = rng.uniform(60, 200, (number, 1, 1, 3))
    return np.clip(coarse.repeat(4, 1).repeat(4, 2) + tint, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(toy_model())
