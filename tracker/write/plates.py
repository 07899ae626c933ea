"""Labels: a plate in the colour of the id, with class, id and score."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.write.canvas import Plane
from tracker.write.palette import Palette
from tracker.write.text import Alpha, Text

Bitmap = tuple[Plane, Plane, Plane]  # Y, U, V

KEPT = 600_000  # bitmaps kept, times the square of their capitals: about 16 MB at every size of picture


class Plates:
    """Draws labels, and keeps the bitmaps of their parts: a label is two copies a plane."""

    def __init__(self, names: Sequence[str], palette: Palette, cap: int, line: int, sub: int) -> None:
        """Prepare.

        Args:
            names: of the classes.
            palette: for the canvas.
            cap: height of a capital letter, pixels.
            line: width of the boxes' lines, in cells.
            sub: pixels a chroma sample, along a side.
        """
        self._names, self._palette, self._overlap, self._sub = names, palette, line, sub
        self._text = Text(cap)
        self._most = KEPT // cap**2
        self._margin = 2 * max(1, round(cap * 0.22))
        self._kept: dict[tuple[str, int, bool], Bitmap] = {}
        self._widest: dict[tuple[int, int, int], tuple[Bitmap, Bitmap, Bitmap]] = {}

    def draw(self, planes: Sequence[Plane], cell: Sequence[int], colour: int, shown: tuple[int, int, float]) -> None:
        """Draw one label.

        Args:
            planes: Y, U, V.
            cell: the box, in cells.
            colour: row of the palette.
            shown: class_id, id, score.
        """
        rows, columns = planes[1].shape
        left, top, right, _ = cell
        room = min(right - left + 4 * self._text.cap // self._sub, columns)  # a label may stand out a little
        label = self._choose(colour, shown, room)
        height, width = label[1].shape
        x = max(0, min(left, columns - width))
        above = top - height + self._overlap  # over the top line, whose corner is taken off
        y = above if above >= 0 else max(0, min(top, rows - height))
        blit(planes, label, x, y, self._sub)

    def _choose(self, colour: int, shown: tuple[int, int, float], room: int) -> Bitmap:
        """As much of the label as there is room for (cells); the id at least."""
        class_id, number, score = shown
        key = (class_id, number, round(100 * score))
        if key not in self._widest:
            if len(self._widest) >= self._most:
                self._widest.clear()
            who = self._part(f"{self._name(class_id)} {number}", colour, dark=False)
            sure = self._part(f"{score:.2f}", colour, dark=True)
            y, u, v = (np.hstack(planes) for planes in zip(who, sure, strict=True))
            self._widest[key] = ((y, u, v), who, self._part(str(number), colour, dark=False))
        whole, who, short = self._widest[key]
        if whole[1].shape[1] <= room:
            return whole
        return who if who[1].shape[1] <= room else short

    def _name(self, class_id: int) -> str:
        """Name of a class."""
        return self._names[class_id] if 0 <= class_id < len(self._names) else f"class_{class_id}"

    def _part(self, text: str, colour: int, *, dark: bool) -> Bitmap:
        """The bitmap of one part."""
        key = (text, colour, dark)
        if key not in self._kept:
            if len(self._kept) >= self._most:
                self._kept.clear()
            alpha = np.pad(self._text.line(text), ((0, 0), (self._margin, self._margin)))
            ground = (self._palette.shade if dark else self._palette.vivid)[colour]
            self._kept[key] = coloured(alpha, ground, self._palette.text[colour], self._sub)
        return self._kept[key]


def coloured(alpha: Alpha, ground: NDArray[np.uint8], letters: NDArray[np.uint8], sub: int) -> Bitmap:
    """Bitmap of letters (3,) on a ground (3,), by coverage (H, W) of even sides."""
    half = (alpha.shape[1] // sub, alpha.shape[0] // sub)
    coarse = np.asarray(cv2.resize(alpha, half, interpolation=cv2.INTER_AREA), np.uint8)
    steps = np.linspace(ground.astype(np.float32), letters.astype(np.float32), 256)
    tables = np.rint(steps).astype(np.uint8)
    return tables[alpha, 0], tables[coarse, 1], tables[coarse, 2]


def blit(planes: Sequence[Plane], bitmap: Bitmap, x: int, y: int, sub: int) -> None:
    """Copy a bitmap to the cell x, y (not negative); what does not fit is cut off."""
    for plane, source, scale in zip(planes, bitmap, (sub, 1, 1), strict=False):
        top, left = y * scale, x * scale
        height, width = min(source.shape[0], plane.shape[0] - top), min(source.shape[1], plane.shape[1] - left)
        plane[top : top + height, left : left + width] = source[:height, :width]
