"""Python and C over the JPEGs of other projects' test suites: both must predict the same, or refuse with the same code.

    python -m tests.corpus_parity build/cpp/libacne_edge.so [FOLDER...]

Without a FOLDER, the source distributions of Pillow and of Debian's libjpeg-turbo are fetched into build/corpus, which needs the
network once. Prints a line for each file on which the two differ, and exits with 1 if there is one that `KNOWN` does not name.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from acne_edge import AcneGrader, models
from acne_edge.prediction import Failure

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "build" / "corpus"
MODEL = Path(models.__file__).parent / "acne-edge-s-int8.onnx"
SAME_COUNT = 0.05  # lesions
KNOWN: dict[str, str] = {}  # file -> why Python and C differ on it; see docs/explanation/decoding.md


class Library:
    """libacne_edge through its C ABI: one model, and its results for JPEGs."""

    def __init__(self, path: Path, model: Path) -> None:
        self._c = ctypes.CDLL(str(path.resolve()))
        self._c.acne_edge_status_name.restype = ctypes.c_char_p
        self._c.acne_edge_last_error.restype = ctypes.c_char_p
        self._model = ctypes.c_void_p()
        if self._c.acne_edge_open(os.fsencode(model), None, ctypes.byref(self._model)):
            raise SystemExit(f"{model}: {self._c.acne_edge_last_error().decode()}")

    def attempt(self, jpeg: bytes) -> dict[str, Any]:
        """The JSON of a prediction, or of a failure."""
        result, text = ctypes.c_void_p(), ctypes.c_void_p()
        status = self._c.acne_edge_predict_jpeg(self._model, jpeg, ctypes.c_size_t(len(jpeg)), ctypes.byref(result))
        if status:
            words = self._c.acne_edge_status_name(status), self._c.acne_edge_last_error()
            return {"error": dict(zip(("code", "message"), (word.decode() for word in words), strict=True))}
        self._c.acne_edge_result_json(result, None, 0, ctypes.byref(text))
        record: dict[str, Any] = json.loads(ctypes.string_at(text).decode())
        self._c.acne_edge_string_free(text)
        self._c.acne_edge_result_free(result)
        return record


def difference(python: dict[str, Any], c: dict[str, Any]) -> str | None:
    """How two records of one photograph differ, or None if they do not."""
    codes = [record["error"]["code"] if "error" in record else "predicted" for record in (python, c)]
    if codes[0] != codes[1]:
        return f"Python {codes[0]} ({python.get('error', python)!r:.120}), C {codes[1]} ({c.get('error', c)!r:.120})"
    if "error" in python:
        return None
    apart = abs(python["count"] - c["count"])
    if apart > SAME_COUNT or python["grade"] != c["grade"]:
        return f"{apart:.2f} lesions apart: Python {python['count']}, C {c['count']}"
    return None


def fetch() -> None:
    """Both source distributions into build/corpus, unless they are there."""
    if not (CORPUS / "pillow").is_dir():
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "pillow"]
        subprocess.run([*download, "--dest", str(CORPUS)], check=True)
        unpack(next(CORPUS.glob("pillow-*.tar.gz")), CORPUS / "pillow")
    if not (CORPUS / "libjpeg-turbo").is_dir():
        fetch_debian_source("libjpeg-turbo", CORPUS)
        unpack(next(CORPUS.glob("libjpeg-turbo_*.orig.tar.*z")), CORPUS / "libjpeg-turbo")


def fetch_debian_source(package: str, folder: Path) -> None:
    """A source package of the release that runs here, by an apt whose lists stay in `folder`."""
    release = next(line for line in Path("/etc/os-release").read_text().splitlines() if line.startswith("VERSION_CODENAME"))
    codename = release.partition("=")[2]
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"], check=True, capture_output=True, text=True
    )
    mirror = next(line.split()[1] for line in targets.stdout.splitlines() if line.startswith(f"{codename} "))
    apt = folder / "apt"
    for inner in ("state/lists/partial", "cache/archives/partial"):
        (apt / inner).mkdir(parents=True, exist_ok=True)
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (apt / "sources.list").write_text(f"deb-src [signed-by={keyring}] {mirror} {codename} main\n")
    options = {
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State": apt / "state",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
    }
    command = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    subprocess.run([*command, "update"], check=True)
    subprocess.run([*command, "source", "--download-only", package], check=True, cwd=folder)


def unpack(archive: Path, into: Path) -> None:
    """A tar file."""
    with tarfile.open(archive) as files:
        files.extractall(into, filter="data")


def jpegs(folders: list[Path]) -> Iterator[Path]:
    """Every file that begins as a JPEG does."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.open("rb").read(3) == b"\xff\xd8\xff":
                yield path


def main(library: Path, folders: list[Path]) -> int:
    """Compare; 1 if the two differ on a file that is not in `KNOWN`."""
    if not folders:
        fetch()
        folders = [CORPUS / "pillow", CORPUS / "libjpeg-turbo"]
    c = Library(library, MODEL)
    outcomes: Counter[str] = Counter()
    with AcneGrader.load(MODEL, threads=1) as grader:
        for path in jpegs(folders):
            data = path.read_bytes()
            python = grader.try_predict(data)
            apart = difference(python.to_dict(), c.attempt(data))
            outcome = "different" if apart else "refused" if isinstance(python, Failure) else "predicted"
            if apart:
                outcome = "known to differ" if path.name in KNOWN else outcome
                print(f"{path}: {apart}")
            outcomes[outcome] += 1
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
    return int(outcomes["different"] > 0 or not outcomes["predicted"])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]]))
