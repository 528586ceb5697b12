from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from acne_edge import AcneGrader, models
from acne_edge.errors import MissingExtraError, UsageError
from acne_edge.evaluation.outcome import figures
from acne_edge.fit.outputs import OutOfFold
from acne_edge.training.calibrate import cross_fitted
from acne_edge.training.run import Run
from export.card import write_card

RUN = Run(Path("export/checkpoints/acne-edge-s"))
CARDS = {"acne-edge-s": ("MODEL_CARD.md", ["steady"]), "acne-edge-m": ("MODEL_CARD-m.md", ["sharper", "alone"])}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A copy of the shipped run, but for its checkpoint."""
    return Run(Path(shutil.copytree(RUN.path, tmp_path / "run", ignore=lambda *_: [RUN.model.name])))


def change(path: Path, *keys: str, value: object) -> None:
    results = values = json.loads(path.read_text())
    for key in keys[:-1]:
        values = values[key]
    values[keys[-1]] = value
    path.write_text(json.dumps(results))


@pytest.mark.parametrize("model", [name for name in models.index() if not name.endswith("-trt")])
def test_a_committed_card_is_what_the_command_writes(tmp_path: Path, model: str) -> None:
    card, settings = CARDS[model]
    files = [Path(f"experiments/settings/{name}.yaml") for name in settings]
    write_card(RUN.path.parent / model, tmp_path / "card.md", model, files)
    assert (tmp_path / "card.md").read_text() == Path(card).read_text()


@pytest.mark.slow
def test_the_figures_follow_from_the_predictions_beside_the_checkpoint(grader: AcneGrader) -> None:
    measured, stated = figures(cross_fitted(OutOfFold.load(RUN.out_of_fold).data)), grader.manifest.metrics
    one = 1.01 / len(OutOfFold.load(RUN.out_of_fold).names)  # processors round differently
    assert measured["accuracy"] == pytest.approx(stated["grade"]["accuracy"], abs=one)
    assert measured["mae"] == pytest.approx(stated["count"]["mae"], abs=0.02)
    intervals = json.loads(RUN.analysis.read_text())["subsets"]["all"]["figures"]
    assert intervals["accuracy"]["value"] == pytest.approx(stated["grade"]["accuracy"], abs=one)
    assert intervals["mae"]["value"] == pytest.approx(stated["count"]["mae"], abs=0.02)


def test_a_figure_changes_with_the_results_and_only_where_they_say_so(run: Run, tmp_path: Path) -> None:
    write_card(run.path, tmp_path / "before.md")
    change(run.analysis, "localisation", "f1", value=0.123)
    change(run.analysis, "subsets", "all", "figures", "accuracy", "low", value=0.5)
    change(run.analysis, "subsets", "all", "figures", "interval_coverage", value={"value": 0.898, "low": 0.8, "high": 0.9})
    write_card(run.path, tmp_path / "after.md")
    lines = [(tmp_path / name).read_text().splitlines() for name in ("before.md", "after.md")]
    changed = [after for before, after in zip(*lines, strict=True) if before != after]
    assert changed[0] == "| accuracy | 79.4 % | [50.0, 82.5] |"
    assert changed[1] == "| 90 % count interval: coverage | 89.9 % | [80.0, 90.0] |"
    assert "best F1 0.12" in changed[2]
    assert len(changed) == 3


def test_a_card_tells_of_a_fold_that_was_judged_later(run: Run, tmp_path: Path) -> None:
    write_card(run.path, tmp_path / "with.md")
    change(run.later, "images", value=77)
    write_card(run.path, tmp_path / "other.md")
    run.later.unlink()
    write_card(run.path, tmp_path / "without.md")
    told = [(tmp_path / f"{name}.md").read_text() for name in ("with", "other", "without")]
    assert "Of 291 others, judged later, 81.8 %" in told[0]
    assert "Of 77 others, judged later, 81.8 %" in told[1]
    assert "judged later" not in told[2]
    assert "One more grouped fold was judged" in told[0]
    assert "One more grouped fold was judged" not in told[2]


@pytest.mark.parametrize(("model", "folds"), [("acne-edge-s", "steady-grouped"), ("acne-edge-m", "sharper-grouped")])
def test_the_later_fold_has_none_of_the_photographs_that_fitted_the_constants(model: str, folds: str) -> None:
    shipped = Run(RUN.path.parent / model)
    later = np.load(f"experiments/folds/{folds}/fold-3.npz")["names"].tolist()
    assert len(later) == json.loads(shipped.later.read_text())["images"]
    assert not set(later) & set(OutOfFold.load(shipped.out_of_fold).names)


def test_results_that_lack_a_figure_make_no_card(run: Run, tmp_path: Path) -> None:
    change(run.int8, "figures", value={"float32": {}})
    with pytest.raises(UsageError, match="the results lack what the card names"):
        write_card(run.path, tmp_path / "card.md")
    run.int8.unlink()
    with pytest.raises(UsageError, match=r"int8\.json: cannot be read as JSON results for the model card"):
        write_card(run.path, tmp_path / "card.md")
    assert not (tmp_path / "card.md").exists()


def test_a_run_that_held_photographs_out_is_refused(run: Run, tmp_path: Path) -> None:
    change(run.results_file, "lists", "val", value={"n": 5})
    with pytest.raises(UsageError, match="held photographs out; the card needs a run on all of them"):
        write_card(run.path, tmp_path / "card.md")


def test_the_card_of_an_average_names_each_of_its_networks(run: Run, tmp_path: Path) -> None:
    begun = {"initial": {"sha256": "c" * 64}}
    networks = [{"sha256": "a" * 64, "settings": {}, **begun}, {"sha256": "b" * 64, "settings": {"train_size": 416}, **begun}]
    change(run.results_file, "averaged", value=networks)
    settings = [Path("experiments/settings") / name for name in ("steady.yaml", "alone.yaml")]
    write_card(run.path, tmp_path / "card.md", settings=settings)
    card = (tmp_path / "card.md").read_text()
    assert "means\nof those of 2 networks" in card
    assert f"* `{'a' * 16}`, by [`{settings[0]}`]({settings[0]}) at 256 pixels a side, went on from `{'c' * 16}`\n" in card
    assert f"* `{'b' * 16}`, by [`{settings[1]}`]({settings[1]}) at 416 pixels a side, went on from `{'c' * 16}`\n" in card
    assert "acne-edge train --data ACNE04 --weights EARLIER --config experiments/settings/alone.yaml" in card
    assert "The average was chosen among others by these very 583 photographs" in card
    assert "acne-edge average RUN1 RUN2 --data ACNE04 --out RUN\n" in card
    with pytest.raises(UsageError, match="is made of 2 networks; give --settings once for each, not 1 times"):
        write_card(run.path, tmp_path / "card.md")


def test_another_run_than_the_shipped_one_is_refused(run: Run, tmp_path: Path) -> None:
    change(run.results_file, "lists", "train", "n", value=5)
    with pytest.raises(UsageError, match="not the run of the shipped acne-edge-s"):
        write_card(run.path, tmp_path / "card.md")


def test_without_jinja_the_extra_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"jinja2; install it with: pip install 'acne-edge\[export\]'"):
        write_card(run.path, tmp_path / "card.md")
