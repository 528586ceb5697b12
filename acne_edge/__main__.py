"""The command `acne-edge`, which is `python -m acne_edge`, from its first moment on."""

from acne_edge import interrupt


def run() -> None:
    """Import the command line, which takes a moment in which Ctrl-C may come, and run it."""
    interrupt.end_at_once("acne-edge")
    from acne_edge.cli.main import run as run_command_line

    run_command_line()


if __name__ == "__main__":
    run()
