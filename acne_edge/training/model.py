"""FusionModel: a ResNet branch and a ViT branch, fused, that predict a count distribution, a grade and a lesion map.

The branches are ResNet-18 without its last stage (He et al., CVPR 2016) and the first blocks of DeiT-Ti/16 (Touvron et al., ICML
2021), whose patch embedding passes through channel attention (Woo et al., CBAM, ECCV 2018, eq. 2) and whose tokens attend to
averages of four (spatial reduction: Wang et al., PVT, ICCV 2021, eq. 2). State-dict keys inside the branches are those of
torchvision and timm, so that the public ImageNet weights load as they are.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from acne_edge.training.config import COUNT_BINS, METHODS

DEPTH = 6  # blocks of DeiT-Ti's twelve
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to rebuild the network; saved in every checkpoint."""

    method: str = "fusion"
    image_size: int = 256  # pixels, a multiple of 32
    num_grades: int = 4
    count_bins: int = COUNT_BINS  # bins 0..65 lesions; the last one means "65 or more"
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; expected one of {', '.join(METHODS)}")
        if self.image_size % 32:
            raise ValueError(f"image size {self.image_size} is not a multiple of 32")

    def to_dict(self) -> dict[str, object]:
        """The fields as a JSON-ready dictionary."""
        return asdict(self)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al. 2016, fig. 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNetTrunk(nn.Module):
    """ResNet-18 up to layer3. [N, 3, H, W] -> features of two scales: [N, 128, H/8, W/8] and [N, 256, H/16, W/16]."""

    widths = (64, 128, 256)  # channels of the three layers

    def __init__(self) -> None:
        super().__init__()
        self.frozen_stem = False
        first, second, third = self.widths
        self.conv1 = nn.Conv2d(3, first, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.layer1 = nn.Sequential(BasicBlock(first, first, 1), BasicBlock(first, first, 1))
        self.layer2 = nn.Sequential(BasicBlock(first, second, 2), BasicBlock(second, second, 1))
        self.layer3 = nn.Sequential(BasicBlock(second, third, 2), BasicBlock(third, third, 1))

    def freeze_stem(self) -> None:
        """Keep everything up to layer1 as it is, normalisation statistics included."""
        self.frozen_stem = True
        for part in (self.conv1, self.bn1, self.layer1):
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> ResNetTrunk:
        """As usual, but the frozen part stays in evaluation mode."""
        super().train(mode)
        if self.frozen_stem:
            self.bn1.eval()
            self.layer1.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.layer1(F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1))
        fine = self.layer2(x)
        return fine, self.layer3(fine)


