"""Every setting of a training run: default, meaning and bounds. A YAML file overrides the defaults, and the command line
overrides both.

Imports no torch, so that a command line can explain the settings without it.
"""

from __future__ import annotations

import math
import reprlib
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from acne_edge.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from acne_edge.grading import SeverityScale

Method = Literal["fusion", "resnet", "vit"]
Loss = Literal["ldl", "ldl-grade", "lds", "l2", "ce"]
Protocol = Literal["official", "grouped"]
Denoiser = Literal["none", "median", "bilateral"]
Optimizer = Literal["adam", "sgd"]
METHODS: tuple[str, ...] = get_args(Method)
LOSSES: tuple[str, ...] = get_args(Loss)
TAUGHT = ("ldl", "ldl-grade")  # losses whose targets may come from another network in part

RENAMED = {("loss", "report"): "ldl-grade"}  # old values of settings, which are still read
MAX_YAML = 100_000  # bytes; real settings take one or two thousand
MAX_SIDE = 4096  # pixels
COUNT_BINS = 66  # of the network's count distribution: 0..65 lesions, the last one means "65 or more"
OWN_SCALE = "own"  # name of a scale of one's own bands
EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "a word", tuple: "a list of whole numbers"}

_brief = reprlib.Repr()
_brief.maxlevel = 2  # with anchors, a YAML file may nest lists without end


