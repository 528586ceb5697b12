"""What PyInstaller cannot see: the models and their index, and the modules whose names are built at run time."""

from PyInstaller.utils.hooks import collect_data_files

from acne_edge import _HOMES

datas = collect_data_files("acne_edge")
hiddenimports = [f"acne_edge.{home}" for home in _HOMES]
