"""The modules of the commands, which are imported by name. What those of research need is imported when they run."""

from acne_edge.cli.main import MODULES

hiddenimports = sorted(set(MODULES.values()))
