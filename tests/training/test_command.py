from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from acne_edge.cli import main as cli
from acne_edge.training import command
from acne_edge.training.loop import Trainer
from tests.command import Done, call
from tests.training.runs import QUICK

FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items()]


def run(*arguments: object) -> Done:
    """Run the command line."""
    return call(cli.main, *arguments)


def test_the_command_trains_with_flags_over_the_file_and_ends_in_a_table(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("method: resnet\ntrain-size: 32\nimage-resize: 36\nbatch-size: 8\nepochs: 9\nloss: report\n")
    flags = ["--config", recipe, "--epochs", 2, "--lr-steps", 1, "--optimizer", "sgd", "--device", "cpu", "--no-freeze-stem"]
    code, out, err = run("train", "--data", data, "--model-path", tmp_path / "run", *flags)
    assert code == 0
    head, row, last = out.splitlines()
    assert head.split() == ["part", "n", *command.FIGURES]
    assert row.split()[0] == "val"
    assert last.startswith(f"{tmp_path / 'run' / 'model.safetensors'}: the network after epoch 2, trained in ")
    assert "acne-edge: epoch 2  " in err
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (saved["method"], saved["epochs"], saved["lr_steps"], saved["optimizer"]) == ("resnet", 2, [1], "sgd")
    assert (saved["freeze_stem"], saved["loss"]) == (False, "ldl-grade")


def test_machines_get_json_and_a_finished_run_is_not_trained_again(data: Path, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    arguments = ["train", "--data", data, "--model-path", tmp_path / "run", "--device", "cpu", "--format", "json", *FLAGS]
    code, out, err = run(*arguments, "--resume")
    assert code == 0
    assert json.loads(out)["metrics"] == json.loads((finished / "run.json").read_text())["metrics"]
    assert "epoch 4" not in err
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "--overwrite" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--epochs", "0"), "at least 1"),
        (("--method", "mlp"), "'mlp' is not one of 'fusion', 'resnet', 'vit'; see acne-edge train --help"),
        (("--config", "gone.yaml"), "gone.yaml: cannot be read"),
        (("--weights", "gone"), "gone: no such file or folder of weights"),
        (("--data", "gone"), "gone: no such folder; expected ACNE04"),
        (("--device", "cuda"), "sees no NVIDIA GPU; use --device cpu"),
        (("--batch-size", "64"), "do not fill a batch of 64"),
        (("--val-folds", "11"), "do not make 11 parts"),
        (("--protocol", "grouped"), "photographs are in no group"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, str], says: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, out, err = run("train", "--data", data, "--model-path", tmp_path / "run", *FLAGS, *flags)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_acne04_is_refused(tmp_path: Path) -> None:
    code, _, err = run("train", "--data", tmp_path, "--model-path", tmp_path / "run")
    assert code == 2
    assert "layout of the ACNE04 distribution" in err


@pytest.mark.parametrize("given", [(), ("--overwrite",), ("--resume",)])
def test_an_interrupt_says_how_to_go_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...]
) -> None:
    def interrupt(self: Trainer, *arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "fit", interrupt)
    place = tmp_path / "a run"
    code, out, err = run("train", "--data", data, "--model-path", place, *FLAGS, *given)
    assert (code, out) == (130, "")
    assert err.count("\n") == 1
    again = shlex.split(err.split("to resume: ")[1])
    assert again == ["acne-edge", "train", "--data", str(data), "--model-path", str(place), *FLAGS, "--resume"]


@pytest.mark.slow
def test_a_run_that_is_interrupted_goes_on_by_the_command_that_it_names(data: Path, tmp_path: Path) -> None:
    words = ["train", "--data", str(data), "--model-path", str(tmp_path / "run"), "--device", "cpu", *FLAGS, "--epochs=200"]
    with subprocess.Popen([sys.executable, "-m", "acne_edge", *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch 1 " in line:
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().splitlines()
    assert process.returncode == 130
    again = shlex.split(said[-1].split("to resume: ")[1])
    assert again[:2] == ["acne-edge", "train"]
    process = subprocess.Popen([sys.executable, "-m", "acne_edge", *again[1:]], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "after epoch" in process.stderr.readline()
    process.kill()
    process.communicate()


@pytest.mark.parametrize("name", cli.RESEARCH_COMMANDS)
def test_help_needs_no_torch_and_the_command_names_the_extra(name: str) -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'einops', 'sklearn', 'yaml', 'safetensors')))\n"
        f"sys.argv = ['acne-edge', {name!r}, *sys.argv[1:]]\n"
        "from acne_edge.cli.main import run; run()"
    )
    said = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True).stdout
    assert f"acne-edge {name} [OPTIONS]" in said
    arguments = {
        "compare": ["a", "b"],
        "refit": ["run", "--data", "."],
        "average": ["a", "b", "--data", "."],
        "analyse": ["run", "--data", "."],
    }
    given = arguments.get(name, ["--data", ".", "--weights", "."])
    refused = subprocess.run([sys.executable, "-c", program, *given], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"acne-edge: acne-edge {name} needs ")
    assert "pip install 'acne-edge[train]'" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_help_shows_the_default_of_every_setting() -> None:
    _, out, _ = run("train", "--help")
    shown = " ".join(out.split())
    for words in (
        "--epochs",
        "[28]",
        "--lr ",
        "[0.0002]",
        "--image-resize",
        "[288]",
        "--lr-steps",
        "[none]",
        "fusion|resnet|vit",
    ):
        assert words in shown, words
    assert "about an hour" in shown


def test_analysis_ends_in_a_table_of_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    from acne_edge.training.studies import analysis

    found = {"images": 7, "localisation": {"f1": 0.5, "average_precision": float("nan")}, "calibration": {"risk": [0.1, 0.2]}}
    monkeypatch.setattr(analysis, "analyse", lambda runs, data, part: found)
    code, out, err = run("analyse", "a", "--data", ".")
    assert (code, err) == (0, "")
    assert [line.split("  ")[0] for line in out.splitlines()[1:]] == [
        "images",
        "localisation: f1",
        "localisation: average_precision",
    ]
    assert [line.split()[-1] for line in out.splitlines()[1:]] == ["7", "0.500", "-"]


def test_a_crossvals_protocol_may_stand_in_its_file(data: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("protocol: grouped\n")
    arguments = ["crossval", "--data", data, "--out", tmp_path, "--config", tmp_path / "settings.yaml", "--tables-only"]
    assert run(*arguments).code == 0
    assert (tmp_path / "methods-grouped.json").is_file()
    assert run(*arguments, "--protocol", "official").code == 0
    assert (tmp_path / "methods-official.json").is_file()
