from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import acne_edge
from acne_edge import quality
from acne_edge.catalogue import FOLDER, LANGUAGES, load
from acne_edge.errors import UsageError
from acne_edge.grading import SCALES, UNFAMILIAR

SOURCES = Path(acne_edge.__file__).parent
CODES = (  # whose words are looked up by a code: `grade.mild`
    "grade", "quality", "advice", "source", "tone", "study.learned", "figure", "grades", "groups", "bland", "visit.ladder",
    "change.verdict", "change.at", "change.obstacle", "change.by",
    "drift.verdict", "drift.advice", "drift.measure",
)  # fmt: skip


def texts(language: str) -> dict[str, str]:
    return load(language)._texts  # type: ignore[return-value]


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_languages_have_the_same_keys_and_places(language: str) -> None:
    english, other = texts("en"), texts(language)
    assert list(other) == list(english)
    assert {k: places(v) for k, v in other.items()} == {k: places(v) for k, v in english.items()}
    assert all(text.strip() for text in other.values())


def test_there_is_a_file_for_each_language_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(LANGUAGES)


def test_translations_are_translated() -> None:
    same = {
        "figure.icc",
        "page.figure.icc",
        "grades.SE",
        "grades.SP",
        "grades.YI",
        "grades.MAE",
        "grades.RMSE",
        "about.package",
        "does_not_exist",
    }
    assert {key for key, text in texts("zh").items() if text == texts("en")[key]} == same


def test_every_key_that_is_asked_for_exists() -> None:
    asked = set()
    for path in (*SOURCES.glob("report/*.py"), *SOURCES.glob("report/templates/*.html")):
        asked |= set(re.findall(r"""\bt\(\s*['"]([a-z_.]+)['"]\s*[,)]""", path.read_text()))
    assert len(asked) > 50
    assert asked <= set(texts("en"))


def test_every_key_is_used() -> None:
    kept = (p for p in SOURCES.rglob("*") if p.suffix in (".py", ".html", ".js") and "training" not in p.parts)
    source = "\n".join(path.read_text() for path in kept)
    titles = re.findall(r"\('summary', .*?\)", source)[0]  # the contents of a study: `summary.title`
    unused = [
        key
        for key in texts("en")
        if not key.startswith("page.")  # tests/serve/test_static.py
        and not re.search(rf"['\"]{re.escape(key)}['\"]", source)
        and not key.startswith(tuple(f"{code}." for code in CODES))
        and not (key.endswith(".title") and f"'{key.removesuffix('.title')}'" in titles)
    ]
    assert unused == []


def test_every_code_has_words() -> None:
    reasons = ("BLANK", "LOW_RESOLUTION", "TOO_DARK", "TOO_BRIGHT", "BLURRED", "NOISY", "COMPRESSED", "NO_SKIN", "CLOSE_UP")
    codes = {UNFAMILIAR, *(getattr(quality, name) for name in reasons)}
    for language in LANGUAGES:
        known = texts(language)
        assert {f"{kind}.{code}" for kind in ("quality", "advice") for code in codes} <= set(known)
        assert {f"grade.{label.replace(' ', '_')}" for scale in SCALES.values() for label in scale.labels} <= set(known)


def test_a_code_without_words_speaks_for_itself() -> None:
    assert load("en").word("quality", "seen_from_afar") == "seen from afar"
    assert load("zh").word("grade", "very severe") == "极重度"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown language 'tlh'; choose one of: en, zh"):
        load("tlh")


def test_a_place_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        load("en")("study.few", m=3)
