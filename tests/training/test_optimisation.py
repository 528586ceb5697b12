from __future__ import annotations

import numpy as np
import pytest
import torch

from acne_edge.training.config import TrainConfig
from acne_edge.training.model import FusionModel, ModelConfig
from acne_edge.training.optimisation import WeightAverage, lr_factor, make_optimizer


def test_the_rate_warms_up_and_decays_or_steps() -> None:
    cycle = [lr_factor(s, 100, TrainConfig()) for s in range(101)]
    assert cycle[0] < 0.05
    assert max(cycle) == pytest.approx(1)
    assert np.argmax(cycle) == 10
    assert cycle[100] == pytest.approx(0.01)
    steps = TrainConfig(epochs=10, lr_steps=(3, 6))
    assert [lr_factor(s, 100, steps) for s in (0, 29, 30, 60)] == [1, 1, 0.5, 0.25]


def test_norms_biases_and_embeddings_do_not_decay() -> None:
    model = FusionModel(ModelConfig(image_size=32))
    decay, keep = make_optimizer(model, TrainConfig()).param_groups
    assert keep["weight_decay"] == 0
    assert all(p.ndim >= 2 for p in decay["params"])
    assert any(p is model.vit.pos_embed for p in keep["params"])


def averages(config: TrainConfig, steps: int = 8) -> tuple[list[float], WeightAverage]:
    """A weight that is 1, 2, 3, ... after the steps, and its average."""
    model = FusionModel(ModelConfig(method="resnet", image_size=32))
    average = WeightAverage(model, config)
    seen = []
    for step in range(1, steps + 1):
        with torch.no_grad():
            model.count_head.bias.fill_(step)
            model.resnet.bn1.num_batches_tracked.fill_(step)
        average.update(model, step, steps)
        seen.append(float(average.weights["count_head.bias"][0]))
    return seen, average


def test_stochastic_weight_averaging_keeps_the_rate_and_takes_the_mean_of_the_last_steps() -> None:
    config = TrainConfig(swa=0.5, epochs=2)
    seen, average = averages(config)
    assert seen[:5] == [1, 2, 3, 4, 5]
    assert seen[-1] == pytest.approx(np.mean([5, 6, 7, 8]))
    assert average.weights["resnet.bn1.num_batches_tracked"] == 8, "a number of batches has no average"
    assert [lr_factor(step, 100, config) for step in (5, 10, 99)] == [0.5, 1, 1]


def test_the_exponential_average_forgets_the_start_faster_than_its_decay() -> None:
    seen, _ = averages(TrainConfig(ema=0.995))
    assert seen[-1] > 4
    lagging, _ = averages(TrainConfig(ema=0.0))
    assert lagging == [1, 2, 3, 4, 5, 6, 7, 8]
