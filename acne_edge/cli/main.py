"""The command `acne-edge`: its list of commands, and the process around them.

A command's module is imported only for that command or for help, and imports its own dependencies only when it runs. So `--help`
is instant, and no command is slowed down by another. Exit codes are those of `acne_edge.console`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
import typer.core

from acne_edge import console, startup

DEVICE_COMMANDS = (
    "predict", "watch", "serve", "visit", "change", "track", "adapt", "drift", "check-record", "add-count", "evaluate", "info",
    "doctor", "bench", "engine", "device-kit",
)  # fmt: skip
RESEARCH_COMMANDS = ("train", "crossval", "refit", "average", "compare", "analyse", "subject-groups")
MODULES = {
    **{name: f"acne_edge.cli.{name.replace('-', '_')}" for name in DEVICE_COMMANDS},
    **dict.fromkeys(RESEARCH_COMMANDS, "acne_edge.training.command"),
}
GROUPS = {"Commands on a device": DEVICE_COMMANDS, "Research commands (extra `train`)": RESEARCH_COMMANDS}
HELP = "Count acne lesions and grade severity from photographs, on this device, offline. Not a medical device."
EPILOG = """\b
Exit codes:
  0    ok
  1    the system failed (for example, a full disk), or a defect in acne-edge
  2    usage: an unknown option, an unreadable list, a missing extra
  3    at least one photograph failed
  4    the model was refused, or the runtime cannot run it
  5    no photograph got a grade: blank, too poor or too uncertain;
       change: no view can be compared
  6    check-record: a line was changed, or a result is different now
  7    drift: photographs or counts have drifted
  129, 130, 143    ended by SIGHUP, SIGINT (Ctrl-C), SIGTERM
"""


class Commands(typer.core.TyperGroup):
    """A group whose help lists the commands by purpose, each with its whole summary."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the lists of commands."""
        known = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        for title, names in GROUPS.items():
            rows = [(name, _first_paragraph(known[name])) for name in names if known.get(name)]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _first_paragraph(command: Any) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())


def main() -> None:
    """Run the command line; an error becomes one line and an exit code."""
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
    """The command line with only the command that `arguments` begin with, or with all of them."""
    app = console.application(HELP, cls=Commands, epilog=EPILOG, add_completion=True)
    app.callback(invoke_without_command=True)(_root)
    named = next((a for a in arguments if not a.startswith("-")), None)
    everything = named not in MODULES
    for name, module in MODULES.items():
        if everything or name == named:
            app.command(name)(getattr(import_module(module), name.replace("-", "_")))
    return app


def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the versions of the package, its models and the runtime.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,  # `console.run` reads it
) -> None:
    if version:
        from acne_edge.cli.version import versions

        print(versions())
        raise typer.Exit
