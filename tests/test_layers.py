"""Layers are checked by import-linter (pyproject.toml); this holds what it does not: no circle within a room either."""

from __future__ import annotations

import pytest

grimp = pytest.importorskip("grimp", reason="comes with import-linter, in the extra dev")
CALLED_LATE = ("acne_edge.grader", "acne_edge.sources.camera")  # `AcneGrader.stream`, the one named exception


def test_no_two_modules_need_each_other() -> None:
    graph = grimp.build_graph("acne_edge", "export", "calibration", cache_dir=None)
    graph.remove_import(importer=CALLED_LATE[0], imported=CALLED_LATE[1])
    needs = {m: graph.find_modules_directly_imported_by(m) for m in graph.modules}
    while leaves := [m for m, others in needs.items() if not others]:  # take away what needs nothing, until nothing is left
        for leaf in leaves:
            del needs[leaf]
        for others in needs.values():
            others.difference_update(leaves)
    assert sorted(needs) == []
