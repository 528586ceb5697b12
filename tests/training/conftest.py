from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import acne04


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty drawn faces laid out like ACNE04."""
    return acne04.build(tmp_path_factory.mktemp("acne04"))
