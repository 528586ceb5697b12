from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acne_edge import models
from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
from acne_edge.errors import ManifestError, ModelError
from acne_edge.loader import ModelLoader
from acne_edge.manifest import Manifest
from acne_edge.onnx_file import DEEPEST, INSIDE, manifest_text, refuse_external_data, with_manifest
from tests.toy_model import make_manifest, toy_model

onnx = pytest.importorskip("onnx", reason="needs the extra export to draw a model")
SHIPPED = models.load_model()
TOY = toy_model()
END = SHIPPED.data[-3000:]  # it ends with the manifest


def test_the_manifest_is_found_in_a_model_file_without_a_runtime() -> None:
    text = manifest_text(SHIPPED.data)
    assert text is not None
    assert Manifest.from_json(text).name == SHIPPED.name


@given(st.binary(max_size=200) | st.binary(max_size=20).map(lambda more: END + more))
def test_a_file_that_is_no_model_holds_no_manifest(data: bytes) -> None:
    assert manifest_text(data) is None or "{" in str(manifest_text(data))


@given(st.integers(0, len(TOY)))
def test_a_model_file_cut_short_holds_no_manifest_or_the_whole_one(cut: int) -> None:
    assert manifest_text(TOY[:cut]) in (None, manifest_text(TOY))


def external(proto: onnx.TensorProto, location: str = "weights.bin") -> onnx.TensorProto:
    """The tensor with its values in another file."""
    onnx.external_data_helper.set_external_data(proto, location)
    proto.ClearField("raw_data")
    return proto


def with_external_weights(model: bytes) -> tuple[bytes, bytes]:
    """The model with one weight in another file, and what that file holds."""
    proto = onnx.load_from_string(model)
    tensor = next(t for t in proto.graph.initializer if t.name == "g")
    values = tensor.raw_data
    external(tensor)
    return proto.SerializeToString(), values


