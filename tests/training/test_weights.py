from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from acne_edge.errors import UsageError
from acne_edge.training import checkpoint
from acne_edge.training.model import FusionModel, ModelConfig
from acne_edge.training.weights import RESNET_FILE, VIT_FILE, load_imagenet, load_weights, resample_position, resize_input
from tests.training.runs import trainer


def test_a_position_embedding_is_resampled_smoothly() -> None:
    embedding = torch.cat([torch.full((1, 1, 8), 9.0), torch.linspace(0, 1, 14)[None, :, None].repeat(1, 14, 8)], 1)
    grown = resample_position(embedding, 18)
    assert grown.shape == (1, 1 + 18 * 18, 8)
    assert (grown[:, 0] == 9).all()
    assert (grown[0, 1:19, 0].diff() > 0).all()
    assert resample_position(embedding, 14) is embedding


def fake_weights(folder: Path, model: FusionModel) -> dict[str, torch.Tensor]:
    """Files with the public keys, random values, and the parts the network does not have."""
    resnet = {k: torch.rand_like(v) if v.is_floating_point() else v for k, v in model.resnet.state_dict().items()}
    vit = {k: torch.rand_like(v) for k, v in model.vit.state_dict().items() if not k.startswith("channel_attention")}
    save_file({**resnet, "fc.weight": torch.zeros(1)}, folder / "resnet18_tv_stem_to_layer3.safetensors")
    late = {f"blocks.{i}.norm1.weight": torch.zeros(1) for i in range(len(model.vit.blocks), 12)}
    save_file({**vit, **late, "head.weight": torch.zeros(1)}, folder / "deit_tiny_patch16_224.safetensors")
    return {**{f"resnet.{k}": v for k, v in resnet.items()}, **{f"vit.{k}": v for k, v in vit.items()}}


def test_public_weights_load_by_their_keys(tmp_path: Path) -> None:
    model = FusionModel(ModelConfig(image_size=32))
    expected = fake_weights(tmp_path, model)
    load_imagenet(model, tmp_path)
    for key, value in expected.items():
        torch.testing.assert_close(model.state_dict()[key], value, msg=key)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    model = FusionModel(ModelConfig(image_size=32))
    fake_weights(tmp_path, model)
    save_file({"conv9.weight": torch.zeros(1)}, tmp_path / "resnet18_tv_stem_to_layer3.safetensors")
    with pytest.raises(UsageError, match="ResNet weights do not fit"):
        load_imagenet(model, tmp_path)


@pytest.mark.parametrize("name", [RESNET_FILE, VIT_FILE])
@pytest.mark.parametrize(
    ("spoil", "says"), [(Path.unlink, "no such file"), (lambda path: path.write_bytes(b"cut short"), "cannot be read")]
)
def test_a_missing_or_damaged_file_of_weights_is_one_line(tmp_path: Path, name: str, spoil, says: str) -> None:
    model = FusionModel(ModelConfig(image_size=32))
    fake_weights(tmp_path, model)
    spoil(tmp_path / name)
    with pytest.raises(UsageError, match=rf"{name}: cannot be read as ImageNet weights \(.*") as refused:
        load_imagenet(model, tmp_path)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_weights_of_other_shapes_are_refused(tmp_path: Path) -> None:
    model = FusionModel(ModelConfig(image_size=32, method="resnet"))
    state = {k: v.clone() for k, v in model.resnet.state_dict().items()}
    save_file({**state, "conv1.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / RESNET_FILE)
    with pytest.raises(UsageError, match=r"ResNet weights do not fit the network: size mismatch for conv1\.weight"):
        load_imagenet(model, tmp_path)


def test_weights_that_are_not_there_are_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: no such file or folder of weights"):
        load_weights(FusionModel(ModelConfig(image_size=32)), tmp_path / "nowhere")


def test_a_run_can_start_from_an_earlier_one_at_another_size(data: Path, finished: Path, tmp_path: Path) -> None:
    begun = trainer(data, tmp_path, finished / "model.safetensors", train_size=64)
    tensors, _ = checkpoint.load(finished / "model.safetensors")
    state = begun.model.state_dict()
    assert torch.equal(state["count_head.weight"], tensors["count_head.weight"].float())
    assert state["vit.pos_embed"].shape[1] == 1 + 4 * 4
    with pytest.raises(UsageError, match="not a checkpoint of the method vit"):
        trainer(data, tmp_path, finished / "model.safetensors", method="vit")


def test_a_run_knows_the_weights_that_it_began_from(data: Path, finished: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.safetensors"
    shutil.copy(finished / "model.safetensors", earlier)
    initial = trainer(data, tmp_path / "run", earlier).state.initial
    assert initial["weights"] == "earlier.safetensors"
    assert len(initial["sha256"]) == 64
    assert trainer(data, tmp_path / "run").state.initial is None


def test_more_cells_hold_as_many_lesions() -> None:
    small, large = FusionModel(ModelConfig(image_size=64)), FusionModel(ModelConfig(image_size=128))
    large.load_state_dict(resize_input(small.state_dict(), 64, 128))
    with torch.inference_mode():
        few, many = (m.eval()(torch.zeros(1, 3, s, s))[2].sum().item() for m, s in ((small, 64), (large, 128)))
    assert many == pytest.approx(few, rel=0.15)  # the border sees padding
