"""Writes a model that keeps the contract and takes no time: three distributions of the image's mean colour.

python tests/cpp/tiny_model.py FILE.onnx
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from acne_edge.grading import HAYASHI  # noqa: E402
from acne_edge.manifest import KEY, InputSpec, Manifest  # noqa: E402

SIDE, BINS = 32, 66


def tiny() -> bytes:
    """The ONNX file."""
    h, rng = onnx.helper, np.random.default_rng(0)
    nodes = [
        h.make_node("Cast", ["image"], ["float"], to=onnx.TensorProto.FLOAT),
        h.make_node("ReduceMean", ["float", "axes"], ["colour"], keepdims=0),
        h.make_node("MatMul", ["colour", "g"], ["grade_logits"]),
        h.make_node("Softmax", ["grade_logits"], ["grade_probs"]),
        h.make_node("MatMul", ["colour", "c"], ["count_logits"]),
        h.make_node("Softmax", ["count_logits"], ["count_probs"]),
        h.make_node("MatMul", ["colour", "l"], ["flat"]),
        h.make_node("Reshape", ["flat", "shape"], ["lesion_map"]),
    ]
    weights = {name: rng.random((3, n), np.float32) / 100 for name, n in (("g", 4), ("c", BINS), ("l", 16))}
    weights |= {"axes": np.array([1, 2]), "shape": np.array([0, 4, 4])}
    outputs = {"grade_probs": ["n", 4], "count_probs": ["n", BINS], "lesion_map": ["n", 4, 4]}
    graph = h.make_graph(
        nodes,
        "tiny",
        [h.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [h.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    proto = h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=9)
    h.set_model_props(proto, {KEY: Manifest("tiny", "0", InputSpec(SIDE, SIDE), BINS, HAYASHI).to_json()})
    return proto.SerializeToString()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(tiny())
