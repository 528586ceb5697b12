"""The report of a model measured on labelled photographs: what `acne-edge evaluate --report` writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge import __version__
from acne_edge import image as images
from acne_edge.catalogue import Catalogue
from acne_edge.evaluation.bootstrap import REPEATS, bootstrap
from acne_edge.evaluation.labels import Label
from acne_edge.evaluation.localisation import Boxes
from acne_edge.evaluation.metrics import count_metrics, grade_metrics, limits_of_agreement
from acne_edge.evaluation.outcome import Outcome
from acne_edge.grading import SeverityScale
from acne_edge.manifest import Manifest
from acne_edge.prediction import Failure, Prediction
from acne_edge.render import overlay
from acne_edge.report import charts, groups, skin, words
from acne_edge.report.page import picture_data, render

FEW = 100  # photographs; with fewer the page warns of wide intervals
WORST = 20
BINS, A_BIN = 10, 5  # groups of the reliability diagram, at most, and photographs in each, at least
PICTURE = 560  # pixels of the longer side of a face in the page
PICTURE_QUALITY = 80
SUMMARY = (  # name of the figure, digits, whether it is printed in percent
    ("accuracy", 1, True),
    ("balanced_accuracy", 1, True),
    ("qwk", 2, False),
    ("mae", 2, False),
    ("rmse", 2, False),
    ("bias", 2, False),
    ("icc", 2, False),
    ("interval_coverage", 1, True),
    ("interval_width", 1, False),
    ("abstained", 1, True),
    ("ece", 3, False),
)
KEY_FIGURES = ("accuracy", "mae", "interval_coverage")
PER_GRADE = ("precision", "SE", "SP", "YI", "MAE", "RMSE")
OF_GROUPS = (("accuracy", 1, True), ("mae", 2, False), ("bias", 2, False), ("coverage", 1, True))

Progress = Callable[[Iterator[Any], str, int], Iterable[Any]]


@dataclass
class Study:
    """Labelled photographs and what a model made of them, to be reported."""

    report: Mapping[str, Any]  # what `evaluation.run.evaluate_list` returned
    folder: Path  # of the photographs
    scale: SeverityScale
    manifest: Manifest
    command: str  # by which this was measured
    labels: list[Label] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)  # places in the list, from 1
    failures: list[tuple[int, Label, Failure]] = field(default_factory=list)

    def add(self, label: Label, result: Prediction | Failure) -> None:
        """Take in the next photograph of the list."""
        number = len(self.predictions) + len(self.failures) + 1
        if result.ok:
            self.labels.append(label)
            self.predictions.append(result)
            self.numbers.append(number)
        else:
            self.failures.append((number, label, result))


def write_page(
    study: Study,
    catalogue: Catalogue,
    faces: Mapping[str, Boxes | None] | None = None,
    progress: Progress = lambda items, what, number: items,
    repeats: int = REPEATS,
) -> str:
    """The page, HTML that stands alone.

    Args:
        study: at least one photograph that was predicted.
        catalogue: the language.
        faces: None keeps faces and file names out. Else the photographs that are counted worst are shown with marks, and with
            the boxes, float [n, 4] in 0..1 of the frame, that this has for their names.
        progress: shows the user how far reading the photographs' skin tones has come.
        repeats: samples of the bootstrap.

    Raises MissingExtraError without Jinja2 or matplotlib; UsageError if ACNE04's `images.csv` is there and cannot be read.
    """
    outcome = Outcome.of_predictions(study.labels, study.predictions)
    level = study.predictions[0].count_interval.level
    return render(
        "study.html",
        catalogue,
        n=len(outcome),
        report=study.report,
        model=study.report["model"],
        level=f"{100 * level:.0f}",
        repeats=repeats,
        warnings=list(_warnings(study, catalogue)),
        key_figures=KEY_FIGURES,
        summary=list(_summary(study.report["figures"], catalogue, level)),
        per_grade_columns=PER_GRADE,
        grades=list(_grades(outcome, study.scale, catalogue, repeats)),
        confusion=_confusion(outcome, study.scale, catalogue),
        scatter=_scatter(outcome, study.scale, catalogue),
        bland=_bland_altman(outcome, catalogue),
        reliability=_reliability(outcome, catalogue),
        coverage=_coverage(outcome, study.scale, level, catalogue),
        least=groups.LEAST,
        groups=list(_groups(study, outcome, catalogue, progress, repeats)),
        worst=list(_worst(study, catalogue, faces)),
        faces=faces is not None,
        about=list(_about(study, catalogue)),
        failures=[
            (number, label.name if faces is not None else "", failure.error.code) for number, label, failure in study.failures
        ],
    )


def _warnings(study: Study, t: Catalogue) -> Iterator[str]:
    if study.report["list"]["learned"]:
        yield t(f"study.learned.{study.report['list']['learned']}")
    if study.failures:
        yield t("study.failed", n=len(study.failures))
    if unfamiliar := sum(p.is_unfamiliar for p in study.predictions):
        yield t("study.unfamiliar", n=unfamiliar)
    if len(study.predictions) < FEW:
        yield t("study.few", n=len(study.predictions))


def _summary(figures: Mapping[str, Any], t: Catalogue, level: float) -> Iterator[dict[str, Any]]:
    chance = words.number(figures["ece_if_calibrated"]["value"], 3)
    for name, digits, percent in SUMMARY:
        value, interval = words.figure(figures[name], digits, percent)
        meaning = t(f"figure.{name}.meaning", level=f"{100 * level:.0f}", chance=chance)
        yield {"key": name, "name": t(f"figure.{name}"), "value": value, "interval": interval, "meaning": meaning}


def _grades(o: Outcome, scale: SeverityScale, t: Catalogue, repeats: int) -> Iterator[dict[str, Any]]:
    """A row a grade of the scale, and their average: each figure with its interval."""
    found = bootstrap(lambda index: _per_grade(o.take(index)), len(o), repeats)
    rows = [*range(len(scale.labels)), "average"]
    for row in rows:
        percent = {name: name in ("precision", "SE", "SP") for name in PER_GRADE}
        cells = [words.figure(found[f"{row} {name}"], 1 if percent[name] else 2, percent[name]) for name in PER_GRADE]
        name = t("grades.average") if row == "average" else t.word("grade", scale.labels[int(row)])
        yield {"name": name, "n": len(o) if row == "average" else int((o.true_grade == row).sum()), "cells": cells}


def _per_grade(o: Outcome) -> dict[str, float]:
    """The literature's figures of each grade, `0 SE`, and their average over the grades that have them, `average SE`."""
    grades = o.grade_probs.shape[1]
    metrics = grade_metrics(o.true_grade, o.grade, grades)["per_grade"]
    for name in ("MAE", "RMSE"):
        of_grade = (o.true_grade == g for g in range(grades))
        metrics[name] = [count_metrics(o.true_count[mask], o.count[mask])[name.lower()] for mask in of_grade]
    found = {f"{g} {name}": value for name, values in metrics.items() for g, value in enumerate(values)}
    for name, values in metrics.items():
        known = [value for value in values if not np.isnan(value)]
        found[f"average {name}"] = float(np.mean(known)) if known else float("nan")
    return found


