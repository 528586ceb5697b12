"""The figures that README and docs quote follow from the results in the repository."""

from __future__ import annotations

import json
import statistics
from typing import Any, NamedTuple

import pytest

from acne_edge import models
from tests.docs.pages import README, ROOT, prose

CPU = "U8S8 Q/DQ, weights per channel"
INSIDE = "average_precision_inside"  # of marks in boxes as drawn
HONEST = ROOT / "docs" / "explanation" / "honest-numbers.md"
PEERS = ROOT / "docs" / "explanation" / "peers.md"
UNCERTAINTY = ROOT / "docs" / "explanation" / "uncertainty.md"
CHOICE = ROOT / "docs" / "how-to" / "choose-a-model.md"
LIMITS = ROOT / "docs" / "explanation" / "limits.md"
TENSORRT = ROOT / "docs" / "how-to" / "run-on-tensorrt.md"
BENCHMARKS = ROOT / "docs" / "benchmarks.md"
STEMS = {
    "shipped": "export/checkpoints/acne-edge-s/int8.json",
    "shipped analysis": "export/checkpoints/acne-edge-s/analysis.json",
    "shipped, official folds": "experiments/results/steady/int8.json",
    "shipped, later": "export/checkpoints/acne-edge-s/later.json",
    "s": "experiments/results/steady/grouped-folds.json",
    "s analysis": "experiments/results/steady/grouped-analysis.json",
    "m": "experiments/results/sharper/grouped-folds.json",
    "m analysis": "experiments/results/sharper/grouped-analysis.json",
    "m, later": "export/checkpoints/acne-edge-m/later.json",
    "m, fitted": "export/checkpoints/acne-edge-m/int8.json",
    "folds": "experiments/results/extended/int8.json",
    "folds analysis": "experiments/results/extended/analysis.json",
    "official": "experiments/results/methods-official.json",
    "grouped": "experiments/results/methods-grouped.json",
    "peers": "experiments/results/peers/methods.json",
    "marks": "experiments/results/peers/marks.json",
    "detector": "experiments/results/peers/detector.json",
    "folds compared": "experiments/results/extended/compare.json",
    "0.6, begun": "experiments/results/shipped-official.json",
    "0.6, ended": "experiments/results/extended/methods-official.json",
    "before networks": "experiments/results/peers/before-networks.json",
    "LDL": "experiments/results/peers/ldl.json",
    "DED": "experiments/results/peers/ded.json",
    "best epoch": "experiments/results/peers/best-epoch.json",
    "steadiness": "experiments/results/steady/steadiness-grouped.json",
    "m steadiness": "experiments/results/sharper/steadiness-grouped.json",
    "latency": "experiments/results/peers/latency.json",
}


class Peer(NamedTuple):
    """A grader that the page of the peers tells of."""

    figures: dict[str, dict[str, float]]
    marks: float | None  # average precision, if it shows places
    timed: str  # its row in the latencies
    seconds: float  # of training, a fold
    parameters: int | None = None  # if its row has none


def result(stem: str, *keys: str) -> Any:
    value = json.loads((ROOT / STEMS[stem]).read_text())
    for key in keys:
        value = value[key]
    return value


def percent(figure: dict[str, float]) -> str:
    return f"{100 * figure['value']:.1f} %"


def percent_ci(figure: dict[str, float]) -> str:
    return f"{100 * figure['value']:.1f} % [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"


def lesions_ci(figure: dict[str, float]) -> str:
    return f"{figure['value']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]"


def fusion(protocol: str) -> dict[str, dict[str, float]]:
    return next(row["figures"] for row in result(protocol, "rows") if row["row"] == "fusion")


def quoted(page: Any) -> str:
    return " ".join(prose(page).replace("**", "").replace(" lesions [", " [").split())


def test_the_readme_quotes_the_shipped_recipe() -> None:
    figures, official = (result(name, "figures", CPU) for name in ("shipped", "shipped, official folds"))
    text = quoted(README)
    assert percent_ci(figures["accuracy"]) in text
    assert lesions_ci(figures["mae"]) in text
    assert f"{result('shipped', 'images')} photographs of ACNE04" in text
    known = f"grade {percent(official['accuracy'])} right and are {official['mae']['value']:.2f} lesions off"
    assert f"{known} (official folds 1 and 2, {result('shipped, official folds', 'images')} photographs" in text


