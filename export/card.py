"""`python -m export card RUN --out MODEL_CARD.md`: the model card, every figure from the JSON results.

RUN is that of `acne-edge extend` on all photographs; beside it stand, of the runs without a part, what `acne-edge analyse`
printed as analysis.json, and what `python -m export evaluate` wrote as unseen.json. What the network is worth on folds comes from
the tables of `acne-edge crossval`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from acne_edge.errors import UsageError
from acne_edge.grader import AcneGrader
from acne_edge.training.studies.compare import markdown

TEMPLATE = """\
# Model card: {name} {version}

Counts inflammatory acne lesions and grades severity ({scale}: {bands}) from one photograph of a half face.

| | |
|---|---|
| file | `{file}`, {megabytes:.1f} MB, sha256 `{sha256}` |
| network | FusionModel, method `{method}`: ResNet-18 trunk + the first {depth} blocks of ViT-Ti/16, {size}x{size} input |
| quantisation | {quantisation} |
| licence | {licence} |
| intended use | {intended_use} |

## Data and protocol

{dataset}. Trained on all {train_n} photographs (list sha256 `{train_sha}`): this run went on from the weights (sha256
`{initial}`) of an earlier one that had learned {earlier_n} of them. Nothing is left to measure it on. So {parts} runs by
the same settings went on from the same weights, each without a part of the {n} photographs that the earlier run had not seen
({sizes}; known duplicates in one part); each is judged on the part that it did without, and these {n} predictions are what the
figures below and the constants in the file (calibration of the outputs, how count and grade are read off them, temperature,
conformal quantiles) are of. The last epoch is taken. Network and recipe were developed over several runs that were compared on
these same {n} photographs (`export/checkpoints/README.md`), so that figures on them flatter. Settings, log, checkpoint, list and
predictions are in [`{run}`]({run}).

    acne-edge extend EARLIER --data ACNE04 --config {settings}

The run on all photographs took {minutes:.0f} minutes of wall-clock time on {device}, torch {torch}.

## Measured on the {n} photographs

Every photograph is judged by constants fitted on four of five parts of them that it is not in, by the float32 networks; 95 %
bootstrap intervals over photographs where there are some. Another division into five parts moves a few photographs over a
threshold; means of five such divisions are in `export/checkpoints/README.md`.

| | | 95 % interval |
|---|---|---|
{table}

| grade | images | precision | SE | SP | YI |
|---|---|---|---|---|---|
{per_grade}

Confusion matrix (rows true, columns predicted): `{confusion}`

What INT8 changes, against float32 ({judge}), with 95 % bootstrap intervals over photographs: {against}.
Shares are of 1, errors in lesions. Of INT8 versions that passed on other photographs, these judged {judged}; this one is the
last of them. The network has learned the photographs that judged: they say what INT8 changes, not how good it is.

How good it is, the runs of the parts say, quantised alike ({int8_method} ranges of crops of what each had learned; no version was
chosen, no layer left in float) and judged on the {n} photographs that they had not seen. Means of {divisions} divisions; percent,
lesions, 95 % bootstrap intervals over photographs; below, what INT8 changes against float32. By `python -m export evaluate`:

{int8}

## The network on folds

Networks of this architecture, trained by shorter settings ({fold_size} px, {fold_epochs} epochs) on {fold_images}
photographs of a fold and judged, by the last epoch, on photographs that neither training nor constants had seen; what kind of
calibration there is was chosen among some twenty while looking at the fusion's predictions of them. The official folds divide
photographs; the grouped ones keep look-alikes (one person, one session) together, so that for a face that the network has never
met they are the ones to expect. Not quantised; 95 % bootstrap intervals; from [`{tables}`]({tables}):

| folds | network | accuracy, % | balanced, % | recall by grade | kappa | MAE | RMSE | interval covers, % | ECE |
|---|---|---|---|---|---|---|---|---|---|
{folds}

The fusion by settings like the shipped model's ({long_size} px, {short_epochs} epochs from ImageNet weights, then {long_epochs}
at a constant rate, {long_images} photographs of a fold), float32 and INT8, the latter quantised as above; {long_n} photographs of
the official folds' test lists, the constants fitted on others of them; from [`{tables}/extended`]({tables}/extended):

{long}

