"""Writes the model card; every figure comes from JSON results.

The run is one on all photographs. Its folder also holds what `python -m export ship` measured of runs by the same settings that
held folds out (`training.run.Run` has the file names). Figures of other settings on folds come from the tables of `acne-edge
crossval`. The text is in `card.md.j2` in this folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acne_edge import models
from acne_edge.errors import MissingExtraError, UsageError
from acne_edge.evaluation.tables import cell, number
from acne_edge.files import write
from acne_edge.fit.outputs import OutOfFold
from acne_edge.grader import AcneGrader
from acne_edge.training.model import DEPTH
from acne_edge.training.run import Run, read_json
from acne_edge.training.studies.compare import markdown

SETTINGS = Path("experiments/settings/steady.yaml")
TABLES = Path("experiments/results")
TEMPLATE = Path(__file__).with_name("card.md.j2")


def write_card(
    run: Path, out: Path, model: str | None = None, settings: Sequence[Path] = (SETTINGS,), tables: Path = TABLES
) -> None:
    """Write the model card of a shipped model, which was trained on all photographs.

    Args:
        run: folder of that run, with the results of the folds.
        out: file for the card.
        model: shipped model; None: the default.
        settings: the --config file of its training; of each run, if it is an average.
        tables: folder of the tables of acne-edge crossval.

    Raises UsageError if the model does not come from the run, settings are not as many as its networks or results are missing,
    MissingExtraError without Jinja2.
    """
    results = Run(run).results()
    if "val" in results["lists"]:
        raise UsageError(f"{run}: held photographs out; the card needs a run on all of them")
    check_settings(run, settings)
    with AcneGrader.load(model) as grader:
        manifest, info = grader.manifest, grader.model
    if manifest.training["lists"] != results["lists"]:
        raise UsageError(f"{run}: not the run of the shipped {info.name}, which has other photographs")
    fields = {"manifest": manifest, "file": {**models.index()[info.name], "sha256": info.sha256}, "depth": DEPTH}
    fields |= {"run": run.as_posix(), "settings": [path.as_posix() for path in settings], "tables": tables.as_posix()}
    fields |= {"results": results, "averaged": results.get("averaged")}
    write(out, render({**fields, **gather(Run(run), tables, settings[0].stem)}).encode())


def check_settings(run: Path, settings: Sequence[Path]) -> None:
    """Raise UsageError if the settings are not as many as the networks that a run is the average of."""
    networks = len(Run(run).results().get("averaged") or [run])
    if len(settings) != networks:
        raise UsageError(f"{run}: is made of {networks} networks; give --settings once for each, not {len(settings)} times")


def gather(run: Run, tables: Path, settings: str) -> dict[str, Any]:
    """The results of a run's folds, of later and of official folds by its settings, and of folds by other settings.

    The others are shorter ones, and those that the run's went on from.
    """
    predicted, longer, same = OutOfFold.load(run.out_of_fold), Run(tables / "extended"), Run(tables / settings)
    folds = predicted.folds.tolist()
    official = None
    if same.int8.is_file():
        official = {"int8": _results(same.int8), "analysis": _results(same.analysis), "folder": settings}
    return {
        "parts": [folds.count(part) for part in sorted(set(folds))],  # photographs of each
        "grouped": predicted.grouped,
        "official": official,
        "later": _results(run.later) if run.later.is_file() else None,
        "analysis": _results(run.analysis),
        "int8": _results(run.int8),
        "folds": [_results(tables / f"methods-{protocol}.json") for protocol in ("official", "grouped")],
        "short": _results(tables / "shipped-official.json"),
        "abstention": _results(tables / "extended" / "abstention.json")["metrics"]["abstention"],
        "long": {"int8": _results(longer.int8)},
    }


def render(fields: Mapping[str, Any]) -> str:
    """The card's Markdown.

    Raises MissingExtraError without Jinja2, UsageError if the results lack a figure that the card names.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("jinja2", "export", "python -m export card") from error
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False
    )
    environment.filters |= {
        "fixed": number,
        "percent": lambda share, digits=1: number(None if share is None else 100 * share, digits),
        "cell": lambda figures, name: cell(name, figures[name]),
        "interval": _interval,
        "risk_at": lambda curve, share: curve["risk"][round(share * len(curve["risk"]) / 100) - 1],
        "comparison": markdown,
    }
    try:
        return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(fields)
    except (jinja2.UndefinedError, KeyError) as error:
        raise UsageError(f"{fields['run']}: the results lack what the card names ({error}); measure the run again") from error


def _interval(figures: Mapping[str, Any], name: str) -> str:
    """The interval of a figure without its value; empty if the results are from before that figure."""
    return cell(name, figures[name]).partition(" ")[2] if name in figures else ""


def _results(path: Path) -> dict[str, Any]:
    return read_json(path, "JSON results for the model card")
