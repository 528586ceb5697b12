"""The commands of `python -m export`, one per module. Help needs no torch: a command imports its dependencies when it runs."""
