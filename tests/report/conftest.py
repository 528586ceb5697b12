from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from acne_edge import AcneGrader, Prediction
from acne_edge.evaluation.labels import Label
from acne_edge.evaluation.run import evaluate_list
from acne_edge.report.study import Study
from tests import drawing

MakeStudy: TypeAlias = "Callable[[int], Study]"


@pytest.fixture(scope="session", autouse=True)
def _extra() -> None:
    for package in ("jinja2", "matplotlib"):
        pytest.importorskip(package, reason="the extra report is not installed")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five drawn photographs with EXIF data that says who took them."""
    folder = tmp_path_factory.mktemp("drawn")
    files = []
    for number, lesions in enumerate((0, 4, 12, 30, 60)):
        exif = drawing.Image.Exif()
        exif[0x013B] = "Dr Nobody"  # artist
        file = folder / f"drawn{number}.jpg"
        file.write_bytes(drawing.encode(drawing.face(lesions, number, 648, 720), "JPEG", quality=90, exif=exif))
        files.append(file)
    return files


@pytest.fixture(scope="session")
def predictions(drawn: list[Path], grader: AcneGrader) -> list[Prediction]:
    """Of the drawn photographs, as if they looked like photographs."""
    return [replace(grader.predict(str(path)), unfamiliarity=0.5) for path in drawn]


@pytest.fixture(scope="session")
def make_study(
    drawn: list[Path], predictions: list[Prediction], grader: AcneGrader, tmp_path_factory: pytest.TempPathFactory
) -> MakeStudy:
    """A study of as many photographs as wanted, which are copies of the drawn ones with counts that vary."""

    def make(n: int) -> Study:
        folder = tmp_path_factory.mktemp("study") / "JPEGImages"
        folder.mkdir()
        rng = np.random.default_rng(0)
        counts = rng.integers(0, 66, n)
        by_name = {}
        for number, count in enumerate(counts):
            name = f"secret-{number}.jpg"
            os.link(drawn[number % 5], folder / name)
            measured = float(np.clip(count + rng.normal(0, 4), 0, 65))
            by_name[name] = replace(predictions[number % 5], path=str(folder / name), count=measured)
        labels = [Label(name, grader.scale.grade(int(c)), int(c)) for name, c in zip(by_name, counts, strict=True)]
        listing = folder.parent / "list.txt"
        listing.write_text("".join(f"{label.name} {label.grade} {label.count}\n" for label in labels))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(grader, "predict_many", lambda paths: (by_name[path.name] for path in paths))
            report = evaluate_list(grader, folder, listing, repeats=20)
        study = Study(report, folder, grader.scale, grader.manifest, "acne-edge evaluate photos 'my list.txt'")
        for label in labels:
            study.add(label, by_name[label.name])
        return study

    return make
