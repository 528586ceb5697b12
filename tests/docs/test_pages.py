"""Links lead somewhere, pages keep their form, and the reference leaves nothing out."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

import acne_edge
from acne_edge import errors
from acne_edge.manifest import InputSpec, Manifest
from acne_edge.prediction import Prediction
from acne_edge.quality import Quality
from tests.docs.pages import README, ROOT, name, pages, prose

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")  # pictures too
COLUMNS = 100
DOCS, REFERENCE = ROOT / "docs", ROOT / "docs" / "reference"
SET_UP = "python3 -m venv .venv && "
ROOMS = (ROOT / "acne_edge", ROOT)


def links(page: Path) -> list[str]:
    """Where a page's links inside the repository lead."""
    return [target for target in LINK.findall(prose(page)) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs name them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    seen, ahead = set(), [README]
    while ahead:
        page = ahead.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if not link.startswith("#")]
    assert [name(page) for page in pages() if page not in seen] == []


@pytest.mark.parametrize("page", [p for p in pages() if not p.name.startswith("MODEL_CARD")], ids=name)
def test_prose_is_wrapped(page: Path) -> None:
    lines = [line for line in prose(page).splitlines() if not line.startswith(("|", "    ", "<!--"))]
    assert [line for line in lines if len(line) > COLUMNS and " " in line.strip()] == []


def test_the_readme_is_read_in_two_minutes() -> None:
    assert 450 <= len(README.read_text().split()) <= 600


def test_the_readme_has_exactly_two_set_up_commands() -> None:
    assert [line.strip() for line in README.read_text().splitlines() if line.strip().startswith(SET_UP)] == [
        SET_UP + ".venv/bin/pip install . && .venv/bin/acne-edge predict --on-unfamiliar warn tests/assets/drawn_face.png",
        SET_UP + ".venv/bin/pip install -e '.[dev]' && .venv/bin/python -m pytest",
    ]


def test_every_error_stands_in_the_table_of_codes() -> None:
    page = (REFERENCE / "exit-codes.md").read_text()
    rows = set(re.findall(r"^\| `(\w+)` \| `(\w+)` \| (\d) \|", page, flags=re.MULTILINE))
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.AcneEdgeError)]
    assert rows == {(c.code, c.__name__, str(c.exit_code)) for c in classes}


def test_every_public_name_stands_in_the_reference() -> None:
    page = (REFERENCE / "python.md").read_text()
    assert [public for public in acne_edge.__all__ if f"`{public}" not in page] == []


@pytest.mark.parametrize("member", [m for m in vars(acne_edge.AcneGrader) if not m.startswith("_")])
def test_every_member_of_the_grader_stands_in_the_reference(member: str) -> None:
    assert re.search(rf"`(?:AcneGrader\.)?{member}[`(]", (REFERENCE / "python.md").read_text())


@pytest.mark.parametrize(
    ("page", "described"),
    [
        ("json.md", Prediction),
        ("python.md", Prediction),
        ("python.md", Quality),
        ("model-file.md", Manifest),
        ("model-file.md", InputSpec),
    ],
)
def test_every_field_stands_in_the_reference(page: str, described: type) -> None:
    text = (REFERENCE / page).read_text()
    assert [f.name for f in fields(described) if f"`{f.name}`" not in text] == []  # type: ignore[arg-type]


def test_every_function_of_the_c_header_stands_in_the_reference() -> None:
    header = (ROOT / "cpp_bench" / "include" / "acne_edge.h").read_text()
    declared = set(re.findall(r"\b(acne_edge_\w+)\(", re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)))
    assert declared == set(re.findall(r"`(acne_edge_\w+)`", (REFERENCE / "c.md").read_text())) - {"acne_edge_status"}


def test_every_environment_variable_stands_in_the_reference() -> None:
    page = (REFERENCE / "configuration.md").read_text()
    sources = [p.read_text() for folder in ("acne_edge", "tests") for p in (ROOT / folder).rglob("*.py")]
    read = {v for text in sources for v in re.findall(r"\"(ACNE_EDGE_[A-Z]+[A-Z_]*|XDG_[A-Z_]+|ORT_[A-Z_]+)\"", text)}
    assert {v for v in read if f"`{v}`" not in page} <= {"ACNE_EDGE_GOLDEN"}


def test_the_architecture_page_names_the_rooms_that_exist() -> None:
    tree = next(
        b for b in re.findall(r"```text\n(.*?)```", (DOCS / "architecture.md").read_text(), re.DOTALL) if "grader.py" in b
    )
    for line in tree.splitlines():
        entry, _, meaning = line.strip().partition(" ")
        exists = any((root / entry).exists() for root in ROOMS)
        assert exists is not meaning.strip().startswith("planned"), line
    rooms = {p.name for p in (ROOT / "acne_edge").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert {room for room in rooms if not room.startswith("__") and not re.search(rf"\b{re.escape(room)}", tree)} == set()
