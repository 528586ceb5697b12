"""The command modules, which are imported by name. What the research commands need is imported only when they run."""

from acne_edge.cli.main import MODULES

hiddenimports = sorted(set(MODULES.values()))