Of these, by the float32 networks (cross-fitted constants, 95 % bootstrap intervals):

{sources}

## Where it looks, and what it reads besides skin

Of the networks of the parts on the same {n} photographs, by `acne-edge analyse` of them (cross-fitted constants, 95 % bootstrap
intervals):

{analysis}

## Limits

* One data set, one hospital for most of its photographs, mostly young Asian patients, half faces at about 70 degrees. Other
  skin tones, body sites, poses and cameras were not measured.
* Severity is confounded with image source in ACNE04: many severe cases are small web pictures.
* Photographs of one person can be among those learned and those judged: only known duplicates were kept together. The
  grouped folds, and the figures with and without a look-alike, show what that flatters.
* Very severe faces (over 50 lesions) are few: their figures rest on {severe_n} photographs.
* Two annotations of one photograph differ by 3.1 lesions on average, which bounds what a count error can mean.
* Not a medical device. Not for diagnosis or for choosing treatment.
"""


def write_card(
    run: Annotated[Path, typer.Argument(help="Directory of the run, with analysis.json, unseen.json and out_of_fold.npz.")],
    out: Annotated[Path, typer.Option(help="The card.")] = Path("MODEL_CARD.md"),
    model: Annotated[str | None, typer.Option(help="Shipped model [the default].")] = None,
    settings: Annotated[Path, typer.Option(help="The --config that acne-edge extend was given.")] = Path(
        "export/checkpoints/extend.yaml"
    ),
    tables: Annotated[Path, typer.Option(help="Directory of the tables of acne-edge crossval.")] = Path(
        "export/checkpoints/crossval"
    ),
) -> None:
    """Write the model card of a shipped model, which acne-edge extend trained on all photographs."""
    from acne_edge.training.uncertainty import OutOfFold

    results = _read(run / "run.json")
    if "val" in results["lists"]:
        raise UsageError(f"{run}: held photographs out; the card is of the run on all of them, made by acne-edge extend")
    analysis, int8 = (_read(run / f"{name}.json") for name in ("analysis", "unseen"))
    predicted = OutOfFold.load(run / "out_of_fold.npz")
    folds = [_read(tables / f"methods-{protocol}.json") for protocol in ("official", "grouped")]
    with AcneGrader.load(model) as grader:
        if grader.manifest.training["lists"] != results["lists"]:
            raise UsageError(f"{run}: not the run of the shipped {grader.model.name}, whose photographs are others")
        sizes = [int((predicted.folds == part).sum()) for part in sorted(set(predicted.folds.tolist()))]
        longer = (_read(tables / "extended" / f"{name}.json") for name in ("unseen", "analysis"))
        fields = on_folds(folds) | longer_on_folds(_read(tables / "shipped-official.json"), *longer)
        fields |= {"tables": tables.as_posix(), "settings": settings.as_posix()}
        out.write_text(render(run, results, sizes, analysis, int8, grader, fields))
    typer.echo(str(out))


def render(
    run: Path,
    results: dict[str, Any],
    sizes: list[int],
    analysis: dict[str, Any],
    int8: dict[str, Any],
    grader: AcneGrader,
    fields: dict[str, str],
) -> str:
    """The card's Markdown."""
    from acne_edge import models
    from acne_edge.training.model import DEPTH

    manifest, config, lists, measured = grader.manifest, results["config"], results["lists"], grader.manifest.metrics
    entry = models.index()[grader.model.name]
    scale = manifest.scale
    ends = [*(str(low - 1) for low in scale.lower[1:]), None]
    bands = ", ".join(
        f"{label} {low}-{end}" if end else f"{label} over {low - 1}"
        for label, low, end in zip(scale.labels, scale.lower, ends, strict=True)
    )
    losses = manifest.quantisation["gate"]["losses"]
    confusion = measured["grade"]["confusion"]
    return TEMPLATE.format(
        name=manifest.name,
        version=manifest.version,
        scale=scale.name,
        bands=bands,
        file=entry["file"],
        megabytes=int(str(entry["bytes"])) / 1e6,
        sha256=grader.model.sha256,
        method=config["method"],
        size=manifest.input.height,
        quantisation=quantisation(manifest.quantisation),
        licence=manifest.licence,
        intended_use=manifest.intended_use,
        dataset=manifest.training["dataset"],
        train_n=lists["train"]["n"],
        train_sha=lists["train"]["sha256"][:16],
        initial=results["initial"]["sha256"][:16],
        earlier_n=lists["train"]["n"] - sum(sizes),
        parts=len(sizes),
        n=sum(sizes),
        sizes=" and ".join(map(str, sizes)),
        run=run.as_posix(),
        depth=DEPTH,
        judge=manifest.quantisation["gate"]["split"],
        device=results["environment"]["device"],
        torch=results["environment"]["torch"],
        minutes=results["seconds"] / 60,
        table="\n".join(
            f"| {label} | {_known(value, measured)} | {_interval(analysis['subsets']['all']['figures'], label)} |"
            for label, value in ROWS
        ),
        per_grade="\n".join(
            f"| {label} | {sum(row)} | "
            + " | ".join(f"{measured['grade']['per_grade'][k][i]:.3f}" for k in ("precision", "SE", "SP", "YI"))
            + " |"
            for i, (label, row) in enumerate(zip(scale.labels, confusion, strict=True))
        ),
        confusion=confusion,
        against=", ".join(f"{k.replace('_', ' ')} {v['value']:.3f} [{v['low']:.3f}, {v['high']:.3f}]" for k, v in losses.items()),
        judged=manifest.quantisation["gate"]["judged"],
        int8_method=int8["method"],
        divisions=int8["divisions"],
        int8=markdown(int8),
        severe_n=sum(confusion[-1]),
        analysis=analysed(analysis, manifest.uncertainty.abstain_below),
        **fields,
    )


