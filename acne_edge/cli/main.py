"""The command `acne-edge`: which commands there are, and the process around them.

A command's module is imported only when it is called or help is asked for, and imports what it works with only when it runs, so
that `--help` is instant and no command pays for another. Exit codes are those of `acne_edge.console`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated

import typer

from acne_edge import __version__, console, startup

DEVICE_COMMANDS = ("predict", "watch", "bench", "evaluate", "info", "engine", "doctor")
RESEARCH_COMMANDS = ("train", "crossval", "refit", "compare", "analyse", "subject-groups")
MODULES = {
    **{name: f"acne_edge.cli.{name}" for name in DEVICE_COMMANDS},
    **dict.fromkeys(RESEARCH_COMMANDS, "acne_edge.training.command"),
}


def main() -> None:
    """Run the command line; errors become one line and an exit code."""
    console.run(lambda args, **how: application(args)(args, prog_name="acne-edge", **how), "acne-edge")


def run() -> None:
    """`main` as a process."""
    code: object = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    if "torch" in sys.modules or not isinstance(code, int | None):
        sys.exit(code)  # type: ignore[arg-type]
    startup.exit_at_once(code or 0)


def application(arguments: list[str]) -> typer.Typer:
    """The command line with the command that `arguments` name first, or with all of them."""
    app = console.application(
        "Count acne lesions and grade severity from photographs, on this device, offline. Not a medical device."
    )
    app.callback(invoke_without_command=True)(_root)
    named = next((a for a in arguments if not a.startswith("-")), None)
    everything = named not in MODULES
    for name, module in MODULES.items():
        if everything or name == named:
            app.command(name)(getattr(import_module(module), name.replace("-", "_")))
    return app


def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,  # `console.run` reads it
) -> None:
    if version:
        print(f"acne-edge {__version__}")
        raise typer.Exit
