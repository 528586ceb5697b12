from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import PIL
import pytest

from acne_edge import __version__
from acne_edge.environment import software


def test_what_is_loaded_and_may_change_a_result_is_named_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(__version__="2099.1"))
    monkeypatch.delitem(sys.modules, "pydicom", raising=False)
    found = software()
    assert found["acne-edge"] == __version__
    assert (found["numpy"], found["pillow"], found["onnxruntime"]) == (np.__version__, PIL.__version__, onnxruntime.__version__)
    assert found["openvino"] == "2099.1"
    assert "pydicom" not in found
    assert found["python"] == sys.version.split()[0]


def test_the_processor_is_named_and_the_machine_is_not() -> None:
    import platform

    found = software()
    assert found["cpu"].startswith(platform.machine())
    assert platform.node() not in " ".join(found.values())
