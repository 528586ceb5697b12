"""What is read of an ONNX file before a runtime touches it: the manifest's text, and whether all of the model is in the file.

An ONNX file is a protocol buffer. It is walked field by field, by the numbers that onnx.proto3 gives the fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from acne_edge.errors import ManifestError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "acne_edge.manifest"  # of the manifest in the metadata
METADATA_PROPS = 14  # of ModelProto
EXTERNAL_DATA = 13  # of TensorProto: where else its values are
LOCATION = b"location"  # the key under which `external_data` names a file; a runtime finds none without it
DEEPEST = 100  # messages within messages; protocol buffers are read no deeper
# By message, the fields that hold messages in which, in the end, a tensor may be.
INSIDE = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}


def manifest_text(model: bytes) -> str | None:
    """The manifest's text in the metadata of an ONNX file; None where there is none, or the file is no ONNX file.

    Only the outermost fields are walked, so the size of the graph does not matter. Raises ManifestError if it is not UTF-8.
    """
    try:
        for number, value in _fields(memoryview(model)):
            if number == METADATA_PROPS:
                entry = {part: bytes(text) for part, text in _fields(value)}
                if entry.get(1) == KEY.encode():
                    return entry[2].decode()
    except UnicodeDecodeError as error:
        raise ManifestError("the manifest is not UTF-8 text; export the model again") from error
    except (ValueError, IndexError, KeyError):
        pass  # no ONNX file: for the runtime to say
    return None


def refuse_external_data(model: bytes) -> None:
    """Raise ModelError if a tensor of the model lies in another file.

    A runtime that is handed bytes looks for that file in the working directory, and no hash covers it. Costs a search for one
    word, and a walk through the whole model only where it occurs.
    """
    if model.rfind(LOCATION) < 0:  # twice as fast as `in`
        return
    messages = [("Model", memoryview(model), 0)]
    try:
        while messages:
            kind, message, depth = messages.pop()
            for number, value in _fields(message):
                if kind == "Tensor" and number == EXTERNAL_DATA:
                    raise ModelError(
                        "the model keeps weights outside its file; a model is one file: export it without external data"
                    )
                if number in INSIDE[kind]:
                    if depth == DEEPEST:
                        raise ValueError("nested too deeply")
                    messages.append((INSIDE[kind][number], value, depth + 1))
    except (ValueError, IndexError, KeyError) as error:
        raise ModelError("not an ONNX file that can be searched for weights outside it") from error


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields of a protocol buffer, by number; the others are passed over."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 63:
                raise ValueError("not a protocol buffer")

    while at < len(message):
        number, wire = divmod(varint(), 8)
        if wire == 0:
            varint()
            continue
        size = {1: 8, 5: 4}[wire] if wire != 2 else varint()
        if at + size > len(message):
            raise ValueError("cut short")
        if wire == 2:
            yield number, message[at : at + size]
        at += size
