"""Zones and lines, drawn into a picture with their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.analyze.shapes import Shape
from tracker.write.canvas import Plane
from tracker.write.palette import to_yuv
from tracker.write.plates import blit, coloured
from tracker.write.text import Text

SHIFT = 3  # cv2 draws to an eighth of a pixel
COLOURS = np.array([(122, 162, 255), (255, 214, 102), (255, 92, 92)], np.uint8)  # zone, line, too many
GROUND, LETTERS = np.array([(14, 16, 20)], np.uint8), np.array([(248, 249, 250)], np.uint8)
TINT = 0.09


class Places:
    """Draws the shapes of `Analyzer.shapes` into pictures of one size and one kind of YUV 4:2:0."""

    def __init__(self, height: int, *, bt709: bool, full_range: bool) -> None:
        """Scale lines and letters to a picture of `height` pixels."""
        self._colours, ground, letters = (
            to_yuv(colours, bt709=bt709, full_range=full_range) for colours in (COLOURS, GROUND, LETTERS)
        )
        self._ground, self._letters = ground[0], letters[0]
        self._line = max(1, round(height / 360))
        self._text = Text(max(7, round(height / 60)))

    def draw(self, planes: Sequence[Plane], shapes: Sequence[Shape]) -> None:
        """All of them: areas first, then lines, then text."""
        for shape in shapes:
            if shape.kind == "zone":
                self._tint(planes, shape)
        for shape in shapes:
            self._outline(planes, shape)
        for shape in shapes:
            self._label(planes, shape)

    def _colour(self, shape: Shape) -> NDArray[np.uint8]:
        """(3,) YUV."""
        row = 2 if shape.alert else 1 if shape.kind == "line" else 0
        colour: NDArray[np.uint8] = self._colours[row]
        return colour

    def _tint(self, planes: Sequence[Plane], shape: Shape) -> None:
        """A touch of colour inside a zone; the picture stays readable."""
        for plane, scale, value in zip(planes, (1, 2, 2), self._colour(shape).tolist(), strict=False):
            points = _fixed(shape.points / scale)
            height, width = plane.shape
            corner = np.clip(np.floor(shape.points.min(0) / scale).astype(int), 0, (width, height))
            far = np.clip(np.ceil(shape.points.max(0) / scale).astype(int) + 1, 0, (width, height))
            part = plane[corner[1] : far[1], corner[0] : far[0]]
            if part.size:
                mask = np.zeros(part.shape, np.uint8)
                cv2.fillPoly(mask, [points - (corner << SHIFT)], 255, cv2.LINE_8, SHIFT)
                mixed = cv2.addWeighted(part, 1 - TINT, np.full_like(part, value), TINT, 0)
                np.copyto(part, mixed, where=mask > 0)

    def _outline(self, planes: Sequence[Plane], shape: Shape) -> None:
        """The border of a zone, or a line with its arrow."""
        closed, line = shape.kind == "zone", self._line + (shape.kind == "line")
        for plane, scale, value in zip(planes, (1, 2, 2), self._colour(shape).tolist(), strict=False):
            wide, smooth = max(1, line // scale), cv2.LINE_AA if scale == 1 else cv2.LINE_8
            cv2.polylines(plane, [_fixed(shape.points / scale)], closed, value, wide, smooth, SHIFT)
            if shape.arrow is not None:
                tail, tip = (shape.arrow / scale).round().astype(int).tolist()
                cv2.arrowedLine(plane, tail, tip, value, wide, smooth, 0, 0.35)

    def _label(self, planes: Sequence[Plane], shape: Shape) -> None:
        """Name and numbers on a dark plate, inside the picture."""
        alpha = np.pad(self._text.line(shape.text), ((0, 0), (self._text.cap // 2 * 2,) * 2))
        bitmap = coloured(alpha, self._ground, self._letters, 2)
        rows, columns = planes[1].shape
        height, width = bitmap[1].shape
        x, y = (side / 2 for side in shape.label_at)
        if shape.arrow is None:
            # Beginning at the corner of a zone where that leads into it, ending there otherwise.
            x -= width if x > shape.points[:, 0].mean() / 2 else 0
        else:
            # On the side of a line that its arrow leaves free.
            along = shape.arrow[1] - shape.arrow[0]
            away = -along / max(float(np.hypot(*along)), 1e-9)
            x, y = x - width / 2 + away[0] * (width / 2 + 4), y - height / 2 + away[1] * (height / 2 + 4)
        left, top = max(0, min(round(x), columns - width)), max(0, min(round(y), rows - height))
        blit(planes, bitmap, left, top, 2)


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Points (K, 2) as cv2 wants them with SHIFT."""
    fixed: NDArray[np.int32] = np.rint(points * (1 << SHIFT)).astype(np.int32)
    return fixed
