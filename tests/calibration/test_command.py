from __future__ import annotations

from pathlib import Path

import pytest

from calibration.__main__ import app
from calibration.command import run


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m calibration`."""
    monkeypatch.setattr("sys.argv", ["calibration", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run(app, "calibration")
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_draws_a_set(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "crops.npz"
    code, printed, err = call(
        capsys, monkeypatch, "crops", "--data", dataset, "--list", "train.txt", "--exclude", "val.txt", "--out", out,
        "--number", 110, "--size", 32,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert printed == f"{out}: 110 crops of 32x32\n"
    assert out.with_suffix(".json").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "{empty}", "--list", "train.txt"], 2, "no Classification/JPEGImages below it"),
        (["--data", "{dataset}", "--list", "nowhere.txt"], 2, "nowhere.txt: cannot read the list file"),
        (["--data", "{dataset}", "--list", "train.txt", "--exclude", "train.txt"], 2, "120 photographs also score the model"),
        (["--data", "{dataset}", "--list", "val.txt"], 2, "20 calibration photographs; at least 100"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    code: int,
    message: str,
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filled = [a.format(empty=tmp_path, dataset=dataset) for a in arguments]
    found, _, err = call(capsys, monkeypatch, "crops", *filled, "--out", tmp_path / "crops.npz")
    assert found == code
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "crops.npz").exists()
