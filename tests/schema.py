"""The published JSON Schemas, and stricter ones that refuse what the published ones do not describe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import acne_edge

FILE = Path(acne_edge.__file__).parent / "prediction.schema.json"
BENCHMARK = json.loads((FILE.parent / "bench" / "report.schema.json").read_text(encoding="utf-8"))
PUBLISHED = json.loads(FILE.read_text(encoding="utf-8"))


def closed(schema: Any) -> Any:
    """The schema with no other fields allowed than those that it describes."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        inner.setdefault("additionalProperties", False)
    return inner


def check(record: Any, published: Any = PUBLISHED) -> None:
    """Raise unless a result keeps a published schema and has no field that it does not describe."""
    from jsonschema import Draft202012Validator

    for schema in (published, closed(published)):
        Draft202012Validator(schema).validate(record)