def test_the_readme_quotes_sources() -> None:
    hospital, web = (result("shipped analysis", "subsets", name, "figures") for name in ("hospital", "web"))
    text = quoted(README)
    assert f"{100 * hospital['accuracy']['value']:.0f} % and {hospital['mae']['value']:.1f} on a hospital's camera" in text
    assert f"{100 * web['accuracy']['value']:.0f} % and {web['mae']['value']:.1f} on pictures from the web" in text


def test_honest_numbers_are_the_results() -> None:
    text = quoted(HONEST)
    for name in ("shipped", "shipped, official folds"):
        figures = result(name, "figures", CPU)
        assert percent_ci(figures["accuracy"]) in text
        assert lesions_ci(figures["mae"]) in text
    later = result("shipped, later", "figures", CPU)
    known = f"{percent_ci(later['accuracy'])} and {lesions_ci(later['mae'])} on {result('shipped, later', 'images')} photographs"
    assert known in text
    for protocol in ("official", "grouped"):
        assert percent_ci(fusion(protocol)["accuracy"]) in text
        assert f"{fusion(protocol)['mae']['value']:.2f}" in text
    for name, where in (("all", "all"), ("hospital", "a hospital's camera"), ("web", "the web")):
        part = result("shipped analysis", "subsets", name)
        assert f"| {where} | {part['images']} |" in text
    for name in ("hospital", "web"):
        part = result("shipped analysis", "subsets", name, "figures")
        assert f"{percent_ci(part['accuracy'])} | {lesions_ci(part['mae'])} |" in text
    together = result("shipped", "figures", "float32")
    assert f"{percent_ci(together['accuracy'])} | {lesions_ci(together['mae'])} |" in text
    wild = result("folds", "figures", CPU)
    assert f"{percent(wild['accuracy'])} and {wild['mae']['value']:.2f} lesions" in text


def peers() -> dict[str, Peer]:
    """What the page tells of each peer."""
    ours = {row["row"]: row for row in result("peers", "rows")}
    (ldl,), (taught,), (teacher,) = (result(*keys, "rows") for keys in (("LDL",), ("DED", "student"), ("DED", "teacher")))
    before, marks = result("before networks", "rows"), {name: row[INSIDE] for name, row in result("marks", "rows").items()}
    longer = result("folds compared", "figures", "experiments/results/extended/out_of_fold.npz")
    trained = sum(result(stem, "rows")[0]["seconds"] for stem in ("0.6, begun", "0.6, ended"))
    detector = result("detector")
    return {
        "colour": Peer(before["lab"]["figures"], None, "lab", before["lab"]["seconds"] / 4),
        "local features": Peer(before["sift"]["figures"], None, "sift", before["sift"]["seconds"] / 4),
        "LDL": Peer(ldl["figures"], None, "ResNet, 224 px", ldl["seconds"] / 4),
        "DED": Peer(taught["figures"], None, "ResNet, 224 px", (taught["seconds"] + teacher["seconds"]) / 4),
        "detector": Peer(detector["figures"], detector[INSIDE], "FCOS, 512 px", detector["seconds"], detector["parameters"]),
        "ViT alone": Peer(ours["ViT"]["figures"], marks["ViT"], "ViT, 224 px", ours["ViT"]["seconds"] / 4),
        "ResNet alone": Peer(ours["ResNet"]["figures"], marks["ResNet"], "ResNet, 224 px", ours["ResNet"]["seconds"] / 4),
        "both, 224 px": Peer(ours["fusion"]["figures"], marks["both"], "both, 224 px", ours["fusion"]["seconds"] / 4),
        "both, 256 px": Peer(longer, marks["0.6"], "both, 256 px", trained / 4),
    }


