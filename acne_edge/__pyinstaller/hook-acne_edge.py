"""What PyInstaller cannot see: the models and their index, and the modules that are imported by a name that is put together."""

from PyInstaller.utils.hooks import collect_data_files

from acne_edge import _HOMES
from acne_edge.cli.main import DEVICE_COMMANDS

datas = collect_data_files("acne_edge")
hiddenimports = [f"acne_edge.{home}" for home in _HOMES]
hiddenimports += [f"acne_edge.cli.{command}" for command in DEVICE_COMMANDS]
# Training, and the packages of extras, stay out of a program that does not name them itself.
excludedimports = ["acne_edge.training"]
