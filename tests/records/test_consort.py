from __future__ import annotations

import re
from pathlib import Path

from acne_edge import AcneGrader, Record
from acne_edge.records.consort import NOT_RECORDED, draft
from tests import drawing
from tests.records.conftest import chained, lines

ITEMS = {
    "1a, b (i)",
    "1a, b (ii)",
    "2a (i)",
    "4a (i)",
    "4a (ii)",
    "4b",
    *(f"5 ({n})" for n in ("i", "ii", "iii", "iv", "v", "vi")),
    "19",
    "25",
}


def test_every_item_of_the_extension_is_drafted_or_said_to_be_missing(study: Path) -> None:
    text = draft(study)
    drafted, missing = text.split("## What a record cannot say")
    titles = " ".join(re.findall(r"^## (.*)$", drafted, flags=re.MULTILINE))
    there = {item for item in ITEMS if re.search(rf"(^|\s){re.escape(item)}(\s|$)", titles)}
    assert len(ITEMS) == 14
    assert there | {number for number, _ in NOT_RECORDED} == ITEMS
    assert not there & {number for number, _ in NOT_RECORDED}
    assert all(f"* {number}: {what}" in missing for number, what in NOT_RECORDED)
    assert "Nature Medicine 26, 1364-1374 (2020)" in text


def test_version_quality_exclusions_and_failures_come_from_the_lines(study: Path, grader: AcneGrader, tmp_path: Path) -> None:
    with Record(study) as record:
        record.predict(grader, drawing.encode(drawing.face(width=200, height=240) // 6))
    text = draft(study)
    assert f"model {grader.model.name} {grader.model.version} on {grader.model.backend}: 5 results" in text
    assert grader.model.sha256 in text
    assert "* 5 results of 5 different files" in text
    assert "not predicted: image_decode 1" in text
    assert "too_dark 1" in text
    assert "meant to hold the true one in 90 % of photographs: 4 results" in text
    assert "agreement cannot be told" in text


def test_agreement_with_people_is_worked_out_by_reader_and_a_corrected_count_replaces_the_first(study: Path) -> None:
    other = lines(study)
    for line, count in zip((other[1], other[2], other[4]), (10.0, 20.0, 30.0), strict=True):
        line["result"].update(count=count, count_interval={"level": 0.9, "low": int(count) - 1, "high": int(count) + 1})
        line["result"]["abstained"] = None
        line["result"]["grade"]["index"] = 1
    chained(study, other)
    sums = [other[i]["sha256"] for i in (1, 2, 4)]
    with Record(study) as record:
        record.add_count(sums[0], 99, by="R1")
        for digest, count, grade in zip(sums, (9, 20, 34), (1, 1, 2), strict=True):
            record.add_count(digest, count, grade, "hayashi", by="R1")
        record.add_count(sums[2], 31, by="R2", comment="hair over the forehead")
    text = draft(study)
    assert "* R1, 3 photographs: counts 1.67 lesions apart on average" in text
    assert "model minus reader -1.00" in text
    assert "the interval holds the count in 2 of 3" in text
    assert "the same grade in 2 of 3" in text
    assert "* R2, 1 photograph: counts 1.00 lesions apart" in text
    assert re.search(r"largest disagreements:\n  \* photos/sub/c.jpg: model 30.0, R1 34\n", text)
    assert "R2 31 (hair over the forehead)" in text
    assert "ICC(2,1) 0.98" in text


def test_a_draft_fits_a_terminal(study: Path) -> None:
    assert [line for line in draft(study).splitlines() if len(line) > 100] == []
