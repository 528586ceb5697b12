"""Reads an ONNX file before a runtime does: the manifest's text, and whether the whole model is in the file.

An ONNX file is a protocol buffer. It is read field by field, by the field numbers of onnx.proto3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from acne_edge.errors import ManifestError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "acne_edge.manifest"  # the manifest's key in the metadata
METADATA_PROPS = 14  # field of ModelProto
EXTERNAL_DATA = 13  # field of TensorProto: where its values are, if not in the file
LOCATION = b"location"  # the key under which `external_data` names a file; without it a runtime loads none
DEEPEST = 100  # the limit of nested messages, as in protocol buffers' own readers
# For each message, the fields whose messages may contain a tensor at some depth.
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
    """The manifest's text in the metadata of an ONNX file; None if it has none or is not an ONNX file.

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
        pass  # not an ONNX file, which the runtime will report
    return None


def refuse_external_data(model: bytes) -> None:
    """Raise ModelError if a tensor of the model is stored in another file.

    A runtime that gets bytes looks for that file in the working directory, and no hash covers it. The check searches for one
    word, and reads through the whole model only if that occurs.
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


def with_manifest(model: bytes, text: str) -> bytes:
    """The same ONNX file with another manifest; nothing else changes. Raises ModelError if it is no ONNX file."""
    parts, view = [], memoryview(model)
    try:
        for number, value, start, end in _spans(view):
            entry = {part: bytes(of) for part, of in _fields(value)} if number == METADATA_PROPS and value is not None else {}
            if entry.get(1) != KEY.encode():
                parts.append(view[start:end])
    except (ValueError, IndexError) as error:
        raise ModelError("not an ONNX file that a manifest can be put into") from error
    entry_bytes = _message(1, KEY.encode()) + _message(2, text.encode())
    return b"".join((*parts, _message(METADATA_PROPS, entry_bytes)))


def _message(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields of a protocol buffer, as (number, bytes); other fields are skipped."""
    return ((number, value) for number, value, _, _ in _spans(message) if value is not None)


def _spans(message: memoryview) -> Iterator[tuple[int, memoryview | None, int, int]]:
    """All fields of a protocol buffer: number, bytes (None unless length-delimited), and where the field begins and ends."""
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
        start = at
        number, wire = divmod(varint(), 8)
        if wire == 0:
            varint()
            yield number, None, start, at
            continue
        size = {1: 8, 5: 4}[wire] if wire != 2 else varint()
        if at + size > len(message):
            raise ValueError("cut short")
        yield number, message[at : at + size] if wire == 2 else None, start, at + size
        at += size
