from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acne_edge.errors import UsageError
from acne_edge.training.config import TrainConfig
from acne_edge.training.data import (
    group_ids,
    grouped_folds,
    grouped_split,
    read_groups,
    read_pairs,
    read_samples,
    split,
    splits,
    write_groups,
)
from tests.training.runs import QUICK


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_connected_names_share_a_group(pairs: list[tuple[int, int]]) -> None:
    groups = group_ids([str(i) for i in range(10)], [(str(a), str(b)) for a, b in pairs])
    assert all(groups[a] == groups[b] for a, b in pairs)
    assert len(set(groups)) >= 10 - len(pairs)


def test_a_split_keeps_duplicates_together_and_grades_in_proportion(data: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")
    groups = group_ids([s.name for s in samples], read_pairs(data / "duplicates.csv"))
    for seed in range(5):
        train, val = grouped_split(samples, groups, 5, seed)
        assert len(train) + len(val) == 40
        assert not {s.name for s in train} & {s.name for s in val}
        twins = {"levle1_0.jpg", "levle1_4.jpg"}
        assert len(twins & {s.name for s in val}) in (0, 2)
        assert {s.grade for s in val} == {0, 1, 2, 3}


def test_pairs_with_the_byte_order_mark_of_windows_programs_are_read_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "duplicates.csv").write_bytes(b"\xef\xbb\xbffile_a,file_b,kind\r\na.jpg,b.jpg,identical\r\n")
    assert read_pairs(tmp_path / "duplicates.csv") == [("a.jpg", "b.jpg")]


def test_a_missing_pair_file_means_no_pairs(tmp_path: Path) -> None:
    assert read_pairs(tmp_path / "none.csv") == []


def test_every_sample_is_tested_in_one_fold_and_groups_stay_whole(data: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")
    groups = np.arange(40) // 2
    folds = grouped_folds(samples, groups, 4, seed=0)
    assert sorted(i for _, test in folds for i in test) == list(range(40))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])


def test_a_grade_with_fewer_photographs_than_parts_is_one_line(data: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")
    few = [s for s in samples if s.grade < 3] + [s for s in samples if s.grade == 3][:2]
    with pytest.raises(
        UsageError, match=r"32 photographs, 2 of grade 3 \(very severe\), do not make 3 parts .*--val-folds"
    ) as refused:
        grouped_folds(few, np.arange(len(few)), 3, seed=0)
    assert "\n" not in str(refused.value)


def test_the_official_test_list_is_used_for_folds_only(data: Path) -> None:
    assert split(data, TrainConfig(**QUICK))["test"] == []
    lists = split(data, TrainConfig(**QUICK, cross_validation=1))
    assert len(lists["test"]) == 8
    assert not {s.name for s in lists["test"]} & {s.name for s in lists["train"] + lists["val"]}


def test_the_grouped_protocol_keeps_look_alikes_on_one_side(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [s.name for s in read_samples(data, "NNEW_trainval_0.txt")]
    group = dict(zip(names, np.arange(40) // 2, strict=True))
    write_groups(tmp_path / "groups.csv", names, np.array(list(group.values())))
    monkeypatch.setattr(splits, "GROUPS", tmp_path / "groups.csv")
    tested = []
    for fold in (1, 2, 3, 4):
        lists = split(data, TrainConfig(**QUICK, protocol="grouped", cross_validation=fold))
        sides = [{group[s.name] for s in lists[part]} for part in ("train", "val", "test")]
        assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
        tested += [s.name for s in lists["test"]]
    assert sorted(tested) == sorted(names)


@pytest.mark.parametrize("text", ["file,group\na.jpg\n", "file,group\na.jpg,seven\n"])
def test_a_table_that_is_none_of_groups_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(UsageError, match=r"groups\.csv: expected rows of file,group"):
        read_groups(["a.jpg"], tmp_path / "groups.csv")
