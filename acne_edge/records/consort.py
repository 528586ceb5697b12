"""What a record can say of CONSORT-AI's items, as a draft in Markdown, and which items it cannot fill.

Liu, Cruz Rivera, Moher, Calvert, Denniston and the SPIRIT-AI and CONSORT-AI Working Group: Reporting guidelines for clinical
trial reports for interventions involving artificial intelligence: the CONSORT-AI extension. Nature Medicine 26, 1364-1374 (2020).
Items are named by its numbers and told in our words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from acne_edge.evaluation import metrics
from acne_edge.records import chain

SOURCE = "Liu et al., Nature Medicine 26, 1364-1374 (2020)"
NOT_RECORDED = (
    ("1a, b (i)", "say in title and abstract that the intervention is an AI system, and of what kind"),
    ("1a, b (ii)", "say there what it is intended for"),
    ("2a (i)", "its intended use in the clinical pathway: its purpose, and who uses it"),
    ("4a (i)", "who was included and excluded as a participant"),
    ("4b", "how the system was brought into the trial's setting, and what it needed there"),
    ("5 (iv)", "what people had to do to the photographs, and had to know"),
    ("5 (vi)", "how its output entered decisions or other parts of care"),
    ("25", "where the system and its code can be had, and on what terms"),
)
LARGEST = 5  # disagreements that are listed one by one


@dataclass
class _Study:
    """What the lines say together. Of a photograph that was predicted more than once, the last result counts."""

    photographs: list[chain.Photograph] = field(default_factory=list)
    counts: list[chain.Count] = field(default_factory=list)

    @property
    def predicted(self) -> list[chain.Photograph]:
        """Those with a result."""
        return [p for p in self.photographs if not p.failed]

    def pairs(self) -> list[tuple[chain.Photograph, chain.Count]]:
        """Each person's last count of a photograph, beside the machine's."""
        by_sum = {p.sha256: p for p in self.predicted if p.sha256}
        last = {(c.sha256, c.by): c for c in self.counts}
        return [(by_sum[c.sha256], c) for c in last.values() if c.sha256 in by_sum]


def draft(path: Path) -> str:
    """The draft. Raises UsageError for a file that is no record or cannot be read."""
    study = _Study()
    for told in chain.photographs_and_counts(path):
        if isinstance(told, chain.Photograph):
            study.photographs.append(told)
        else:
            study.counts.append(told)
    sections: Iterable[tuple[str, Callable[[_Study], Iterator[str]]]] = (
        ("5 (i) Version of the system", _versions),
        ("5 (ii) How photographs were acquired and selected", _inputs),
        ("4a (ii) and 5 (iii) Photographs of poor quality, or without a result", _quality),
        ("5 (v) Form of the output", _output),
        ("19 Errors, and agreement with people", _errors),
    )
    parts = [
        f"# CONSORT-AI: what {path.name} can say\n\nA draft from the record alone. Items are those of {SOURCE},\n"
        "in our words. What stands in [brackets] is for you to write."
    ]
    parts += [f"## {title}\n\n" + "\n".join(write(study)) for title, write in sections]
    left = "\n".join(f"* {number}: {what}" for number, what in NOT_RECORDED)
    parts.append(f"## What a record cannot say\n\n{left}")
    return "\n\n".join(parts) + "\n"


def _versions(study: _Study) -> Iterator[str]:
    used = Counter((p.model["name"], p.model["version"], p.model["sha256"], p.model["backend"]) for p in study.photographs)
    for (name, version, sha256, backend), n in used.items():
        yield f"* model {name} {version} on {backend}: {n} results\n  (file's SHA-256 {sha256})"
    software = Counter(tuple(sorted(p.software.items())) for p in study.photographs)
    for made_with, n in software.items():
        yield f"* {n} results with"
        yield from (f"  * {name} {version}" for name, version in made_with)
    if len(used) > 1:
        yield "* The model, or what it ran on, changed during the study. [Say when and why.]"


def _inputs(study: _Study) -> Iterator[str]:
    times = sorted(p.at for p in study.photographs)
    different = len({p.sha256 for p in study.photographs if p.sha256})
    yield f"* {len(study.photographs)} results of {different} different files" + (
        f", from {times[0]} to {times[-1]}" if times else ""
    )
    sides = sorted(min(p.result["image"][side] for side in ("width", "height")) for p in study.predicted)
    if sides:
        yield f"* shorter side {sides[0]} to {sides[-1]} pixels, median {sides[len(sides) // 2]}"
    yield "* [Which cameras, light, distance and views; who took them; how they were chosen.]"


def _quality(study: _Study) -> Iterator[str]:
    policies = Counter(str(p.settings["on_poor_quality"]) for p in study.photographs)
    yield f"* policy for poor photographs: {_listed(policies)}"
    yield f"* judged poor: {_listed(Counter(r for p in study.predicted for r in p.result['quality']['reasons']))}"
    abstained = Counter(p.result["abstained"] for p in study.predicted if p.result["abstained"])
    yield f"* predicted, but no grade given: {_listed(abstained)}"
    yield f"* not predicted: {_listed(Counter(p.result['error']['code'] for p in study.photographs if p.failed))}"
    yield "* [Whether such photographs were taken again, and what became of the participants.]"


def _output(study: _Study) -> Iterator[str]:
    for scale, n in Counter(p.result["scale"] for p in study.predicted).items():
        yield f"* lesion count, grade on the scale {scale}, and the grades that cannot be excluded: {n} results"
    for level, n in Counter(p.result["count_interval"]["level"] for p in study.predicted).items():
        yield f"* interval of the count, meant to hold the true one in {100 * level:.0f} % of photographs: {n} results"
    yield "* [Who saw it, and in what form.]"


def _errors(study: _Study) -> Iterator[str]:
    pairs = study.pairs()
    if not pairs:
        yield "* no counts by people are in the record (`acne-edge add-count` adds them): agreement cannot be told"
    for reader in sorted({count.by for _, count in pairs}):
        yield from _agreement(reader, [pair for pair in pairs if pair[1].by == reader])
    worst = sorted(pairs, key=lambda pair: -abs(pair[0].result["count"] - pair[1].count))[:LARGEST]
    if worst:
        yield "* largest disagreements:"
    for photograph, count in worst:
        comment = f" ({count.comment})" if count.comment else ""
        yield f"  * {photograph.name}: model {photograph.result['count']:.1f}, {count.by} {count.count}{comment}"
    yield "* [How errors were looked for, and what was found about them.]"


def _agreement(reader: str, pairs: list[tuple[chain.Photograph, chain.Count]]) -> Iterator[str]:
    theirs, ours = [float(c.count) for _, c in pairs], [float(p.result["count"]) for p, _ in pairs]
    figures = metrics.count_metrics(theirs, ours)
    low, high = metrics.limits_of_agreement(theirs, ours)
    icc = metrics.agreement(list(zip(theirs, ours, strict=True)))
    yield f"* {reader}, {_of(len(pairs))}: counts {_number(figures['mae'])} lesions apart on average"
    yield f"  * model minus reader {_number(figures['bias'])} (95 % limits of agreement {_number(low)} to {_number(high)})"
    yield f"  * ICC(2,1) {_number(icc)}"
    inside = sum(p.result["count_interval"]["low"] <= c.count <= p.result["count_interval"]["high"] for p, c in pairs)
    yield f"  * the interval holds the count in {inside} of {len(pairs)}"
    graded = [(p, c) for p, c in pairs if c.grade is not None and not p.result["abstained"]]
    if graded:
        same = sum(p.result["grade"]["index"] == c.grade for p, c in graded)
        yield f"  * the same grade in {same} of {len(graded)}"


def _of(number: int) -> str:
    return f"{number} photograph{'' if number == 1 else 's'}"


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counter.most_common()) or "none"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
