"""All that crosses a stage boundary: StreamInfo, Frame, Detections, Tracks.

Row i of each array is one object. Everything is checked when made; nothing found is `empty()`, never None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av

Boxes = NDArray[np.float32]
Scores = NDArray[np.float32]
Ids = NDArray[np.int64]
Image = NDArray[np.uint8]

TENTATIVE, CONFIRMED, LOST = 0, 1, 2
"""States of a track, the values of `Tracks.state`."""


PLANAR = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "nv21", "gray")
"""Pixel formats whose first plane is 8-bit luma."""


def plane_of(picture: av.VideoFrame, index: int) -> Image:
    """Plane `index` of a picture with 8-bit planes as (height, width), without a copy. Do not write into it."""
    plane = picture.planes[index]
    every = np.frombuffer(memoryview(plane), np.uint8)
    rows: Image = every[: plane.line_size * plane.height].reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


def _check(name: str, array: NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `array` has this dtype and shape."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        wanted = f"{np.dtype(dtype).name} {shape}"
        came = f"{array.dtype.name} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"{name} must be {wanted}, got {came}")


@dataclass(frozen=True)
class StreamInfo:
    """What is known of a source before its first frame.

    Attributes:
        name: shown to people; without credentials.
        width, height: pixels of an upright frame (rotation metadata applied).
        frame_rate: nominal frames a second, or None where there is none (a stream that does not say).
        frame_count: frames in all as far as the container tells, or None. A hint for progress, never a limit.
        live: frames come by themselves and cannot be had again.
        codec: name of the decoder, for the banner.
        pixel_aspect: width of a pixel by its height.
        began: the world's time at time_s 0, with the zone UTC: in UTC where the source says its zone, else as the
            camera's clock went. None where nobody knows.
    """

    name: str
    width: int
    height: int
    frame_rate: Fraction | None
    frame_count: int | None
    live: bool
    codec: str = ""
    pixel_aspect: Fraction = Fraction(1)
    began: datetime | None = None

    def __post_init__(self) -> None:
        """Check."""
        if self.began is not None and self.began.utcoffset() != timedelta(0):
            raise ValueError(f"began must be in UTC, got {self.began!r}")


@dataclass(frozen=True)
class Frame:
    """One picture of a stream.

    Attributes:
        index: from 0 in the order read; a dropped frame keeps its number.
        time_s: seconds from the first frame, from PTS; never decreasing, also across reconnects.
        picture: the decoder's own picture, upright. Shared between stages: nobody writes into it.
        duration_s: how long the picture stands, 0.0 where unknown.
        file: name of the picture file where the source is a folder of pictures, else "".
    """

    index: int
    time_s: float
    picture: av.VideoFrame
    duration_s: float = 0.0
    file: str = ""

    def __post_init__(self) -> None:
        """Check."""
        if self.index < 0 or not self.time_s >= 0.0:
            raise ValueError(f"frame needs index >= 0 and time_s >= 0, got {self.index} and {self.time_s}")

    @classmethod
    def from_bgr(cls, index: int, time_s: float, bgr: Image, *, file: str = "") -> Frame:
        """Frame of a (H, W, 3) uint8 BGR array, as OpenCV has it."""
        if bgr.ndim != 3 or bgr.shape[2] != 3 or bgr.dtype != np.uint8:
            raise ValueError(f"bgr must be uint8 (H, W, 3), got {bgr.dtype.name} {bgr.shape}")
        import av

        return cls(index, time_s, av.VideoFrame.from_ndarray(np.ascontiguousarray(bgr), format="bgr24"), file=file)

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.picture.width)

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.picture.height)

    @cached_property
    def bgr(self) -> Image:
        """(H, W, 3) uint8, made at the first look and kept. Do not write into it."""
        return np.asarray(self.picture.to_ndarray(format="bgr24"), np.uint8)

    def luma(self, width: int, height: int) -> Image:
        """(height, width) uint8 brightness at another size; from the decoder's own plane where it has one."""
        import cv2

        planar = self.picture.format.name in PLANAR
        plane = plane_of(self.picture, 0) if planar else cv2.cvtColor(self.bgr, cv2.COLOR_BGR2GRAY)
        plane = plane[:: max(1, plane.shape[0] // (3 * height))]  # of a much larger picture, not every row is needed
        how = cv2.INTER_AREA if width < plane.shape[1] else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(plane, (width, height), interpolation=how), np.uint8)


@dataclass(frozen=True)
class Detections:
    """What a detector found in one frame; no identity.

    Attributes:
        boxes: (N, 4) float32, xyxy pixels of the original frame.
        scores: (N,) float32, 0..1.
        class_ids: (N,) int64.
    """

    boxes: Boxes
    scores: Scores
    class_ids: Ids

    def __post_init__(self) -> None:
        """Check."""
        count = len(self.boxes)
        _check("boxes", self.boxes, np.float32, (count, 4))
        _check("scores", self.scores, np.float32, (count,))
        _check("class_ids", self.class_ids, np.int64, (count,))

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.boxes)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Detections:
        """The rows of a mask, an index array or a slice."""
        return Detections(self.boxes[rows], self.scores[rows], self.class_ids[rows])

    @classmethod
    def empty(cls) -> Detections:
        """Nothing found."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Tracks:
    """Objects with identity in one frame.

    Attributes:
        ids: (M,) int64 from 1; never reused in a tracker's life.
        boxes: (M, 4) float32, xyxy pixels of the original frame.
        scores: (M,) float32, of the last matched detection.
        class_ids: (M,) int64.
        missed_s: (M,) float32, seconds since the last matched detection.
        state: (M,) int64: TENTATIVE, CONFIRMED or LOST.
    """

    ids: Ids
    boxes: Boxes
    scores: Scores
    class_ids: Ids
    missed_s: NDArray[np.float32]
    state: Ids = field(repr=False)

    def __post_init__(self) -> None:
        """Check."""
        count = len(self.ids)
        _check("ids", self.ids, np.int64, (count,))
        _check("boxes", self.boxes, np.float32, (count, 4))
        _check("scores", self.scores, np.float32, (count,))
        _check("class_ids", self.class_ids, np.int64, (count,))
        _check("missed_s", self.missed_s, np.float32, (count,))
        _check("state", self.state, np.int64, (count,))

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.ids)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Tracks:
        """The rows of a mask, an index array or a slice."""
        return Tracks(
            self.ids[rows],
            self.boxes[rows],
            self.scores[rows],
            self.class_ids[rows],
            self.missed_s[rows],
            self.state[rows],
        )

    @classmethod
    def empty(cls) -> Tracks:
        """No object."""
        none = Detections.empty()
        return cls(
            np.zeros(0, np.int64),
            none.boxes,
            none.scores,
            none.class_ids,
            np.zeros(0, np.float32),
            np.zeros(0, np.int64),
        )
