"""Pictures that carry their number, tracks, and a look into what was written."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tracker.structures import Detections, Frame, StreamInfo, Tracks

WIDTH, HEIGHT, CELL = 128, 64, 16
Image = np.ndarray[Any, np.dtype[np.uint8]]


def tracks(*rows: Sequence[float], first_id: int = 1) -> Tracks:
    """Rows of x1, y1, x2, y2, score, class; ids count up."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    count = len(table)
    return Tracks(
        np.arange(first_id, first_id + count), table[:, :4].astype(np.float32), table[:, 4].astype(np.float32),
        table[:, 5].astype(np.int64), np.zeros(count, np.float32), np.ones(count, np.int64),
    )  # fmt: skip


def detections(*rows: Sequence[float]) -> Detections:
    """Rows of x1, y1, x2, y2, score, class."""
    found = tracks(*rows)
    return Detections(found.boxes, found.scores, found.class_ids)


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> Image:
    """Gray picture (height, width) whose upper row of 16 x 16 cells is `number` in binary: coding cannot hide it."""
    image = np.full((height, width), 128, np.uint8)
    for bit in range(8):
        image[:CELL, bit * CELL : (bit + 1) * CELL] = 200 if number >> bit & 1 else 50
    return image


def number_of(luma: Image) -> int:
    """The number of a decoded picture."""
    half = CELL // 2
    return sum(1 << bit for bit in range(8) if luma[half, bit * CELL + half] > 125)


def gray_frame(index: int, time_s: float, duration_s: float = 0.0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Frame:
    """A numbered frame in yuv420p."""
    width, height = size
    planes = np.vstack((numbered(index % 256, width, height), np.full((height // 2, width), 128, np.uint8)))
    picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    return Frame(index, time_s, picture, duration_s)


def info(rate: Fraction | None = Fraction(30), size: tuple[int, int] = (WIDTH, HEIGHT)) -> StreamInfo:
    """Of a source of numbered frames."""
    return StreamInfo("test", *size, rate, None, False)


def luma_of(picture: av.VideoFrame) -> Image:
    """The Y plane, (H, W)."""
    plane = picture.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


def read_back(path: Path) -> tuple[list[float], list[int], float]:
    """Times in seconds, numbers, and duration in seconds of a written video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        duration = float((stream.duration or 0) * stream.time_base) if stream.time_base else 0.0
        return [float(frame.time) for frame in frames], [number_of(luma_of(frame)) for frame in frames], duration
