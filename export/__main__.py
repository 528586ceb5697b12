"""Checkpoint -> ONNX -> INT8, checked at every step; see `python -m export --help`. Engines: `acne-edge engine`.

Exit codes: 0 ok, 1 a file cannot be written, 2 usage (arguments, checkpoint, crops, missing package), 3 a photograph that cannot
be used, 4 a model that is refused (no manifest, external data, custom operators, a gate or a tolerance not met), 130 interrupted.
"""

from __future__ import annotations

from acne_edge import interrupt

if __name__ == "__main__":
    interrupt.end_at_once("export")

from acne_edge import console
from acne_edge.errors import MissingExtraError
from export.cli.abstention import abstention
from export.cli.bench import bench
from export.cli.card import card
from export.cli.evaluate import evaluate
from export.cli.familiarity import append, familiarity
from export.cli.model import model
from export.cli.pairs import pairs
from export.cli.positions import positions
from export.cli.reference import reference
from export.cli.register import register
from export.cli.restamp import restamp
from export.cli.ship import ship
from export.cli.steadiness import steadiness
from export.cli.triton import triton
from export.cli.verify import verify
from export.cli.view import view

RENAMED = {"--calibration": "--crops"}  # options by their old names, which no help shows

app = console.application("Turn a trained checkpoint into model files for devices, and measure how good they are.")
for command in (
    model,
    verify,
    bench,
    evaluate,
    steadiness,
    positions,
    abstention,
    pairs,
    familiarity,
    append,
    view,
    reference,
    register,
    ship,
    restamp,
    card,
    triton,
):
    app.command()(command)


def main() -> None:
    """Run the command line; progress is logged to stderr, and an error becomes one line and an exit code."""
    console.run(_call, "export")


def _call(arguments: list[str], **how: object) -> object:
    console.log_to_stderr("export", ("acne_edge", "calibration", "export"))
    arguments = [RENAMED.get(name, name) + equals + value for name, equals, value in (a.partition("=") for a in arguments)]
    try:
        return app(arguments, prog_name="python -m export", **how)
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "a package", "export", "python -m export") from error


if __name__ == "__main__":
    main()
