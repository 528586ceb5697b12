"""The commands of `python -m export`, one a module. What a command works with is imported when it runs: help needs no torch."""
