from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

from acne_edge import errors
from acne_edge.errors import AcneEdgeError, ImageDecodeError, MissingExtraError


def tree(kind: type[AcneEdgeError] = AcneEdgeError) -> Iterator[type[AcneEdgeError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def an(kind: type[AcneEdgeError]) -> AcneEdgeError:
    return kind("a package", "extra", "a purpose") if issubclass(kind, MissingExtraError) else kind("a message")


@pytest.mark.parametrize("kind", [kind for kind in tree() if kind.__module__ == errors.__name__])
@pytest.mark.parametrize("path", [None, "a.jpg"])
def test_every_error_survives_a_process_boundary(kind: type[AcneEdgeError], path: str | None) -> None:
    error = an(kind)
    error.path = path
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        twin = pickle.loads(pickle.dumps(error, protocol))
        assert type(twin) is kind
        assert (str(twin), twin.message, twin.path, twin.args) == (str(error), error.message, path, error.args)
    assert str(copy.copy(error)) == str(copy.deepcopy(error)) == str(error)


def test_notes_survive_too() -> None:
    error = ImageDecodeError("a message")
    error.__notes__ = ["a note"]  # what add_note does from Python 3.11
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["a note"]


def test_the_message_stands_behind_the_path_it_is_about() -> None:
    error = ImageDecodeError("file is empty")
    assert str(error) == error.message == "file is empty"
    error.path = "a.jpg"
    assert str(error) == "a.jpg: file is empty"
    assert error.message == "file is empty"


@pytest.mark.parametrize("kind", list(tree()))
def test_every_error_has_a_code_and_an_exit_code(kind: type[AcneEdgeError]) -> None:
    assert kind.code
    assert 1 <= kind.exit_code <= 5
