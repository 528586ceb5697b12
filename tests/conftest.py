from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import ImageFile

from acne_edge import AcneGrader
from tests import drawing

ASSETS = Path(__file__).parent / "assets"

# How long an example takes says more about what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Graphs, engines and journals are kept in folders of this run, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _drawings_are_graded() -> Iterator[None]:
    """A drawn face is no photograph, and the shipped model says so; these tests draw theirs, and want its figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACNE_EDGE_ON_UNFAMILIAR", "warn")
        yield


@pytest.fixture(autouse=True)
def _whole_images() -> Iterator[None]:
    """A test that imports WeasyPrint itself lets Pillow take truncated files; those after it are not to."""
    yield
    ImageFile.LOAD_TRUNCATED_IMAGES = False


@pytest.fixture(scope="session")
def face() -> np.ndarray:
    """A drawn face, uint8 [640, 576, 3]."""
    return drawing.face()


@pytest.fixture(scope="session")
def grader() -> AcneGrader:
    """The shipped default model."""
    return AcneGrader.load()


@pytest.fixture(scope="session")
def acne04() -> Path:
    """The ACNE04 folder; tests that need it skip where it is absent."""
    root = Path(os.environ.get("ACNE_EDGE_DATA", "../shared/data/acne04"))
    if not (root / "Classification" / "JPEGImages").is_dir():
        pytest.skip(f"no ACNE04 at {root}: set ACNE_EDGE_DATA")
    return root
