"""The command line `acne-edge`: one module a command, put together in `main`."""
