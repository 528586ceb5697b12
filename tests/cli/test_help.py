"""The help and version texts of the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from acne_edge import __version__, models
from acne_edge.cli.main import DEVICE_COMMANDS, RESEARCH_COMMANDS
from acne_edge.manifest import Manifest
from acne_edge.onnx_file import manifest_text
from tests.cli.conftest import Run


def listed(text: str) -> list[str]:
    return re.findall(r"^  ([a-z-]+)  ", text, flags=re.MULTILINE)


def test_commands_of_a_device_come_first_and_those_of_research_by_themselves(run: Run) -> None:
    code, out, _ = run("--help")
    device, research = out.split("Commands on a device:")[1].split("Research commands")
    assert code == 0
    assert listed(device) == list(DEVICE_COMMANDS)
    assert listed(research) == list(RESEARCH_COMMANDS)


@pytest.mark.parametrize("columns", ["60", "80", "100"])
def test_no_text_is_cut_off(run: Run, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = run("--help")
    assert "..." not in out.replace("[ARGS]...", "")
    words = " ".join(out.split())
    assert (
        "Predict lesion count, interval and severity grade of each photograph. A bad photograph does not stop the others."
        in words
    )


@pytest.mark.parametrize("command", [(), *((name,) for name in DEVICE_COMMANDS)], ids=" ".join)
def test_help_fits_a_terminal_of_80_columns(run: Run, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run(*command, "--help")
    assert [line for line in out.splitlines() if len(line) > 80] == []
    places = re.findall(r"[{[]([a-z]+)[}\]]", out.splitlines()[0])
    assert places == [], "arguments are named in capitals"


def test_exit_codes_are_listed_as_documented(run: Run) -> None:
    _, out, _ = run("-h")
    in_help = re.findall(r"^    (\d[\d, ]*?)    ", out.split("Exit codes:")[1], flags=re.MULTILINE)
    page = (Path(__file__).parents[2] / "docs/reference/exit-codes.md").read_text().split("## Error codes")[0]
    in_page = re.findall(r"^\| ([\d, ]+) \|", page, flags=re.MULTILINE)
    assert in_help == in_page


@pytest.mark.parametrize("command", ["predict", "watch", "evaluate", "info", "bench", "doctor"])
def test_h_is_help(run: Run, command: str) -> None:
    assert run(command, "-h") == run(command, "--help")
    assert run(command, "-h")[0] == 0


@pytest.mark.parametrize(
    ("command", "option", "choices"),
    [
        ("predict", "--backend", "auto|onnxruntime|openvino|tensorrt"),
        ("predict", "--scale", "hayashi|banded|report"),
        ("predict", "--on-poor-quality", "warn|abstain|fail"),
        ("predict", "--format", "table|json|jsonl|csv|fhir"),
        ("info", "--format", "table|json"),
        ("bench", "--format", "table|json"),
        ("evaluate", "--format", "table|json"),
    ],
)
def test_options_with_few_values_are_choices(run: Run, command: str, option: str, choices: str) -> None:
    assert any(shown in run(command, "-h")[1] for shown in (f"<{choices}>", f"[{choices}]"))  # by Typer's version
    code, out, err = run(command, *["x"] * {"predict": 1, "evaluate": 2}.get(command, 0), option, "no-such-value")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert choices.split("|")[0] in err


def test_version_names_package_models_and_runtime(run: Run) -> None:
    import onnxruntime

    code, out, err = run("--version")
    package, shipped, runtime = out.splitlines()
    assert (code, err, package) == (0, "", f"acne-edge {__version__}")
    for name in models.index():
        manifest = Manifest.from_json(manifest_text(models.load_model(name).data) or "")
        assert f"{name} {manifest.version}" in shipped
    assert runtime == f"ONNX Runtime {onnxruntime.__version__}, Python {sys.version.split()[0]}"


def test_version_says_so_when_a_model_is_damaged(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(models, "FOLDER", str(tmp_path))
    code, out, _ = run("--version")
    assert code == 0
    assert "acne-edge-s (unreadable)" in out


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from acne_edge.cli.main import run; run()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})


@pytest.mark.parametrize(
    ("words", "expected"),
    [("acne-edge pre", {"predict"}), ("acne-edge predict --ba", {"--backend"}), ("acne-edge predict --backend op", {"openvino"})],
)
def test_the_shell_completes_commands_options_and_values(words: str, expected: set[str]) -> None:
    done = process(_ACNE_EDGE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
    assert set(done.stdout.split()) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="bash")
def test_completion_installs(tmp_path: Path) -> None:
    code = "from acne_edge.cli.main import run; run()"
    command = ["bash", "-c", '"$0" -c "$1" --install-completion; exit $?', sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")
    assert "acne-edge" in (tmp_path / ".bashrc").read_text()
