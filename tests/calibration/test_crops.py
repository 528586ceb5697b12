from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acne_edge.errors import ImageError, UsageError
from acne_edge.training.data import read_samples
from calibration.crops import draw, image_sources, load, refuse_scored, save

SIZE = 32


@pytest.fixture
def stored(dataset: Path, tmp_path: Path) -> Path:
    path = tmp_path / "crops.npz"
    save(path, draw(read_samples(dataset, "train.txt"), 100, SIZE), seed=0)
    return path


def test_a_seed_repeats_its_crops_and_another_does_not(dataset: Path) -> None:
    samples = read_samples(dataset, "train.txt")
    first, again, other = (draw(samples, 100, SIZE, seed) for seed in (3, 3, 4))
    assert [c.record() for c in first] == [c.record() for c in again]
    assert [c.record() for c in first] != [c.record() for c in other]


def test_grades_and_sources_are_drawn_in_equal_parts(dataset: Path) -> None:
    samples, sources = read_samples(dataset, "train.txt"), image_sources(dataset)
    grades = {s.name: s.grade for s in samples}
    drawn = draw(samples, 100, SIZE, sources=sources)
    strata = Counter((grades[c.name], sources[c.name]) for c in drawn)
    web = Counter((grades[s.name], "web") for s in samples if sources[s.name] == "web")
    assert len({c.name for c in drawn}) == 100
    assert all(strata[key] == number for key, number in web.items())  # the rare source is used up in every grade
    assert max(Counter(grades[c.name] for c in drawn).values()) <= 26


def test_some_crops_are_zoomed_on_a_lesion(dataset: Path) -> None:
    samples = read_samples(dataset, "train.txt")
    boxes = {s.name: s.boxes for s in samples}
    zoomed = [c for c in draw(samples, 100, SIZE) if c.box != (0, 0, 1, 1)]
    assert 15 <= len(zoomed) <= 45
    for crop in zoomed:
        x0, y0, x1, y1 = crop.box
        centres = (boxes[crop.name][:, :2] + boxes[crop.name][:, 2:]) / 2
        assert 0.39 <= x1 - x0 <= 0.81
        assert ((centres >= (x0 - 1e-6, y0 - 1e-6)) & (centres <= (x1 + 1e-6, y1 + 1e-6))).all(1).any()


def test_no_crops_from_images_that_score_the_model() -> None:
    with pytest.raises(UsageError, match=r"train: 2 photographs also score the model, the first is b"):
        refuse_scored(["a", "b", "c"], ["c", "b", "d"], "train")
    refuse_scored(["a"], ["b"], "train")


def test_fewer_than_a_hundred_is_refused(dataset: Path) -> None:
    with pytest.raises(UsageError, match="20 calibration photographs; at least 100"):
        draw(read_samples(dataset, "val.txt"), 100, SIZE)


def test_an_unreadable_photograph_is_named(dataset: Path, tmp_path: Path) -> None:
    samples = read_samples(dataset, "train.txt")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    samples = [type(s)(s.name, broken, s.grade, s.count, s.boxes) for s in samples]
    with pytest.raises(ImageError, match=r"broken\.png: not an image"):
        draw(samples, 100, SIZE)


def test_a_set_comes_back_as_it_was_written(stored: Path) -> None:
    crops = load(stored, SIZE)
    assert crops.images.shape == (100, SIZE, SIZE, 3)
    assert len(crops.names) == 100
    assert load(stored, SIZE).sha256 == crops.sha256


def test_a_set_that_is_not_the_listed_one_is_refused(stored: Path) -> None:
    images = np.load(stored)["images"]
    images[7] ^= 1
    np.savez(stored, images=images)
    with pytest.raises(UsageError, match="lists other crops"):
        load(stored, SIZE)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"text"])
def test_a_damaged_set_is_one_line(stored: Path, content: bytes) -> None:
    stored.write_bytes(content)
    with pytest.raises(UsageError, match="not a calibration set"):
        load(stored, SIZE)


def test_a_set_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "crops.npz")
    with pytest.raises(UsageError, match="not a calibration set"):
        load(tmp_path / "crops.npz", SIZE)


def test_a_set_without_its_list_or_too_small_or_of_another_size_is_refused(stored: Path) -> None:
    with pytest.raises(UsageError, match=r"the model needs uint8 \(48, 48, 3\)"):
        load(stored, 48)
    listing = json.loads(stored.with_suffix(".json").read_text())
    np.savez(stored, images=np.load(stored)["images"][:99])
    with pytest.raises(UsageError, match="99 crops; at least 100"):
        load(stored, SIZE)
    assert len(listing["crops"]) == 100
    stored.with_suffix(".json").unlink()
    with pytest.raises(UsageError, match="not a calibration set"):
        load(stored, SIZE)


def test_a_set_of_few_photographs_gives_several_crops_of_each(dataset: Path) -> None:
    few = read_samples(dataset, "train.txt")[:30]
    drawn = draw(few, 105, 32, each=4)
    names = [crop.name for crop in drawn]
    assert len(drawn) == 105
    assert max(map(names.count, names)) == 4
    whole = (0.0, 0.0, 1.0, 1.0)
    for start in range(0, 104, 4):
        assert len({crop.name for crop in drawn[start : start + 4]}) == 1
        parts = [crop.box for crop in drawn[start + 1 : start + 4]]
        assert whole not in parts
        assert len(set(parts)) == 3
    unmarked = draw([replace(sample, boxes=None) for sample in few], 100, 32, each=4)
    assert all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for x0, y0, x1, y1 in (crop.box for crop in unmarked))
    assert sum(crop.box == whole for crop in unmarked) == 25
    with pytest.raises(UsageError, match="90 calibration crops of 30 photographs; at least 100 are needed"):
        draw(few, 400, 32, each=3)