class ChannelAttention(nn.Module):
    """Weights the channels of [N, C, h, w] by their mean and maximum; starts as the identity."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)
        nn.init.zeros_(self.excite.weight)
        nn.init.zeros_(self.excite.bias)

    def forward(self, x: Tensor) -> Tensor:
        average, peak = x.mean((2, 3)), x.amax((2, 3))
        weight = self.excite(F.relu(self.squeeze(average))) + self.excite(F.relu(self.squeeze(peak)))
        return x * (2 * torch.sigmoid(weight))[:, :, None, None]  # CBAM's sigmoid, doubled: pretrained tokens pass unscaled


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, eq. 1) of N sequences of T tokens, [N*T, D], to averages of four tokens each.

    Neighbouring patches hold nearly the same information, so a quarter of the keys is enough, and cheaper.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def project(self, x: Tensor, averages: Tensor) -> tuple[Tensor, ...]:
        """Queries [N*T, D] of the tokens `x`, keys and values [N*T/4, D] of their averages, of all heads."""
        d = x.shape[1]
        weight, bias = self.qkv.weight, self.qkv.bias
        return F.linear(x, weight[:d], bias[:d]), *F.linear(averages, weight[d:], bias[d:]).chunk(2, 1)

    def forward(self, x: Tensor, tokens: int) -> Tensor:
        # `einops.reduce` would do, but transposes what it averages, and the exported graph with it.
        averages = rearrange(x, "(keys four) d -> keys four d", four=4).mean(1)
        parts = zip(self.project(x, averages), (tokens, tokens // 4, tokens // 4), strict=True)
        q, k, v = (rearrange(part, "(n t) (h d) -> n h t d", t=number, h=self.heads) for part, number in parts)
        # The exporter turns the fused operator into three times as many, and on CPUs it is half as fast in bfloat16.
        if torch.compiler.is_exporting() or x.device.type == "cpu":
            y = (q @ k.transpose(2, 3) * q.shape[3] ** -0.5).softmax(3) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v)
        return self.proj(rearrange(y, "n h t d -> (n t) (h d)"))


class Mlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(gelu(self.fc1(x)))


def gelu(x: Tensor) -> Tensor:
    """GELU (Hendrycks and Gimpel 2016), with its factors in the order that runtimes recognise and fuse."""
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2))) if torch.compiler.is_exporting() else F.gelu(x)


class TransformerBlock(nn.Module):
    """Pre-norm transformer block (Dosovitskiy et al. 2021, eq. 2-3) on N sequences of T tokens, [N*T, D]."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor, tokens: int) -> Tensor:
        x = x + self.attn(self.norm1(x), tokens)
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Non-overlapping 16x16 patches, one linear projection. [N, 3, H, W] -> [N, D, H/16, W/16]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 16, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class ViT(nn.Module):
    """The first blocks of DeiT-Ti/16, with channel attention on the patch embedding.

    [N, 3, S, S] -> class token [N, D] and patch tokens as a map [N, D, S/16, S/16].
    """

    dim = 192

    def __init__(self, image_size: int, depth: int = DEPTH, heads: int = 3) -> None:
        super().__init__()
        self.grid = image_size // 16
        self.patch_embed = PatchEmbed(self.dim)
        self.channel_attention = ChannelAttention(self.dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.dim))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + self.grid**2, self.dim) * 0.02)
        self.blocks = nn.ModuleList(TransformerBlock(self.dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(self.dim, eps=1e-6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        n, d, half = x.shape[0], self.dim, self.grid // 2
        position = rearrange(self.pos_embed[:, 1:], "one (h w) d -> one d h w", h=self.grid)
        x = self.channel_attention(self.patch_embed(x)) + position
        # Patches in 2x2 blocks, and the class token four times, so that every four tokens make one key.
        x = rearrange(x, "n d (h a) (w b) -> n (h w a b) d", a=2, b=2)  # [N, S*S/256, D]
        x = torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(n, 4, d), x], 1)
        tokens = 4 + self.grid**2
        x = rearrange(x, "n t d -> (n t) d")  # products of plain matrices, which include their bias, not of stacked ones
        for block in self.blocks:
            x = block(x, tokens)
        x = self.norm(rearrange(x, "(n t) d -> n t d", t=tokens))
        return x[:, 0], rearrange(x[:, 4:], "n (h w a b) d -> n d (h a) (w b)", h=half, a=2, b=2)


class LesionMapHead(nn.Module):
    """Expected lesions per cell, at stride 8 if there is a fine feature map and at stride 16 if not.

    coarse [N, C, h, w] and fine [N, 128, 2h, 2w] or None -> map [N, ., .] >= 0, and the spatial means [N, 64] of its features.
    """

    width = 64

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.top = nn.Conv2d(coarse, self.width, 1)
        self.lateral = nn.Conv2d(fine, self.width, 1) if fine else None
        self.conv = nn.Conv2d(self.width, self.width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(self.width)
        self.out = nn.Conv2d(self.width, 1, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        assert self.out.bias is not None
        nn.init.constant_(self.out.bias, -5.0)  # softplus(-5) x 1296 cells is about 9 lesions, the mean of ACNE04

    def forward(self, coarse: Tensor, fine: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self.top(coarse)
        if self.lateral is not None and fine is not None:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest") + self.lateral(fine)
        x = F.relu(self.bn(self.conv(F.relu(x))))
        return F.softplus(self.out(x)).squeeze(1), x.mean((2, 3))


class FusionModel(nn.Module):
    """The network; `config.method` drops one branch for the ablation.

    `forward` takes float32 [N, 3, S, S], ImageNet-normalised, and returns grade logits [N, G], count logits [N, K] over
    bins 0..K-1, and the lesion map [N, h, w] in expected lesions per cell.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.frozen_trunk = False
        self.resnet = ResNetTrunk() if config.method != "vit" else None
        self.vit = ViT(config.image_size) if config.method != "resnet" else None
        fine = ResNetTrunk.widths[1] if self.resnet else 0
        coarse = (ResNetTrunk.widths[2] if self.resnet else 0) + (ViT.dim if self.vit else 0)
        self.lesion_map = LesionMapHead(coarse, fine)
        pooled = fine + coarse + (ViT.dim if self.vit else 0) + LesionMapHead.width + 1
        self.fuse = nn.Sequential(nn.LayerNorm(pooled), nn.Dropout(config.dropout))
        self.grade_head = nn.Linear(pooled, config.num_grades)
        self.count_head = nn.Linear(pooled, config.count_bins)

    def freeze_trunk(self) -> None:
        """Keep both branches as they are, normalisation statistics included; gradients end at the heads."""
        self.frozen_trunk = True
        for branch in (self.resnet, self.vit):
            if branch is not None:
                branch.requires_grad_(False)

    def train(self, mode: bool = True) -> FusionModel:
        """As usual, but a frozen trunk stays in evaluation mode."""
        super().train(mode)
        if self.frozen_trunk:
            for branch in (self.resnet, self.vit):
                if branch is not None:
                    branch.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pooled, coarse, fine = [], [], None
        if self.resnet is not None:
            fine, deep = self.resnet(x)
            coarse.append(deep)
            pooled.append(fine.mean((2, 3)))
        if self.vit is not None:
            cls, tokens = self.vit(x)
            coarse.append(tokens)
            pooled.append(cls)
        features = torch.cat(coarse, 1)
        lesions, lesion_features = self.lesion_map(features, fine)
        pooled += [features.mean((2, 3)), lesion_features, torch.log1p(lesions.sum((1, 2)))[:, None]]
        z = self.fuse(torch.cat(pooled, 1))
        return self.grade_head(z), self.count_head(z), lesions


class Normalize(nn.Module):
    """uint8 [N, H, W, 3] RGB -> float32 [N, 3, H, W], ImageNet-normalised."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor([1 / (255 * s) for s in IMAGENET_STD]))
        self.register_buffer("shift", torch.tensor([-m / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]))

    def forward(self, image: Tensor) -> Tensor:
        width = image.shape[2]
        # Cast first: TensorRT moves no uint8 tensor. Whole rows: runtimes are slow at broadcasting three values.
        rows = image.float().flatten(2) * self.scale.repeat(width) + self.shift.repeat(width)
        return rows.unflatten(2, (width, 3)).permute(0, 3, 1, 2)


class OutputCalibration(nn.Module):
    """Output calibration: computes well-calibrated grade and count logits from the network's three outputs.

    In training, views are balanced by grade and lose lesions, so grades and counts occur in other shares than on devices, and
    the heads alone favour mild grades. Grades are corrected by matrix scaling (Guo et al., ICML 2017, section 4.2), the count
    distribution by a sharpness and a weight for each count. Both also use the lesion map's sum.

    grade_probs [N, G], count_probs [N, K] and lesions [N], the sums of the lesion maps -> logits [N, G] and [N, K].
    """

    def __init__(self, grades: int, bins: int) -> None:
        super().__init__()
        self.grade = nn.Linear(grades + 1, grades)
        self.count = nn.Linear(1, bins)
        self.sharpness = nn.Parameter(torch.ones(()))
        with torch.no_grad():
            self.grade.weight.copy_(torch.eye(grades, grades + 1))
            for tensor in (self.grade.bias, self.count.weight, self.count.bias):
                tensor.zero_()

    def forward(self, grade_probs: Tensor, count_probs: Tensor, lesions: Tensor) -> tuple[Tensor, Tensor]:
        logarithms, amount = self.count_features(count_probs, lesions)
        count = self.sharpness * logarithms + self.count(amount[:, None])
        return self.grade(self.grade_features(grade_probs, lesions)), count

    @staticmethod
    def grade_features(grade_probs: Tensor, lesions: Tensor) -> Tensor:
        """The features of the grade logits, which are linear in them: [N, G + 1]."""
        return torch.cat([torch.log(grade_probs + 1e-4), torch.log1p(lesions)[:, None]], 1)

    @staticmethod
    def count_features(count_probs: Tensor, lesions: Tensor) -> tuple[Tensor, Tensor]:
        """The features of the count logits, which are linear in them: [N, K], scaled by `sharpness`, and [N]."""
        return torch.log(count_probs + 1e-5), torch.log1p(lesions)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready constants."""
        return {name: tensor.tolist() for name, tensor in self.state_dict().items()}

    @staticmethod
    def from_dict(constants: dict[str, Any] | None) -> OutputCalibration | None:
        """From the result of `to_dict`; None gives None."""
        if constants is None:
            return None
        calibration = OutputCalibration(len(constants["grade.bias"]), len(constants["count.bias"]))
        calibration.load_state_dict({name: torch.tensor(values) for name, values in constants.items()})
        return calibration


class DeployModel(nn.Module):
    """The network as devices see it: uint8 [N, H, W, 3] -> grade_probs [N, G], count_probs [N, K], lesion_map [N, h, w].

    Without an output `calibration` the probabilities are the heads' own. Calibration for INT8 means something else, the ranges
    of activations; it is in the folder `calibration`.
    """

    def __init__(self, model: FusionModel, calibration: OutputCalibration | None = None) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.model = model
        self.calibration = calibration

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        grade, count, lesions = self.model(self.normalize(image))
        if self.calibration is not None:
            grade, count = self.calibration(grade.softmax(1), count.softmax(1), lesions.sum((1, 2)))
        return grade.softmax(1), count.softmax(1), lesions