@dataclass(frozen=True)
class TrainConfig:
    """The settings of one run; the resolved settings are saved with it and in every checkpoint.

    The annotations are also the help texts of the command line.
    """

    method: Annotated[Method, "Network: both branches, or one of them."] = "fusion"
    batch_size: Annotated[int, "Photographs per training step."] = 32
    batch_size_test: Annotated[int, "Photographs per batch in evaluation."] = 32
    lr: Annotated[float, "Peak learning rate."] = 2e-4
    weight_decay: Annotated[float, "Weight decay; none on norms, biases and embeddings."] = 0.05
    num_workers: Annotated[int, "Threads that decode photographs."] = 2
    num_classes: Annotated[int, "Grades; ACNE04 has four."] = 4
    bands: Annotated[tuple[int, ...], "Least count of each grade of one's own scale, from 0 (repeatable); none: Hayashi's."] = ()
    grade_names: Annotated[str, "Names of those grades, mildest first, separated by commas."] = ""
    cross_validation: Annotated[int, "Fold 1..4 to hold out for testing; 0: all photographs, no test list."] = 0
    protocol: Annotated[Protocol, "Folds: official are ACNE04's; grouped keep each person on one side."] = "official"
    denoise: Annotated[Denoiser, "Filter every photograph, for the ablation; devices do not filter."] = "none"
    image_rotation: Annotated[float, "Random rotation, degrees either way."] = 20.0
    image_resize: Annotated[int, "Pixels per side of photographs in memory, before augmentation."] = 288
    train_size: Annotated[int, "Pixels per side of the network's input."] = 256
    epochs: Annotated[int, "Passes over the training photographs. With --resume, a larger number prolongs the run."] = 28
    lr_steps: Annotated[tuple[int, ...], "Epoch at which the rate halves (repeatable); none: one cycle with cosine decay."] = ()
    sigma: Annotated[float, "Standard deviation of the label distribution, lesions."] = 3.0
    lam: Annotated[float, "Weight between the parts of the loss, 0..1; of the grade in ldl, lds, l2 and ce."] = 0.6
    loss: Annotated[Loss, "Loss of grade and count; ldl-grade is ldl with more weight on the grade head."] = "ldl"
    density_weight: Annotated[float, "Weight of the lesion map's Poisson loss."] = 0.1
    zoom: Annotated[float, "Share of training views that are crops, with recounted lesions."] = 0.1
    mix: Annotated[float, "Share of training views with a rectangle from another photograph and recounted lesions."] = 0.5
    turn: Annotated[float, "Share of training views that are turned by 90, 180 or 270 degrees."] = 0.0
    degrade: Annotated[float, "Share of training views that are spoilt: light, blur, noise, compression."] = 0.0
    distill: Annotated[
        float, "Share of the targets that a teacher gives, which sees views before they are turned and spoilt."
    ] = 0.0
    balance: Annotated[float, "0: every photograph is drawn equally often, 1: every grade; between: n^(1 - balance)."] = 0.3
    frequency: Annotated[int, "Epochs between evaluations."] = 5
    optimizer: Annotated[Optimizer, "AdamW, or SGD with momentum .9."] = "adam"
    dropout: Annotated[float, "Dropout before the heads."] = 0.2
    freeze_trunk: Annotated[bool, "Freeze both branches of given weights and train the heads alone: minutes on a CPU."] = False
    freeze_stem: Annotated[bool, "Freeze the first stages of a pretrained ResNet: a fifth faster on a CPU."] = True
    ema: Annotated[float, "Decay of the weights' moving average, which is evaluated and exported."] = 0.995
    swa: Annotated[float, "Share of the run, at its end, with a constant rate and equally averaged weights; 0: --ema."] = 0.0
    seed: Annotated[int, "Seed of all random numbers."] = 0
    val_folds: Annotated[int, "Hold out 1/N of the training list, duplicates together; 0: nothing, for a last run."] = 7

    def __post_init__(self) -> None:
        for name, (fine, expected) in {**self._choices(), **self._sizes(), **self._shares()}.items():
            if not fine:
                raise UsageError(f"{name.replace('_', '-')} is {getattr(self, name)!r}; expected {expected}")

    def _choices(self) -> dict[str, tuple[bool, str]]:
        choices = {"method": Method, "loss": Loss, "protocol": Protocol, "denoise": Denoiser, "optimizer": Optimizer}
        known = {name: get_args(choice) for name, choice in choices.items()}
        return {name: (getattr(self, name) in words, f"{', '.join(words[:-1])} or {words[-1]}") for name, words in known.items()}

    def _sizes(self) -> dict[str, tuple[bool, str]]:
        return {
            "num_classes": (self.num_classes in (4, len(self.bands)), "4: ACNE04 has the four Hayashi grades; or one a band"),
            "bands": (not self.bands or self._are_bands(), f"2..16 counts that increase from 0 to less than {COUNT_BINS}"),
            "grade_names": (not self.grade_names or len(self._names()) == len(self.bands), "one name for each of the bands"),
            "cross_validation": (0 <= self.cross_validation <= 4, "0..4"),
            "train_size": (32 <= self.train_size <= MAX_SIDE and self.train_size % 32 == 0, f"a multiple of 32, 32..{MAX_SIDE}"),
            "image_resize": (32 <= self.image_resize <= MAX_SIDE, f"32..{MAX_SIDE}"),
            "epochs": (1 <= self.epochs <= 10**6, "at least 1, at most a million"),
            "lr_steps": (all(epoch >= 1 for epoch in self.lr_steps), "epochs from 1"),
            "batch_size": (self.batch_size >= 2, "at least 2"),
            "batch_size_test": (self.batch_size_test >= 1, "at least 1"),
            "frequency": (self.frequency >= 1, "at least 1"),
            "num_workers": (0 <= self.num_workers <= 1000, "0..1000"),
            "val_folds": (self.val_folds == 0 or self.val_folds >= 2, "0, or at least 2"),
            "seed": (0 <= self.seed < 2**32, "0..4294967295"),
        }

    def _are_bands(self) -> bool:
        rising = all(a < b for a, b in pairwise(self.bands))
        return 2 <= len(self.bands) <= 16 and self.bands[0] == 0 and rising and self.bands[-1] < COUNT_BINS

    def _names(self) -> tuple[str, ...]:
        return tuple(name for part in self.grade_names.split(",") if (name := part.strip()))

    @property
    def scale(self) -> SeverityScale:
        """The severity scale whose grades the network learns."""
        from acne_edge.grading import HAYASHI, SeverityScale  # numpy, which no help needs

        if not self.bands:
            return HAYASHI
        return SeverityScale(OWN_SCALE, self._names() or tuple(f"grade {i}" for i in range(len(self.bands))), self.bands)

    def _shares(self) -> dict[str, tuple[bool, str]]:
        """Bounds of the numeric settings; nan is always out of bounds."""
        return {
            "lr": (0 < self.lr < math.inf, "over 0"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "0 or more"),
            "image_rotation": (0 <= self.image_rotation <= 180, "0..180 degrees"),
            "sigma": (0 < self.sigma < math.inf, "over 0"),
            "density_weight": (0 <= self.density_weight < math.inf, "0 or more"),
            "lam": (0 <= self.lam <= 1, "in 0..1"),
            "zoom": (0 <= self.zoom <= 1, "in 0..1"),
            "mix": (0 <= self.mix <= 1, "in 0..1"),
            "turn": (0 <= self.turn <= 1, "in 0..1"),
            "degrade": (0 <= self.degrade <= 1, "in 0..1"),
            "distill": (
                0 <= self.distill < 1 and (not self.distill or self.loss in TAUGHT),
                f"in 0..1 (1 excluded); over 0 with the losses {' and '.join(TAUGHT)}",
            ),
            "balance": (0 <= self.balance <= 1, "in 0..1"),
            "dropout": (0 <= self.dropout < 1, "in 0..1 (1 excluded)"),
            "ema": (0 <= self.ema < 1, "in 0..1 (1 excluded)"),
            "swa": (0 <= self.swa < 1 and not (self.swa and self.lr_steps), "in 0..1 (1 excluded), and 0 with lr-steps"),
        }

    @staticmethod
    def resolve(file: Path | None, **given: Any) -> TrainConfig:
        """The settings: defaults, then the YAML file, then those `given` values that are not None.

        Raises UsageError for unknown or ill-typed settings, naming the file if they come from it.
        """
        values: dict[str, Any] = {}
        if file is not None:
            values = read_yaml(file)
            try:
                TrainConfig.from_dict(values)
            except UsageError as error:
                raise UsageError(f"{file}: {error}") from error
        return TrainConfig.from_dict({**values, **{k: v for k, v in given.items() if v is not None}})

    @staticmethod
    def from_dict(values: dict[str, Any]) -> TrainConfig:
        """Build from a dictionary whose keys may use dashes. Raises UsageError for unknown or ill-typed settings."""
        types: dict[str, type] = {f.name: type(f.default) for f in fields(TrainConfig)}
        clean: dict[str, Any] = {}
        for key, value in values.items():
            name = _name(key)
            if name not in types:
                raise UsageError(f"unknown training setting {_brief.repr(key)}; known: {', '.join(types)}")
            try:
                typed = _typed(value, types[name])
            except (TypeError, ValueError, OverflowError) as error:
                expected = EXPECTED[types[name]]
                raise UsageError(f"training setting {key!r} is {_brief.repr(value)}; expected {expected}") from error
            clean[name] = typed
        return replace(TrainConfig(), **renamed(clean))

    def to_dict(self) -> dict[str, Any]:
        """JSON- and YAML-ready dictionary of all settings."""
        return {**asdict(self), "lr_steps": list(self.lr_steps), "bands": list(self.bands)}


