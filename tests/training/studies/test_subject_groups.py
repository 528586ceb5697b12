from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acne_edge.errors import UsageError
from acne_edge.training.data import read_groups, read_pairs, read_samples, write_groups
from acne_edge.training.studies.subject_groups import find_groups, similarity


def test_a_photograph_is_similar_to_its_copy_and_to_its_mirror_image() -> None:
    rng = np.random.default_rng(0)
    straight, mirrored = rng.normal(size=(2, 20, 64)).astype(np.float32)
    straight[1], mirrored[1] = straight[0], mirrored[0]  # a copy of number 0
    straight[2], mirrored[2] = mirrored[0], straight[0]  # number 0 mirrored
    similar = similarity([np.stack([straight, mirrored])])
    np.testing.assert_allclose(similar, similar.T, atol=1e-5)
    assert similar[0, 1] == pytest.approx(1, abs=1e-4)
    assert similar[0, 2] == pytest.approx(1, abs=1e-4)
    assert similar[0, 3:].max() < 0.6


def test_groups_connect_duplicates_similar_pairs_and_fairly_similar_neighbours() -> None:
    names = ["levle0_1.jpg", "levle0_2.jpg", "levle0_9.jpg", "levle1_2.jpg", "levle1_3.jpg", "levle2_7.jpg", "levle2_90.jpg"]
    similar = np.zeros((7, 7), np.float32)

    def pair(i: int, j: int, value: float) -> None:
        similar[i, j] = similar[j, i] = value

    pair(0, 1, 0.3)  # neighbours
    pair(0, 2, 0.3)  # not similar enough for photographs that are far apart
    pair(1, 3, 0.3)  # next numbers, but of another series
    pair(3, 6, 0.6)  # similar enough for any
    groups = find_groups(names, similar, [("levle1_3.jpg", "levle2_7.jpg")])
    assert groups[0] == groups[1]
    assert groups[3] == groups[6]
    assert groups[4] == groups[5]
    assert len(set(groups.tolist())) == 4


def test_groups_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_groups(tmp_path / "groups.csv", ["b.jpg", "a.jpg", "c.jpg"], np.array([4, 7, 4]))
    assert (tmp_path / "groups.csv").read_text() == "file,group\nb.jpg,4\nc.jpg,4\na.jpg,7\n"
    np.testing.assert_array_equal(read_groups(["c.jpg", "a.jpg"], tmp_path / "groups.csv"), [4, 7])
    with pytest.raises(UsageError, match=r"1 photographs are in no group, the first is d\.jpg; run acne-edge subject-groups"):
        read_groups(["a.jpg", "d.jpg"], tmp_path / "groups.csv")


def test_the_committed_groups_hold_every_open_photograph_and_keep_duplicates_together(acne04: Path) -> None:
    names = [s.name for s in read_samples(acne04, "NNEW_trainval_0.txt")]
    group = dict(zip(names, read_groups(names), strict=True))
    assert all(group[a] == group[b] for a, b in read_pairs(acne04 / "duplicates.csv"))
    assert 500 < len(set(group.values())) < 750  # about as many people as ACNE04 is said to show
