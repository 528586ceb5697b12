from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from acne_edge import AcneGrader, Record
from acne_edge.records import chain
from tests import drawing


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photographs, one of which is none."""
    folder = tmp_path / "photos"
    for number, name in enumerate(("a.jpg", "b.jpg", "sub/c.jpg")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawing.encode(drawing.face(8 * number, number, 200, 240), "JPEG"))
    (folder / "bad.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture
def study(grader: AcneGrader, photos: Path, tmp_path: Path) -> Path:
    """A record of them."""
    path = tmp_path / "study.jsonl"
    with Record(path) as record:
        list(record.predict_many(grader, photos))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def chained(path: Path, contents: list[dict[str, Any]]) -> None:
    """A record whose chain is whole, whatever its lines say."""
    previous, text = None, b""
    for n, content in enumerate(contents, 1):
        kept = {key: value for key, value in content.items() if key not in ("n", "previous", "hash")}
        line, previous = chain.write_line(kept, n, previous)
        text += line
    path.write_bytes(text)