def scale_of(settings: Mapping[str, Any]) -> SeverityScale:
    """The severity scale of a run with these settings, which an older version may have written."""
    return TrainConfig(bands=tuple(settings.get("bands", ())), grade_names=settings.get("grade_names", "")).scale


def renamed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with old values replaced by their present names."""
    return {name: RENAMED.get((name, value), value) if isinstance(value, str) else value for name, value in settings.items()}


def _name(key: object) -> str:
    return str(key).replace("-", "_") if isinstance(key, str) else _brief.repr(key)


def _typed(value: Any, kind: type) -> Any:
    """The value as a `kind`. Numbers may be texts, as YAML reads 1e-4. Raises TypeError, ValueError or OverflowError."""
    if kind in (bool, str):
        if not isinstance(value, kind):
            raise TypeError
        return value
    if kind is tuple:
        if not isinstance(value, list | tuple):
            raise TypeError
        return tuple(_typed(item, int) for item in value)
    if isinstance(value, bool) or (kind is int and int(value) != float(value)):
        raise TypeError
    return kind(value)


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings in a YAML file, their names with underscores.

    Raises UsageError if it cannot be read, is not a single mapping, or has a name twice.
    """
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingExtraError("pyyaml", "train", "reading a YAML file") from error
    content = _content(path)
    try:
        node = yaml.compose(content, Loader=yaml.SafeLoader)
        values = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: cannot be read as YAML ({_problem(error)})") from error
    except (ValueError, TypeError, RecursionError) as error:  # a 13th month; lists nested too deeply
        raise UsageError(f"{path}: cannot be read as YAML ({str(error).splitlines()[0]})") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected 'setting: value' lines")
    names = [_name(key.value) for key, _ in node.value]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{path}: the setting {_brief.repr(twice)} is there twice")
    return {_name(key): value for key, value in values.items()}


def _content(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path}: not a regular file")
        with path.open("rb") as stream:
            content = stream.read(MAX_YAML + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if len(content) > MAX_YAML:
        raise UsageError(f"{path}: larger than {MAX_YAML // 1000} kB; not a file of settings")
    return content


def _problem(error: Exception) -> str:
    """A YAML error on one line, with its line number."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if problem is None or mark is None:
        return str(error).splitlines()[0]
    return f"line {mark.line + 1}: {problem}"
