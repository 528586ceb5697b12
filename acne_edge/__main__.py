"""`python -m acne_edge` is `acne-edge`."""

from acne_edge.cli import run

run()
