from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import acne_edge
from acne_edge import errors

IMAGE = Path(__file__).parent / "assets" / "drawn_face.png"
EXTRAS = ("torch", "einops", "safetensors", "sklearn", "scipy", "yaml", "tensorboard", "matplotlib", "onnx", "openvino", "cv2")
EXTRAS += ("jinja2", "weasyprint", "tensorrt", "tensorrt_rtx", "pillow_heif", "pandas", "rich")
EXTRAS += ("pydicom", "highdicom", "fhir", "pydantic", "fastapi", "uvicorn", "prometheus_client")


HEAVY = ("numpy", "PIL", "onnxruntime", *EXTRAS)
UNNEEDED = (
    "concurrent.futures",
    "importlib.metadata",
    "importlib.resources",
    "email",
    "acne_edge.bench",
    "acne_edge.records",
    "acne_edge.serve",
)
ABOUT_THE_PACKAGE = """
import ctypes, json, sys
import acne_edge
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
telemetry = getenv(b"ORT_DISABLE_TELEMETRY").decode()
print(json.dumps({"modules": list(sys.modules), "telemetry": telemetry, "version": acne_edge.__version__}))
"""
COMMAND = """
import io, json, sys
from contextlib import redirect_stdout
from acne_edge.cli.main import main
code, printed = 0, io.StringIO()
try:
    with redirect_stdout(printed):
        main()
except SystemExit as stop:
    code = stop.code or 0
print(json.dumps({"modules": list(sys.modules), "code": code, "printed": printed.getvalue()}))
"""
WITHOUT_NETWORK = """
import json, socket, sys
def refuse(*arguments, **options): raise AssertionError("a socket was opened")
socket.socket.__init__ = socket.create_connection = socket.getaddrinfo = refuse
from acne_edge import AcneGrader
label = AcneGrader.load().predict(sys.argv[1]).grade.label
print(json.dumps({"modules": list(sys.modules), "label": label}))
"""


def run(code: str, *arguments: str) -> dict[str, Any]:
    """Run code in a fresh interpreter in which every warning is an error; returns the JSON that it printed."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_all_is_what_imports() -> None:
    assert {*acne_edge.__all__, "__version__"} == set(dir(acne_edge))
    for name in acne_edge.__all__:
        value = getattr(acne_edge, name)
        assert getattr(value, "__name__", name) == name
    with pytest.raises(AttributeError, match="no attribute"):
        acne_edge.nothing  # noqa: B018


def test_every_error_is_documented_and_has_its_own_code() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.AcneEdgeError)]
    assert len({c.code for c in classes}) == len(classes)
    for c in classes:
        assert c.__name__ in str(errors.__doc__)
        assert c.exit_code in (1, 2, 3, 4)


def test_to_import_the_package_loads_nothing_heavy_and_tells_the_runtime_to_report_nothing() -> None:
    found = run(ABOUT_THE_PACKAGE)
    assert not set(HEAVY) & set(found["modules"])
    assert found["telemetry"] == "1"
    assert found["version"].count(".") == 2


def test_help_loads_nothing_heavy() -> None:
    found = run(COMMAND, "--help")
    assert (found["code"], "predict" in found["printed"]) == (0, True)
    assert not set(HEAVY) & set(found["modules"])


def test_the_command_loads_no_extra_no_thread_pool_and_no_package_metadata() -> None:
    found = run(COMMAND, "predict", str(IMAGE))
    assert (found["code"], str(IMAGE) in found["printed"]) == (0, True)
    assert not {*EXTRAS, *UNNEEDED} & set(found["modules"])


def test_a_record_loads_no_extra(tmp_path: Path) -> None:
    found = run(COMMAND, "predict", str(IMAGE), "--record", str(tmp_path / "study.jsonl"))
    assert found["code"] == 0
    assert not set(EXTRAS) & set(found["modules"])
    found = run(COMMAND, "check-record", str(tmp_path / "study.jsonl"))
    assert found["code"] == 0
    assert "onnxruntime.capi" not in found["modules"]  # to check takes no model


def test_predict_opens_no_socket_and_loads_no_extra() -> None:
    found = run(WITHOUT_NETWORK, str(IMAGE))
    assert found["label"]
    assert not set(EXTRAS) & set(found["modules"])
