from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from acne_edge.errors import UsageError
from acne_edge.training.run import Run, shared_settings


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run with two photographs held out."""
    run = Run(tmp_path / "run")
    run.path.mkdir()
    run.list_file("val").write_text("a.jpg 0 3\nb.jpg 2 30\n")
    maps = np.full((2, 4, 4), 0.25, np.float32)
    np.savez(run.outputs_file("val"), grade_probs=np.eye(4)[:2], count_probs=np.eye(66)[:2], lesion_map=maps)
    run.results_file.write_text(json.dumps({"config": {"lr": 0.1, "cross_validation": 2}}))
    return run


def test_a_run_gives_back_what_it_held_out_and_what_it_wrote_of_itself(run: Run) -> None:
    assert (run.has("val"), run.has("test"), run.finished) == (True, False, True)
    assert [label.name for label in run.labels("val")] == ["a.jpg", "b.jpg"]
    outputs = run.outputs("val")
    assert (outputs.counts.tolist(), outputs.lesions.tolist()) == ([3, 30], [4, 4])
    assert run.results()["config"]["lr"] == 0.1


def test_the_names_of_its_files_are_those_of_runs_that_are_kept(run: Run) -> None:
    kept = Run(Path("export/checkpoints/acne-edge-s"))
    files = (kept.results_file, kept.settings_file, kept.model, kept.log, kept.out_of_fold, kept.analysis, kept.int8)
    assert all(file.is_file() for file in (*files, kept.list_file("train")))


def test_settings_that_a_fold_makes_are_not_shared() -> None:
    assert shared_settings({"lr": 0.1, "cross_validation": 2, "val_folds": 0, "method": "vit"}) == {"lr": 0.1, "method": "vit"}


def test_what_only_the_next_epoch_needs_goes_when_the_run_is_over(run: Run) -> None:
    run.last.write_bytes(b"state")
    run.forget_last()
    run.forget_last()
    assert not run.last.exists()


def test_what_is_missing_or_damaged_is_refused_by_name(run: Run) -> None:
    with pytest.raises(UsageError, match=r"test\.txt: cannot read the list file"):
        run.outputs("test")
    run.list_file("val").write_text("a.jpg 0 3\n")
    with pytest.raises(UsageError, match=r"val_outputs\.npz: grade_probs of 2 photographs, but the list has 1"):
        run.outputs("val")
    np.savez(run.outputs_file("val"), lesion_map=np.zeros((1, 4, 4)))
    with pytest.raises(UsageError, match=r"val_outputs\.npz: not the outputs of a finished run \(no 'grade_probs'\)"):
        run.outputs("val")
    run.outputs_file("val").write_bytes(b"PK\x03\x04")
    with pytest.raises(UsageError, match=r"val_outputs\.npz: not the outputs of a finished run"):
        run.outputs("val")
    for text in ("{", "[1]", "{}", '{"config": 1}'):
        run.results_file.write_text(text)
        with pytest.raises(UsageError, match=r"run\.json: cannot be read as a run's results"):
            run.results()


def test_a_run_is_read_without_torch() -> None:
    code = "import sys, acne_edge.training.run, acne_edge.fit.constants; sys.exit(len({'torch', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
