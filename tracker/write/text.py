"""Text as coverage bitmaps, smooth at small sizes with the fonts of OpenCV 4 and 5 alike."""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.uint8]

FONT = cv2.FONT_HERSHEY_SIMPLEX
FINER = 4  # drawn so much larger, then averaged: OpenCV's own small letters are rough
STROKE = 0.13  # of the height of a capital
MOST_KEPT = 1024
PIECES = re.compile(r"[0-9]|[^0-9]+")


class Text:
    """Renders one size of text and keeps what it rendered.

    Attributes:
        cap: height of a capital letter, pixels.
        height: of every bitmap, pixels, even.
    """

    def __init__(self, cap: int) -> None:
        """Measure the font; `cap` in pixels."""
        self.cap = cap
        self.height = 2 * round(cap * 1.9 / 2)
        self._stroke = max(1, round(cap * FINER * STROKE))
        self._scale = cap * FINER / _capital_height()
        self._kept: dict[tuple[str, bool], Alpha] = {}

    def line(self, text: str) -> Alpha:
        """Coverage (height, W) uint8 of one line; W is even, without margins.

        Digits, and blanks before the text, stand in cells of one width, so that a changing number does not shake.
        """
        key = (text, True)
        if key not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            words = text.lstrip(" ")
            blank = np.zeros((self.height, (len(text) - len(words)) * self._width("0")), np.uint8)
            self._kept[key] = even_width(np.hstack([blank, *map(self._piece, PIECES.findall(words))]))
        return self._kept[key]

    def _piece(self, text: str) -> Alpha:
        """A digit in its cell, or letters."""
        key = (text, False)
        if key not in self._kept:
            width = self._width("0" if text.isdigit() else text)
            large = np.zeros((self.height * FINER, width * FINER), np.uint8)
            at = ((width * FINER - self._wide(text)) // 2, (self.height + self.cap) * FINER // 2)
            cv2.putText(large, text, at, FONT, self._scale, 255, self._stroke, cv2.LINE_AA)
            small = cv2.resize(large, (width, self.height), interpolation=cv2.INTER_AREA)
            self._kept[key] = np.asarray(small, np.uint8)
        return self._kept[key]

    def _wide(self, text: str) -> int:
        """Width in the larger drawing."""
        return int(cv2.getTextSize(text, FONT, self._scale, self._stroke)[0][0])

    def _width(self, text: str) -> int:
        """Width in pixels."""
        return max(1, -(-self._wide(text) // FINER))


def even_width(alpha: Alpha) -> Alpha:
    """With a column more where the width is odd."""
    return np.pad(alpha, ((0, 0), (0, alpha.shape[1] % 2)))


def _capital_height() -> float:
    """Height of an H at scale 1, from what is really drawn."""
    sample = np.zeros((160, 160), np.uint8)
    cv2.putText(sample, "H", (10, 140), FONT, 4.0, 255, 1)
    rows = np.flatnonzero(sample.any(1))
    return float(rows[-1] - rows[0] + 1) / 4.0 if len(rows) else 21.0
