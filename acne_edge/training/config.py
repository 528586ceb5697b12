"""Every setting of a training run: defaults, a YAML file over them, the command line over both."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from acne_edge.errors import MissingExtraError, UsageError
from acne_edge.training.losses import LOSSES


@dataclass(frozen=True)
class TrainConfig:
    """The settings of one run; the resolved set is saved with it and in every checkpoint."""

    method: str = "fusion"  # fusion | resnet | vit
    batch_size: int = 32
    batch_size_test: int = 32
    lr: float = 2e-4  # peak learning rate
    weight_decay: float = 0.05  # none on norms, biases and embeddings
    num_workers: int = 2  # threads that decode photographs
    num_classes: int = 4
    cross_validation: int = 0  # k: hold out fold k for testing; 0 is all of the open data, without a test list
    protocol: str = "official"  # official: ACNE04's lists, duplicates grouped | grouped: look-alikes grouped too
    denoise: str = "none"  # none | median | bilateral: filter on every photograph (the ablation; devices do not filter)
    image_rotation: float = 20.0  # degrees, either way
    image_resize: int = 288  # pixels a side that photographs are cached at
    train_size: int = 256  # pixels a side of the network's input
    epochs: int = 28
    lr_steps: tuple[int, ...] = ()  # epochs at which the rate halves; empty: one cycle with cosine decay
    sigma: float = 3.0  # lesions, of the label distribution
    lam: float = 0.6
    loss: str = "ldl"  # ldl | report | lds | l2 | ce
    density_weight: float = 0.1  # of the lesion map's Poisson loss
    zoom: float = 0.1  # share of training views that are recounted crops
    mix: float = 0.5  # share of training views a rectangle of which comes from another photograph, recounted
    balance: float = 0.3  # 0 draws photographs as they are, 1 draws every grade equally often, between: n^(1 - balance)
    frequency: int = 5  # epochs between evaluations
    optimizer: str = "adam"  # adam | sgd
    dropout: float = 0.2
    freeze_stem: bool = True  # keep the stem and layer1 of a pretrained ResNet: a fifth faster on a CPU
    ema: float = 0.995  # decay of the weight average that is evaluated and exported
    swa: float = 0.0  # share of the run, at its end, whose weights are averaged alike at a constant rate; 0: `ema` instead
    seed: int = 0
    val_folds: int = 7  # 1/val_folds of the training list is held out, duplicates kept together; 0: nothing is

    def __post_init__(self) -> None:
        checks = {
            "method": (self.method in ("fusion", "resnet", "vit"), "fusion, resnet or vit"),
            "loss": (self.loss in LOSSES, ", ".join(LOSSES)),
            "protocol": (self.protocol in ("official", "grouped"), "official or grouped"),
            "denoise": (self.denoise in ("none", "median", "bilateral"), "none, median or bilateral"),
            "optimizer": (self.optimizer in ("adam", "sgd"), "adam or sgd"),
            "cross_validation": (0 <= self.cross_validation <= 4, "0..4"),
            "train_size": (self.train_size >= 32 and self.train_size % 32 == 0, "a multiple of 32, at least 32"),
            "image_resize": (self.image_resize >= 32, "at least 32"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 2, "at least 2"),
            "batch_size_test": (self.batch_size_test >= 1, "at least 1"),
            "frequency": (self.frequency >= 1, "at least 1"),
            "sigma": (self.sigma > 0, "over 0"),
            "lam": (0 <= self.lam <= 1, "in 0..1"),
            "zoom": (0 <= self.zoom <= 1, "in 0..1"),
            "mix": (0 <= self.mix <= 1, "in 0..1"),
            "balance": (0 <= self.balance <= 1, "in 0..1"),
            "swa": (0 <= self.swa < 1 and not (self.swa and self.lr_steps), "in 0..1 (1 excluded), and 0 with lr-steps"),
            "val_folds": (self.val_folds == 0 or self.val_folds >= 2, "0, or at least 2"),
            "num_classes": (self.num_classes == 4, "4: ACNE04 has the four Hayashi grades"),
        }
        for name, (fine, expected) in checks.items():
            if not fine:
                raise UsageError(f"{name.replace('_', '-')} is {getattr(self, name)!r}; expected {expected}")

    @staticmethod
    def resolve(file: Path | None, **given: Any) -> TrainConfig:
        """Defaults, then the YAML file, then the `given` values that are not None.

        Raises UsageError on unknown or ill-typed keys.
        """
        values = read_yaml(file) if file else {}
        return TrainConfig.from_dict({**values, **{k: v for k, v in given.items() if v is not None}})

    @staticmethod
    def from_dict(values: dict[str, Any]) -> TrainConfig:
        """Build from a dictionary whose keys may use dashes. Raises UsageError on unknown or ill-typed keys."""
        types: dict[str, type] = {f.name: type(f.default) for f in fields(TrainConfig)}
        clean: dict[str, Any] = {}
        for key, value in values.items():
            name = str(key).replace("-", "_")
            if name not in types:
                raise UsageError(f"unknown training setting {key!r}; known: {', '.join(types)}")
            try:
                if types[name] is bool:
                    if not isinstance(value, bool):
                        raise ValueError
                    clean[name] = value
                elif types[name] is tuple:
                    clean[name] = tuple(int(v) for v in value)
                elif types[name] is int and (isinstance(value, bool) or int(value) != float(value)):
                    raise ValueError
                else:
                    clean[name] = types[name](value)
            except (TypeError, ValueError) as error:
                raise UsageError(f"training setting {key!r} is {value!r}; expected {types[name].__name__}") from error
        return replace(TrainConfig(), **clean)

    def to_dict(self) -> dict[str, Any]:
        """JSON- and YAML-ready dictionary of all settings."""
        return {**asdict(self), "lr_steps": list(self.lr_steps)}


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises UsageError if it cannot be read or is not a mapping."""
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingExtraError("pyyaml", "train", "reading a YAML file") from error
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read as YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected 'setting: value' lines")
    return values
