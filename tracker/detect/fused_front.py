"""The front of a fused graph: from the decoder's bytes to the network's input.

To the bit what `Letterbox.apply` and `pack` do with OpenCV, rounding included, in FP32: boxes stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from tracker.detect.card import InputCard
from tracker.detect.letterbox import COLORS, Layout, Letterbox, averages, color_matrix
from tracker.detect.onnx_nodes import Nodes


@dataclass(frozen=True)
class Picture:
    """What goes in.

    Attributes:
        width, height: pixels.
        layout: how the bytes lie.
    """

    width: int
    height: int
    layout: Layout = "i420"

    @property
    def chroma_hw(self) -> tuple[int, int]:
        """Height and width of a chroma plane."""
        return (self.height + 1) // 2, (self.width + 1) // 2

    @property
    def size(self) -> int:
        """Bytes of a picture. Behind planes, one more tells which colours they are: the place in COLORS."""
        if self.layout == "bgr":
            return self.height * self.width * 3
        height, width = self.chroma_hw
        return self.height * self.width + 2 * height * width + 1


def add_front(make: Nodes, source: str, picture: Picture, box: Letterbox, look: InputCard, scaled: bool) -> str:
    """Bytes `source` (B, picture.size) -> the network's picture (B, 3, H, W) FP32.

    Args:
        make: takes the nodes. picture: what comes in. box: where it lies in the input. look: what the network wants.
        scaled: multiply by `look.scale` (a network that takes bytes does that itself).
    """
    # First of all they become numbers: TensorRT has bytes at its inputs only.
    whole = make.cast(source, "FLOAT")
    small = _from_bgr(make, whole, picture, box, look) if picture.layout == "bgr" else _from_420(
        make, whole, picture, box, look
    )  # fmt: skip
    below, right = box.height - box.inner_height - box.top, box.width - box.inner_width - box.left
    if box.top or box.left or below or right:
        small = make("Pad", small, np.array([0, 0, box.top, box.left, 0, 0, below, right]), float(look.pad))
    return make("Mul", small, look.scale) if scaled and look.scale != 1 else small


def _from_420(make: Nodes, whole: str, picture: Picture, box: Letterbox, look: InputCard) -> str:
    """(B, 3, inner height, inner width) in the network's order of colours, whole numbers 0..255."""
    luma, (height, width) = picture.width * picture.height, picture.chroma_hw
    bright = make.shape(make.part(whole, 0, luma, 1), -1, 1, picture.height, picture.width)
    chroma = make.part(whole, luma, picture.size - 1, 1)
    if picture.layout == "nv12":
        chroma = make("Transpose", make.shape(chroma, -1, height, width, 2), perm=[0, 3, 1, 2])
    else:
        chroma = make.shape(chroma, -1, 2, height, width)
    bright = _fit(make, bright, (1, picture.height, picture.width), box)
    chroma = _fit(make, chroma, (2, height, width), box)
    # Which matrix it is a picture says itself, so one plan serves all of them.
    which = make("Clip", make.part(whole, picture.size - 1, picture.size, 1), 0.0, float(len(COLORS) - 1))
    which = make.cast(make.shape(which, -1), "INT64")
    tables = np.stack([color_matrix(*colors, look.color) for colors in COLORS])
    tables[:, :, 3] += 0.5
    tables = (np.round(tables * 1024) / 1024).astype(np.float32)  # as OpenCV does for bytes
    factors = [make("Gather", tables[:, :, k, None, None].copy(), which, axis=0) for k in range(4)]
    total = factors[3]
    for plane, factor in zip((bright, make.part(chroma, 0, 1, 1), make.part(chroma, 1, 2, 1)), factors, strict=False):
        total = make("Add", make("Mul", plane, factor), total)
    return make("Clip", make("Floor", total), 0.0, 255.0)


def _from_bgr(make: Nodes, whole: str, picture: Picture, box: Letterbox, look: InputCard) -> str:
    """Likewise."""
    pixels = make.shape(whole, -1, picture.height, picture.width, 3)
    planes = make("Transpose", pixels, perm=[0, 3, 1, 2])
    small = _fit(make, planes, (3, picture.height, picture.width), box)
    return small if look.color == "bgr" else make("Gather", small, np.array([2, 1, 0]), axis=1)


def _fit(make: Nodes, planes: str, shape: tuple[int, int, int], box: Letterbox) -> str:
    """Planes (B, *shape) in the size of the picture within the input, rounded to whole numbers as bytes are."""
    _, height, width = shape
    if (height, width) == (box.inner_height, box.inner_width):
        return planes
    resized = _average if averages(width, box.inner_width) else _interpolate
    return resized(make, planes, shape, box)


def _interpolate(make: Nodes, planes: str, shape: tuple[int, int, int], box: Letterbox) -> str:
    """OpenCV's INTER_LINEAR of bytes, bit by bit: weights of 11 bits, and what its vector instructions cut off.

    Resize rounds otherwise, by a level in a tenth of all pixels, and each runtime in its own way.
    """
    _, height, width = shape
    left, right, share = taps(width, box.inner_width)
    across = make("Mul", make("Gather", planes, left, axis=3), 1 - share)
    across = make("Add", across, make("Mul", make("Gather", planes, right, axis=3), share))
    across = make("Floor", make("Mul", across, 128.0))
    above, below, share = taps(height, box.inner_height)
    upper = make("Mul", make("Gather", across, above, axis=2), (1 - share)[:, None] / 32)
    lower = make("Mul", make("Gather", across, below, axis=2), share[:, None] / 32)
    total = make("Add", make("Floor", upper), make("Floor", lower))
    return make("Floor", make("Mul", make("Add", total, 2.0), 0.25))


def taps(before: int, after: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """For each of `after` pixels in the place of `before`: its two neighbours and the second one's share, 1/2048ths."""
    place = ((np.arange(after) + 0.5) * (before / after) - 0.5).astype(np.float32)
    first = np.floor(place)
    share = np.round((place - first) * np.float32(2048)) / np.float32(2048)
    near = first.astype(np.int64)
    return np.clip(near, 0, before - 1), np.clip(near + 1, 0, before - 1), share


def _average(make: Nodes, planes: str, shape: tuple[int, int, int], box: Letterbox) -> str:
    """OpenCV's INTER_AREA: every pixel the mean of the area that it covers.

    Resize has no such mode, and TensorRT refuses its `antialias`. So: a product with a matrix of shares along each
    axis, cut into the small blocks that repeat (15 pixels to 4 from 1920 to 512).
    """
    count, height, width = shape
    blocks = gcd(width, box.inner_width)
    planes = make.shape(planes, -1, count, height * blocks, width // blocks)
    planes = make("MatMul", planes, shares(width // blocks, box.inner_width // blocks).T.copy())
    blocks = gcd(height, box.inner_height)
    planes = make.shape(planes, -1, count * blocks, height // blocks, box.inner_width)
    planes = make("MatMul", shares(height // blocks, box.inner_height // blocks), planes)
    return make("Round", make.shape(planes, -1, count, box.inner_height, box.inner_width))


def shares(before: int, after: int) -> NDArray[np.float32]:
    """(after, before): what share of new pixel i is old pixel j; rows sum to 1."""
    edges = np.arange(after + 1) * (before / after)
    old = np.arange(before)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return np.asarray(np.clip(overlap, 0, None) * (after / before), np.float32)
