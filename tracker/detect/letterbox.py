"""From the decoder's picture to the network's input and back: the only place that knows both sizes.

The picture is never converted at full size. Most decoders give planes of luma and half-sized chroma (4:2:0): each is
resized to what the network sees and only the small result becomes RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from tracker.structures import Frame, Image, plane_of

Floats = NDArray[np.float32]
# Chroma weights of red and blue in luma, (Kr, Kb): ITU-R BT.601 and BT.709.
WEIGHTS = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}
Layout = Literal["i420", "nv12", "bgr"]
"""How the bytes of a picture lie: planes Y, U, V; plane Y and pairs U V; pixels B G R."""
LAYOUTS: dict[str, Layout] = {"yuv420p": "i420", "yuvj420p": "i420", "nv12": "nv12"}
"""Of FFmpeg's pixel formats."""
COLORS = (("601", False), ("601", True), ("709", False), ("709", True))
"""Kinds of colours: standard, and whether luma and chroma use all of 0..255."""


@dataclass(frozen=True)
class Letterbox:
    """Scale with the aspect kept and pad to the network's size, or stretch.

    Attributes:
        width, height: of the input, pixels. inner_width, inner_height: of the picture in it. left, top: its corner.
        scale_x, scale_y: input pixels a source pixel.
    """

    width: int
    height: int
    inner_width: int
    inner_height: int
    left: int
    top: int
    scale_x: float
    scale_y: float

    @classmethod
    def fit(cls, source: tuple[int, int], target: tuple[int, int], anchor: str) -> Letterbox:
        """For a source (width, height) and an input (width, height), pixels; `anchor`: see `InputCard`."""
        if anchor == "stretch":
            return cls(*target, *target, 0, 0, target[0] / source[0], target[1] / source[1])
        scale = min(target[0] / source[0], target[1] / source[1])
        # YOLOX cuts off where ultralytics rounds: half a pixel that shows in the boxes.
        whole = int if anchor == "top-left" else round
        inner = max(1, min(target[0], whole(source[0] * scale))), max(1, min(target[1], whole(source[1] * scale)))
        corner = (0, 0)
        if anchor == "center":
            corner = round((target[0] - inner[0]) / 2 - 0.1), round((target[1] - inner[1]) / 2 - 0.1)
        return cls(*target, *inner, *corner, scale, scale)

    def apply(self, frame: Frame, color: str, pad: int) -> Image:
        """The input picture (height, width, 3) uint8 in `color` order ("rgb" or "bgr")."""
        canvas = np.full((self.height, self.width, 3), pad, np.uint8)
        inner = canvas[self.top : self.top + self.inner_height, self.left : self.left + self.inner_width]
        small = resize_420(frame.picture, self.inner_width, self.inner_height, color)
        if small is None:
            small = _resize(frame.bgr, self.inner_width, self.inner_height)
            if color == "rgb":
                small = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8)
        inner[...] = small
        return canvas

    def restore(self, boxes: Floats, width: int, height: int) -> Floats:
        """Boxes (N, 4) xyxy of the input -> pixels of the source (width, height), cut at its edges."""
        shift = np.array([self.left, self.top, self.left, self.top], np.float32)
        scale = np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], np.float32)
        limit = np.array([width, height, width, height], np.float32)
        return np.asarray(np.clip((boxes - shift) / scale, np.float32(0), limit), np.float32)


def input_size(source: tuple[int, int], longer: int, multiple: int) -> tuple[int, int]:
    """The smallest input (width, height) with this longer side that a source (width, height) fits in."""
    scale = longer / max(source)
    width, height = (max(multiple, -(-round(side * scale) // multiple) * multiple) for side in source)
    return width, height


def averages(before: int, after: int) -> bool:
    """True where a picture that becomes so wide, pixels, is resized by averaging."""
    return after * 2 < before


def _resize(plane: Image, width: int, height: int) -> Image:
    """Bilinear, as detectors are trained; by averaging where the picture shrinks to less than half."""
    how = cv2.INTER_AREA if averages(plane.shape[1], width) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=how), np.uint8)


def pairs_of(picture: av.VideoFrame) -> Image:
    """The chroma of an nv12 picture as (height, width, 2), without a copy. Do not write into it."""
    plane, width = picture.planes[1], (picture.width + 1) // 2
    rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.line_size * plane.height]
    pairs: Image = rows.reshape(plane.height, plane.line_size)[:, : 2 * width].reshape(plane.height, width, 2)
    return pairs


def layout_of(picture: av.VideoFrame) -> Layout:
    """How the bytes of a picture can be had without converting it; "bgr" where they cannot."""
    return LAYOUTS.get(picture.format.name, "bgr")


def colors_of(picture: av.VideoFrame) -> tuple[str, bool]:
    """Which of COLORS the planes of a picture hold; what it does not say is BT.601 and limited."""
    full = picture.format.name == "yuvj420p" or picture.color_range == ColorRange.JPEG
    return "709" if picture.colorspace == Colorspace.ITU709 else "601", full


def resize_420(picture: av.VideoFrame, width: int, height: int, color: str) -> Image | None:
    """An 8-bit 4:2:0 picture at another size as (height, width, 3) RGB or BGR; None for other pixel formats."""
    layout = layout_of(picture)
    if layout == "bgr":
        return None
    chroma = [pairs_of(picture)] if layout == "nv12" else [plane_of(picture, 1), plane_of(picture, 2)]
    # Merging takes planes and pairs alike.
    stacked = cv2.merge([_resize(plane, width, height) for plane in (plane_of(picture, 0), *chroma)])
    return np.asarray(cv2.transform(stacked, color_matrix(*colors_of(picture), color)), np.uint8)


def color_matrix(standard: str, full: bool, color: str) -> NDArray[np.float64]:
    """(3, 4) matrix from 8-bit Y, Cb, Cr to RGB or BGR (ITU-R BT.601-7 and BT.709-6, section 3)."""
    red, blue = WEIGHTS[standard]
    green = 1 - red - blue
    luma, chroma, black = (1.0, 1.0, 0.0) if full else (255 / 219, 255 / 224, 16.0)
    rows = np.array([
        [luma, 0.0, chroma * 2 * (1 - red)],
        [luma, -chroma * 2 * (1 - blue) * blue / green, -chroma * 2 * (1 - red) * red / green],
        [luma, chroma * 2 * (1 - blue), 0.0],
    ])  # fmt: skip
    offset = rows @ np.array([-black, -128.0, -128.0])
    matrix = np.column_stack((rows, offset))
    return matrix if color == "rgb" else matrix[::-1].copy()
