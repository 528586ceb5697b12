from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acne_edge.models import index
from calibration.__main__ import main
from calibration.crops import Crop, save
from calibration.report import OUTLIER
from tests import command
from tests.command import Done
from tests.toy_model import SIDE, toy_model


def call(*arguments: object) -> Done:
    """`python -m calibration`."""
    return command.call(main, *arguments)


def test_draws_a_set(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "crops.npz"
    code, printed, err = call(
        "crops", "--data", dataset, "--list", "train.txt", "--exclude", "val.txt", "--out", out,
        "--number", 110, "--size", 32,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert printed == f"{out}: 110 crops of 32x32\n"
    assert out.with_suffix(".json").is_file()


def test_measures_ranges_once_and_names_outliers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, crops, cache, picture = (tmp_path / name for name in ("model.onnx", "crops.npz", "ranges.json", "ranges.png"))
    file.write_bytes(toy_model())
    images = np.full((100, SIDE, SIDE, 3), 8, np.uint8) + np.arange(100, dtype=np.uint8)[:, None, None, None]
    images[0] = 255
    save(crops, [Crop(f"{i}", (0, 0, 1, 1), image) for i, image in enumerate(images)], seed=0)
    monkeypatch.setattr("calibration.ranges.PERCENTILE", 98.0)  # one bright crop in a hundred is an outlier
    code, out, err = call("ranges", file, crops, "--out", cache, "--report", picture)
    assert code == 0, err
    assert "ranges measured on 100 crops (none cached)" in err
    head, first, *_ = (line.split("  ") for line in out.splitlines())
    assert (head[0], first[0].split()[-1]) == ("tensors with outliers", "input")
    assert float(first[-1]) > OUTLIER
    assert picture.read_bytes().startswith(b"\x89PNG")
    code, _, err = call("ranges", file, crops, "--out", cache)
    assert code == 0
    assert err == f"calibration: ranges read from {cache}\n"
    images[1] ^= 1
    save(crops, [Crop(f"{i}", (0, 0, 1, 1), image) for i, image in enumerate(images)], seed=0)
    assert "crops changed" in call("ranges", file, crops, "--out", cache).err


def test_ranges_of_what_is_quantised_already_are_refused(tmp_path: Path) -> None:
    shipped = next(iter(index()))
    code, _, err = call("ranges", shipped, tmp_path / "crops.npz", "--out", tmp_path / "ranges.json")
    assert code == 2
    assert "already quantised" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "{empty}", "--list", "train.txt"], 2, "no Classification/JPEGImages below it"),
        (["--data", "{dataset}", "--list", "nowhere.txt"], 2, "nowhere.txt: cannot read the list file"),
        (["--data", "{dataset}", "--list", "train.txt", "--exclude", "train.txt"], 2, "120 photographs also score the model"),
        (["--data", "{dataset}", "--list", "val.txt"], 2, "20 calibration photographs; at least 100"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], code: int, message: str, dataset: Path, tmp_path: Path) -> None:
    filled = [a.format(empty=tmp_path, dataset=dataset) for a in arguments]
    found, _, err = call("crops", *filled, "--out", tmp_path / "crops.npz")
    assert found == code
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "crops.npz").exists()
