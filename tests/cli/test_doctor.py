from __future__ import annotations

import sys
from pathlib import Path

import pytest

from acne_edge import models
from acne_edge.cli import doctor
from acne_edge.cli import main as cli


def test_this_machine_can_predict() -> None:
    checks = list(doctor.diagnose())
    assert all(check.ok is not False for check in checks)
    names = [check.name for check in checks]
    assert {"ONNX Runtime", "NVIDIA GPU", *(f"model {name}" for name in models.index())} <= set(names)
    assert [n for n in names if n.startswith("extra ")] == [f"extra {extra}" for extra in doctor.EXTRAS]
    assert names[-2:] == ["checkout", "fits this machine"]


def test_every_extra_of_the_package_is_looked_for() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    section = text.split("[project.optional-dependencies]")[1].split("[project.scripts]")[0]
    extras = {line.split(" = ")[0] for line in section.strip().splitlines()}
    assert set(doctor.EXTRAS) == extras - {"dev", "docs"}


def test_a_tampered_model_is_reported_and_exit_code_4(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = next(iter(models.index()))
    (tmp_path / str(models.index()[name]["file"])).write_bytes(b"other")
    monkeypatch.setattr(models, "FOLDER", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["acne-edge", "doctor"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out = capsys.readouterr().out
    assert stop.value.code == 4
    assert f"FAIL  model {name}" in out


def test_the_tools_of_a_checkout_are_said_to_need_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def checkout() -> doctor.Check:
        return next(check for check in doctor.diagnose() if check.name == "checkout")

    here = checkout()
    assert (here.ok, str(Path(__file__).parents[2]) in here.detail) == (True, True)
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "site-packages" / "acne_edge" / "cli" / "doctor.py"))
    assert checkout() == here, "tests run in the checkout's folder, where its tools are found"
    monkeypatch.chdir(tmp_path)
    installed = checkout()
    assert installed.ok is None
    assert "python -m export and python -m calibration, which make models, need a checkout" in installed.detail


VNNI, OLD = ("avx2", "avx512_vnni"), ("avx2",)


@pytest.mark.parametrize(
    ("machine", "flags", "gpu", "cards", "extras", "says"),
    [
        ("x86_64", VNNI, None, (), (), "ONNX Runtime, which comes with the package"),
        ("x86_64", OLD, None, (), (), "pip install 'acne-edge[openvino]'"),
        ("x86_64", OLD, None, (), ("openvino",), "acne-edge bench --backend onnxruntime --backend openvino"),
        ("x86_64", VNNI, None, ("Intel",), (), "nothing here runs on the Intel graphics"),
        ("x86_64", VNNI, None, ("NVIDIA",), (), "not its driver: install that first"),
        ("x86_64", VNNI, "/dev/nvidia0", ("NVIDIA",), (), "pip install 'acne-edge[tensorrt]'"),
        ("x86_64", VNNI, "/dev/nvidia0", ("NVIDIA",), ("tensorrt-rtx",), "TensorRT, which is installed"),
        ("aarch64", (), "/etc/nv_tegra_release", (), (), "sudo apt install python3-libnvinfer"),
        ("aarch64", (), "/etc/nv_tegra_release", (), ("tensorrt",), "TensorRT, which is installed"),
        ("aarch64", ("asimddp",), None, (), (), "ONNX Runtime, which comes with the package"),
    ],
)
def test_the_extra_that_fits_the_machine_is_proposed(
    machine: str, flags: tuple[str, ...], gpu: str | None, cards: tuple[str, ...], extras: tuple[str, ...], says: str
) -> None:
    assert says in doctor.fitting(machine, flags, gpu, cards, extras)


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    details = {check.name: check for check in doctor.diagnose()}
    assert details["extra openvino"].ok is None
    assert "acne-edge[openvino]" in details["extra openvino"].detail
