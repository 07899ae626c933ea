"""From the decoder's picture to the network's input and back: the only place that knows both sizes.

The picture is never converted at full size. Most decoders give planes of luma and half-sized chroma (4:2:0): each is
resized to what the network sees and only the small result becomes RGB.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from tracker.structures import Frame, Image

Floats = NDArray[np.float32]
# Chroma weights of red and blue in luma, (Kr, Kb): ITU-R BT.601 and BT.709.
WEIGHTS = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}


@dataclass(frozen=True)
class Letterbox:
    """Scale with the aspect kept, pad to the network's size.

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
        """For a source (width, height) and an input (width, height), pixels."""
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


def _resize(plane: Image, width: int, height: int) -> Image:
    """Bilinear, as detectors are trained; by averaging where the picture shrinks to less than half."""
    how = cv2.INTER_AREA if width * 2 < plane.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=how), np.uint8)


def plane_of(picture: av.VideoFrame, index: int) -> Image:
    """Plane `index` of a picture with 8-bit planes as (height, width), without a copy. Do not write into it."""
    plane = picture.planes[index]
    every = np.frombuffer(memoryview(plane), np.uint8)
    rows: Image = every[: plane.line_size * plane.height].reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


def resize_420(picture: av.VideoFrame, width: int, height: int, color: str) -> Image | None:
    """An 8-bit 4:2:0 picture at another size as (height, width, 3) RGB or BGR; None for other pixel formats."""
    kind = picture.format.name
    if kind not in ("yuv420p", "yuvj420p"):
        return None
    full = kind == "yuvj420p" or picture.color_range == ColorRange.JPEG
    high = picture.colorspace == Colorspace.ITU709
    planes = [_resize(plane_of(picture, k), width, height) for k in range(3)]
    stacked = cv2.merge(planes)
    return np.asarray(cv2.transform(stacked, color_matrix("709" if high else "601", full, color)), np.uint8)


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
