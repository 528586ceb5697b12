"""The modules of the commands, which are imported by name. Those that train stay out: they would bring torch."""

from acne_edge.cli.main import DEVICE_COMMANDS

hiddenimports = [f"acne_edge.cli.{command}" for command in (*DEVICE_COMMANDS, "research")]
excludedimports = ["acne_edge.training"]
