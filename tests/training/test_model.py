from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from acne_edge.training.checkpoint import load_network
from acne_edge.training.model import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Attention,
    ChannelAttention,
    DeployModel,
    FusionModel,
    ModelConfig,
    Normalize,
    ViT,
)

METHODS = ("fusion", "resnet", "vit")


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
    averages = torch.randn(2, 5, 12)
    x = averages.repeat_interleave(4, 1)  # where the four are alike, attention to all of them is the same
    q, k, v = attention.qkv(x).reshape(2, 20, 3, 3, 4).permute(2, 0, 3, 1, 4)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(40, 12)
    found = attention(x.reshape(40, 12), tokens=20)
    torch.testing.assert_close(found, attention.proj(expected))


def test_einops_arranges_tokens_to_the_bit_as_reshape_and_permute_do() -> None:
    torch.manual_seed(0)
    vit = ViT(64, depth=2).eval()
    image, d, grid = torch.randn(3, 3, 64, 64), ViT.dim, 4
    with torch.inference_mode():
        position = vit.pos_embed[:, 1:].transpose(1, 2).reshape(1, d, grid, grid)
        x = vit.channel_attention(vit.patch_embed(image)) + position
        x = x.reshape(3, d, 2, 2, 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(3, -1, d)
        x = torch.cat([(vit.cls_token + vit.pos_embed[:, :1]).expand(3, 4, d), x], 1).reshape(-1, d)
        for block in vit.blocks:
            y = block.norm1(x)
            q = F.linear(y, block.attn.qkv.weight[:d], block.attn.qkv.bias[:d]).reshape(3, 20, 3, 64).transpose(1, 2)
            averages = y.reshape(-1, 4, d).mean(1)
            k, v = F.linear(averages, block.attn.qkv.weight[d:], block.attn.qkv.bias[d:]).chunk(2, 1)
            k, v = (part.reshape(3, 5, 3, 64).transpose(1, 2) for part in (k, v))
            y = (q @ k.transpose(2, 3) * 64**-0.5).softmax(3) @ v
            x = x + block.attn.proj(y.transpose(1, 2).reshape(-1, d))
            x = x + block.mlp(block.norm2(x))
        x = vit.norm(x.reshape(3, 20, d))
        patches = x[:, 4:].reshape(3, 2, 2, 2, 2, d).permute(0, 5, 1, 3, 2, 4).reshape(3, d, grid, grid)
        cls, found = vit(image)
    assert torch.equal(cls, x[:, 0])
    assert torch.equal(found, patches)


def test_the_shipped_checkpoint_has_the_networks_keys() -> None:
    shipped = Path(__file__).parents[2] / "export" / "checkpoints" / "acne-edge-s" / "model.safetensors"
    assert load_network(shipped).config == ModelConfig()


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


@pytest.mark.parametrize("options", [{"method": "mlp"}, {"image_size": 112}])
def test_an_impossible_network_is_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=r"expected one of|multiple of 32"):
        ModelConfig(**options)
