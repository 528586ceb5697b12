"""What people read in reports and pages, in one file a language, so that no program holds a sentence.

A text may hold places for values, as `str.format` knows them: `{n} photographs`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from acne_edge.errors import UsageError

FOLDER = Path(__file__).parent
LANGUAGES = ("en", "zh")


class Catalogue:
    """The texts of one language."""

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self.language = language
        self._texts = texts

    def __call__(self, key: str, **values: object) -> str:
        """The text of that key with its places filled. Raises KeyError for an unknown key or a place without a value."""
        text = self._texts[key]
        return text.format(**values) if values else text

    def word(self, kind: str, code: str) -> str:
        """What a code (`too_dark`, `very severe`) is called; a code that the catalogue does not know speaks for itself."""
        return self._texts.get(f"{kind}.{code.replace(' ', '_')}", code.replace("_", " "))


@cache
def load(language: str) -> Catalogue:
    """The catalogue of a language, by its code. Raises UsageError for one that there is none of."""
    if language not in LANGUAGES:
        raise UsageError(f"unknown language {language!r}; choose one of: {', '.join(LANGUAGES)}")
    return Catalogue(language, json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8")))