@pytest.mark.parametrize(
    "title",
    ["colour", "local features", "LDL", "DED", "detector", "ViT alone", "ResNet alone", "both, 224 px", "both, 256 px"],
)
def test_a_row_of_the_peers_is_the_result(title: str) -> None:
    peer, text, timed = peers()[title], quoted(PEERS), result("latency", "rows")
    cells = [percent_ci(peer.figures[key]).replace(" %", "") for key in ("accuracy", "balanced_accuracy")]
    cells += [lesions_ci(peer.figures[key]) for key in ("qwk", "mae", "rmse", "icc")]
    marks = "" if peer.marks is None else f"{100 * peer.marks:.1f} "
    judged, cost = (text.split(f"| {title}", 2)[part].split("|", 1)[1] for part in (1, 2))
    assert judged.lstrip().startswith(" | ".join(cells) + f" | {marks}|")
    parameters = peer.parameters or timed[peer.timed].get("parameters")
    size = f"{parameters / 1e6:.1f} " if parameters else ""
    assert cost.lstrip().startswith(f"{size}| {timed[peer.timed]['ms']:.1f} | {peer.seconds / 60:.0f} |")


def test_what_is_said_of_the_peers_is_the_result() -> None:
    rows, text = peers(), quoted(PEERS)
    (teacher,) = result("DED", "teacher", "rows")
    right = percent_ci(teacher["figures"]["accuracy"])
    assert f"and grades {right} right, {teacher['figures']['mae']['value']:.2f} lesions" in text
    boxes = 100 * (rows["ResNet alone"].figures["accuracy"]["value"] - rows["LDL"].figures["accuracy"]["value"])
    assert f"Boxes around lesions lift the grades by {boxes:.1f} points" in text
    assert f"in INT8, takes {result('latency', 'rows', 'acne-edge-s', 'ms'):.1f} ms there" in text
    detector, fold = result("detector"), next(row["per_fold"]["1"] for row in result("peers", "rows") if row["row"] == "fusion")
    assert f"average precision of {100 * detector['average_precision']:.1f} % at an IoU of .5" in text
    assert f"{100 * fold['accuracy']:.1f} % and {fold['mae']:.2f} lesions there" in text


def test_what_the_best_epoch_would_flatter_is_the_result() -> None:
    folds = result("best epoch", "folds").values()

    def mean(epoch: str, key: str) -> float:
        return statistics.fmean(fold[epoch][key] for fold in folds)

    right = [f"{100 * mean(epoch, 'accuracy_combined'):.1f} %" for epoch in ("last", "best")]
    off = [f"{mean(epoch, 'mae_median'):.2f}" for epoch in ("last", "best")]
    text = quoted(PEERS)
    assert f"{right[0]} right after its last epoch and {right[1]} after the best one of each list" in text
    assert f"counts {off[0]} and {off[1]} lesions off" in text


def test_what_decides_between_the_models_is_measured() -> None:
    pairs = {"s": "acne-edge-s", "m": "acne-edge-m"}
    judged = [result(name, "figures", CPU) for name in pairs]
    found = [result(f"{name} analysis", "localisation", "average_precision_inside") for name in pairs]
    clear = [result(f"{name} analysis", "clear_skin", "count_mean") for name in pairs]
    widths = [result(f"{name} analysis", "subsets", "all", "figures", "interval_width", "value") for name in pairs]
    rows = {
        "grades right": [percent_ci(figures["accuracy"]) for figures in judged],
        "severe faces graded right": [percent_ci(figures["recall_2"]) for figures in judged],
        "count off by, lesions": [lesions_ci(figures["mae"]) for figures in judged],
        "marks in a lesion's box, average precision": [f"{100 * share:.1f} %" for share in found],
        "counted on clear skin, lesions": [f"{count:.2f}" for count in clear],
        "interval, mean width in lesions": [f"{width:.1f}" for width in widths],
        "time of the network": ["1", f"{result('latency', 'rows', 'acne-edge-m', 'ratio'):.1f}"],
        "file": [f"{models.index()[name]['bytes'] / 1e6:.1f} MB" for name in pairs.values()],
    }
    text = quoted(CHOICE)
    for name, cells in rows.items():
        assert f"| {name} | {' | '.join(cells)} |" in text
    assert f"same {result('m', 'images')} photographs" in text
    assert f"Clear skin is {result('m analysis', 'clear_skin', 'crops')} crops" in text
    later = {name: result(f"{name}, later", "figures", CPU) for name in ("shipped", "m")}
    for figures in later.values():
        assert f"{percent_ci(figures['accuracy'])} and {lesions_ci(figures['mae'])}" in text.replace(" lesions,", ",")
    first = [percent(result(name, "figures", CPU, "accuracy")) for name in ("m, fitted", "shipped")]
    assert f"There it grades {first[0]} right, s {first[1]}." in text.replace("`", "")
    assert "fewer right than s:" in text.replace("`", "")
    assert later["m"]["accuracy"]["value"] < later["shipped"]["accuracy"]["value"]
    spoilt = [
        [row["change"] for row in result(stem, "rows") if row["row"] != "nothing"] for stem in ("steadiness", "m steadiness")
    ]
    s, m = (f"{statistics.fmean(changes):.2f}" for changes in spoilt)
    assert f"over {len(spoilt[0])} ways to spoil a photograph, the count of s changes by {s} lesions" in text.replace("`", "")
    assert f"that of m by {m}." in text.replace("`", "")


