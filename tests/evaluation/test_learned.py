from __future__ import annotations

import base64
import hashlib
import shutil
from pathlib import Path

import pytest

from acne_edge.errors import ImageNotFoundError
from acne_edge.evaluation.learned import BYTES, encoded, learned


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    """Four files."""
    paths = [tmp_path / f"levle1_{i}.jpg" for i in range(4)]
    for i, path in enumerate(paths):
        path.write_bytes(b"photograph %d" % i)
    return paths


def test_photographs_are_known_whatever_they_are_called(photographs: list[Path], tmp_path: Path) -> None:
    training = {"fingerprints": {"train": encoded(photographs[:2]), "val": encoded(photographs[2:3])}}
    assert learned(training, photographs) == {"train": 2, "val": 1}
    renamed = Path(shutil.copy(photographs[0], tmp_path / "patient.jpg"))
    saved_anew = tmp_path / "levle1_1.jpg"
    saved_anew.write_bytes(b"photograph 1, edited")
    assert learned(training, [renamed, saved_anew, photographs[3], tmp_path / "missing.jpg"]) == {"train": 1, "val": 0}


def test_fingerprints_are_short_and_tell_no_names_and_no_order(photographs: list[Path]) -> None:
    text = encoded(photographs)
    assert encoded(reversed(photographs)) == text
    digests = sorted(hashlib.sha256(path.read_bytes()).digest()[:BYTES] for path in photographs)
    assert base64.b64decode(text) == b"".join(digests)


def test_a_photograph_that_cannot_be_read_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFoundError, match=r"missing\.jpg"):
        encoded([tmp_path / "missing.jpg"])


@pytest.mark.parametrize("held", [None, {}, [], {"train": 7}, {"train": "?"}, {"train": "é"}, {"train": "AAAA"}, {"train": ""}])
def test_a_model_without_fingerprints_that_can_be_read_tells_nothing(held: object, photographs: list[Path]) -> None:
    assert learned({} if held is None else {"fingerprints": held}, photographs) is None
