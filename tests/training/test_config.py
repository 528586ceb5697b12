from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acne_edge.errors import UsageError
from acne_edge.grading import HAYASHI
from acne_edge.training.config import TrainConfig, read_yaml, scale_of


def test_the_command_line_wins_over_the_file_which_wins_over_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("epochs: 7\nlr: 0.001\nlr-steps: [3, 5]\nfreeze-stem: true\nval-folds: 3\n")
    config = TrainConfig.resolve(file, lr=0.01, sigma=None, val_folds=0)
    assert (config.epochs, config.lr, config.lr_steps, config.freeze_stem) == (7, 0.01, (3, 5), True)
    assert config.val_folds == 0
    assert config.sigma == TrainConfig().sigma


def test_a_config_survives_its_dictionary() -> None:
    config = TrainConfig(lr_steps=(3,), method="vit")
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_the_loss_of_earlier_runs_is_read_by_its_old_name() -> None:
    old = {**TrainConfig().to_dict(), "loss": "report"}
    assert TrainConfig.from_dict(old) == TrainConfig(loss="ldl-grade")


def test_every_setting_says_what_it_means() -> None:
    hints = get_type_hints(TrainConfig, include_extras=True)
    for name in TrainConfig.__dataclass_fields__:
        _, meaning = get_args(hints[name])
        assert meaning.endswith("."), name


def test_settings_are_explained_without_torch() -> None:
    code = "import sys; sys.modules['torch'] = sys.modules['yaml'] = None; import acne_edge.training.config"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"epoch": 3}, "unknown training setting 'epoch'"),
        ({"epochs": "many"}, "expected a whole number"),
        ({"epochs": 2.5}, "expected a whole number"),
        ({"epochs": True}, "expected a whole number"),
        ({"epochs": 10**400}, "expected a whole number"),
        ({"freeze_stem": 1}, "expected true or false"),
        ({"lr": False}, "expected a number"),
        ({"lr_steps": 3}, "expected a list of whole numbers"),
        ({"lr_steps": "12"}, "expected a list of whole numbers"),
        ({"lr_steps": [0]}, "epochs from 1"),
        ({"epochs": 0}, "at least 1"),
        ({"optimizer": "lion"}, "adam or sgd"),
        ({"method": "mlp"}, "fusion, resnet or vit"),
        ({"method": ["fusion"]}, "expected a word"),
        ({"loss": "mse"}, "ldl, ldl-grade, lds, l2 or ce"),
        ({"train_size": 112}, "multiple of 32"),
        ({"image_resize": 10**9}, r"32\.\.4096"),
        ({"cross_validation": 5}, r"0\.\.4"),
        ({"num_classes": 3}, "four Hayashi grades"),
        ({"seed": -1}, r"0\.\."),
        ({"swa": 0.5, "lr_steps": [3]}, "0 with lr-steps"),
        *[({name: float("nan")}, "expected") for name in ("lr", "sigma", "lam", "mix", "ema", "swa", "dropout", "weight_decay")],
    ],
)
def test_a_bad_setting_is_named(values: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        TrainConfig.from_dict(values)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


ODD = {
    "a list": (b"- a\n- b\n", "expected 'setting: value' lines"),
    "cut short": (b"epochs: [", "line 1: "),
    "null characters": (b"\x00", "special characters are not allowed"),
    "not UTF-8": (b"# caf\xe9\nlr: 1\n", "invalid continuation byte"),
    "nested": (b"lr: {a: 1}", r"training setting 'lr' is \{'a': 1\}; expected a number"),
    "a list for a number": (b"epochs: [1, 2]", r"is \[1, 2\]; expected a whole number"),
    "a date": (b"lr: 2026-01-01", "expected a number"),
    "a date for a word": (b"method: 2026-01-01", "expected a word"),
    "a date that does not exist": (b"lr: 2026-13-45", "month must be in"),
    "a name twice": (b"lr: 1\nlr: 2\n", "'lr' is there twice"),
    "a name twice, in two spellings": (b"lr-steps: [1]\nlr_steps: [2]\n", "'lr_steps' is there twice"),
    "no value": (b"epochs:", "is None; expected a whole number"),
    "two documents": (b"lr: 1\n---\nlr: 2\n", "another document"),
    "an object": (b"lr: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
    "a list for a name": (b"? [a, b]\n: 3\n", "unhashable key"),
    "a date for a name": (b"2026-01-01: 3\n", "unknown training setting"),
    "too deep": (b"[" * 50_000, "recursion"),
    "endless by anchors": (b"lr: &a [*a, *a]\n", "expected a number"),
    "huge by anchors": (
        b"sigma: &a [x,x,x,x,x,x,x,x]\nlam: &b [*a,*a,*a,*a,*a,*a,*a]\nema: &c [*b,*b,*b,*b,*b,*b]\nlr: [*c,*c,*c,*c]\n",
        "expected a number",
    ),
    "too large": (b"# \n" * 50_000, "larger than 100 kB"),
    "too many digits": (b"epochs: 9" + b"9" * 5000, "cannot be read as YAML"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_yaml_is_one_line_with_the_files_name(tmp_path: Path, kind: str) -> None:
    content, says = ODD[kind]
    file = tmp_path / "recipe.yaml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=rf"recipe\.yaml: .*{says}") as refused:
        TrainConfig.resolve(file)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


def test_what_is_no_file_is_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.yaml: cannot be read \(No such file"):
        TrainConfig.resolve(tmp_path / "missing.yaml")
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(UsageError, match="not a regular file"):
            TrainConfig.resolve(path)


def test_what_yaml_allows_is_read(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        file.write_text("lr: 1e-4\nbatch-size: 8.0\n", encoding=encoding)
        config = TrainConfig.resolve(file)
        assert (config.lr, config.batch_size) == (1e-4, 8)
    file.write_text("")
    assert TrainConfig.resolve(file) == TrainConfig()


@given(st.binary(max_size=60))
def test_any_bytes_are_settings_or_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content)
    said = ""
    try:
        read_yaml(file)
    except UsageError as refused:
        said = str(refused)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"bands": [0]}, "bands is"),
        ({"bands": [1, 5]}, "increase from 0"),
        ({"bands": [0, 5, 5]}, "increase from 0"),
        ({"bands": [0, 66]}, "less than 66"),
        ({"bands": [0, 5], "grade_names": "one, two, three"}, "grade-names is .*; expected one name for each"),
        ({"grade_names": "one"}, "grade-names is"),
        ({"num_classes": 3}, "num-classes is 3"),
    ],
)
def test_bands_that_are_no_scale_are_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        TrainConfig.from_dict(values)


def test_a_yaml_file_may_hold_a_scale_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("bands: [0, 5, 20]\ngrade-names: few, some, many\nnum-classes: 3\n")
    config = TrainConfig.resolve(file)
    assert (config.scale.name, config.scale.labels, config.scale.lower) == ("own", ("few", "some", "many"), (0, 5, 20))
    assert scale_of(config.to_dict()) == config.scale
    assert TrainConfig(bands=(0, 5)).scale.labels == ("grade 0", "grade 1")
    assert scale_of({"epochs": 3}) is HAYASHI
