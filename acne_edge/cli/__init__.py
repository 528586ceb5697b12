"""The command line `acne-edge`: one module per command, joined in `main`."""
