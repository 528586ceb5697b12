from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from acne_edge.errors import UsageError
from acne_edge.training.model import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    METHODS,
    Attention,
    ChannelAttention,
    DeployModel,
    FusionModel,
    ModelConfig,
    Normalize,
    ViT,
    load_imagenet,
    resample_position,
)


@pytest.mark.parametrize(("method", "cells"), [("fusion", 8), ("resnet", 8), ("vit", 4)])
def test_outputs_keep_the_contract(method: str, cells: int) -> None:
    model = DeployModel(FusionModel(ModelConfig(method=method, image_size=64))).eval()
    grade, count, lesions = model(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))
    assert grade.shape == (2, 4)
    assert count.shape == (2, 66)
    assert lesions.shape == (2, cells, cells)
    torch.testing.assert_close(grade.sum(1), torch.ones(2))
    torch.testing.assert_close(count.sum(1), torch.ones(2))
    assert (lesions >= 0).all()


def test_normalisation_is_imagenets() -> None:
    image = torch.randint(0, 256, (1, 4, 4, 3), dtype=torch.uint8)
    expected = (image.float() / 255 - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    torch.testing.assert_close(Normalize()(image), expected.permute(0, 3, 1, 2))


def test_channel_attention_starts_as_the_identity() -> None:
    x = torch.randn(2, 192, 4, 4)
    torch.testing.assert_close(ChannelAttention(192)(x), x)


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_is_used(method: str) -> None:
    model = FusionModel(ModelConfig(method=method, image_size=32))
    torch.nn.init.normal_(model.vit.channel_attention.excite.weight) if model.vit else None
    sum(out.sum() for out in model(torch.randn(2, 3, 32, 32))).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_tokens_keep_their_places() -> None:
    vit = ViT(64, depth=0).eval()
    image = torch.randn(2, 3, 64, 64)
    place = vit.pos_embed[:, 1:].transpose(1, 2).reshape(1, 192, 4, 4)
    tokens = (vit.patch_embed(image) + place).permute(0, 2, 3, 1)
    cls, patches = vit(image)
    torch.testing.assert_close(patches, vit.norm(tokens).permute(0, 3, 1, 2))
    torch.testing.assert_close(cls, vit.norm(vit.cls_token[:, 0] + vit.pos_embed[:, 0]).expand(2, -1))


def test_attention_is_to_the_average_of_each_four_tokens() -> None:
    attention = Attention(12, heads=3)
    fours = torch.randn(2, 5, 12)
    x = fours.repeat_interleave(4, 1)  # where the four are alike, attention to all of them is the same
    q, k, v = attention.qkv(x).reshape(2, 20, 3, 3, 4).permute(2, 0, 3, 1, 4)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(40, 12)
    found = attention(x.reshape(40, 12), tokens=20)
    torch.testing.assert_close(found, attention.proj(expected))


def test_a_frozen_stem_does_not_change() -> None:
    model = FusionModel(ModelConfig(image_size=32))
    model.resnet.freeze_stem()
    model.train()
    before = {k: v.clone() for k, v in model.resnet.state_dict().items() if k.startswith(("conv1", "bn1", "layer1"))}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    sum(out.sum() for out in model(torch.randn(4, 3, 32, 32))).backward()
    optimizer.step()
    for key, value in before.items():
        assert torch.equal(model.resnet.state_dict()[key], value), key


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


@pytest.mark.parametrize("options", [{"method": "mlp"}, {"image_size": 112}])
def test_an_impossible_network_is_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=r"expected one of|multiple of 32"):
        ModelConfig(**options)
