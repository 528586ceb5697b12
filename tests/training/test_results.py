"""What a finished run leaves in its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from acne_edge.training import checkpoint
from acne_edge.training.config import TrainConfig
from acne_edge.training.data import read_samples
from acne_edge.training.inference import predict
from acne_edge.training.model import FusionModel, ModelConfig
from acne_edge.training.results import conclude, describe, load_held_out
from acne_edge.training.run import Run

CPU = torch.device("cpu")


def test_what_is_measured_is_what_is_stored(data: Path, tmp_path: Path) -> None:
    config, run = TrainConfig(method="resnet", train_size=32, num_workers=1), Run(tmp_path)
    lists = {"train": [], "val": [], "test": read_samples(data, "NNEW_test_1.txt")}
    held_out = load_held_out(config, lists)
    network = FusionModel(ModelConfig(method="resnet", image_size=32))
    with torch.no_grad():
        network.count_head.bias += 1e-5  # float16 has steps of 1e-3 near 1, so a network as trained would say something else
    describe(run, config, lists)
    results = conclude(run, network, config, lists, held_out, CPU, {"seconds": 1.5})
    stored, _ = checkpoint.load(run.model)
    assert stored["count_head.weight"].dtype == torch.float16
    assert stored["resnet.bn1.num_batches_tracked"].dtype == torch.int64
    again = predict(checkpoint.load_network(run.model), held_out["test"][1], 32, CPU)
    for name, values in run.raw_outputs("test").items():
        assert np.array_equal(values, again[name])
    assert run.finished
    assert (results["seconds"], list(results["metrics"])) == (1.5, ["test"])
    assert not run.has("train"), "a part without photographs has no list"
