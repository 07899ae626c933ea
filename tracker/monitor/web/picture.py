"""One live picture: scaled to what is looked at, zones and tracks drawn in, as JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap
from typing import Any

import av
import cv2
import numpy as np

from tracker.analyze.shapes import Shape
from tracker.monitor.camera import Camera, Result
from tracker.monitor.web.places import Places
from tracker.write import Overlay, canvas_of
from tracker.write.canvas import BT601, BT709, FULL, LIMITED, is_bt709, is_full_range, planes_of
from tracker.write.text import Text

PLAIN = ("yuv420p", "yuvj420p")
SURROUNDINGS, SMALLEST_PART = 1.7, 0.2
SLATE_SIZE, SLATE_GROUND, SLATE_TEXT = (640, 360), 28, (235, 160)
ROW = 2  # height of a line of text, in its capitals


class Painter:
    """Paints one camera at one width, its frames in their order: trails remember."""

    def __init__(self, class_names: Sequence[str], width: int, quality: int) -> None:
        """Nothing is drawn yet.

        Args:
            class_names: of the detector, for the labels.
            width: of the JPEG, pixels; narrower pictures stay as they are.
            quality: of the JPEG, 1..100.
        """
        self._width, self._quality = width, quality
        self._overlay = Overlay(class_names)
        self._places: tuple[tuple[int, bool, bool], Places] | None = None

    def paint(self, result: Result, camera: Camera) -> bytes:
        """JPEG of a result. Raises ValueError, FFmpegError, cv2.error."""
        canvas = canvas_of(scaled(result.frame.picture, self._width), "yuv420p")
        shapes = camera.shapes(canvas.width, canvas.height)
        if shapes:
            self._draw(canvas, shapes)
        tracks = result.tracks
        factor = np.array([canvas.width / result.frame.width, canvas.height / result.frame.height] * 2, np.float32)
        self._overlay.draw(canvas, replace(tracks, boxes=tracks.boxes * factor), result.frame.time_s)
        picture: Any = canvas.to_ndarray(format="bgr24")
        return jpeg(picture, self._quality)

    def _draw(self, canvas: av.VideoFrame, shapes: Sequence[Shape]) -> None:
        """Zones and lines."""
        key = (canvas.height, is_bt709(canvas), is_full_range(canvas))
        if self._places is None or self._places[0] != key:
            self._places = key, Places(key[0], bt709=key[1], full_range=key[2])
        self._places[1].draw(planes_of(canvas), shapes)


def scaled(picture: av.VideoFrame, width: int) -> av.VideoFrame:
    """The picture at most `width` pixels wide, sides even, in YUV 4:2:0, colours as they were. May be itself."""
    columns = min(width, picture.width) // 2 * 2 or 2
    rows = max(1, round(picture.height * columns / picture.width / 2)) * 2
    if picture.format.name not in PLAIN:
        picture = canvas_of(picture, "yuv420p")
    if (columns, rows) == (picture.width, picture.height):
        return picture
    full, hd = is_full_range(picture), is_bt709(picture)
    known = FULL if full else LIMITED
    result = picture.reformat(columns, rows, interpolation="AREA", src_color_range=known, dst_color_range=known)
    # A small picture that does not name its matrix would be taken for one of standard definition.
    result.color_range, result.colorspace = known, BT709 if hd else BT601
    return result


def slate(name: str, headline: str, detail: str, quality: int) -> bytes:
    """JPEG that says why there is no picture."""
    width, height = SLATE_SIZE
    image = np.full((height, width), SLATE_GROUND, np.uint8)
    bright, dim = SLATE_TEXT
    rows = [(text, 18, bright) for text in wrap(name, 34)] + [(headline, 14, bright)]
    rows += [(text, 10, dim) for text in wrap(detail, 60, max_lines=5, placeholder=" ...")]
    middle = (height - sum(ROW * cap for _, cap, _ in rows)) // 2
    for text, cap, light in rows:
        middle += ROW * cap // 2
        line = Text(cap).line(text.encode("ascii", "replace").decode())[:, : width - 40]
        top, left = middle - line.shape[0] // 2, (width - line.shape[1]) // 2
        part = image[top : top + line.shape[0], left : left + line.shape[1]]
        part[:] = SLATE_GROUND + (line.astype(np.float32) / 255 * (light - SLATE_GROUND)).astype(np.uint8)
        middle += ROW * cap // 2
    return jpeg(image, quality)


def thumbnail(coded: bytes, width: int, box: Sequence[float] | None = None, quality: int = 80) -> bytes:
    """A JPEG made at most `width` pixels wide; with a box (x1, y1, x2, y2, pixels) only what is around it.

    Raises:
        ValueError: it is no JPEG.
    """
    picture: Any = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR) if coded else None
    if picture is None:
        raise ValueError("the picture cannot be read")
    if box is not None:
        picture = around(picture, box)
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    if width < picture.shape[1]:
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return jpeg(picture, quality)


def around(picture: Any, box: Sequence[float]) -> Any:
    """The part of a picture (H, W, 3) around a box, in the picture's shape: to see who it was, and where."""
    rows, columns = picture.shape[:2]
    share = max((box[2] - box[0]) / columns, (box[3] - box[1]) / rows)
    share = min(1.0, max(SURROUNDINGS * share, SMALLEST_PART))
    height, width = max(1, round(share * rows)), max(1, round(share * columns))
    left = round((box[0] + box[2] - width) / 2)
    top = round((box[1] + box[3] - height) / 2)
    left, top = max(0, min(left, columns - width)), max(0, min(top, rows - height))
    return picture[top : top + height, left : left + width]


def jpeg(picture: Any, quality: int) -> bytes:
    """Of (H, W, 3) BGR or (H, W) gray. Raises ValueError."""
    done, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("the picture could not be encoded")
    return bytes(coded)