def _confusion(o: Outcome, scale: SeverityScale, t: Catalogue) -> dict[str, Any]:
    matrix = np.array(grade_metrics(o.true_grade, o.grade, len(scale.labels))["confusion"])
    names = [t.word("grade", label) for label in scale.labels]
    rows = [
        (name, [(int(count), count / counts.sum() if counts.any() else None) for count in counts])
        for name, counts in zip(names, matrix, strict=True)
    ]
    return {"names": names, "rows": rows}


def _scatter(o: Outcome, scale: SeverityScale, t: Catalogue) -> str:
    texts = {"alt": t("scatter.alt", n=len(o)), "x": t("scatter.x"), "y": t("scatter.y")}
    return charts.scatter("scatter", o.true_count, o.count, scale.lower, texts)


def _bland_altman(o: Outcome, t: Catalogue) -> dict[str, str]:
    limits = limits_of_agreement(o.true_count, o.count)
    bias = words.number(float((o.count - o.true_count).mean()))
    low, high = map(words.number, limits)
    texts = {key: t(f"bland.{key}") for key in ("x", "y", "bias", "lower", "upper")}
    texts["alt"] = t("bland.alt", bias=bias, low=low, high=high)
    caption = t("bland.no_limits") if np.isnan(limits[0]) else t("bland.caption", bias=bias, low=low, high=high)
    return {"svg": charts.bland_altman("bland", o.true_count, o.count, limits, texts), "caption": caption}


