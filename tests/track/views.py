"""Pictures of a flat, textured world through a camera that moves, with things in it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from tracker.structures import Frame

WIDTH, HEIGHT = 320, 180


def world(seed: int = 0, size: tuple[int, int] = (1200, 800)) -> np.ndarray:
    """A picture (height, width, 3) with detail of all sizes."""
    rng, image = np.random.default_rng(seed), np.zeros((size[1], size[0]), np.float32)
    for step in (4, 8, 16, 64):
        coarse = rng.normal(0, 1, (size[1] // step + 1, size[0] // step + 1)).astype(np.float32)
        image += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    gray = np.clip(128 + 25 * image, 0, 255).astype(np.uint8)
    return np.repeat(gray[..., None], 3, 2)


def look(place: tuple[float, float] = (0, 0), zoom: float = 1.0, turn: float = 0.0) -> np.ndarray:
    """(2, 3) from the world to the picture of a camera that looks at `place` (its middle), turned by degrees."""
    matrix = cv2.getRotationMatrix2D((0, 0), turn, zoom)
    matrix[:, 2] = np.array((WIDTH / 2, HEIGHT / 2)) - matrix[:, :2] @ np.array(place)
    return matrix


def seen(image: np.ndarray, camera: np.ndarray, index: int = 0, noise: float = 0.0, rate: float = 30.0) -> Frame:
    """The frame that the camera (2, 3) takes of the world."""
    view = cv2.warpAffine(image, camera, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    view = view + np.random.default_rng(index).normal(0, noise, view.shape) if noise else view
    return Frame.from_bgr(index, index / rate, np.clip(view, 0, 255).astype(np.uint8))


def between(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(2, 3) from the picture of one camera to that of another."""
    return (np.vstack((after, (0, 0, 1))) @ np.linalg.inv(np.vstack((before, (0, 0, 1)))))[:2]


def painted(*things: tuple[Sequence[float], Sequence[int], Sequence[int]], back: int = 120, index: int = 0) -> Frame:
    """A gray picture with boxes: xyxy, the colour (BGR) of the upper half, that of the lower."""
    image = np.full((HEIGHT, WIDTH, 3), back, np.uint8)
    for (left, top, right, bottom), upper, lower in things:
        middle = round((top + bottom) / 2)
        image[round(top) : middle, round(left) : round(right)] = upper
        image[middle : round(bottom), round(left) : round(right)] = lower
    return Frame.from_bgr(index, index / 30, image)


def planar(frame: Frame, kind: str) -> Frame:
    """The same in another pixel format."""
    return Frame(frame.index, frame.time_s, frame.picture.reformat(format=kind))
