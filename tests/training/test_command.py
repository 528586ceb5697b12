from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from acne_edge.cli import main as cli


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["acne-edge", "train", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_the_command_trains_with_flags_over_the_file_and_saves_what_it_resolved(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("method: resnet\ntrain-size: 32\nimage-resize: 36\nbatch-size: 8\nepochs: 9\n")
    flags = ["--config", recipe, "--epochs", 2, "--lr-steps", 1, "--optimizer", "sgd", "--device", "cpu", "--freeze-stem"]
    code = run(monkeypatch, "--data", data, "--model-path", tmp_path / "run", *flags)
    out, err = capsys.readouterr()
    assert code == 0
    assert set(json.loads(out)["metrics"]) == {"val"}
    assert "epoch 2" in err
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (saved["method"], saved["epochs"], saved["lr_steps"], saved["optimizer"]) == ("resnet", 2, [1], "sgd")
    assert saved["freeze_stem"] is True


@pytest.mark.parametrize(
    ("flags", "says"),
    [(("--epochs", "0"), "at least 1"), (("--method", "mlp"), "fusion, resnet or vit"), (("--config", "gone.yaml"), "gone.yaml")],
)
def test_a_bad_setting_is_one_line_and_exit_code_2(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: tuple[str, str], says: str
) -> None:
    assert run(monkeypatch, "--data", data, *flags) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_a_folder_that_is_not_acne04_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--data", tmp_path, "--model-path", tmp_path / "run") == 2
    assert "layout of the ACNE04 distribution" in capsys.readouterr().err
