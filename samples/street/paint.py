"""Flat shapes gathered into a sprite, drawn finely into a patch, and patches stamped onto a picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from .camera import Array
from .light import Colour

SHIFT = 4
"""Bits after the point in coordinates handed to the drawing calls."""

BODY, PROP = 255, 254
"""Opacity of what counts as the object and of what it only carries; the eye cannot tell them apart."""


Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

Shape = tuple[list[Array], Colour, int]
"""Outlines (N, 2) that together bound an area, its colour and its opacity."""


def fixed(points: Array, scale: int = 1) -> Array:
    """Picture points (N, 2) in pixels as fixed-point integers (N, 2) for drawing at a scale."""
    return np.asarray(np.rint(points * (scale << SHIFT) - (1 << SHIFT >> 1)), dtype=np.int32)


def shifted(point: Array, right: float, down: float) -> Array:
    """A picture point (2,) moved by some pixels."""
    return np.asarray(point + np.array([right, down]))


def capsule(start: Array, end: Array, radius_start: float, radius_end: float) -> Array:
    """Outline (N, 2) of a limb between two picture points (2,) with rounded ends; radii in pixels."""
    angle = np.arctan2(end[1] - start[1], end[0] - start[0])
    back = angle + np.linspace(np.pi / 2, 3 * np.pi / 2, 7)
    front = angle + np.linspace(-np.pi / 2, np.pi / 2, 7)
    return np.concatenate(
        [
            start + radius_start * np.stack([np.cos(back), np.sin(back)], axis=1),
            end + radius_end * np.stack([np.cos(front), np.sin(front)], axis=1),
        ]
    )


def ellipse(centre: Array, across: float, up: float, tilt: float = 0.0) -> Array:
    """Outline (20, 2) of an ellipse with half axes in pixels, tilted clockwise by radians."""
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    x, y = across * np.cos(angle), up * np.sin(angle)
    cosine, sine = np.cos(tilt), np.sin(tilt)
    return np.asarray(centre + np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=1))


@dataclass
class Sprite:
    """Shapes of one object in picture coordinates, in drawing order."""

    shapes: list[Shape] = field(default_factory=list)
    softness: float = 0.0
    volume: float = 0.0
    cloth: float = 0.0
    falloff: float = 0.0
    """How much darker the bottom is than the top."""

    light_from: Array = field(default_factory=lambda: np.array([-0.5, -0.8]))
    depth: float = 10.0

    def fill(self, points: Array, colour: Array | Colour, opacity: int = BODY) -> None:
        """Add a polygon (N, 2)."""
        if len(points) >= 3:
            self.shapes.append(([points], (float(colour[0]), float(colour[1]), float(colour[2])), opacity))

    def ring(self, outer: Array, inner: Array, colour: Array | Colour, opacity: int = BODY) -> None:
        """Add the area between two outlines (N, 2)."""
        self.shapes.append(([outer, inner], (float(colour[0]), float(colour[1]), float(colour[2])), opacity))

    def line(self, start: Array, end: Array, width: float, colour: Array | Colour, opacity: int = BODY) -> None:
        """Add a stroke of a width in pixels between two points (2,)."""
        along = end - start
        side = np.array([-along[1], along[0]]) * (width / 2 / max(float(np.hypot(*along)), 1e-6))
        self.fill(np.array([start + side, end + side, end - side, start - side]), colour, opacity)

    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of all shapes, in pixels."""
        points = np.concatenate([contour for contours, _, _ in self.shapes for contour in contours])
        low, high = points.min(axis=0), points.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


@dataclass
class Patch:
    """A drawn object: colours times coverage (H, W, 3) uint8, coverage (H, W) uint8, what counts of it (H, W) uint8."""

    left: int
    top: int
    colour: Array
    cover: Array
    body: Array
    box: Box | None = None
    pixels: int = 0


