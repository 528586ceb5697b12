"""Splits photographs into training and held-out lists, and keeps those that belong together on one side."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.grading import HAYASHI
from acne_edge.training.config import TrainConfig
from acne_edge.training.data.acne04 import read_samples
from acne_edge.training.data.own import is_own, read_own, strata
from acne_edge.training.data.sample import Sample

GROUPS = Path(__file__).parents[1] / "acne04_subject_groups.csv"  # of ACNE04's open part, by `acne-edge subject-groups`
FEWER_PARTS = "use fewer parts (--val-folds; 0 holds nothing out) or more photographs"


def split(data: Path, config: TrainConfig) -> dict[str, list[Sample]]:
    """The run's lists: `train`, `val` (groups kept whole; empty if nothing is held out) and, for folds 1..4, `test`.

    With the protocol `official`, the test list is ACNE04's own, and groups are the known duplicates. With `grouped`, the folds
    too consist of groups, those of `subject_groups`, so that no person is in both training and test. Of one's own photographs
    (`own.read_own`) the groups are those of the list.
    """
    if is_own(data):
        return _own_split(data, config)
    fold = config.cross_validation
    if config.protocol == "official":
        samples = read_samples(data, f"NNEW_trainval_{fold}.txt")
        test = read_samples(data, f"NNEW_test_{fold}.txt") if fold else []
        groups = group_ids([s.name for s in samples], read_pairs(data / "duplicates.csv"))
    else:
        samples, test = read_samples(data, "NNEW_trainval_0.txt"), []
        groups = read_groups([s.name for s in samples])
        if fold:
            rest, held = grouped_folds(samples, groups, 4, seed=0)[fold - 1]
            test, samples, groups = [samples[i] for i in held], [samples[i] for i in rest], groups[rest]
    if not config.val_folds:
        return {"train": samples, "val": [], "test": test}
    train, val = grouped_split(samples, groups, config.val_folds, config.seed)
    return {"train": train, "val": val, "test": test}


def _own_split(data: Path, config: TrainConfig) -> dict[str, list[Sample]]:
    if config.cross_validation:
        raise UsageError(f"{data}: folds are ACNE04's; of one's own photographs --val-folds holds some out")
    samples, groups = read_own(data, config.scale)
    if not config.val_folds:
        return {"train": samples, "val": [], "test": []}
    number = len(set(groups.tolist()))
    if number < config.val_folds:
        raise UsageError(f"{data}: {number} persons or photographs do not make {config.val_folds} parts; {FEWER_PARTS}")
    grades, counts = (np.array([getattr(s, name) for s in samples]) for name in ("grade", "count"))
    alike = strata(grades, counts, config.val_folds)
    train, val = _folds(alike, groups, config.val_folds, config.seed)[0]
    return {"train": [samples[i] for i in train], "val": [samples[i] for i in val], "test": []}


def grouped_split(
    samples: Sequence[Sample], groups: NDArray[np.int64], folds: int, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Split into (train, validation) with 1/folds of the samples in validation, stratified by grade, groups kept whole."""
    train, val = grouped_folds(samples, groups, folds, seed)[0]
    return [samples[i] for i in train], [samples[i] for i in val]


def grouped_folds(
    samples: Sequence[Sample], groups: NDArray[np.int64], folds: int, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Indices (train, test) of every fold, stratified by grade, groups kept whole.

    Raises UsageError if a grade has fewer photographs than there are folds.
    """
    grades = [s.grade for s in samples]
    rarest, number = Counter(grades).most_common()[-1]
    if number < folds:
        raise UsageError(
            f"{len(samples)} photographs, {number} of grade {rarest} ({HAYASHI.labels[rarest]}), do not make {folds} parts with "
            f"every grade in each; {FEWER_PARTS}"
        )
    return _folds(np.array(grades), groups, folds, seed)


def _folds(
    alike: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(alike)), alike, groups))


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Pairs of names that show the same photograph, from the first two columns of a CSV file with a header.

    Empty without the file. Raises UsageError if it is not a CSV.
    """
    if not path.is_file():
        return []
    return [(row[0], row[1]) for row in _rows(path)[1:] if len(row) >= 2]


def group_ids(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> NDArray[np.int64]:
    """A group number for each name; names that `pairs` connect, directly or through others, share one."""
    parent = {name: name for name in names}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for a, b in pairs:
        if a in parent and b in parent:
            parent[find(a)] = find(b)
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(find(name), len(numbers)) for name in names])


def read_groups(names: Sequence[str], path: Path | None = None) -> NDArray[np.int64]:
    """The group of each name, from a CSV with rows `file,group` (None: the committed file).

    Raises UsageError if it cannot be read, or lacks a name.
    """
    path = path or GROUPS
    try:
        group = {row[0]: int(row[1]) for row in _rows(path)[1:]}
    except (ValueError, IndexError) as error:
        raise UsageError(f"{path}: expected rows of file,group ({error})") from error
    missing = [name for name in names if name not in group]
    if missing:
        raise UsageError(
            f"{path}: {len(missing)} photographs are in no group, the first is {missing[0]}; run acne-edge subject-groups"
        )
    return np.array([group[name] for name in names])


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return [row for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as CSV ({error})") from error


def write_groups(path: Path, names: Sequence[str], groups: NDArray[np.int64]) -> None:
    """Write rows `file,group`, the members of a group next to each other."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "group"])
        writer.writerows((name, group) for group, name in sorted(zip(groups.tolist(), names, strict=True)))
