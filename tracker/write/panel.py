"""The corner panel: live figures on a dark, half transparent plate."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.write.canvas import Plane
from tracker.write.palette import Palette
from tracker.write.text import Alpha, Text

GROUND_OPACITY = 0.66
HOLD_S = 0.25  # figures that change faster cannot be read
FINER = 4


class Panel:
    """Draws the panel; its pixels are made again only when the text changes: figures four times a second at most."""

    def __init__(self, palette: Palette, cap: int, sub: int) -> None:
        """Prepare; `cap` is the height of a capital in pixels, `sub` pixels a chroma sample along a side."""
        self._palette, self._sub, self._text = palette, sub, Text(cap)
        self._lines: tuple[str, ...] = ()
        self._stamp = ""
        self._changed_s = 0.0
        self._layers: list[tuple[Plane, Plane]] = []  # a plane: what is kept of the picture (of 255), what is added

    def draw(self, planes: Sequence[Plane], lines: Sequence[str], time_s: float, stamp: str = "") -> None:
        """Mix the panel into the upper left corner. `stamp` is its first line, and never held."""
        wanted, old = tuple(lines), stamp != self._stamp
        fresh = 0 <= time_s - self._changed_s < HOLD_S and len(wanted) == len(self._lines)
        if wanted != self._lines and not fresh:
            self._lines, self._changed_s, old = wanted, time_s, True
        if old:
            self._stamp = stamp
            self._layers = self._made((stamp, *self._lines) if stamp else self._lines)
        inset = 2 * round(self._text.cap * 0.35) // self._sub
        for plane, (keep, add), scale in zip(planes, self._layers, (self._sub, 1, 1), strict=False):
            at = inset * scale
            target = plane[at : at + keep.shape[0], at : at + keep.shape[1]]
            if target.size:
                rows, columns = target.shape
                kept = cv2.multiply(target, keep[:rows, :columns], scale=1 / 255)
                target[:] = cv2.add(kept, add[:rows, :columns])

    def _made(self, lines: tuple[str, ...]) -> list[tuple[Plane, Plane]]:
        """The layers of Y, U and V."""
        text = np.vstack(self._aligned([self._text.line(line) for line in lines]))
        margin = 2 * round(self._text.cap * 0.4)
        letters = np.pad(text, ((margin // 2, margin // 2), (margin, margin))).astype(np.float32) / 255
        ground = _rounded(letters.shape[0], letters.shape[1], self._text.cap * 0.8) * GROUND_OPACITY
        layers = []
        for channel in range(3):
            below, above = float(self._palette.panel[channel]), float(self._palette.panel_text[channel])
            keep = (1 - ground) * (1 - letters) * 255
            add = (ground * below) * (1 - letters) + letters * above
            scale = self._sub if channel else 1
            size = (letters.shape[1] // scale, letters.shape[0] // scale)
            coarse = [np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA)) for layer in (keep, add)]
            layers.append((np.rint(coarse[0]).astype(np.uint8), np.rint(coarse[1]).astype(np.uint8)))
        return layers

    def _aligned(self, lines: list[Alpha]) -> list[Alpha]:
        """Lines filled up to the widest."""
        widest = max(line.shape[1] for line in lines)
        return [np.pad(line, ((0, 0), (0, widest - line.shape[1]))) for line in lines]


def _rounded(height: int, width: int, radius: float) -> NDArray[np.float32]:
    """Coverage 0..1 of a plate with round corners, (height, width)."""
    y = np.abs(np.arange(height) + 0.5 - height / 2)[:, None] - (height / 2 - radius)
    x = np.abs(np.arange(width) + 0.5 - width / 2)[None] - (width / 2 - radius)
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0)) - radius
    coverage: NDArray[np.float32] = np.clip(0.5 - outside, 0, 1).astype(np.float32)
    return coverage