def test_weights_in_the_working_directory_are_refused_before_a_runtime_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime would take them from there, whatever they are, under the same sha256 of the model."""
    model, values = with_external_weights(toy_model())
    monkeypatch.chdir(tmp_path)
    Path("weights.bin").write_bytes(values)
    Path("model.onnx").write_bytes(model)
    with pytest.raises(ModelError, match="keeps weights outside its file"):
        OnnxRuntimeBackend(model)
    with pytest.raises(ModelError, match="keeps weights outside its file"):
        ModelLoader("model.onnx").backend()


def tensor() -> onnx.TensorProto:
    return external(onnx.numpy_helper.from_array(np.zeros(3, np.float32), "w"))


def in_attribute(**values: object) -> onnx.ModelProto:
    """A model with one node that has the attribute `a`."""
    node = onnx.NodeProto(op_type="Constant", attribute=[onnx.AttributeProto(name="a", **values)])
    return onnx.ModelProto(graph=onnx.GraphProto(node=[node]))


def nested(depth: int) -> bytes:
    """A model file with the tensor in a graph within graphs, `depth` messages deep."""

    def field(number: int, message: bytes) -> bytes:
        size, length = len(message), bytearray()
        while size > 127:
            length.append(size & 127 | 128)
            size >>= 7
        return bytes([number << 3 | 2, *length, size]) + message

    inside = field(5, tensor().SerializeToString())  # of a graph
    for _ in range((depth - 2) // 3):
        inside = field(1, field(5, field(6, inside)))
    return field(7, inside)


PLACES: dict[str, Callable[[], onnx.ModelProto]] = {
    "initializer": lambda: onnx.ModelProto(graph=onnx.GraphProto(initializer=[tensor()])),
    "values of a sparse initializer": lambda: onnx.ModelProto(
        graph=onnx.GraphProto(sparse_initializer=[onnx.SparseTensorProto(values=tensor())])
    ),
    "indices of a sparse initializer": lambda: onnx.ModelProto(
        graph=onnx.GraphProto(sparse_initializer=[onnx.SparseTensorProto(indices=tensor())])
    ),
    "constant": lambda: in_attribute(t=tensor()),
    "constants": lambda: in_attribute(tensors=[tensor()]),
    "sparse constant": lambda: in_attribute(sparse_tensor=onnx.SparseTensorProto(values=tensor())),
    "sparse constants": lambda: in_attribute(sparse_tensors=[onnx.SparseTensorProto(values=tensor())]),
    "graph of an attribute": lambda: in_attribute(g=onnx.GraphProto(initializer=[tensor()])),
    "graphs of an attribute": lambda: in_attribute(graphs=[onnx.GraphProto(initializer=[tensor()])]),
    "graph within graphs": lambda: onnx.load_from_string(nested(62)),
    "function": lambda: onnx.ModelProto(
        functions=[onnx.FunctionProto(node=[onnx.NodeProto(attribute=[onnx.AttributeProto(t=tensor())])])]
    ),
    "default of a function's attribute": lambda: onnx.ModelProto(
        functions=[onnx.FunctionProto(attribute_proto=[onnx.AttributeProto(t=tensor())])]
    ),
    "training": lambda: onnx.ModelProto(
        training_info=[onnx.TrainingInfoProto(initialization=onnx.GraphProto(initializer=[tensor()]))]
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_external_data_is_found_wherever_a_tensor_may_be(place: str) -> None:
    with pytest.raises(ModelError, match="keeps weights outside its file"):
        refuse_external_data(PLACES[place]().SerializeToString())


def test_every_field_of_onnx_that_may_hold_a_tensor_is_searched() -> None:
    """By the descriptors of the package `onnx`: a field that a later version adds is noticed here."""
    messages = onnx.ModelProto.DESCRIPTOR.file.message_types_by_name
    kinds = {kind: f"{kind}Proto" if kind != "Training" else "TrainingInfoProto" for kind in INSIDE}
    names = {name: kind for kind, name in kinds.items()}
    found = {
        kind: {
            f.number: names[f.message_type.name] for f in messages[name].fields if f.message_type and f.message_type.name in names
        }
        for kind, name in kinds.items()
    }
    assert found == INSIDE


def test_the_word_alone_is_no_external_data() -> None:
    refuse_external_data(toy_model(make_manifest(training={"location": "location"})))
    assert OnnxRuntimeBackend(toy_model(make_manifest(intended_use="of a location"))).manifest.intended_use == "of a location"


def test_what_cannot_be_walked_is_refused_where_the_word_occurs() -> None:
    """A runtime's parser may read what this walk does not, such as groups."""
    group = b"\x0b\x0c"  # an empty group of field 1, which parsers pass over
    model = group + with_external_weights(toy_model())[0]
    onnx.load_from_string(model)
    with pytest.raises(ModelError, match="can be searched"):
        refuse_external_data(model)
    with pytest.raises(ModelError, match="can be searched"):
        refuse_external_data(nested(DEEPEST + 1))


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_are_let_pass_or_refused(junk: bytes, place: int) -> None:
    with suppress(ModelError):
        refuse_external_data(junk[:place] + b"location" + junk[place:])


def test_a_manifest_that_is_not_utf_8_is_one_line(tmp_path: Path) -> None:
    model = toy_model(make_manifest(licence="caf?")).replace(b"caf?", b"caf\xe9")
    with pytest.raises(ManifestError, match="not UTF-8"):
        manifest_text(model)
    with pytest.raises(ManifestError, match="not UTF-8"):
        OnnxRuntimeBackend(model)
    path = tmp_path / "latin1.onnx"
    path.write_bytes(model)
    loader = ModelLoader(path)
    for ask in (loader.manifest, loader.backend):
        with pytest.raises(ManifestError, match="not UTF-8"):
            ask()


def test_another_manifest_is_put_into_a_file_and_nothing_else_changes() -> None:
    old, text = toy_model(), "{" + "x" * 300 + "}"
    new = with_manifest(old, text)
    assert manifest_text(new) == text
    before, after = onnx.load_from_string(old), onnx.load_from_string(new)
    assert [p.value for p in after.metadata_props] == [text]
    for proto in (before, after):
        del proto.metadata_props[:]
    assert before == after
    with pytest.raises(ModelError, match="not an ONNX file"):
        with_manifest(b"\x0a\xff", text)