def on_folds(tables: list[dict[str, Any]]) -> dict[str, str]:
    """The template's fields about the cross-validations `tables`."""
    from acne_edge.training.studies.crossval import cell

    lines = []
    for table in tables:
        for row in table["rows"]:
            figures = row["figures"]
            recalls = " ".join(f"{figures[f'recall_{g}']['value']:.2f}" for g in range(len(row["confusion"])))
            grade = [cell(name, figures[name]) for name in ("accuracy_combined", "balanced_accuracy")]
            rest = [cell(name, figures[name]) for name in ("qwk", "mae", "rmse", "interval_coverage", "ece")]
            lines.append(f"| {' | '.join([table['protocol'], row['row'], *grade, recalls, *rest])} |")
    trained = [n for table in tables for row in table["rows"] for n in row["trained_on"]]
    return {
        "folds": "\n".join(lines),
        "fold_size": str(tables[0]["base"]["train_size"]),
        "fold_epochs": str(tables[0]["base"]["epochs"]),
        "fold_images": f"{min(trained)} to {max(trained)}",
    }


def longer_on_folds(short: dict[str, Any], found: dict[str, Any], analysis: dict[str, Any]) -> dict[str, str]:
    """The template's fields about longer runs on folds, which go on from those of the table `short`.

    `found` is what `python -m export evaluate` wrote of them, `analysis` what `acne-edge analyse` printed.
    """
    return {
        "short_epochs": str(short["base"]["epochs"]),
        "long_size": str(found["settings"]["train_size"]),
        "long_epochs": str(found["settings"]["epochs"]),
        "long_images": " to ".join(map(str, sorted({min(found["trained_on"]), max(found["trained_on"])}))),
        "long_n": str(found["images"]),
        "long": markdown(found),
        "sources": "\n".join(subsets(analysis)),
    }


def subsets(values: dict[str, Any]) -> list[str]:
    """What an analysis tells of parts of the photographs, one line each."""
    lines = []
    for name, part in values["subsets"].items():
        if name == "all":
            continue  # stands in the table
        accuracy, balanced, mae, rmse, bias = (
            part["figures"][figure] for figure in ("accuracy", "balanced_accuracy", "mae", "rmse", "bias")
        )
        lines.append(
            f"* **{name[0].upper() + name[1:]}** ({part['images']} photographs, by grade {part['by_grade']}): accuracy "
            f"{100 * accuracy['value']:.1f} % [{100 * accuracy['low']:.1f}, {100 * accuracy['high']:.1f}], balanced "
            f"{100 * balanced['value']:.1f} %, MAE {mae['value']:.2f} [{mae['low']:.2f}, {mae['high']:.2f}], RMSE "
            f"{rmse['value']:.2f}, bias {bias['value']:.2f} [{bias['low']:.2f}, {bias['high']:.2f}]."
        )
    return lines