def _reliability(o: Outcome, t: Catalogue) -> dict[str, Any]:
    confidence, right = o.grade_probs.max(1), o.grade_probs.argmax(1) == o.true_grade
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, max(1, min(BINS, len(o) // A_BIN)))
    means = [float(confidence[part].mean()) for part in parts]
    shares = [charts.wilson(int(right[part].sum()), len(part)) for part in parts]
    texts = {"alt": t("reliability.alt", bins=len(parts)), "x": t("reliability.x"), "y": t("reliability.y")}
    rows = [(share.n, words.number(mean), _share(share)) for mean, share in zip(means, shares, strict=True)]
    return {"svg": charts.reliability("reliability", means, shares, texts), "bins": len(parts), "rows": rows}


def _coverage(o: Outcome, scale: SeverityScale, level: float, t: Catalogue) -> dict[str, Any]:
    holds = (o.low <= o.true_count) & (o.true_count <= o.high)
    rows, shares = [], []
    for grade, label in enumerate(scale.labels):
        mask = o.true_grade == grade
        share = charts.wilson(int(holds[mask].sum()), int(mask.sum())) if mask.any() else None
        width = float((o.high - o.low)[mask].mean()) if mask.any() else None
        shares.append(share)
        shown = ("\N{EN DASH}", "") if share is None else _share(share, percent=True)
        name = f"{words.band(scale, grade)} ({t.word('grade', label)})"
        rows.append((name, int(mask.sum()), shown, words.number(width, 1)))
    texts = {"alt": t("coverage.alt", level=f"{100 * level:.0f}"), "x": t("coverage.band"), "y": t("coverage.y")}
    bands = [words.band(scale, grade) for grade in range(len(scale.labels))]
    return {"svg": charts.coverage("coverage", bands, shares, level, texts), "rows": rows}


def _share(share: charts.Share, percent: bool = False) -> tuple[str, str]:
    return words.figure({"value": share.value, "low": share.low, "high": share.high}, 1 if percent else 2, percent)


def _groups(study: Study, o: Outcome, t: Catalogue, progress: Progress, repeats: int) -> Iterator[dict[str, Any]]:
    """A table a way of grouping; the cells of a group that is too small are None."""
    angles = [_angle(study.folder / label.name) for label in progress(iter(study.labels), "skin tones", len(study.labels))]
    sides = [0, *groups.SIDES]
    resolution = {
        "0": t("groups.resolution.under", high=sides[1]),
        **{str(a): t("groups.resolution.between", low=a, high=b - 1) for a, b in pairwise(groups.SIDES)},
        str(sides[-1]): t("groups.resolution.from", low=sides[-1]),
    }
    for way, found, name in (
        ("source", groups.by_source(study.folder, study.labels), partial(t.word, "source")),
        ("resolution", groups.by_resolution(study.predictions), resolution.__getitem__),
        ("tone", groups.by_tone(angles), partial(t.word, "tone")),
    ):
        rows = [(name(group), len(index), _of_group(o.take(np.array(index, int)), repeats)) for group, index in found.items()]
        yield {"way": way, "title": t(f"groups.{way}"), "rows": rows}


def _angle(photograph: Path) -> float | None:
    return skin.typology_angle(images.read(photograph, min_side=2 * skin.SIDE))


def _of_group(o: Outcome, repeats: int) -> list[tuple[str, str]] | None:
    """The figures by OF_GROUPS, with intervals; None for too few photographs."""
    if len(o) < groups.LEAST:
        return None
    found = bootstrap(lambda index: _figures(o.take(index)), len(o), repeats)
    return [words.figure(found[name], digits, percent) for name, digits, percent in OF_GROUPS]


def _figures(o: Outcome) -> dict[str, float]:
    count = count_metrics(o.true_count, o.count)
    holds = (o.low <= o.true_count) & (o.true_count <= o.high)
    return {"accuracy": float((o.grade == o.true_grade).mean()), **count, "coverage": float(holds.mean())}


def _worst(study: Study, t: Catalogue, faces: Mapping[str, Boxes | None] | None) -> Iterator[dict[str, Any]]:
    """The photographs whose counts are furthest from their labels, the worst first; pictures and names only with faces."""
    errors = [abs(p.count - label.count) for p, label in zip(study.predictions, study.labels, strict=True)]
    for at in np.argsort(-np.array(errors), kind="stable")[:WORST]:
        label, p = study.labels[at], study.predictions[at]
        row = {
            "number": study.numbers[at],
            "label": f"{label.count} ({t.word('grade', study.scale.labels[label.grade])})",
            "count": f"{words.number(p.count, 1)} ({words.grade(t, p, study.scale.labels)})",
            "interval": f"{p.count_interval.low}\N{EN DASH}{p.count_interval.high}",
            "quality": ", ".join(t.word("quality", reason) for reason in words.faults(p)) or t("quality.ok"),
        }
        if faces is not None:
            boxes = faces.get(label.name)
            drawn = np.zeros((0, 4)) if boxes is None else boxes
            alt = t("worst.alt", number=row["number"], marks=len(p.marks), boxes=len(drawn))
            row |= {"file": label.name, "picture": _picture(study.folder / label.name, p, drawn), "alt": alt}
        yield row


def _picture(photograph: Path, prediction: Prediction, boxes: NDArray[Any]) -> str:
    """The photograph, small, with rings and boxes; of the photograph's own data only the pixels."""
    small = images.read(photograph, min_side=PICTURE).copy()
    small.thumbnail((PICTURE, PICTURE))
    places = [(lesion.x, lesion.y) for lesion in prediction.marks]
    corners = [(float(a), float(b), float(c), float(d)) for a, b, c, d in boxes]
    return picture_data(overlay.encode(overlay.draw(small, places, boxes=corners), ".jpg", quality=PICTURE_QUALITY))


def _about(study: Study, t: Catalogue) -> Iterator[tuple[str, str]]:
    model, found = study.report["model"], study.report
    yield t("about.model"), f"{model['name']} {model['version']}"
    yield t("about.sha256"), model["sha256"]
    yield t("about.runtime"), model["backend"]
    yield t("about.package"), __version__
    bands = ", ".join(f"{t.word('grade', name)} {words.band(study.scale, g)}" for g, name in enumerate(study.scale.labels))
    yield t("about.scale"), f"{study.scale.name}: {bands}"
    yield t("about.photographs"), t("about.photographs.value", n=found["images"], failed=found["failed"])
    yield t("about.list"), found["list"]["sha256"]
    learned = found["list"]["learned"]
    yield t("about.learned"), t(f"study.learned.{learned}") if learned else t("about.learned.no")
    yield t("about.date"), datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z")
    yield t("about.command"), study.command
    if study.manifest.intended_use:
        yield t("about.use"), study.manifest.intended_use
