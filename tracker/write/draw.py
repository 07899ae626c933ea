"""The overlay: boxes, labels, trails and a corner panel, drawn straight into the YUV planes.

A picture is never turned into BGR and back. One chroma sample is a cell of 2 x 2 pixels in 4:2:0; boxes and plates
begin and end on cells, so that their colour does not bleed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tracker.structures import Tracks
from tracker.write.canvas import Plane, is_bt709, is_full_range, planes_of
from tracker.write.palette import Palette, colour_numbers
from tracker.write.panel import Panel
from tracker.write.plates import Plates
from tracker.write.trails import Trails, draw_trails

OUTSIDE = 0.02  # of the picture's side: feet farther outside leave no trail along the edge


class Overlay:
    """Draws the tracks of one stream. Remembers trails, so it is used for one stream and in its order."""

    def __init__(
        self, class_names: Sequence[str], *, labels: bool = True, trails: bool = True, panel: bool = True,
        trail_s: float = 1.0,
    ) -> None:  # fmt: skip
        """Choose what is drawn.

        Args:
            class_names: name of each class_id.
            labels: class, id and score at each box.
            trails: the way of each object's foot point.
            panel: live figures in the upper left corner.
            trail_s: how far back a trail reaches, seconds of the stream.

        Raises:
            ValueError: trails are wanted and trail_s is not above 0.
        """
        if trails and not trail_s > 0:
            raise ValueError(f"trail_s must be above 0, got {trail_s}")
        self._names = tuple(class_names)
        self._labels, self._panel_wanted = labels, panel
        self._trails = Trails(trail_s) if trails else None
        self._looks: dict[tuple[int, int, str, bool, bool], Look] = {}

    def draw(
        self, canvas: av.VideoFrame, tracks: Tracks, time_s: float, panel: Sequence[str] = (), stamp: str = ""
    ) -> None:
        """Draw one frame in place.

        Args:
            canvas: from `canvas_of`; yuv420p or yuv444p.
            tracks: boxes in pixels of the canvas; what is outside of it is cut off.
            time_s: of the frame, growing.
            panel: lines of the corner panel.
            stamp: when this frame was, on top of the panel; shown without the panel too.
        """
        key = (canvas.width, canvas.height, canvas.format.name, is_bt709(canvas), is_full_range(canvas))
        if key not in self._looks:
            if self._looks and self._trails is not None:
                self._trails.forget()  # their points are pixels of the other picture
            self._looks.clear()
            self._looks[key] = Look(*key, names=self._names)
        look, planes = self._looks[key], planes_of(canvas)
        numbers = colour_numbers(tracks.ids)
        inside = look.visible(tracks.boxes)
        if self._trails is not None:
            look.draw_trails(planes, self._trails, tracks, numbers, time_s)
        # Nearer objects, whose feet are lower in the picture, are drawn over farther ones.
        rows = [row for row in np.argsort(tracks.boxes[:, 3], kind="stable").tolist() if inside[row]]
        cells, colours = look.cells(tracks.boxes), numbers.tolist()
        look.draw_boxes(planes, cells, colours, rows)
        if self._labels:
            ids, classes, scores = tracks.ids.tolist(), tracks.class_ids.tolist(), tracks.scores.tolist()
            for row in rows:
                look.plates.draw(planes, cells[row], colours[row], (classes[row], ids[row], scores[row]))
        lines = panel if self._panel_wanted else ()
        if lines or stamp:
            look.panel.draw(planes, lines, time_s, stamp)


class Look:
    """Sizes and colours for pictures of one size and one kind of YUV."""

    def __init__(
        self, width: int, height: int, pixel_format: str, bt709: bool, full_range: bool, *, names: Sequence[str]
    ) -> None:
        """Scale everything to the picture; `pixel_format` is yuv420p or yuv444p."""
        short = min(width, height)
        self.sub = 1 if pixel_format == "yuv444p" else 2
        self.width, self.height = width, height
        self.line = max(1, round(short / 540)) * 2 // self.sub  # cells
        self.palette = Palette(bt709=bt709, full_range=full_range)
        cap = max(7, round(short / 90))
        self.plates = Plates(names, self.palette, cap, self.line, self.sub)
        self.panel = Panel(self.palette, max(7, round(short / 72)), self.sub)
        self._triples: list[tuple[int, int, int]] = [tuple(row) for row in self.palette.vivid.tolist()]

    def visible(self, boxes: NDArray[np.float32]) -> list[bool]:
        """Which boxes have an area inside the picture, (M,)."""
        left, top, right, bottom = boxes.T
        wide = np.minimum(right, self.width) > np.maximum(left, 0)
        high = np.minimum(bottom, self.height) > np.maximum(top, 0)
        result: list[bool] = (wide & high).tolist()
        return result

    def cells(self, boxes: NDArray[np.float32]) -> list[list[int]]:
        """Boxes (M, 4) in cells, cut to the picture, the far edges behind the last cell."""
        limits = np.array([self.width, self.height] * 2, np.float32)
        cut = np.clip(boxes, 0, limits) / self.sub
        cut[:, :2], cut[:, 2:] = np.floor(cut[:, :2]), np.ceil(cut[:, 2:])
        result: list[list[int]] = cut.astype(np.int64).tolist()
        return result

    def draw_boxes(
        self, planes: Sequence[Plane], cells: Sequence[Sequence[int]], colours: Sequence[int], rows: Sequence[int]
    ) -> None:
        """The outlines of the boxes in `rows`, inside their edges, corners taken off."""
        luma, blueness, redness = planes[:3]
        # Two pixels side by side as one element: a column of those is filled twice as fast as two columns.
        paired: NDArray[np.unsignedinteger[Any]] = luma if self.sub == 1 else luma.view(np.uint16)
        for row in rows:
            y, u, v = self._triples[colours[row]]
            outline(luma, paired, cells[row], self.line, self.sub, y)
            outline(blueness, blueness, cells[row], self.line, 1, u)
            outline(redness, redness, cells[row], self.line, 1, v)

    def draw_trails(
        self, planes: Sequence[Plane], trails: Trails, tracks: Tracks, numbers: NDArray[np.int64], time_s: float
    ) -> None:
        """Add the frame to the trails and draw them."""
        boxes = tracks.boxes
        size = np.array([self.width, self.height], np.float32)
        feet: NDArray[np.float32] = np.stack(((boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]), 1)
        outside = np.abs(feet - size / 2) > size * np.float32(0.5 + OUTSIDE)
        feet[outside.any(1)] = np.nan
        # The last pixels of an odd side have no chroma sample of their own: stay inside of every plane.
        last = np.array([planes[1].shape[1], planes[1].shape[0]], np.float32) * self.sub - 1
        points, fresh = trails.push(tracks.ids, np.clip(feet, 0, last), time_s)
        draw_trails(planes, points, fresh, self.palette.vivid[numbers], self.line * self.sub, self.sub)


def outline(
    plane: Plane, columns: NDArray[np.unsignedinteger[Any]], cell: Sequence[int], line: int, scale: int, value: int
) -> None:
    """Four bars inside a box, the outermost corners left out.

    Args:
        plane: drawn on.
        columns: the same memory, one element a cell.
        cell: x1, y1, x2, y2 in cells, inside the plane.
        line: width in cells.
        scale: elements of `plane` a cell, along a side.
        value: of the pixels.
    """
    left, top, right, bottom = cell
    line = min(line, right - left, bottom - top)
    upper, lower, thick, notch = top * scale, bottom * scale, line * scale, line * scale // 2
    across, along = slice(left * scale + notch, right * scale - notch), slice(upper + notch, lower - notch)
    plane[upper : upper + thick, across] = value
    plane[lower - thick : lower, across] = value
    wide = value * 257 if columns.itemsize == 2 else value
    for column in range(line):
        columns[along, left + column] = wide
        columns[along, right - 1 - column] = wide