def _body_box(fine: Array, left: int, top: int, scale: int) -> Box | None:
    """Left, top, right, bottom in pixels of what counts in a fine coverage (H, W), or None when there is nothing."""
    counted = cv2.inRange(fine, np.array([BODY]), np.array([BODY]))
    x, y, width, height = cv2.boundingRect(counted)
    if width == 0 or height == 0:
        return None
    return left + x / scale, top + y / scale, left + (x + width) / scale, top + (y + height) / scale


def _shade_round(colour: Array, cover: Array, sprite: Sprite, scale: int, weave: Array | None) -> Array:
    """Colours (H, W, 3) with the soft side light of a round body and the folds of cloth, inside a coverage (H, W)."""
    gain = np.full(cover.shape, 1.0, dtype=np.float32)
    if sprite.volume > 0:
        reach = max(int(sprite.volume * scale) | 1, 3)
        blurred = cv2.blur(cover, (reach, reach)).astype(np.float32)
        step = max(reach // 3, 1)
        slope = np.zeros_like(blurred)
        slope[:, step:-step] = (blurred[:, 2 * step :] - blurred[:, : -2 * step]) * float(-sprite.light_from[0])
        slope[step:-step] += (blurred[2 * step :] - blurred[: -2 * step]) * float(-sprite.light_from[1])
        gain += slope * (-0.42 / 255) - (255 - blurred) * (0.30 / 255)
    if sprite.falloff > 0:
        gain += np.linspace(sprite.falloff / 2, -sprite.falloff / 2, len(cover), dtype=np.float32)[:, None]
    if weave is not None and sprite.cloth > 0:
        rows, columns = cover.shape
        gain += cv2.resize(weave, (columns, rows), interpolation=cv2.INTER_LINEAR) * np.float32(sprite.cloth)
    np.clip(gain, 0.35, 1.6, out=gain)
    return np.asarray(cv2.multiply(colour, cv2.merge([gain, gain, gain]), dtype=cv2.CV_8U))


def _soften(colour: Array, cover: Array, amount: float) -> Array:
    """Colours (H, W, 3) blurred by some fine pixels inside a coverage (H, W), the outline left as it is."""
    reach = int(amount) | 1
    if reach < 3:
        return colour
    weight = cv2.cvtColor(cv2.blur(cover, (reach, reach)), cv2.COLOR_GRAY2BGR)
    inside = cv2.divide(cv2.blur(colour, (reach, reach)), weight, scale=255.0)
    return np.asarray(cv2.bitwise_and(inside, inside, mask=cover))


def _fill(shapes: list[Shape], fine: Array, origin: Array, scale: int) -> None:
    """Draw shapes into a patch (H, W, 4) whose corner lies at a picture point (2,), in place."""
    for contours, colour, opacity in shapes:
        outlines = [fixed(contour - origin, scale) for contour in contours]
        cv2.fillPoly(fine, outlines, (*colour, opacity), shift=SHIFT)


def _whole(shapes: list[Shape], area: tuple[int, int, int, int]) -> tuple[Box | None, int]:
    """Box and pixels of what counts in all of an area (left, top, right, bottom), drawn in picture pixels."""
    x0, y0, x1, y1 = area
    mask = np.zeros((y1 - y0, x1 - x0), dtype=np.uint8)
    origin = np.array([x0, y0], dtype=float)
    for contours, _, opacity in shapes:
        cv2.fillPoly(mask, [fixed(contour - origin) for contour in contours], opacity, shift=SHIFT)
    counted = cv2.inRange(mask, np.array([BODY]), np.array([BODY]))
    return _body_box(mask, x0, y0, 1), int(cv2.countNonZero(counted))


def draw(sprite: Sprite, frame: tuple[int, int], weave: Array | None = None) -> Patch | None:
    """Draw a sprite for a picture of a size (width, height); None when it is too far outside."""
    if not sprite.shapes:
        return None
    left, top, right, bottom = sprite.bounds()
    width, height = frame
    x0, y0 = int(np.floor(max(left, -width))) - 1, int(np.floor(max(top, -height))) - 1
    x1, y1 = int(np.ceil(min(right, 2 * width))) + 1, int(np.ceil(min(bottom, 2 * height))) + 1
    if x1 - x0 < 3 or y1 - y0 < 3 or x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        return None
    area = (x0, y0, x1, y1)
    scale = int(np.clip(round(260 / (y1 - y0)), 2, 4))
    cut = (x1 - x0) * (y1 - y0) > 1.4 * (min(x1, width) - max(x0, 0)) * (min(y1, height) - max(y0, 0)) + 4000
    if cut:
        x0, y0, x1, y1 = max(x0, -8), max(y0, -8), min(x1, width + 8), min(y1, height + 8)
    fine = np.zeros(((y1 - y0) * scale, (x1 - x0) * scale, 4), dtype=np.uint8)
    _fill(sprite.shapes, fine, np.array([x0, y0], dtype=float), scale)
    colour, cover = cv2.cvtColor(fine, cv2.COLOR_BGRA2BGR), cv2.extractChannel(fine, 3)
    counted = cv2.inRange(cover, np.array([BODY]), np.array([BODY]))
    size = (x1 - x0, y1 - y0)
    body = cv2.resize(counted, size, interpolation=cv2.INTER_AREA)
    if cut:
        box, pixels = _whole(sprite.shapes, area)
    else:
        box, pixels = _body_box(cover, x0, y0, scale), int(np.count_nonzero(np.asarray(body) > 127))
    if sprite.softness > 0:
        colour = _soften(colour, cover, sprite.softness * scale)
    if sprite.volume > 0 or sprite.cloth > 0 or sprite.falloff > 0:
        colour = _shade_round(colour, cover, sprite, scale, weave)
    small, cover = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (colour, cover))
    return Patch(x0, y0, small, cover, body, box, pixels)


