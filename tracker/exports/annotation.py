"""The canonical record of one video: every box of every track, as columns. Exports and report are made of it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.structures import LOST, Boxes, Ids, Scores, Tracks

Integers = NDArray[np.int32]
Flags = NDArray[np.bool_]
Times = NDArray[np.float64]
Row = tuple[int, int, float, float, float, float, float, int, bool]
"""frame, id, left, top, right, bottom, score, class_id, interpolated."""

ROWS_AT_ONCE = 8192  # as Python objects; the rest stays in the columns
FRAMES_AT_ONCE = 256  # gathered before they go to the columns
NTSC = 1001  # largest denominator of a measured frame rate, or of a measured time between frames


@dataclass(frozen=True, eq=False)
class Annotation:
    """The tracks of one video. Row i of each column is one box; rows are in the order of frame, then id.

    Attributes:
        name: the video's file name, for people and importers.
        width, height: pixels of an upright frame.
        frame_count: F, frames in all, with or without boxes.
        frame_rate: nominal frames a second; None where the frames' times tell it.
        times_s: (F,) float64, seconds of each frame, never decreasing; None where the rate tells them.
        class_names: name of each class_id.
        frames: (N,) int32, from 0.
        ids: (N,) int64, from 1.
        boxes: (N, 4) float32, xyxy pixels; may reach beyond the frame.
        scores: (N,) float32, 0..1.
        class_ids: (N,) int32.
        interpolated: (N,) bool; the object was not detected in this frame, the box was filled in.
        files: names of the picture files where the video is a folder of pictures, else empty.
        model: name and version of what made the tracks, or "".
    """

    name: str
    width: int
    height: int
    frame_count: int
    frame_rate: Fraction | None
    times_s: Times | None = field(repr=False)
    class_names: tuple[str, ...]
    frames: Integers = field(repr=False)
    ids: Ids = field(repr=False)
    boxes: Boxes = field(repr=False)
    scores: Scores = field(repr=False)
    class_ids: Integers = field(repr=False)
    interpolated: Flags = field(repr=False)
    files: tuple[str, ...] = field(default=(), repr=False)
    model: str = ""

    def __post_init__(self) -> None:
        """Check."""
        count = len(self.frames)
        columns: tuple[tuple[str, NDArray[Any], type[np.generic], tuple[int, ...]], ...] = (
            ("frames", self.frames, np.int32, (count,)), ("ids", self.ids, np.int64, (count,)),
            ("boxes", self.boxes, np.float32, (count, 4)), ("scores", self.scores, np.float32, (count,)),
            ("class_ids", self.class_ids, np.int32, (count,)), ("interpolated", self.interpolated, np.bool_, (count,)),
        )  # fmt: skip
        for name, column, dtype, shape in columns:
            if column.dtype != dtype or column.shape != shape:
                came = f"{column.dtype.name} {column.shape}"
                raise ValueError(f"{name} must be {np.dtype(dtype).name} {shape}, got {came}")
        self._check_video()
        self._check_rows()

    def _check_video(self) -> None:
        """Raise ValueError where size, count, rate, times or files cannot be."""
        if self.width < 1 or self.height < 1 or self.frame_count < 0:
            raise ValueError(f"wanted a size and a count, got {self.width}x{self.height}, {self.frame_count} frames")
        if self.frame_rate is not None and self.frame_rate <= 0:
            raise ValueError(f"frame_rate must be above 0, got {self.frame_rate}")
        if self.files and len(self.files) != self.frame_count:
            raise ValueError(f"files must name all {self.frame_count} frames, got {len(self.files)}")
        if self.times_s is None:
            if self.frame_rate is None:
                raise ValueError("wanted frame_rate or times_s, got neither")
            return
        if self.times_s.dtype != np.float64 or self.times_s.shape != (self.frame_count,):
            raise ValueError(f"times_s must be float64 ({self.frame_count},), got {self.times_s.shape}")
        if not np.isfinite(self.times_s).all() or (np.diff(self.times_s) < 0).any():
            raise ValueError("times_s must be finite and never decrease")

    def _check_rows(self) -> None:
        """Raise ValueError where a row is out of range or out of order."""
        if not len(self):
            return
        if self.frames[0] < 0 or self.frames[-1] >= self.frame_count or self.ids.min() < 1:
            raise ValueError(f"frames must be 0 to {self.frame_count - 1} and ids from 1")
        if self.class_ids.min() < 0 or self.class_ids.max() >= len(self.class_names):
            raise ValueError(f"class_ids must be 0 to {len(self.class_names) - 1}, got up to {self.class_ids.max()}")
        if not np.isfinite(self.boxes).all() or not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise ValueError("boxes must be finite and scores 0 to 1")
        later = np.diff(self.frames)
        if not ((later > 0) | ((later == 0) & (np.diff(self.ids) > 0))).all():
            raise ValueError("rows must be in the order of frame, then id, with no id twice in a frame")

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.frames)

    @property
    def rate(self) -> Fraction:
        """Frames a second: the nominal rate, else measured over the whole video; 1 where nothing tells it."""
        if self.frame_rate is not None:
            return self.frame_rate
        times = self.times()
        span = float(times[-1] - times[0]) if len(times) > 1 else 0.0
        if span <= 0:
            return Fraction(1)
        measured = Fraction((len(times) - 1) / span)
        return measured.limit_denominator(NTSC) if measured >= 1 else 1 / (1 / measured).limit_denominator(NTSC)

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the end of the last."""
        if self.times_s is None or not self.frame_count:
            return float(self.frame_count / self.rate)
        return float(self.times_s[-1] - self.times_s[0]) + float(1 / self.rate)

    def times(self) -> Times:
        """(F,) float64, seconds of each frame."""
        if self.times_s is not None:
            return self.times_s
        rate = self.rate
        return np.arange(self.frame_count, dtype=np.float64) * rate.denominator / rate.numerator

    def offsets(self) -> Ids:
        """(F + 1,) int64; frame k has the rows `offsets[k]` to `offsets[k + 1]`."""
        return np.searchsorted(self.frames, np.arange(self.frame_count + 1)).astype(np.int64)

    def by_track(self) -> tuple[Ids, Ids]:
        """Rows (N,) in the order of id, then frame, and the places (T + 1,) in it where each track begins."""
        order = np.argsort(self.ids, kind="stable").astype(np.int64)
        ids = self.ids[order]
        return order, np.concatenate(([0], np.flatnonzero(np.diff(ids)) + 1, [len(ids)]))[: None if len(ids) else 1]

    def rows(self, order: Ids | None = None) -> Iterator[Row]:
        """All rows, or those of `order`, as numbers; coordinates in hundredths of a pixel."""
        count = len(self) if order is None else len(order)
        for start in range(0, count, ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE) if order is None else order[start : start + ROWS_AT_ONCE]
            columns = (self.frames, self.ids, self.scores, self.class_ids, self.interpolated)
            frames, ids, scores, class_ids, filled = (column[part].tolist() for column in columns)
            edges = rounded(self.boxes[part]).T.tolist()
            yield from zip(frames, ids, *edges, scores, class_ids, filled, strict=True)


