from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import acne_edge
from acne_edge import errors

IMAGE = Path(__file__).parent / "assets" / "drawn_face.png"
EXTRAS = ("torch", "einops", "safetensors", "sklearn", "scipy", "yaml", "tensorboard", "matplotlib", "onnx", "openvino", "cv2")
EXTRAS += ("tensorrt", "tensorrt_rtx", "pillow_heif", "pandas", "rich")


def run(code: str) -> str:
    """Run code in a fresh interpreter; returns what it printed."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_is_what_imports() -> None:
    assert sorted(acne_edge.__all__) == sorted(acne_edge._HOME_OF)
    for name in acne_edge.__all__:
        assert getattr(acne_edge, name).__name__ == name if isinstance(getattr(acne_edge, name), type) else True
    with pytest.raises(AttributeError, match="no attribute"):
        acne_edge.nothing  # noqa: B018


def test_every_error_is_documented_and_has_its_own_code() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.AcneEdgeError)]
    assert len({c.code for c in classes}) == len(classes)
    for c in classes:
        assert c.__name__ in str(errors.__doc__)
        assert c.exit_code in (1, 2, 3, 4)


def test_import_loads_nothing_heavy() -> None:
    loaded = run("import sys, acne_edge; print(*sys.modules)").split()
    assert not {"numpy", "PIL", "onnxruntime", *EXTRAS} & set(loaded)


def test_predict_loads_no_extra() -> None:
    code = f"import sys; from acne_edge import AcneGrader; AcneGrader.load().predict({str(IMAGE)!r}); print(*sys.modules)"
    assert not set(EXTRAS) & set(run(code).split())


def test_the_command_loads_no_extra() -> None:
    code = (
        f"import sys; sys.argv = ['acne-edge', 'predict', {str(IMAGE)!r}]\n"
        "from acne_edge.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "print(*sys.modules)"
    )
    assert not set(EXTRAS) & set(run(code).splitlines()[-1].split())


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['acne-edge', '--help']\n"
        "from acne_edge.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "print(*sys.modules)"
    )
    loaded = run(code).splitlines()[-1].split()
    assert not {"numpy", "PIL", "onnxruntime", "rich", *EXTRAS} & set(loaded)


def test_one_photograph_needs_no_thread_pool_and_no_package_metadata() -> None:
    code = (
        f"import sys; sys.argv = ['acne-edge', 'predict', {str(IMAGE)!r}]\n"
        "from acne_edge.cli.main import main\n"
        "main()\n"
        "print(*sys.modules)"
    )
    loaded = run(code).splitlines()[-1].split()
    assert not {"concurrent.futures", "importlib.metadata", "importlib.resources", "email", "acne_edge.bench"} & set(loaded)


def test_predict_works_with_the_network_blocked() -> None:
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('a socket was opened')\n"
        "socket.socket.__init__ = socket.create_connection = socket.getaddrinfo = refuse\n"
        f"from acne_edge import AcneGrader; print(AcneGrader.load().predict({str(IMAGE)!r}).grade.label)"
    )
    assert run(code).strip()


def test_the_runtime_is_told_to_report_nothing() -> None:
    code = "import acne_edge, ctypes; getenv = ctypes.CDLL(None).getenv; getenv.restype = ctypes.c_char_p; "
    assert run(code + "print(getenv(b'ORT_DISABLE_TELEMETRY').decode())") == "1\n"


def test_the_package_names_its_version() -> None:
    assert run("import acne_edge; print(acne_edge.__version__)").count(".") == 2
