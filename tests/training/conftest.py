from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training import acne04
from tests.training.runs import trainer


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks of 32 pixels are no faster on two threads, and far slower where other processes have the second core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty drawn faces laid out like ACNE04."""
    return acne04.build(tmp_path_factory.mktemp("acne04"))


@pytest.fixture(scope="session")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that was not interrupted. Tests read it; those that change a run copy it."""
    run = tmp_path_factory.mktemp("run") / "finished"
    trainer(data, run).fit()
    return run


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A command logs to the stderr that it was started with; the next test has another one."""
    logger = logging.getLogger("acne_edge")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
