from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from acne_edge import AcneGrader
from acne_edge.cli.adapt import why_not
from acne_edge.grading import Familiarity
from tests.cli.conftest import Run
from tests.drawing import encode
from tests.toy_model import make_manifest, toy_model

pytest.importorskip("onnx", reason="the toy model is made with onnx")


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    model = tmp_path / "toy.onnx"
    model.write_bytes(toy_model())
    return model


@pytest.fixture
def photographs(toy: Path, tmp_path: Path) -> Path:
    """36 plain photographs, which a toy counts."""
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for number, colour in enumerate(rng.uniform(40, 220, (36, 3))):
        pixels = np.clip(colour + rng.normal(0, 6, (200, 180, 3)), 0, 255).astype(np.uint8)
        (folder / f"{number}.png").write_bytes(encode(pixels, "PNG"))
    return folder


def labels(toy: Path, folder: Path, factor: float, file: Path) -> Path:
    """A table in which there are `factor` times as many lesions as the toy counts, give or take a few."""
    rng = np.random.default_rng(1)
    with AcneGrader.load(toy) as grader:
        rows = [(path.name, grader.predict(path).count) for path in sorted(folder.iterdir())]
    counts = [int(np.clip(round(factor * count + rng.normal(0, 2)), 0, 65)) for _, count in rows]
    file.write_text("file,count\n" + "".join(f"{name},{n}\n" for (name, _), n in zip(rows, counts, strict=True)))
    return file


def test_a_new_file_counts_better_and_says_where_it_is_from(run: Run, toy: Path, photographs: Path, tmp_path: Path) -> None:
    table, new = labels(toy, photographs, 0.5, tmp_path / "labels.csv"), tmp_path / "clinic.onnx"
    code, out, err = run("adapt", table, "--images", photographs, "-m", toy, "-o", new, "--note", "clinic A")
    assert code == 0, err
    report = json.loads(out)
    assert report["better"]
    assert report["after"]["mae"] < report["before"]["mae"]
    with AcneGrader.load(toy) as before, AcneGrader.load(new) as after:
        assert after.manifest.metrics["adapted"]["from"]["sha256"] == before.model.sha256
        assert re.fullmatch(r"36 photographs, clinic A, \d{4}-\d\d-\d\d", after.manifest.correction.fitted_on)  # type: ignore[union-attr]
        assert after.manifest.reference is not None
        assert after.manifest.reference.photographs == 36
        counts = sorted(round(after.predict(path).count, 2) for path in photographs.iterdir())
        assert after.manifest.reference.values["count"] == pytest.approx(counts, abs=0.011)
        sharpness = sorted(after.predict(path).quality.to_dict()["sharpness"] for path in photographs.iterdir())
        assert list(after.manifest.reference.values["sharpness"]) == sharpness
        photo = photographs / "0.png"
        assert after.predict(photo).count < 0.8 * before.predict(photo).count


def test_no_file_is_written_where_nothing_is_gained(run: Run, toy: Path, photographs: Path, tmp_path: Path) -> None:
    table, new = labels(toy, photographs, 1.0, tmp_path / "labels.csv"), tmp_path / "clinic.onnx"
    code, out, err = run("adapt", table, "--images", photographs, "-m", toy, "-o", new)
    assert code == 2
    assert not json.loads(out)["better"]
    assert re.search(r"not written: on photographs left out the error becomes (smaller|larger) by .* may be chance", err)
    assert not new.exists()


def test_too_few_photographs_and_the_model_itself_are_refused(run: Run, toy: Path, photographs: Path, tmp_path: Path) -> None:
    table = labels(toy, photographs, 0.5, tmp_path / "labels.csv")
    for path in sorted(photographs.iterdir())[:10]:
        path.write_bytes(b"no image")
    code, _, err = run("adapt", table, "--images", photographs, "-m", toy, "-o", tmp_path / "new.onnx")
    assert (code, "26 of 36 photographs can be used; at least 30 are needed" in err) == (2, True)
    code, _, err = run("adapt", table, "--images", photographs, "-m", toy, "-o", toy)
    assert (code, "is the model itself" in err) == (2, True)


def test_unfamiliar_photographs_are_left_out_unless_one_is_told_to_warn_alone(
    run: Run, toy: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, choosy = labels(toy, photographs, 0.5, tmp_path / "labels.csv"), tmp_path / "choosy.onnx"
    manifest = make_manifest(familiarity=Familiarity(1e-6), requires=("familiarity-1",))
    choosy.write_bytes(toy_model(manifest, more=("unfamiliarity",)))
    given = ("adapt", table, "--images", photographs, "-m", choosy, "-o", tmp_path / "clinic.onnx")
    monkeypatch.setenv("ACNE_EDGE_ON_UNFAMILIAR", "abstain")
    code, _, err = run(*given)
    assert code == 2
    assert re.search(r"0 of 36 photographs can be used; .* looks like nothing that the model learned", err)
    assert "ACNE_EDGE_ON_UNFAMILIAR=warn keeps it" in err
    monkeypatch.setenv("ACNE_EDGE_ON_UNFAMILIAR", "warn")
    code, _, err = run(*given)
    assert code == 0, err


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        ({"value": 0.2, "low": -0.1, "high": 0.5}, "smaller by 0.20 lesions [-0.10, 0.50], which may be chance"),
        ({"value": -0.2, "low": -0.5, "high": 0.1}, "larger by 0.20 lesions [-0.10, 0.50], which may be chance"),
        ({"value": -0.4, "low": -0.7, "high": -0.1}, "larger by 0.40 lesions [0.10, 0.70]"),
    ],
)
def test_why_nothing_is_written_is_said_with_its_sign(gain: dict[str, float], said: str) -> None:
    assert why_not(gain) == f"on photographs left out the error becomes {said}"