@dataclass
class Seen:
    """How much there is of an object: its box before clipping, its pixels in all, inside the picture, and visible."""

    box: Box
    pixels: int
    inside: int = 0
    visible: int = 0


class Canvas:
    """A picture (H, W, 3) uint8 that remembers which object is in front at every pixel (H, W)."""

    def __init__(self, image: Array) -> None:
        """Start from a finished background."""
        self.image = image
        self.owner = np.zeros(image.shape[:2], dtype=np.int32)
        self.seen: dict[int, Seen] = {}

    def stamp(self, patch: Patch, ident: int = 0) -> None:
        """Put a patch in front of everything; ident 0 is scenery, others are counted."""
        if ident and patch.box is not None:
            self._count(patch, ident)
        height, width = self.image.shape[:2]
        rows, columns = patch.cover.shape
        x0, y0 = max(patch.left, 0), max(patch.top, 0)
        x1, y1 = min(patch.left + columns, width), min(patch.top + rows, height)
        if x1 <= x0 or y1 <= y0:
            return
        cut = np.s_[y0 - patch.top : y1 - patch.top, x0 - patch.left : x1 - patch.left]
        place = np.s_[y0:y1, x0:x1]
        cover = patch.cover[cut]
        clear = cv2.cvtColor(255 - cover, cv2.COLOR_GRAY2BGR)
        behind = cv2.multiply(self.image[place], clear, scale=1 / 255)
        self.image[place] = cv2.add(behind, patch.colour[cut])
        owner = self.owner[place]
        owner[cover >= 128] = 0
        if ident:
            body = patch.body[cut] >= 128
            owner[body] = ident
            if ident in self.seen:
                self.seen[ident].inside += int(np.count_nonzero(body))

    def _count(self, patch: Patch, ident: int) -> None:
        """Add a patch to what is known of an object."""
        assert patch.box is not None
        known = self.seen.get(ident)
        if known is None:
            self.seen[ident] = Seen(patch.box, patch.pixels)
            return
        a, b = known.box, patch.box
        known.box = min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
        known.pixels += patch.pixels

    def finish(self) -> dict[int, Seen]:
        """Count the visible pixels of every object."""
        counts = np.bincount(self.owner.ravel(), minlength=1)
        for ident, seen in self.seen.items():
            seen.visible = int(counts[ident]) if ident < len(counts) else 0
        return self.seen
