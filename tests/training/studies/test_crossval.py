from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acne_edge.cli import main as cli
from acne_edge.errors import UsageError
from acne_edge.fit.outputs import OutOfFold
from acne_edge.training.config import TrainConfig
from acne_edge.training.run import Run
from acne_edge.training.studies import crossval
from tests import command

QUICK: dict[str, Any] = {
    "train_size": 32, "image_resize": 36, "epochs": 1, "batch_size": 8, "frequency": 1, "num_workers": 1, "val_folds": 3,
}  # fmt: skip
ROWS = {"ViT": {"method": "vit"}, "ResNet": {"method": "resnet"}}


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows trained on fold 1."""
    folder = tmp_path_factory.mktemp("crossval")
    crossval.train_rows(TrainConfig(**QUICK), ROWS, [1], data, None, folder, "cpu")
    return folder


def test_a_finished_run_is_kept_and_one_with_other_settings_refused(
    data: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "acne_edge"):
        crossval.train_rows(TrainConfig(**QUICK), ROWS, [1], data, None, out, "cpu")
    assert not caplog.records
    with pytest.raises(UsageError, match="other settings; choose another --out"):
        crossval.train_rows(TrainConfig(**{**QUICK, "epochs": 2}), ROWS, [1], data, None, out, "cpu")


def test_rows_with_the_same_settings_share_a_run(tmp_path: Path) -> None:
    rows = [crossval.STUDIES[s][r] for s, r in (("methods", "fusion"), ("losses", "LDL"), ("optimizers", "Adam"))]
    assert len({crossval.fold_run(tmp_path, TrainConfig(cross_validation=1), overrides) for overrides in rows}) == 1


def test_the_tables_hold_every_finished_row_with_intervals(out: Path) -> None:
    results = crossval.summarize(TrainConfig(**QUICK), {**ROWS, "fusion": {}}, crossval.FOLDS, out, repeats=50)
    assert [(row["row"], row["folds"], row["images"]) for row in results["rows"]] == [("ViT", [1], 8), ("ResNet", [1], 8)]
    for row in results["rows"]:
        for name, f in row["figures"].items():
            assert f["low"] is None or f["low"] <= f["value"] <= f["high"], name
        assert len(row["per_grade"]) == 5
        assert row["risk_at_coverage"]["1.0"] == pytest.approx(1 - row["figures"]["accuracy"]["value"])
    table = crossval.markdown(results, "methods")
    assert "| ViT | very severe |" in table
    assert "| ResNet | average |" in table


def test_rows_whose_runs_are_gone_are_kept_from_an_earlier_table_of_the_same_settings_and_folds(
    out: Path, tmp_path: Path
) -> None:
    base = TrainConfig(**QUICK)
    results = crossval.summarize(base, ROWS, [1], out, repeats=10)
    (tmp_path / f"{crossval.table_name('methods', base, [1])}.json").write_text(json.dumps(results))
    again = crossval.summarize(base, {"transformer": ROWS["ViT"], "fusion": {}}, [1], tmp_path, repeats=10)
    assert again["rows"] == [{**results["rows"][0], "row": "transformer"}]
    assert not crossval.summarize(base, ROWS, [1, 2], tmp_path, repeats=10)["rows"], "other folds"
    assert not crossval.summarize(TrainConfig(**{**QUICK, "epochs": 2}), ROWS, [1], tmp_path, repeats=10)["rows"]
    (tmp_path / "losses-official.json").write_text(json.dumps({"base": base.to_dict(), "rows": [{"row": "LDL"}]}))
    with pytest.raises(UsageError, match=r"losses-official.json: cannot be read as a table .* move it away \(KeyError"):
        crossval.summarize(base, ROWS, [1], tmp_path, repeats=10)
    (tmp_path / "losses-official.json").write_text('{"rows": ')
    with pytest.raises(UsageError, match=r"losses-official.json: cannot be read as a table of acne-edge crossval; move it away"):
        crossval.summarize(base, ROWS, [1], tmp_path, repeats=10)


def test_tables_of_some_folds_do_not_overwrite_those_of_all() -> None:
    base = TrainConfig(protocol="grouped")
    assert crossval.table_name("methods", base, crossval.FOLDS) == "methods-grouped"
    assert crossval.table_name("methods", base, [3, 1]) == "methods-grouped-fold-1-3"


def test_what_all_folds_predict_of_what_they_had_not_seen_is_kept(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = TrainConfig(**QUICK)
    crossval.write_out_of_fold(base, ROWS, out)
    assert not list(out.rglob(Run(out).out_of_fold.name)), "three folds are missing"
    monkeypatch.setattr(crossval, "FOLDS", (1,))
    crossval.write_out_of_fold(base, ROWS, out)
    run = crossval.fold_run(out, TrainConfig(**QUICK, cross_validation=1), ROWS["ViT"])
    kept, test = OutOfFold.load(Run(run.path.parent).out_of_fold), run.outputs("test")
    np.testing.assert_allclose(kept.data.grade_probs, test.grade_probs)
    np.testing.assert_array_equal(kept.data.counts, test.counts)
    assert (len(set(kept.names)), set(kept.folds)) == (8, {1})
    kept.check({**base.to_dict(), **ROWS["ViT"], "val_folds": 0})
    with pytest.raises(UsageError, match="its method is 'resnet', not 'vit'"):
        kept.check({**base.to_dict(), **ROWS["ResNet"]})


def test_runs_go_on_from_those_of_an_earlier_cross_validation(data: Path, out: Path, tmp_path: Path) -> None:
    config = TrainConfig(**QUICK, cross_validation=1)
    assert crossval.initial_weights(None, config, {}) is None
    assert crossval.initial_weights(data, config, {}) == data, "no cross-validation: a folder of ImageNet weights"
    earlier = crossval.initial_weights(out, config, ROWS["ViT"])
    assert earlier == crossval.fold_run(out, config, ROWS["ViT"]).model
    with pytest.raises(UsageError, match="no such run to continue from"):
        crossval.initial_weights(out, config, {"loss": "report"})
    longer = TrainConfig(**{**QUICK, "train_size": 64})
    crossval.train_rows(longer, {"ViT": ROWS["ViT"]}, [1], data, out, tmp_path, "cpu")
    assert crossval.fold_run(tmp_path, config, ROWS["ViT"]).results()["initial"]["weights"] == "model.safetensors"


def test_where_nothing_is_held_out_the_other_folds_calibrate(data: Path, tmp_path: Path) -> None:
    base, rows = TrainConfig(**{**QUICK, "val_folds": 0}), {"ViT": ROWS["ViT"]}
    crossval.train_rows(base, rows, [1], data, None, tmp_path, "cpu")
    with pytest.raises(UsageError, match="is the only fold, so nothing can be calibrated; train a second one"):
        crossval.summarize(base, rows, crossval.FOLDS, tmp_path, repeats=10)
    crossval.train_rows(base, rows, [2], data, None, tmp_path, "cpu")
    runs = {k: crossval.fold_run(tmp_path, TrainConfig(cross_validation=k), ROWS["ViT"]) for k in (1, 2)}
    own, other = (runs[k].outputs("test") for k in (1, 2))
    fitted = crossval.constants_data(runs, 1)
    np.testing.assert_array_equal(fitted.count_probs, other.count_probs)
    # A photograph that stands on both lists has no part in the constants by which the first list is judged.
    with runs[2].list_file("test").open("a") as stream:
        stream.write(runs[1].list_file("test").read_text().splitlines()[0] + "\n")
    with np.load(runs[2].outputs_file("test")) as outputs:
        doubled = {name: np.concatenate([array, array[:1]]) for name, array in outputs.items()}
    np.savez(runs[2].outputs_file("test"), **doubled)
    assert len(crossval.constants_data(runs, 1).counts) == len(other.counts)
    results = crossval.summarize(base, rows, crossval.FOLDS, tmp_path, repeats=10)
    assert results["rows"][0]["images"] == len(own.counts) + len(other.counts) + 1
    alone = crossval.summarize(base, rows, [1], tmp_path, repeats=10)
    assert alone["rows"][0]["folds"] == [1], "fold 2 has a part in the constants, not in the table"


def test_the_command_writes_markdown_and_json(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("".join(f"{k}: {v}\n" for k, v in {**QUICK, "method": "vit"}.items()))
    monkeypatch.setitem(crossval.STUDIES, "losses", {"LDL": {}, "L2": {"loss": "l2"}})
    arguments = [
        "--data",
        data,
        "--out",
        tmp_path / "cv",
        "--study",
        "losses",
        "--row",
        "LDL",
        "--fold",
        1,
        "--config",
        recipe,
        "--device",
        "cpu",
    ]
    code, printed, _ = command.call(cli.main, "crossval", *arguments)
    assert code == 0
    assert [row["row"] for row in json.loads((tmp_path / "cv" / "losses-official-fold-1.json").read_text())["rows"]] == ["LDL"]
    assert printed.strip() == (tmp_path / "cv" / "losses-official-fold-1.md").read_text().strip()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--study", "colours"], "unknown study 'colours'; known: methods, losses"),
        (["--study", "optimizers", "--row", "LDL"], "no row 'LDL' in optimizers; rows: Adam, SGD"),
    ],
)
def test_an_unknown_study_or_row_is_refused(arguments: list[str], message: str, data: Path) -> None:
    code, _, err = command.call(cli.main, "crossval", "--data", data, *arguments)
    assert code == 2
    assert message in err
