from __future__ import annotations

from pathlib import Path

import pytest

from acne_edge.errors import UsageError
from acne_edge.training.config import TrainConfig


def test_the_command_line_wins_over_the_file_which_wins_over_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("epochs: 7\nlr: 0.001\nlr-steps: [3, 5]\nfreeze-stem: true\n")
    config = TrainConfig.resolve(file, lr=0.01, sigma=None)
    assert (config.epochs, config.lr, config.lr_steps, config.freeze_stem) == (7, 0.01, (3, 5), True)
    assert config.sigma == TrainConfig().sigma


def test_a_config_survives_its_dictionary() -> None:
    config = TrainConfig(lr_steps=(3,), method="vit")
    assert TrainConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"epoch": 3}, "unknown training setting 'epoch'"),
        ({"epochs": "many"}, "expected int"),
        ({"epochs": 2.5}, "expected int"),
        ({"epochs": True}, "expected int"),
        ({"freeze_stem": 1}, "expected bool"),
        ({"lr_steps": 3}, "expected tuple"),
        ({"epochs": 0}, "at least 1"),
        ({"optimizer": "lion"}, "adam or sgd"),
        ({"method": "mlp"}, "fusion, resnet or vit"),
        ({"loss": "mse"}, "ldl, report, lds, l2, ce"),
        ({"train_size": 112}, "multiple of 32"),
        ({"cross_validation": 5}, r"0\.\.4"),
        ({"num_classes": 3}, "four Hayashi grades"),
    ],
)
def test_a_bad_setting_is_named(values: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        TrainConfig.from_dict(values)


@pytest.mark.parametrize("text", ["- a\n- b\n", "epochs: [", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"recipe\.yaml"):
        TrainConfig.resolve(file)
    with pytest.raises(UsageError, match="cannot be read"):
        TrainConfig.resolve(tmp_path / "missing.yaml")
