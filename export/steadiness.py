"""How steady networks are on perturbed copies of photographs that they have not learned: what a network to come must beat."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from acne_edge import AcneGrader, framing
from acne_edge.errors import UsageError
from acne_edge.evaluation import perturb
from acne_edge.evaluation.labels import Label
from acne_edge.fit.constants import LEVEL
from acne_edge.fit.familiarity import FittedFamiliarity, fit_threshold
from acne_edge.fit.outputs import LabelledOutputs
from acne_edge.grading import HAYASHI, Familiarity
from acne_edge.manifest import InputSpec, Manifest
from acne_edge.preprocess import DECODE_SCALE
from acne_edge.training.calibrate import Postprocessing
from acne_edge.training.checkpoint import load_network
from acne_edge.training.data import read_samples
from acne_edge.training.familiarity import fit_distance, held_out_distances, run_features
from acne_edge.training.run import Run
from export.familiarity import model_file
from export.graph import to_onnx

Progress = Callable[[Iterator[Any], str, int], Iterator[Any]]

logger = logging.getLogger(__name__)


def steadiness(
    runs: Sequence[Path], data: Path, part: str = "test", every: int = 1, progress: Progress | None = None
) -> dict[str, Any]:
    """The rows of `evaluation.perturb.table` over what runs held out, each photograph by a run that has not learned it.

    A run's network becomes a float model file as `export model` makes it. Its constants and its limit of what is familiar are
    fitted on what the other runs held out; of a single run, on what it held out itself, which flatters it. The probability below
    which it gives no grade is that of the shipped default model.

    Args:
        runs: folders of finished runs on folds.
        data: ACNE04.
        part: which held-out photographs, `test` or `val`.
        every: judge each n-th photograph of a run's list only, for a quicker answer.
        progress: wraps the photographs, as `console.progress` does.

    Raises UsageError for runs that cannot be read, or held nothing out.
    """
    found = [Run(path) for path in runs]
    for run in found:
        if not run.has(part):
            raise UsageError(f"{run.path}: a run that held out no {part} list")
    with AcneGrader.load() as shipped:
        surely = shipped.manifest.uncertainty.abstain_below
    with TemporaryDirectory() as folder, ExitStack() as open_models:
        sets = []
        for number, run in enumerate(found):
            logger.info(f"{run.path}")
            file = Path(folder) / f"{number}.onnx"
            others = [other for other in found if other is not run] or [run]
            file.write_bytes(_model(run, others, data, part, surely))
            grader = open_models.enter_context(AcneGrader.load(file, on_unfamiliar="abstain"))
            samples = read_samples(data, run.list_file(part))[::every]
            sets.append((grader, samples[0].path.parent, [Label(s.name, s.grade, s.count) for s in samples]))
        labels, judged = perturb.judge(sets, progress=progress)
    return {
        "runs": [run.results()["config"].get("cross_validation", run.path.name) for run in found],
        "part": part,
        "every": every,
        "images": len(labels),
        "abstain_below": surely,
        "rows": perturb.table(labels, judged),
    }


def _model(run: Run, others: Sequence[Run], data: Path, part: str, abstain_below: float) -> bytes:
    """A float model file of a run's network, with constants fitted on what the others held out."""
    network, results = load_network(run.model), run.results()
    held_out = LabelledOutputs.join([other.outputs(part) for other in others])
    fitted = Postprocessing.fit(held_out, LEVEL, f"{len(held_out.counts)} photographs that other runs held out")
    constants = replace(fitted, uncertainty=replace(fitted.uncertainty, abstain_below=abstain_below))
    far = held_out_distances(others, data, part)
    familiarity = FittedFamiliarity(
        fit_distance(run_features(run, data, "train")[1]),
        Familiarity(fit_threshold(far.distances, far.sources), "photographs that other runs held out"),
        results["lists"],
        {},
    )
    config = network.config
    manifest = Manifest(
        name=run.path.name,
        version="0",
        input=InputSpec(config.image_size, config.image_size, decode_scale=DECODE_SCALE),
        count_bins=config.count_bins,
        scale=HAYASHI,
        decoding=constants.decoding,
        requires=(framing.RULE,),
        training={"lists": results["lists"]},
    ).with_uncertainty(constants.uncertainty)
    return model_file(to_onnx(network, constants.calibration), manifest, familiarity)
