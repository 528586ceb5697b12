from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from acne_edge import models
from acne_edge.backends import graph_cache
from acne_edge.backends.graph_cache import SWITCH, GraphCache
from acne_edge.backends.onnxruntime import OnnxRuntimeBackend


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "acne-edge" / "graphs"


def kept(sha256: str, graph: bytes, runtime: str = "1.32.0") -> GraphCache:
    cache = GraphCache(sha256)
    assert cache.draft is not None
    Path(cache.draft).write_bytes(graph)
    cache.keep(runtime)
    return cache


def test_a_kept_graph_gives_the_same_outputs_as_the_model_itself(folder: Path) -> None:
    file = models.load_model()
    first = OnnxRuntimeBackend(file.data, 1, file.sha256)
    (graph,) = folder.iterdir()
    assert graph.name.endswith(".onnx")
    written = graph.stat().st_mtime_ns
    second = OnnxRuntimeBackend(file.data, 1, file.sha256)
    assert graph.stat().st_mtime_ns == written
    spec = first.manifest.input
    images = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, 3), np.uint8)
    for a, b in zip(first.run(images), second.run(images), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_graph_comes_back_for_its_model_only(folder: Path) -> None:
    kept("a", b"graph")
    assert GraphCache("a").load() == {"1.32.0": b"graph"}
    assert GraphCache("b").load() == {}


def test_versions_of_the_runtime_do_not_share_a_graph(folder: Path) -> None:
    kept("a", b"old", "1.17.0")
    kept("a", b"new", "1.32.0")
    assert GraphCache("a").load() == {"1.17.0": b"old", "1.32.0": b"new"}


def test_kinds_of_processor_do_not_share_a_graph(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept("a", b"graph")
    monkeypatch.setattr(graph_cache, "processor", lambda: "another")
    assert GraphCache("a").load() == {}


def test_a_changed_graph_is_passed_over_and_made_anew(folder: Path) -> None:
    file = models.load_model()
    OnnxRuntimeBackend(file.data, 1, file.sha256)
    (graph,) = folder.iterdir()
    sound = graph.read_bytes()
    graph.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert GraphCache(file.sha256).load() == {}
    assert list(folder.iterdir()) == []
    OnnxRuntimeBackend(file.data, 1, file.sha256)
    assert len(GraphCache(file.sha256).load()) == 1


def test_a_folder_that_others_may_write_to_is_not_used(folder: Path) -> None:
    kept("a", b"graph")
    folder.chmod(0o777)
    assert GraphCache("a").draft is None
    assert GraphCache("a").load() == {}


def test_it_can_be_switched_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")
    file = models.load_model()
    OnnxRuntimeBackend(file.data, 1, file.sha256)
    assert not folder.exists()


def test_a_cache_that_cannot_be_made_or_written_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    file = models.load_model()
    assert OnnxRuntimeBackend(file.data, 1, file.sha256).manifest.name
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert OnnxRuntimeBackend(file.data, 1, file.sha256).manifest.name
    assert list((tmp_path / "acne-edge" / "graphs").iterdir()) == []


def test_only_the_newest_graphs_stay(folder: Path) -> None:
    for number in range(graph_cache.KEPT + 2):
        kept(str(number), b"graph")
    assert len(list(folder.iterdir())) == graph_cache.KEPT
    assert GraphCache("0").load() == {}
    assert GraphCache(str(graph_cache.KEPT + 1)).load() == {"1.32.0": b"graph"}


def test_without_a_home_nothing_is_kept_and_the_model_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as without HOME and an entry in passwd
    file = models.load_model()
    OnnxRuntimeBackend(file.data, 1, file.sha256).close()
    assert list(tmp_path.iterdir()) == []
