"""The text of `acne-edge --version`, found without importing numpy or a runtime."""

from __future__ import annotations

import json
import os
import platform
import re
from importlib.util import find_spec

from acne_edge import __version__, files, models
from acne_edge.errors import AcneEdgeError
from acne_edge.onnx_file import manifest_text


def versions() -> str:
    """One line each for the package, the shipped models (the first is the default) and the runtime."""
    shipped = ", ".join(f"{name} {_of_model(str(entry['file']))}" for name, entry in models.index().items())
    return f"acne-edge {__version__}\nmodels {shipped}\nONNX Runtime {_of_runtime()}, Python {platform.python_version()}"


def _of_model(file: str) -> str:
    try:
        return str(json.loads(manifest_text(files.read(os.path.join(models.FOLDER, file), models.MAX_BYTES)) or "")["version"])
    except (OSError, ValueError, KeyError, TypeError, AcneEdgeError):
        return "(unreadable)"


def _of_runtime() -> str:
    """ONNX Runtime's version, read from its source text, because its import takes longer than everything else here."""
    try:
        spec = find_spec("onnxruntime")
        text = files.read(str(spec.origin), 1_000_000).decode() if spec else ""
    except (OSError, ValueError, ImportError):
        text = ""
    found = re.search(r"^__version__ = \"([^\"]+)\"", text, re.MULTILINE)
    return found[1] if found else "(not installed)"