def rounded(boxes: Boxes) -> NDArray[np.float64]:
    """Boxes (N, 4) in hundredths of a pixel, as all text formats write them."""
    result = boxes.astype(np.float64)
    np.round(result, 2, out=result)
    result += 0.0  # no -0.0
    return result


class Recorder:
    """Gathers the tracks of a video frame by frame: 37 bytes a box, 8 a frame."""

    def __init__(self) -> None:
        """Nothing seen."""
        self._columns: dict[str, _Column] = {
            "frames": _Column(np.int32), "ids": _Column(np.int64), "boxes": _Column(np.float32, 4),
            "scores": _Column(np.float32), "class_ids": _Column(np.int32), "interpolated": _Column(np.bool_),
        }  # fmt: skip
        self._times = array("d")
        self._waiting: list[Tracks] = []  # of the last frames
        self._files: list[str] = []

    def add(self, time_s: float, tracks: Tracks, file: str = "") -> None:
        """The next frame, at `time_s` seconds; `file` names its picture where there is one."""
        self._times.append(time_s)
        self._waiting.append(tracks)
        if len(self._waiting) == FRAMES_AT_ONCE:
            self._take()
        if file:
            self._files.append(file)

    def _take(self) -> None:
        """Append the rows of the last frames to the columns: for all at once, that is a few calls a column."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        first = len(self._times) - len(waiting)
        frames = np.repeat(np.arange(first, len(self._times)), [len(tracks) for tracks in waiting])
        ids, boxes, scores, class_ids, missed_s, state = (
            np.concatenate([getattr(tracks, name) for tracks in waiting])
            for name in ("ids", "boxes", "scores", "class_ids", "missed_s", "state")
        )
        filled = (state == LOST) | (missed_s > 0)
        order = np.lexsort((ids, frames))
        parts = (frames, ids, boxes, np.clip(scores, 0, 1), class_ids, filled)
        for column, part in zip(self._columns.values(), parts, strict=True):
            column.add(part[order])

    def annotation(
        self, name: str, width: int, height: int, *, frame_rate: Fraction | None, class_names: tuple[str, ...],
        model: str = "",
    ) -> Annotation:  # fmt: skip
        """What was gathered. A class_id without a name is `class_<id>`. Raises ValueError for what cannot be."""
        self._take()
        columns = {key: column.values() for key, column in self._columns.items()}
        most = int(columns["class_ids"].max(initial=-1)) + 1
        names = class_names + tuple(f"class_{k}" for k in range(len(class_names), most))
        return Annotation(
            name, width, height, len(self._times), frame_rate, np.array(self._times), names,
            files=tuple(self._files), model=model, **columns,
        )  # fmt: skip


class _Column:
    """An array that grows."""

    def __init__(self, dtype: type[np.generic], wide: int = 0) -> None:
        """Empty; rows of `wide` numbers, or single ones."""
        self._data: NDArray[Any] = np.zeros((1024, wide) if wide else 1024, dtype)
        self._used = 0

    def __len__(self) -> int:
        """Rows."""
        return self._used

    def add(self, rows: NDArray[Any]) -> None:
        """Append."""
        end = self._used + len(rows)
        if end > len(self._data):
            larger = np.zeros((max(end, len(self._data) * 3 // 2), *self._data.shape[1:]), self._data.dtype)
            larger[: self._used] = self._data[: self._used]
            self._data = larger
        self._data[self._used : end] = rows
        self._used = end

    def values(self) -> NDArray[Any]:
        """All rows, not copied."""
        return self._data[: self._used]
