"""`acne-edge predict --dicom-sr DIR`: a Structured Report for each DICOM photograph, as the results come."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from acne_edge import files
from acne_edge.console import complain
from acne_edge.errors import AcneEdgeError, UsageError
from acne_edge.image import MAX_BYTES, NotedFile
from acne_edge.interop import dicom

if TYPE_CHECKING:
    from acne_edge.prediction import Failure, Prediction

ENDING = ".sr.dcm"


class DicomReports:
    """A folder that reports are written to. A file that is there already is never overwritten.

    Raises MissingExtraError without the extra `dicom`, AcneEdgeError if there can be no such folder.
    """

    def __init__(self, folder: Path) -> None:
        dicom.check_extra()
        self._folder = folder
        self.failed = 0  # photographs without a report
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._names = {name.casefold() for name in os.listdir(folder)}
        except OSError as error:
            raise AcneEdgeError(f"{folder}: reports cannot be kept there ({error.strerror})") from error

    def keep(self, result: Prediction | Failure, source: NotedFile | bytes | None) -> None:
        """Write a report; say so where there can be none."""
        if not result.ok or source is None:
            return
        try:
            dicom.write(self._folder / self._free_name(result.path), result, _content(source))
        except UsageError as error:
            self.failed += 1
            complain(f"{result.path}: no report: {error.message}")

    def _free_name(self, path: str | None) -> str:
        stem = "stdin" if path in (None, "-") else Path(path).stem
        number, name = 1, stem + ENDING
        while name.casefold() in self._names:
            number += 1
            name = f"{stem}-{number}{ENDING}"
        self._names.add(name.casefold())
        return name


def _content(source: NotedFile | bytes) -> bytes:
    """The bytes that were predicted."""
    if isinstance(source, bytes):
        return source
    try:
        data = files.read(source, MAX_BYTES)
    except OSError as error:
        raise UsageError(f"it cannot be read again ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise UsageError("the file has changed since it was predicted")
    return data
