"""Pictures as they are to be looked at: rotation and mirroring of the container's display matrix carried out."""

from __future__ import annotations

import struct
from typing import Any, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.capture.report import Report

Turn = tuple[int, int, int, int]
"""(a, b, c, d) of -1, 0, 1: pixel (x, y) is shown at (a x + c y, b x + d y), y downwards."""

AS_IT_IS: Turn = (1, 0, 0, 1)
_SLACK = 0.02

_HALF = frozenset({"yuv420p", "yuvj420p", "yuv420p10le"})
"""Formats whose chroma planes have half the size, rounded up."""

_PLANES: dict[str, tuple[type[np.generic], int]] = {
    **dict.fromkeys(("yuv420p", "yuvj420p", "yuv444p", "yuvj444p", "gray", "gbrp"), (np.uint8, 1)),
    **dict.fromkeys(("yuv420p10le", "yuv444p10le", "gray10le", "gray16le"), (np.uint16, 1)),
    **dict.fromkeys(("rgb24", "bgr24"), (np.uint8, 3)),
}
"""Formats whose planes can be turned each by itself (as much chroma across as down): element type, elements a pixel."""

_ROTATIONS = {(1, -1): cv2.ROTATE_90_CLOCKWISE, (-1, 1): cv2.ROTATE_90_COUNTERCLOCKWISE}
_FLIPS = {(-1, 1): 1, (1, -1): 0, (-1, -1): -1}


class Upright:
    """Turns the pictures of one stream."""

    def __init__(self, report: Report) -> None:
        """`report`: told of an angle that is left as it is."""
        self._report = report
        self._rotation: int | None = None
        self._turn = AS_IT_IS

    def __call__(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The picture upright."""
        # The matrix is looked at when the rotation changes only: PyAV's access to it ties the picture into a cycle,
        # and the memory of every picture would then wait for the garbage collector.
        rotation = picture.rotation
        if rotation != self._rotation:
            self._rotation = rotation
            turn = turn_of(picture)
            if turn is None:
                self._report.note(f"rotation by {rotation} degrees is not a multiple of 90, left as it is")
            self._turn = turn or AS_IT_IS
        return upright(picture, self._turn)


def turn_of(picture: av.VideoFrame) -> Turn | None:
    """The turn that the picture asks for, None for one that is no multiple of 90 degrees."""
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return AS_IT_IS
    a, b, _, c, d = struct.unpack("=9i", bytes(matrix))[:5]  # type: ignore[call-overload]
    largest = max(abs(a), abs(b), abs(c), abs(d))
    if not largest:
        return AS_IT_IS
    signs = tuple(0 if abs(value) < _SLACK * largest else (1 if value > 0 else -1) for value in (a, b, c, d))
    if (signs[0] and signs[3] and not signs[1] and not signs[2]) or (
        signs[1] and signs[2] and not signs[0] and not signs[3]
    ):
        return signs  # type: ignore[return-value]
    return None


def upright(picture: av.VideoFrame, turn: Turn) -> av.VideoFrame:
    """The picture turned; the same object where there is nothing to turn. Times and colour properties are kept."""
    if turn == AS_IT_IS:
        return picture
    if picture.format.name not in _PLANES:
        picture = _restamped(picture.reformat(format="bgr24" if picture.format.is_rgb else "yuv420p"), picture)
    size = (picture.height, picture.width) if turn[0] == 0 else (picture.width, picture.height)
    turned = _restamped(av.VideoFrame(*size, picture.format.name), picture)
    for source, target in zip(_arrays(picture), _arrays(turned), strict=True):
        target[...] = _turned(source, turn)
    return turned


def _arrays(picture: av.VideoFrame) -> list[NDArray[Any]]:
    """Views (H, W) or (H, W, channels) of the planes' own memory."""
    dtype, channels = _PLANES[picture.format.name]
    views: list[NDArray[Any]] = []
    for number, plane in enumerate(picture.planes):
        halve = 2 if number and picture.format.name in _HALF else 1
        width, height = -(-picture.width // halve), -(-picture.height // halve)
        rows = np.frombuffer(cast(Any, plane), dtype).reshape(-1, plane.line_size // np.dtype(dtype).itemsize)
        view = rows[:height, : width * channels]
        views.append(view if channels == 1 else view.reshape(height, width, channels))
    return views


def _turned(source: NDArray[Any], turn: Turn) -> NDArray[Any]:
    """One plane, turned."""
    a, b, c, d = turn
    if a == 0:
        code = _ROTATIONS.get((b, c))
        if code is not None:
            return cv2.rotate(source, code)
        source = cv2.transpose(source)
        return source if b > 0 else cv2.flip(source, -1)
    return cv2.flip(source, _FLIPS[a, d])


def _restamped(picture: av.VideoFrame, source: av.VideoFrame) -> av.VideoFrame:
    """`picture` with the times and colour properties of `source`."""
    picture.pts, picture.time_base = source.pts, source.time_base
    if picture.format.is_rgb == source.format.is_rgb:
        for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
            if hasattr(source, name):  # PyAV knows the last two since 17
                setattr(picture, name, getattr(source, name))
    return picture
