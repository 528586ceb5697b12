"""`python -m acne_edge` is `acne-edge`."""

from acne_edge.cli.main import run

run()
