"""Predicts a batch on a Ray cluster. Each actor has a grader of its own with one thread, and photographs are read where they are
predicted, so all machines must see them by the same paths.

This process alone writes results. A part is written once all its rows have come, and Ray gives each photograph's row once: if a
worker dies, its block is predicted again, and what the dead one had not handed over never came.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from acne_edge.errors import BackendError, ImageNotFoundError, MissingExtraError
from acne_edge.grader import AcneGrader
from acne_edge.loader import ModelLoader
from acne_edge.prediction import Failure
from acne_edge.scale import parts

if TYPE_CHECKING:
    import pyarrow as pa

    from acne_edge.scale.parts import Parts

BATCH = 16  # photographs that an actor takes at once
BLOCK, MOST_BLOCKS = 64, 10_000  # photographs that are lost with a worker, and predicted again; and how finely a batch is cut
ROWS = 4096  # of a part


@dataclass(frozen=True)
class Settings:
    """How each actor's grader is made, as for `AcneGrader.load`; `sha256` is the model's, which all machines must have."""

    model: str | None
    sha256: str
    backend: str = "auto"
    scale: str | None = None
    on_poor_quality: str = "warn"
    on_unfamiliar: str | None = None

    def made_by(self) -> dict[str, Any]:
        """What must be equal for results to belong together."""
        return {name: value for name, value in asdict(self).items() if name not in ("model", "backend")}


class Predictor:
    """An actor: loads the model once, then turns paths into rows."""

    def __init__(self, settings: Settings) -> None:
        loader = ModelLoader(settings.model, settings.backend, 1, sha256=settings.sha256)
        self._grader = AcneGrader(loader, settings.scale, settings.on_poor_quality, settings.on_unfamiliar)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Rows for a table with a column of paths."""
        return parts.table([parts.row(self._grader.try_predict(path)) for path in batch["path"].to_pylist()])


def connect(address: str | None = None) -> Any:
    """Ray, connected to the cluster at `address` (None: that of RAY_ADDRESS, or else one on this machine, which is started).

    Raises MissingExtraError without Ray, and BackendError if there is no cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers of every cluster that it starts
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the new behaviour; unset, it warns
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors come back as exceptions; nothing else may write to stderr
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "--executor ray") from error
    if not ray.is_initialized():
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise BackendError(f"no Ray cluster: {str(error).splitlines()[0]}") from error
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def predict(
    found: Sequence[tuple[str, ImageNotFoundError | None]], settings: Settings, kept: Parts, workers: int = 0, rows: int = ROWS
) -> Iterator[pa.Table]:
    """Predict what `kept` does not have yet; yields tables of rows as they come, in any order, which `kept` gets in parts.

    Args:
        found: paths, and errors of those that name nothing, as from `lists.photographs`.
        settings: of the graders.
        kept: where results go.
        workers: actors; 0: one a processor of the cluster.
        rows: of a part, at least.

    Raises MissingExtraError without Ray, BackendError if the cluster or a worker fails for good.
    """
    missing = [(path, error) for path, error in found if path not in kept.done]
    failures = [parts.row(Failure(path, error)) for path, error in missing if error]
    paths = [path for path, error in missing if not error]
    pending: list[pa.Table] = []
    try:
        for table in _tables(failures, paths, settings, workers):
            pending.append(table)
            if sum(map(len, pending)) >= rows:
                _keep(kept, pending)
            yield table
    finally:  # what has come is kept, whatever ends the batch
        _keep(kept, pending)


def _keep(kept: Parts, pending: list[pa.Table]) -> None:
    if pending:
        import pyarrow as pa

        kept.add(pa.concat_tables(pending))
        pending.clear()


def _tables(failures: list[dict[str, Any]], paths: list[str], settings: Settings, workers: int) -> Iterator[pa.Table]:
    if failures:
        yield parts.table(failures)
    if not paths:
        return
    ray = connect()
    workers = workers or int(ray.cluster_resources().get("CPU", 1))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = 0
    blocks = min(-(-len(paths) // BLOCK), MOST_BLOCKS)
    results = ray.data.from_items([{"path": path} for path in paths], override_num_blocks=blocks).map_batches(
        Predictor,
        fn_constructor_args=(settings,),
        batch_size=BATCH,
        batch_format="pyarrow",
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(workers, blocks)),
        zero_copy_batch=True,
    )
    try:
        yield from results.iter_batches(batch_size=None, batch_format="pyarrow")
    except ray.exceptions.RayError as error:
        raise BackendError(f"Ray: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The last line of the innermost error, which says what went wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().splitlines()[-1]