def analysed(values: dict[str, Any], abstain_below: float) -> str:
    """The analysis of the run as a list."""
    found, clear, probe, curve = (values[name] for name in ("localisation", "clear_skin", "source_probe", "calibration"))
    risks = [(share, curve["risk"][round(share * len(curve["risk"]) / 100) - 1]) for share in (50, 70, 90, 100)]
    lines = [
        f"* **Lesion map** against the {found['lesions']} boxes ({found['rule']}): average precision "
        f"{100 * found['average_precision']:.1f} %, best F1 {found['f1']:.2f} (precision {found['precision']:.2f}, recall "
        f"{found['recall']:.2f}).",
        f"* **Clear skin**: on {clear['crops']} crops without a lesion {clear['count_mean']:.2f} lesions are counted on average, "
        f"and under one on {100 * clear['count_under_one']:.0f} % of them; the map alone holds {clear['map_mean']:.2f}, and "
        f"under one on {100 * clear['map_under_one']:.0f} %. ACNE04 has no clear face.",
        "* **Confidence**: of the grades that it is surest of, wrong are "
        + ", ".join(f"{100 * risk:.1f} % of {share} %" for share, risk in risks)
        + f". It abstains where the best has a probability under {abstain_below:.2f}: the highest, up to 0.5, below which "
        "at least half of the grades are wrong (0: there is none).",
    ]
    lines += subsets(values)
    if "auc_features" in probe:
        lines.append(
            f"* **Source**: a linear probe tells hospital from web photographs with an area under the ROC curve of "
            f"{probe['auc_features']:.2f} from the fused features; the true count alone gives {probe['auc_count']:.2f}. It would "
            f"matter if photographs were counted by it: then those of the source with more lesions would be overcounted."
        )
    return "\n".join(lines)


def quantisation(values: dict[str, Any]) -> str:
    """The recipe in words."""
    weights = "7-bit weights, " if values["reduce_range"] else ""
    excluded = f"; in float: {', '.join(values['excluded'])}" if values["excluded"] else ""
    return f"{values['recipe']}, {weights}{values['method']} ranges of {values['crops']['n']} training crops{excluded}"


def _percent(*path: str) -> Any:
    return lambda m: f"{100 * _at(m, path):.1f} %"


def _number(*path: str) -> Any:
    return lambda m: f"{_at(m, path):.2f}"


def _at(values: Any, path: tuple[str, ...]) -> float:
    for key in path:
        values = values[key]
    return float(values)


def _interval(figures: dict[str, Any], label: str) -> str:
    """The interval of a row of the table, or nothing."""
    from acne_edge.training.studies.crossval import cell

    name = FIGURES.get(label)
    return "" if name is None else cell(name, figures[name]).partition(" ")[2]


def _known(value: Any, results: Any) -> str:
    """The cell, or a dash where the results are older than the figure."""
    try:
        return str(value(results))
    except KeyError:
        return "-"


ROWS = (
    ("accuracy", _percent("grade", "accuracy")),
    ("balanced accuracy", _percent("grade", "balanced_accuracy")),
    ("quadratic weighted kappa", _number("grade", "qwk")),
    ("count MAE, lesions", _number("count", "mae")),
    ("count RMSE, lesions", _number("count", "rmse")),
    ("count bias, lesions", _number("count", "bias")),
    ("90 % count interval: coverage", _percent("interval", "coverage")),
    ("90 % count interval: mean width, lesions", _number("interval", "width")),
    ("90 % grade set: coverage", _percent("grade_set", "coverage")),
    ("90 % grade set: mean size", _number("grade_set", "size")),
    ("expected calibration error", _number("ece")),
    ("the same of right probabilities, by chance", _number("ece_if_calibrated")),
)
FIGURES = {
    "accuracy": "accuracy",
    "balanced accuracy": "balanced_accuracy",
    "quadratic weighted kappa": "qwk",
    "count MAE, lesions": "mae",
    "count RMSE, lesions": "rmse",
    "count bias, lesions": "bias",
}


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as JSON ({error})") from error
