"""Predictions as a table, JSON, JSON lines or CSV on stdout, each as soon as it is there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from acne_edge.console import complain

if TYPE_CHECKING:
    from acne_edge.prediction import Failure, Prediction

Format = Literal["table", "json", "jsonl", "csv"]


@dataclass
class Tally:
    """How many photographs a batch had, and what became of them."""

    images: int = 0
    failed: int = 0
    abstained: int = 0

    def count(self, results: Iterable[Prediction | Failure]) -> Iterator[Prediction | Failure]:
        """Pass the results on, counted; name each failure on stderr."""
        for result in results:
            self.images += 1
            if result.ok:
                self.abstained += bool(result.abstained)
            else:
                self.failed += 1
                complain(f"{result.path}: {result.error.message}")
            yield result

    @property
    def exit_code(self) -> int:
        """3 if an image failed, 5 if every one was abstained on, else 0."""
        if self.failed:
            return 3
        return 5 if self.images and self.abstained == self.images else 0


def write(results: Iterable[Prediction | Failure], output: Format, lesion_map: bool = False) -> None:
    """Print results in a format; the lesion map, where it is wanted, in JSON only."""
    {"table": _table, "json": _json, "jsonl": _jsonl, "csv": _csv}[output](results, lesion_map)


def _jsonl(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    for result in results:
        print(json.dumps(_record(result, lesion_map)))


def _json(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    """A list; it is closed, and can be read, also when the batch is stopped."""
    separator = "["
    try:
        for result in results:
            sys.stdout.write(separator + "\n" + json.dumps(_record(result, lesion_map), indent=2))
            sys.stdout.flush()
            separator = ","
    finally:
        print("\n]" if separator == "," else "[]")


def _record(result: Prediction | Failure, lesion_map: bool) -> dict[str, Any]:
    return result.to_dict(lesion_map) if result.ok else result.to_dict()


def _csv(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    import csv

    from acne_edge.prediction import COLUMNS

    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for result in results:
        writer.writerow(result.to_row())


def _table(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    """Aligned columns, a line as soon as its image is done; the path comes last because it has no fixed width."""
    print(f"{'lesions':>7}  {'interval':<9} {'grade':<16} {'p':<5} {'quality':<12} image")
    for result in results:
        r = result.to_row()
        if r["error"]:
            print(f"{'-':>7}  {'-':<9} {'-':<16} {'-':<5} {'-':<12} {r['path']}  [{r['error']}]")
            continue
        interval = f"{r['low']}-{r['high']}"
        label = r["label"] + (" (abstained)" if r["abstained"] else "")
        quality, path = r["quality"] or "ok", r["path"]
        print(f"{r['count']:>7.1f}  {interval:<9} {label:<16} {r['probability']:<5.2f} {quality:<12} {path}")
