"""Stand-ins for the stages, through the same protocols as the real ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from engines.base import Array, TensorSpec
from tracker.structures import Detections, Frame, StreamInfo, Tracks


def detections(*rows: Sequence[float]) -> Detections:
    """Rows of x1, y1, x2, y2, score, class."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int64))


def squares(index: int) -> Detections:
    """Where the two squares of `write_clip` are in frame `index`: one walks right, one walks left below it."""
    return detections((4 + index, 10, 34 + index, 50, 0.9, 0), (120 - index, 70, 150 - index, 110, 0.8, 2))


def picture(index: int, width: int = 160, height: int = 120) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The clip's frame `index` as BGR."""
    image = np.full((height, width, 3), 90, np.uint8)
    for box, color in zip(squares(index).boxes.astype(int), ((40, 200, 240), (230, 120, 60)), strict=True):
        image[max(0, box[1]) : box[3], max(0, box[0]) : max(0, box[2])] = color
    return image


def write_clip(
    path: Path, frames: int, rate: Fraction = Fraction(30), size: tuple[int, int] = (160, 120), **coded: str
) -> None:
    """Encode the squares as H.264. `coded`: options of x264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "18", **coded})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class ListSource:
    """Frames from a list, optionally slow, failing after some, or live."""

    def __init__(self, count: int, *, fail_at: int | None = None, live: bool = False, delay_s: float = 0.0) -> None:
        self.info = StreamInfo("list", 160, 120, Fraction(30), count, live)
        self._count, self._fail_at, self._delay_s = count, fail_at, delay_s
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._count):
            if index == self._fail_at:
                raise RuntimeError("the reader broke")
            time.sleep(self._delay_s)
            yield Frame.from_bgr(index, index / 30, picture(index))

    def close(self) -> None:
        self.closed = True


class FakeDetector:
    """Knows where the squares are; may be slow or fail."""

    class_names = ("person", "bicycle", "car")

    def __init__(self, delay_s: Callable[[int], float] = lambda index: 0.0, fail_at: int | None = None) -> None:
        self._delay_s, self._fail_at = delay_s, fail_at
        self.seen: list[int] = []

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        for frame in frames:
            time.sleep(self._delay_s(frame.index))
            if frame.index == self._fail_at:
                raise RuntimeError("the detector broke")
            self.seen.append(frame.index)
        return [squares(frame.index) for frame in frames]

    def close(self) -> None:
        pass


class FakeEngine:
    """Returns fixed outputs."""

    runtime, precision, device = "fake 1", "fp32", "cpu"

    def __init__(self, inputs: Sequence[TensorSpec], outputs: Mapping[str, Array]) -> None:
        self.inputs, self._outputs = tuple(inputs), dict(outputs)
        self.outputs = tuple(TensorSpec(name, array.shape, array.dtype) for name, array in outputs.items())
        self.fed: list[Mapping[str, Array]] = []

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        self.fed.append(feeds)
        return dict(self._outputs)

    def close(self) -> None:
        pass


class RecordingSink:
    """Remembers what it was given."""

    def __init__(self, fail_at: int | None = None, delay_s: float = 0.0) -> None:
        self.rows: list[tuple[int, list[int]]] = []
        self.closed = self.aborted = False
        self._fail_at, self._delay_s = fail_at, delay_s

    def write(self, frame: Frame, tracks: Tracks) -> None:
        time.sleep(self._delay_s)
        if frame.index == self._fail_at:
            raise RuntimeError("the disk broke")
        self.rows.append((frame.index, tracks.ids.tolist()))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True
