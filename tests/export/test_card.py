from __future__ import annotations

from pathlib import Path

import pytest

from acne_edge.errors import UsageError
from export.card import command, write_card

RUN = Path("export/checkpoints/acne-edge-s")


def test_the_committed_card_is_what_the_command_writes(tmp_path: Path) -> None:
    write_card(RUN, RUN / "evaluation.json", tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text() == Path("MODEL_CARD.md").read_text()


def test_an_evaluation_of_another_model_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "evaluation.json"
    other.write_text('{"model": {"sha256": "00"}}')
    with pytest.raises(UsageError, match="measures another model file than the shipped"):
        write_card(RUN, other, tmp_path / "card.md")


def test_a_run_that_held_nothing_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"lists": {"train": {}}}')
    (tmp_path / "analysis.json").write_text("{}")
    with pytest.raises(UsageError, match="held nothing out"):
        write_card(tmp_path, RUN / "evaluation.json", tmp_path / "card.md")


def test_the_command_names_the_settings_that_are_not_the_defaults() -> None:
    settings = {"epochs": 18, "freeze_stem": False, "lr_steps": [5, 9], "method": "fusion"}
    words = "acne-edge train --data ACNE04 --weights WEIGHTS --epochs 18 --no-freeze-stem --lr-steps 5 --lr-steps 9"
    assert command(settings) == words