def test_limits_are_the_results() -> None:
    clear, text = result("shipped analysis", "clear_skin"), quoted(LIMITS)
    assert f"On {clear['crops']} crops of clear skin the model counts {clear['count_mean']:.2f} lesions on average" in text
    assert f"under one on {100 * clear['count_under_one']:.0f} % of them" in text
    severe = sorted(result(stem, "figures", "float32", "recall_2", "value") for stem in ("shipped", "folds"))
    assert f"{100 * severe[0]:.0f} to {100 * severe[1]:.0f} % are graded right" in text


def test_what_int8_costs_on_tensorrt_is_the_result() -> None:
    changes = result("folds", "changes", "S8S8 Q/DQ, symmetric, weights per channel")
    drop, flips = changes["accuracy_drop"], changes["grade_flips"]
    better = f"{-100 * drop['value']:.1f} points better than float32 [{-100 * drop['high']:.1f}, {-100 * drop['low']:.1f}]"
    assert better in quoted(TENSORRT)
    assert f"flips {100 * flips['value']:.1f} % of the grades" in quoted(TENSORRT)


def test_uncertainty_is_that_of_the_manifest(grader: Any) -> None:
    metrics, text = grader.manifest.metrics, quoted(UNCERTAINTY)
    assert f"covers {100 * metrics['interval']['coverage']:.1f} %" in text
    assert f"{metrics['interval']['width']:.1f} lesions wide" in text
    size, coverage = metrics["grade_set"]["size"], 100 * metrics["grade_set"]["coverage"]
    assert f"hold {size:.2f} grades on average and cover {coverage:.1f} %" in text
    error, by_chance = metrics["ece"], metrics["ece_if_calibrated"]
    n = result("shipped", "images")
    assert f"calibration error is {error:.2f} on the {n} photographs, where chance alone makes {by_chance:.2f}" in text
    subsets = result("shipped analysis", "subsets")
    held = [f"{100 * p['figures']['interval_coverage']['value']:.1f}" for name, p in subsets.items() if name.endswith("labelled")]
    assert f"they hold {', '.join(held[:-1])} and {held[-1]} % of the counts" in text
    for name, part in subsets.items():
        if name.endswith("counted"):
            holds, width = (part["figures"][f"interval_{what}"] for what in ("coverage", "width"))
            row = f"| {name.removesuffix(' counted')} | {part['images']} | {percent_ci(holds)} | {width['value']:.1f} |"
            assert row in text


@pytest.mark.parametrize(("part", "whole", "ratio"), [(33.7, 11.8, 2.85), (11.8, 10.5, 1.13)])
def test_ratios_of_the_benchmarks_are_those_of_their_times(part: float, whole: float, ratio: float) -> None:
    text = prose(BENCHMARKS)
    assert all(str(figure) in text for figure in (part, whole, ratio))
    assert part / whole == pytest.approx(ratio, abs=0.011)
