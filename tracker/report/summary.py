"""What the report shows of one video: a few kilobytes, whatever its length, that a manifest can hold as JSON."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.exports.annotation import Annotation
from tracker.exports.prepare import clean, prepared
from tracker.report.suspects import Suspect, find_suspects
from tracker.structures import Image

DONE = "done"
WIDE = 1000  # all places are in thousandths of the picture's width
LENGTHS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # borders of the histogram
BINS = 120  # of the tracks over time
HEAT_COLUMNS, HEAT_ROWS, HEAT_LEVELS = 48, (12, 64), 31
PATHS, POINTS = 40, 24
SUSPECTS = 20
PICTURE_BOXES, PICTURES, PICTURE_BYTES, PICTURE_WIDE, QUALITY = 60, 3, 80_000, 640, 70


@dataclass(frozen=True)
class Path:
    """Where a track went: x and y in turn, thousandths of the picture's width."""

    id: int
    points: tuple[int, ...]


@dataclass(frozen=True)
class Picture:
    """A sample frame: its number from 0, the JPEG as base64, and its boxes (id, class name, x1, y1, x2, y2)."""

    frame: int
    jpeg: str
    boxes: tuple[tuple[int, str, int, int, int, int], ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Picture:
        """As of `VideoSummary`."""
        return cls(values["frame"], values["jpeg"], tuple(tuple(box) for box in values["boxes"]))


@dataclass(frozen=True)
class VideoSummary:
    """One video of a report.

    Attributes:
        name: of the video.
        outcome: "done", or else what happened: "failed", "quarantined".
        reason: of all but "done"; of those, what was wrong nevertheless.
        width, height: pixels; 0 where nothing is known.
        frames, duration_s: of the video.
        fps: frames worked on a second, 0 where it was not measured.
        tracks, boxes, filled: counts; `filled` boxes were interpolated.
        classes: name, tracks and boxes of each class that occurs.
        active: mean number of tracks in each of at most BINS equal parts of the video.
        lengths: tracks between the borders LENGTHS_S, one more than those.
        heat: (rows, HEAT_COLUMNS) levels 0..HEAT_LEVELS of how often boxes were there, as base64 of bytes.
        paths: of the PATHS longest tracks.
        suspects: the SUSPECTS oddest tracks; `suspect_count` of all.
        pictures: at most PICTURES sample frames.
    """

    name: str
    outcome: str = DONE
    reason: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    duration_s: float = 0.0
    fps: float = 0.0
    tracks: int = 0
    boxes: int = 0
    filled: int = 0
    classes: tuple[tuple[str, int, int], ...] = ()
    active: tuple[float, ...] = ()
    lengths: tuple[int, ...] = ()
    heat: str = ""
    paths: tuple[Path, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    suspect_count: int = 0
    pictures: tuple[Picture, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VideoSummary:
        """Of what `as_dict` gave, also after JSON. Raises TypeError, KeyError for what is not that."""
        own = dict(values)
        own["classes"] = tuple(tuple(one) for one in own["classes"])
        own["active"], own["lengths"] = tuple(own["active"]), tuple(own["lengths"])
        own["paths"] = tuple(Path(one["id"], tuple(one["points"])) for one in own["paths"])
        own["suspects"] = tuple(Suspect(**{**one, "reasons": tuple(one["reasons"])}) for one in own["suspects"])
        own["pictures"] = tuple(Picture.from_dict(one) for one in own.get("pictures", ()))
        return cls(**own)


def summarise(
    annotation: Annotation, *, fps: float = 0.0, pictures: Sequence[tuple[int, bytes]] = (), reason: str = ""
) -> VideoSummary:
    """Figures of a finished video.

    Args:
        annotation: its record.
        fps: frames worked on a second.
        pictures: frames (numbers from 0) as JPEG, see `telling_frames` and `shrunk`; those above PICTURES in number or
            PICTURE_BYTES in size are left out.
        reason: what was wrong nevertheless.
    """
    record, _ = prepared(annotation)
    suspects = find_suspects(annotation)
    order, bounds = record.by_track()
    heads = order[bounds[:-1]]
    ends = order[bounds[1:] - 1] if len(bounds) > 1 else heads
    times = record.times()
    spans = times[record.frames[ends]] - times[record.frames[heads]] + float(1 / record.rate)
    tracks = np.bincount(record.class_ids[heads], minlength=len(record.class_names))
    boxes = np.bincount(record.class_ids, minlength=len(record.class_names))
    return VideoSummary(
        name=clean(annotation.name),
        reason=reason,
        width=record.width,
        height=record.height,
        frames=record.frame_count,
        duration_s=round(record.duration_s, 3),
        fps=round(fps, 2),
        tracks=len(heads),
        boxes=len(record),
        filled=int(record.interpolated.sum()),
        classes=tuple((record.class_names[k], int(tracks[k]), int(boxes[k])) for k in np.flatnonzero(boxes).tolist()),
        active=_active(record),
        lengths=tuple(np.bincount(np.searchsorted(LENGTHS_S, spans, "right"), minlength=len(LENGTHS_S) + 1).tolist()),
        heat=_heat(record),
        paths=_paths(record),
        suspects=tuple(suspects[:SUSPECTS]),
        suspect_count=len(suspects),
        pictures=_pictures(record, pictures),
    )


def telling_frames(found: NDArray[np.float64], count: int = 2) -> list[int]:
    """Frames worth a picture: of each of `count` equal parts of a video that with most objects, nearest its middle.

    found: (F,) how many objects are in each frame, rounded here; not a number where nobody looked.
    """
    objects = np.rint(np.nan_to_num(found, nan=-1.0))
    borders = np.linspace(0, len(objects), min(count, len(objects)) + 1).astype(int).tolist()
    frames = []
    for begin, end in pairwise(borders):
        part = objects[begin:end]
        most = np.flatnonzero(part == part.max())
        frames.append(begin + int(most[np.abs(most - len(part) // 2).argmin()]))
    return frames


def shrunk(bgr: Image) -> bytes:
    """A frame (H, W, 3) BGR as a JPEG for the report."""
    import cv2

    height, width = bgr.shape[:2]
    if width > PICTURE_WIDE:
        size = (PICTURE_WIDE, max(1, round(height * PICTURE_WIDE / width)))
        bgr = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), np.uint8)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])


def _active(record: Annotation) -> tuple[float, ...]:
    """Mean number of tracks in equal parts of the video."""
    if not record.frame_count:
        return ()
    counts = np.bincount(record.frames, minlength=record.frame_count)
    begins = np.unique(np.linspace(0, record.frame_count, min(BINS, record.frame_count), endpoint=False).astype(int))
    means = np.add.reduceat(counts, begins) / np.diff(np.append(begins, record.frame_count))
    return tuple(np.round(means, 2).tolist())


def _heat(record: Annotation) -> str:
    """How often centres were where, as levels on a logarithmic scale."""
    rows = heat_rows(record.width, record.height)
    cells = np.zeros((rows, HEAT_COLUMNS))
    if len(record):
        x = (record.boxes[:, 0] + record.boxes[:, 2]) / 2 / record.width * HEAT_COLUMNS
        y = (record.boxes[:, 1] + record.boxes[:, 3]) / 2 / record.height * rows
        column, row = (np.clip(part.astype(int), 0, most - 1) for part, most in ((x, HEAT_COLUMNS), (y, rows)))
        np.add.at(cells, (row, column), 1)
    grid = np.pad(cells, 1, mode="edge")
    for axis in (0, 1):  # a little smoother: a way is wider than the middle of its box
        grid = (np.roll(grid, 1, axis) + 2 * grid + np.roll(grid, -1, axis)) / 4
    cells = grid[1:-1, 1:-1]
    levels = np.round(np.log1p(cells) / max(np.log1p(cells.max()), 1e-9) * HEAT_LEVELS)
    return base64.b64encode(levels.astype(np.uint8).tobytes()).decode("ascii")


def heat_rows(width: int, height: int) -> int:
    """Rows of the heat map of a picture."""
    return int(np.clip(round(HEAT_COLUMNS * height / width), *HEAT_ROWS))


def _paths(record: Annotation) -> tuple[Path, ...]:
    """Of the longest tracks, by id, the way of the middle of the lower edge."""
    order, bounds = record.by_track()
    longest = np.sort(np.argsort(-np.diff(bounds), kind="stable")[:PATHS])
    found = []
    for begin, end in zip(bounds[longest].tolist(), bounds[longest + 1].tolist(), strict=True):
        rows = order[np.unique(np.linspace(begin, end - 1, min(POINTS, end - begin)).astype(int))]
        boxes = record.boxes[rows].astype(np.float64) * WIDE / record.width
        points = np.stack(((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]), 1)
        found.append(Path(int(record.ids[rows[0]]), tuple(np.rint(points).astype(int).ravel().tolist())))
    return tuple(found)


def _pictures(record: Annotation, pictures: Sequence[tuple[int, bytes]]) -> tuple[Picture, ...]:
    """Those that are small enough, with the largest boxes of their frames."""
    offsets = record.offsets()
    found: list[Picture] = []
    for frame, jpeg in pictures:
        if len(jpeg) > PICTURE_BYTES or not 0 <= frame < record.frame_count or len(found) == PICTURES:
            continue
        rows = np.arange(offsets[frame], offsets[frame + 1])
        edges = np.rint(record.boxes[rows].astype(np.float64) * WIDE / record.width).astype(int)
        sizes = (edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1])
        largest = np.sort(np.argsort(-sizes, kind="stable")[:PICTURE_BOXES])
        boxes = [
            (int(record.ids[rows[k]]), record.class_names[record.class_ids[rows[k]]], *edges[k].tolist())
            for k in largest.tolist()
        ]
        found.append(Picture(frame, base64.b64encode(jpeg).decode("ascii"), tuple(boxes)))
    return tuple(found)
