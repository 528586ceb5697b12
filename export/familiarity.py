"""The output `unfamiliarity`: fitted on a run's photographs, and put into model files behind everything that they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from acne_edge.errors import ModelError
from acne_edge.fit.familiarity import LOST, LOST_OF_SOURCE, FeatureDistance, FittedFamiliarity, fit_threshold
from acne_edge.grading import Familiarity
from acne_edge.manifest import FAMILIARITY, Manifest
from acne_edge.reference import UNFAMILIARITY
from acne_edge.training.familiarity import HeldOut, fit_distance, held_out_distances, run_features
from acne_edge.training.run import Run
from export import restamp
from export.graph import attach, read
from export.positions import lists

OUTPUT = "unfamiliarity"


def fit(run: Path, folds: Sequence[Path], data: Path, part: str, out: Path) -> FittedFamiliarity:
    """Fit a run's distance on the photographs that it has learned, and the threshold on some that others have not; write `out`.

    Args:
        run: folder of the finished run whose model files are to tell.
        folds: finished runs of the same settings that held photographs out; it may be `run` itself.
        data: ACNE04.
        part: what they held out, `test` or `val`.
        out: an `.npz` file, for `extend_shipped` and `python -m export model`.

    Raises UsageError for runs that cannot be read, or held nothing out.
    """
    held_out = held_out_distances([Run(fold) for fold in folds], data, part)
    threshold = fit_threshold(held_out.distances, held_out.sources)
    fitted_on = (
        f"{len(held_out.names)} photographs of ACNE04, which the networks that measured them had not learned: "
        f"{'; '.join(lists(folds, part))}; at most {LOST:.0%} of them and {LOST_OF_SOURCE:.0%} of each source lie beyond"
    )
    distance = fit_distance(run_features(Run(run), data, "train")[1])
    fitted = FittedFamiliarity(
        distance,
        Familiarity(threshold, fitted_on),
        Run(run).results()["lists"],
        measured(held_out, threshold, fitted_on),
        held_out.distances,
    )
    fitted.save(out)
    return fitted


def measured(held_out: HeldOut, threshold: float, fitted_on: str) -> dict[str, Any]:
    """How many of the photographs held out, of all and of each source, lie beyond the threshold."""
    beyond = held_out.distances > threshold
    groups = {"all": np.ones(len(beyond), bool), **{s: held_out.sources == s for s in np.unique(held_out.sources).tolist()}}
    lost = {name: {"images": int(mask.sum()), "unfamiliar": int(beyond[mask].sum())} for name, mask in groups.items()}
    return {"split": fitted_on, "lost": lost}


def append(graph: onnx.ModelProto, distance: FeatureDistance) -> onnx.ModelProto:
    """The graph with one more output, float32 [N]: how far a photograph's `fine_features` lie from those learned.

    Nodes are added and none is changed, so that the other outputs stay what they are, to the last bit; the distance is computed
    in float, also in an INT8 graph. One that is there already is replaced. Raises ModelError for a graph whose features are not
    those of the distance.
    """
    extended = without(graph)
    features = fine_features(extended)
    constants = {
        f"{OUTPUT}.mean": distance.mean.astype(np.float32),
        f"{OUTPUT}.whitening": distance.whitening.astype(np.float32),
        f"{OUTPUT}.axes": np.array([1], np.int64),
    }
    mean, whitening, axes = constants
    steps = (
        ("Sub", [features, mean], "centred"),
        ("MatMul", [f"{OUTPUT}.centred", whitening], "whitened"),
        ("Mul", [f"{OUTPUT}.whitened"] * 2, "squared"),
        ("ReduceMean", [f"{OUTPUT}.squared", axes], "mean_square"),
        ("Sqrt", [f"{OUTPUT}.mean_square"], ""),
    )
    for kind, inputs, result in steps:
        name = f"{OUTPUT}.{result}" if result else OUTPUT
        options = {"keepdims": 0} if kind == "ReduceMean" else {}
        extended.graph.node.append(helper.make_node(kind, inputs, [name], name, **options))
    return declared(extended, OUTPUT, constants, "distance")


def declared(graph: onnx.ModelProto, output: str, constants: Mapping[str, np.ndarray], what: str) -> onnx.ModelProto:
    """The graph itself, with the constants of nodes that were added and their result as an output, float32 [N].

    Raises ModelError if the nodes do not fit the graph; the message names `what` they compute.
    """
    graph.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    batch = graph.graph.output[0].type.tensor_type.shape.dim[0].dim_param
    graph.graph.output.append(helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [batch]))
    try:
        onnx.checker.check_model(graph, full_check=True)
    except Exception as error:  # onnx's exceptions share no public base class
        raise ModelError(f"the graph's features are not those of the {what}: {str(error).splitlines()[0]}") from error
    return graph


def fine_features(graph: onnx.ModelProto) -> str:
    """The tensor [N, D] of `training.familiarity.fine_features`: the first of what is joined and normalised before the heads.

    Raises ModelError for a graph that is not built so.
    """
    makers = {name: node for node in graph.graph.node for name in node.output}
    name = heads_input(graph)
    for kind in ("LayerNormalization", "Concat"):
        maker = makers.get(name)
        if maker is None or maker.op_type != kind:
            raise ModelError(f"no {kind} where the graph's features are joined; it is not one of python -m export model")
        name = maker.input[0]
    return name


def heads_input(graph: onnx.ModelProto) -> str:
    """The tensor [N, D] that the heads read, or an empty text if no node is the grade's."""
    return next((node.input[0] for node in graph.graph.node if node.name == "grade_head"), "")


def without(graph: onnx.ModelProto, output: str = OUTPUT) -> onnx.ModelProto:
    """A copy of the graph without an output that was appended, and the nodes and constants that are named after it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    for field in (copy.graph.node, copy.graph.initializer, copy.graph.output, copy.graph.value_info):
        kept = [type(item).FromString(item.SerializeToString()) for item in field if not item.name.startswith(output)]
        del field[:]
        field.extend(kept)
    return copy


def described(manifest: Manifest, fitted: FittedFamiliarity) -> Manifest:
    """The manifest of a model with that output. Raises ModelError if it is of another network than the distance."""
    if manifest.training.get("lists") != fitted.lists:
        raise ModelError(f"{manifest.name} {manifest.version} is not of the run that the familiarity was fitted on")
    requires = (*(name for name in manifest.requires if name != FAMILIARITY), FAMILIARITY)
    metrics = {**manifest.metrics, "familiarity": dict(fitted.measured)}
    reference = manifest.reference
    if reference is not None and len(fitted.held_out):  # of photographs not learned, as newer ones will be
        reference = reference.with_measure(UNFAMILIARITY, fitted.held_out / fitted.familiarity.threshold)
    return replace(manifest, familiarity=fitted.familiarity, requires=requires, metrics=metrics, reference=reference)


def model_file(graph: onnx.ModelProto, manifest: Manifest, fitted: FittedFamiliarity | None) -> bytes:
    """The model file, with that output if its distance is given. Raises ModelError as `append`, `described` and `attach` do."""
    if fitted is None:
        return attach(graph, manifest)
    return attach(append(graph, fitted.distance), described(manifest, fitted))


def extend_shipped(fitted: FittedFamiliarity, model: Sequence[str] | None = None) -> list[str]:
    """Put the output into shipped models, all or those named; returns a line a model. See `restamp.replace_files`."""
    return restamp.replace_files(model, lambda file: model_file(*read(file), fitted))
