"""The commands that train and compare. Their many options are built in `acne_edge.training.command`, only where they are used."""

from __future__ import annotations

from collections.abc import Callable

import typer

from acne_edge.errors import MissingExtraError

HELP = {
    "train": "Train the network on ACNE04 (extra `train`).",
    "crossval": "Compare settings on the folds, with 95 % intervals (extra `train`).",
    "refit": "Go on from a run with the photographs that it held out (extra `train`).",
    "compare": "What settings are worth against others, photographs paired (extra `train`).",
    "analyse": "Where a run sees lesions, and whether it reads the source (extra `train`).",
    "subject-groups": "Group photographs of one person or session (extra `train`).",
}


def add(app: typer.Typer, name: str) -> None:
    """Add the command of that name to a command line; it hands its arguments over as they are."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(name, help=HELP[name], context_settings=settings)(_hand_over(name))


def _hand_over(name: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        try:
            from acne_edge.training import command
        except ImportError as error:
            raise MissingExtraError(error.name or "torch", "train", f"acne-edge {name}") from error
        command.app([name, *context.args], prog_name="acne-edge")

    return command
