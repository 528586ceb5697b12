"""How the workstation tools run: errors become one line and an exit code."""

from __future__ import annotations

import typer

from acne_edge.errors import AcneEdgeError


def tool(help_text: str) -> typer.Typer:
    """A command line whose errors are not decorated."""
    return typer.Typer(
        add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, help=help_text
    )


def run(app: typer.Typer, name: str) -> None:
    """Run a tool. Exits with the code of an AcneEdgeError after printing it as one line on stderr; 130 if interrupted."""
    try:
        app()
    except AcneEdgeError as error:
        typer.echo(f"{name}: {' '.join(str(error).split())}", err=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
