"""Tiles and mirrored pictures: small objects at a higher resolution, and a second look at everything.

A picture is detected whole and in tiles that overlap (slicing aided inference: Akyon et al. 2022). What an object is
worth comes from where it was seen whole: an object smaller than the overlap lies whole in some tile, a larger one is
large enough in the whole picture. What a tile's border cuts off counts only where nothing more complete was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from tracker.boxes import areas, iou_matrix
from tracker.detect.letterbox import layout_of, pairs_of
from tracker.detect.nms import nms
from tracker.detect.parity import matched
from tracker.structures import Boxes, Detections, Frame, plane_of

Size = tuple[int, int]
Mask = NDArray[np.bool_]
OVERLAP = 0.2
"""Of a tile's side, with its neighbour."""
SHRUNK = 1.3
"""How much smaller than in the picture things may become in an automatic tile."""
MOST, LEAST = 9, 64
"""Tiles a side at most; pixels of a tile's side at least."""
NEAR = 0.06
"""Share of its side: a large box that ends so near to an inner border is cut off there; networks guess the rest."""
COVERED = 0.5
"""Share of a cut box that lies in a more complete one: it is the same object."""
SEEN = 0.5
"""Overlap (IoU) of a tile's box with one of the whole picture that shows the same."""


class Tile(NamedTuple):
    """A part of a picture, pixels; x2 and y2 are the first beyond it."""

    x1: int
    y1: int
    x2: int
    y2: int


