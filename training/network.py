"""The embedded detector's network: a compact, anchor-free, single-stage detector in plain PyTorch.

Dense 3x3 convolutions and ReLU only: they run on matrix units (AMX, tensor cores) at full speed, in training as in
inference, and quantise well. Depthwise convolutions have fewer operations and are slower on all of these.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STRIDES = (8, 16, 32)


class ConvBlock(nn.Sequential):
    """Convolution, batch normalisation, ReLU; "same" padding."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride, (kernel - 1) // 2, bias=False),
            nn.BatchNorm2d(channels_out, eps=1e-3, momentum=0.03),
            nn.ReLU(inplace=True),
        )


class CrossStage(nn.Module):
    """Cross-stage partial block: half of the channels pass `depth` convolutions, each step is concatenated.

    One convolution a step, not a residual pair: in training the normalisations and activations between the
    convolutions cost more than the convolutions themselves.
    """

    def __init__(self, channels_in: int, channels_out: int, depth: int) -> None:
        super().__init__()
        hidden = channels_out // 2
        self.enter = ConvBlock(channels_in, 2 * hidden, 1)
        self.steps = nn.ModuleList(ConvBlock(hidden, hidden) for _ in range(depth))
        self.leave = ConvBlock((2 + depth) * hidden, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, H, W) -> (B, channels_out, H, W)."""
        parts = list(self.enter(x).chunk(2, 1))
        for step in self.steps:
            parts.append(step(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class PyramidPool(nn.Module):
    """Spatial pyramid pooling by three chained 5x5 maxima: sees 5, 9 and 13 cells around."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = ConvBlock(channels, channels // 2, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.leave = ConvBlock(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        parts = [self.enter(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class Head(nn.Module):
    """Decoupled head of one level: class logits and the four distances to the box's sides, in strides."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.score = nn.Sequential(ConvBlock(channels, 64), nn.Conv2d(64, classes, 1))
        self.sides = nn.Sequential(ConvBlock(channels, 48), nn.Conv2d(48, 4, 1))
        nn.init.constant_(self.score[1].bias, -4.6)  # prior probability 0.01: the first steps are not all false alarms
        nn.init.constant_(self.sides[1].bias, 2.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> logits (B, H*W, classes), distances left, top, right, bottom (B, H*W, 4) in strides, >= 0."""
        sides = nn.functional.softplus(self.sides(x).flatten(2))
        return self.score(x).flatten(2).transpose(1, 2), sides.transpose(1, 2)


class Network(nn.Module):
    """Backbone, path-aggregation neck and three heads. About 2 M parameters, 1.4 GMAC at 416x416."""

    def __init__(self, classes: int = 6) -> None:
        super().__init__()
        self.classes = classes
        # One 6x6 convolution of stride 4: maps at half the size of the picture would cost a third of the training.
        self.stage2 = ConvBlock(3, 40, 6, 4)
        self.stage3 = nn.Sequential(ConvBlock(40, 80, 3, 2), CrossStage(80, 80, 2))
        self.stage4 = nn.Sequential(ConvBlock(80, 160, 3, 2), CrossStage(160, 160, 4))
        self.stage5 = nn.Sequential(ConvBlock(160, 256, 3, 2), CrossStage(256, 256, 2), PyramidPool(256))
        self.lateral3, self.lateral4, self.lateral5 = ConvBlock(80, 64, 1), ConvBlock(160, 96, 1), ConvBlock(256, 96, 1)
        self.down_to4 = CrossStage(192, 96, 2)
        self.reduce4 = ConvBlock(96, 64, 1)
        self.down_to3 = CrossStage(128, 64, 1)
        self.up_from3, self.up_to4 = ConvBlock(64, 64, 3, 2), CrossStage(160, 96, 2)
        self.up_from4, self.up_to5 = ConvBlock(96, 96, 3, 2), CrossStage(192, 128, 2)
        self.heads = nn.ModuleList(Head(channels, classes) for channels in (64, 96, 128))

    def levels(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, 3, H, W) in 0..1, H and W multiples of 32 -> maps of strides 8, 16, 32; 64, 96, 128 channels."""
        c3 = self.stage3(self.stage2(x))
        c4 = self.stage4(c3)
        c5 = self.lateral5(self.stage5(c4))
        up = nn.functional.interpolate
        p4 = self.down_to4(torch.cat((self.lateral4(c4), up(c5, scale_factor=2.0)), 1))
        p3 = self.down_to3(torch.cat((self.lateral3(c3), up(self.reduce4(p4), scale_factor=2.0)), 1))
        p4 = self.up_to4(torch.cat((self.up_from3(p3), p4), 1))
        return p3, p4, self.up_to5(torch.cat((self.up_from4(p4), c5), 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) in 0..1, H and W multiples of 32 -> logits (B, A, classes), sides (B, A, 4) in strides.

        A = all cells, row by row, strides 8, 16, 32 in turn.
        """
        outputs = [head(level) for head, level in zip(self.heads, self.levels(x), strict=True)]
        return torch.cat([logits for logits, _ in outputs], 1), torch.cat([sides for _, sides in outputs], 1)


def cells(height: int, width: int) -> Tensor:
    """Centres and strides of all cells, (A, 3) float32: x, y, stride in pixels of the input."""
    levels = []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        centres = (torch.stack((x, y), -1).reshape(-1, 2) + 0.5) * stride
        levels.append(torch.cat((centres, torch.full((len(centres), 1), float(stride))), 1))
    return torch.cat(levels)


def decode(sides: Tensor, grid: Tensor) -> Tensor:
    """Sides (..., A, 4) in strides and cells (A, 3) -> boxes (..., A, 4) xyxy pixels of the input."""
    centres, strides = grid[:, :2], grid[:, 2:]
    return torch.cat((centres - sides[..., :2] * strides, centres + sides[..., 2:] * strides), -1)
