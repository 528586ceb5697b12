"""The optimizer, the learning rate over the run, and the average of the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from acne_edge.training.config import TrainConfig
from acne_edge.training.model import FusionModel


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW or SGD with momentum; norms, biases and embeddings do not decay."""
    decay: list[nn.Parameter] = []
    keep: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        (keep if parameter.ndim < 2 or name.endswith(("pos_embed", "cls_token")) else decay).append(parameter)
    groups = [{"params": decay, "weight_decay": config.weight_decay}, {"params": keep, "weight_decay": 0.0}]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=0.9)
    return torch.optim.AdamW(groups, lr=config.lr)


def lr_factor(step: int, steps: int, config: TrainConfig) -> float:
    """The learning rate over its peak: halved at each of `lr_steps`, or one cycle (10 % linear warm-up, cosine decay to 1 %).

    With `swa`, the rate stays at its peak after the warm-up.
    """
    done = step / steps
    if config.lr_steps:
        return 0.5 ** sum(done * config.epochs >= epoch for epoch in config.lr_steps)
    if done < 0.1:
        return max(done / 0.1, 0.01)
    if config.swa:
        return 1.0
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (done - 0.1) / 0.9)) / 2


class WeightAverage:
    """The running average of the weights, which is evaluated and exported.

    It is exponential with the decay `ema`, and faster at first, so that the initial weights are forgotten. With `swa`, it is the
    mean of the weights after each step in that last share of the run (Izmailov et al., UAI 2018).
    """

    def __init__(self, model: FusionModel, config: TrainConfig) -> None:
        self.config, self.architecture = config, model.config
        self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int, steps: int) -> None:
        """Add the weights after `step` of `steps` steps."""
        decay = min(self.config.ema, (1 + step) / (10 + step))
        if self.config.swa:
            averaged = step - round((1 - self.config.swa) * steps)
            decay = 1 - 1 / averaged if averaged > 0 else 0.0
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                self.weights[key].lerp_(value, 1 - decay)
            else:
                self.weights[key].copy_(value)

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Continue from an earlier process's average."""
        for key, value in weights.items():
            self.weights[key].copy_(value)

    def network(self, device: torch.device) -> FusionModel:
        """A network with the averaged weights."""
        model = FusionModel(self.architecture).to(device)
        model.load_state_dict(self.weights)
        return model