def grid_of(tiles: str, picture: Size, network: Size) -> Size:
    """Columns and rows for a picture (width, height) on a network's input (width, height); (1, 1): no tiles.

    Args:
        tiles: "off", "auto" or columns x rows, "3x2".
    """
    if tiles == "off" or all(side <= seen for side, seen in zip(picture, network, strict=True)):
        return 1, 1
    most = [max(1, min(MOST, side // LEAST)) for side in picture]
    if tiles == "auto":
        columns, rows = (
            next((k for k in range(1, limit) if _side(side, k) <= SHRUNK * seen), limit)
            for side, seen, limit in zip(picture, network, most, strict=True)
        )
    else:
        columns, rows = (min(int(k), limit) for k, limit in zip(tiles.split("x"), most, strict=True))
    return columns, rows


def _side(length: int, count: int) -> int:
    """Side of each of so many tiles; as odd or even as the length, so that the last one begins on an even pixel."""
    side = -int(-length // (count * (1 - OVERLAP) + OVERLAP))
    return min(length, side + (length - side) % 2)


def tiles_of(picture: Size, columns: int, rows: int) -> list[Tile]:
    """The tiles of a picture (width, height), row by row, all of one size; they begin on even pixels (for 4:2:0)."""
    width, height = _side(picture[0], columns), _side(picture[1], rows)
    return [
        Tile(x, y, x + width, y + height)
        for y in _starts(picture[1], height, rows)
        for x in _starts(picture[0], width, columns)
    ]


def _starts(length: int, side: int, count: int) -> list[int]:
    """Where tiles of this side begin, spread evenly over the length."""
    return [(length - side) * k // max(1, count - 1) // 2 * 2 for k in range(count)]


def view_of(frame: Frame, tile: Tile, mirror: bool) -> Frame:
    """A part of a frame, as in a mirror or not; planes stay planes, and only the part is copied."""
    if tile == (0, 0, frame.width, frame.height) and not mirror:
        return frame
    step, (x1, y1, x2, y2) = -1 if mirror else 1, tile
    given, layout = frame.picture, layout_of(frame.picture)
    if layout == "bgr":
        return Frame.from_bgr(frame.index, frame.time_s, frame.bgr[y1:y2, x1:x2][:, ::step])
    made = av.VideoFrame(x2 - x1, y2 - y1, given.format.name)
    made.colorspace, made.color_range = given.colorspace, given.color_range
    plane_of(made, 0)[...] = plane_of(given, 0)[y1:y2, x1:x2][:, ::step]
    rows, columns = slice(y1 // 2, (y2 + 1) // 2), slice(x1 // 2, (x2 + 1) // 2)
    if layout == "nv12":
        pairs_of(made)[...] = pairs_of(given)[rows, columns][:, ::step]
    else:
        for k in (1, 2):
            plane_of(made, k)[...] = plane_of(given, k)[rows, columns][:, ::step]
    return Frame(frame.index, frame.time_s, made)


def mirrored(found: Detections, width: int) -> Detections:
    """Detections of a mirrored picture of this width, where they are in the picture itself."""
    boxes = found.boxes.copy()
    boxes[:, [0, 2]] = np.float32(width) - boxes[:, [2, 0]]
    return Detections(boxes, found.scores, found.class_ids)


def fuse_looks(one: Detections, other: Detections) -> Detections:
    """Two looks at the same thing: weighted boxes fusion (Solovyev et al. 2021) of two models, with its scores.

    What both found gets the mean score, and a box between theirs, the surer one weighing more. What only one found
    gets half its score: the other look gave it less than the least score there is.
    """
    left, right, _ = matched(one, other)
    scores, theirs = one.scores[left], other.scores[right]
    total = (scores + theirs)[:, None]
    weights = np.divide(scores[:, None], total, out=np.full_like(total, 0.5), where=total > 0)
    boxes = weights * one.boxes[left] + (1 - weights) * other.boxes[right]
    both = Detections(boxes.astype(np.float32), (scores + theirs) / np.float32(2), one.class_ids[left])
    alone = [found[np.delete(np.arange(len(found)), rows)] for found, rows in ((one, left), (other, right))]
    return joined([both, *(Detections(found.boxes, found.scores / np.float32(2), found.class_ids) for found in alone)])


def cut_off(boxes: Boxes, tile: Tile, picture: Size, margin: float) -> Mask:
    """Which boxes (N, 4), pixels of the picture, end at a border of the tile that is none of the picture.

    Args:
        margin: pixels from the border that count as on it; of large boxes NEAR of their side does.
    """
    width, height = picture
    inner = np.array([tile.x1 > 0, tile.y1 > 0, tile.x2 < width, tile.y2 < height])
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    near = np.abs(boxes - np.array(tile, np.float32)) <= np.maximum(NEAR * sides, margin)
    result: Mask = (near & inner).any(1)
    return result


def doubt(found: Detections, whole: Detections, side: float) -> Detections:
    """What a tile shows, with half the score where it is so large that the whole picture should have shown it too.

    A tile lacks the surroundings that tell a road from the side of a lorry. As in `fuse_looks`, one of two looks
    found it; of which class does not matter here.

    Args:
        found, whole: pixels of the picture. side: root of the area, pixels, from which on a box is so large.
    """
    seen = iou_matrix(found.boxes, whole.boxes).max(1, initial=0) >= SEEN
    lone = ~seen & (areas(found.boxes) >= side * side)
    return Detections(found.boxes, np.where(lone, found.scores / np.float32(2), found.scores), found.class_ids)


def merge(found: Detections, cut: Mask, iou: float) -> Detections:
    """One list of what was found in several views of a picture, best score first.

    What was seen whole is suppressed as ever. What was `cut` (N,) off goes where something more complete covers it,
    whichever has the better score: something larger of any class (half a lorry looks like a car) or something of its
    class that was seen whole, or a larger piece of its class.

    Args:
        found: pixels of the picture. iou: largest overlap of two boxes of a class that both stay.
    """
    whole, pieces = found[~cut], found[cut]
    whole = whole[nms(whole.boxes, whole.scores, whole.class_ids, iou, len(whole))]
    pieces = pieces[np.argsort(-areas(pieces.boxes), kind="stable")]
    every = joined([whole, pieces])
    hides, first = _hides(every, pieces, len(whole), iou), len(whole)
    stays = np.ones(len(every), np.bool_)
    for k, row in enumerate(hides, first):
        stays[k] = not row[:k][stays[:k]].any()
    left = every[stays]
    return left[np.argsort(-left.scores, kind="stable")]


def joined(parts: Sequence[Detections]) -> Detections:
    """All of them in one, in order."""
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.class_ids for part in parts]),
    )


def _hides(every: Detections, pieces: Detections, whole: int, iou: float) -> Mask:
    """(pieces, every): whether this one makes the piece needless; the first `whole` of `every` were seen whole."""
    low = np.maximum(pieces.boxes[:, None, :2], every.boxes[None, :, :2])
    high = np.minimum(pieces.boxes[:, None, 2:], every.boxes[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(2)
    own, their = areas(pieces.boxes)[:, None], areas(every.boxes)[None]
    same = pieces.class_ids[:, None] == every.class_ids[None]
    larger = (np.arange(len(every)) < whole)[None] & (their > own)
    result: Mask = ((same | larger) & (shared >= COVERED * own)) | (same & (shared > iou * (own + their - shared)))
    return result
