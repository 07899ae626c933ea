"""A detector that looks at each picture several times: whole, in tiles, mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from threading import local
from time import perf_counter
from typing import Any

import numpy as np

import engines
from tracker.config import DetectSettings
from tracker.detect.detector import EngineDetector
from tracker.detect.tiles import (
    Size,
    Tile,
    cut_off,
    doubt,
    fuse_looks,
    grid_of,
    joined,
    merge,
    mirrored,
    tiles_of,
    view_of,
)
from tracker.errors import ConfigError, TrackerError
from tracker.structures import Detections, Frame

WEAK = 0.5
"""With mirrored pictures, the share of the least score that is still looked at: the other look may be surer."""
AT_ONCE = 8
"""Views an inference at most."""
MARGIN = 6.0
"""Pixels of the network's input: a box that ends so near to an inner border is cut off there."""
LARGE = 40.0
"""The same: side (root of the area) in the whole picture from which on an object should be seen in it too."""


def one_look(settings: DetectSettings) -> DetectSettings:
    """The settings of the detector that looks at one view.

    Raises:
        ConfigError: tiles of a size of their own are asked for, and a graph made for the size of the whole picture.
    """
    own: dict[str, Any] = {}
    if settings.tiles != "off":
        if settings.fused == "on":
            raise ConfigError(
                "detect.fused: a graph is fused for pictures of one size, tiles have another; leave it at auto"
            )
        own["fused"] = "off"
    if settings.flip:
        own["score"] = settings.score * WEAK
    return settings.model_copy(update=own)


class TiledDetector(EngineDetector):
    """A detector that looks at each picture several times: whole, in tiles, mirrored."""

    def __init__(self, usual: EngineDetector, settings: DetectSettings, source: Size | None) -> None:
        """Take over `usual`, which was opened with `one_look(settings)`; `source`: size of the pictures, if of one."""
        self._usual, self._source = usual, source
        self._grids: dict[Size, list[Tile]] = {}
        self._most_views = 0
        super().__init__(usual.engine, usual._card, usual.identity, settings, usual.observe, usual.batch)
        self._spent, self._at_once, self._small = local(), AT_ONCE, 0
        usual.observe = self._gather
        if source is not None:
            self._tiles(source)

    @property
    def views(self) -> int:
        """Network passes a picture; where pictures have many sizes, the most that one took so far."""
        return self._most_views or 1 + self._settings.flip

    @property
    def notices(self) -> list[str]:
        """What each picture costs, and tiles that were asked for and are not needed, one line each."""
        asked, lines, also = self._settings.tiles, list[str](), ["mirrored"] if self._settings.flip else []
        grid = grid_of(asked, self._source, self.size_hw[::-1]) if self._source else None
        if grid is None and asked != "off":
            also.insert(0, "in tiles by its size" if asked == "auto" else f"in {asked} tiles where it is large enough")
        elif grid is not None and grid != (1, 1):
            also.insert(0, f"in {grid[0]}x{grid[1]} tiles")
        elif asked != "off":
            lines.append(
                f"detect.tiles {asked}: without tiles, the pictures are hardly larger than the network's input"
            )
        if also:
            cost = f": {self.views} network passes a picture" if grid is not None or asked == "off" else ""
            lines.append(f"each picture is detected whole and {', '.join(also)}{cost}")
        if asked != "off" and self.engine.device.startswith("cuda"):
            lines.append("letterbox and suppression stay on the host: with detect.tiles no graph is fused")
        return lines

    @property
    def warnings(self) -> list[str]:
        """What went other than asked for so far, one line each."""
        told = [*super().warnings, *self._usual.warnings]
        if self._at_once < AT_ONCE:
            told.append(f"GPU out of memory with {AT_ONCE} views of a picture an inference: {self._at_once} at most")
        if self._small:
            told.append(
                f"{self._small} picture{'s were' if self._small > 1 else ' was'} not larger than the network's input "
                f"and detected without tiles ({self._settings.tiles} asked for)"
            )
        return told

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """See `EngineDetector.detect`; the views of one frame share inferences, frames do not."""
        return [self._look(frame) for frame in frames]

    def close(self) -> None:
        """Let go of the engine."""
        self._usual.close()

    def _look_at_input(self) -> tuple[engines.TensorSpec, Size]:
        return self._usual._look_at_input()

    def _tiles(self, size: Size) -> list[Tile]:
        """The views of a picture of this size; the whole, the coarsest, last: of equally sure boxes the first stays."""
        if size not in self._grids:
            columns, rows = grid_of(self._settings.tiles, size, self.size_hw[::-1])
            tiles = [*(tiles_of(size, columns, rows) if columns * rows > 1 else ()), Tile(0, 0, *size)]
            with self._lock:
                self._grids[size] = tiles
                self._most_views = max(self._most_views, len(tiles) * (1 + self._settings.flip))
        return self._grids[size]

    def _look(self, frame: Frame) -> Detections:
        """Everything found in a frame."""
        clock, size, settings = perf_counter(), (frame.width, frame.height), self._settings
        tiles = self._tiles(size)
        if len(tiles) == 1 and settings.tiles not in ("off", "auto") and size != self._source:
            with self._lock:
                self._small += 1
        looks = (False, True) if settings.flip else (False,)
        views = [view_of(frame, tile, mirror) for mirror in looks for tile in tiles]
        self._gather("preprocess", perf_counter() - clock)
        found = self._run(views)
        clock = perf_counter()
        result = self._join(found, tiles, size) if len(views) > 1 else found[0]
        self._gather("postprocess", perf_counter() - clock)
        self._report()
        return result

    def _run(self, views: Sequence[Frame]) -> list[Detections]:
        """What is found in each view, in inferences that fit into memory."""
        found: list[Detections] = []
        while len(found) < len(views):
            part = views[len(found) :][: self._at_once]
            try:
                found += self._usual.detect(part)
            except TrackerError as error:
                if len(part) == 1 or not isinstance(error.__context__, engines.EngineOutOfMemory):
                    raise
                with self._lock:
                    self._at_once = min(self._at_once, len(part) // 2)
        return found

    def _join(self, found: Sequence[Detections], tiles: Sequence[Tile], size: Size) -> Detections:
        """The frame's detections from those of its views, `tiles` in order and then, if wanted, `tiles` mirrored."""
        parts = []
        for k, tile in enumerate(tiles):
            part = found[k]
            if self._settings.flip:
                part = fuse_looks(part, mirrored(found[len(tiles) + k], tile.x2 - tile.x1))
            boxes = part.boxes + np.array([tile.x1, tile.y1] * 2, np.float32)
            parts.append(Detections(boxes, part.scores, part.class_ids))
        large = LARGE * self._pixels(*size)
        parts = [*(doubt(part, parts[-1], large) for part in parts[:-1]), parts[-1]]
        cuts = [
            cut_off(part.boxes, tile, size, MARGIN * self._pixels(tile.x2 - tile.x1, tile.y2 - tile.y1))
            for part, tile in zip(parts, tiles, strict=True)
        ]
        every = joined(parts)
        good = np.flatnonzero(every.scores >= self._settings.score)
        if len(good) > self._most:
            self._count_flood()
            good = good[np.argsort(-every.scores[good], kind="stable")[: self._most]]
        return merge(every[good], np.concatenate(cuts)[good], self._settings.iou)

    def _pixels(self, width: int, height: int) -> float:
        """Pixels of a view of this size that become one of the network's input; 1 at least."""
        rows, columns = self.size_hw
        return max(1.0, width / columns, height / rows)

    def _gather(self, stage: str, seconds: float) -> None:
        """Add up the seconds of a stage over the views of this thread's frame."""
        spent = self._spent.__dict__
        spent[stage] = spent.get(stage, 0.0) + seconds

    def _report(self) -> None:
        """Tell the seconds of the stages for this thread's frame."""
        spent = self._spent.__dict__
        for stage, seconds in spent.items():
            self.observe(stage, seconds)
        spent.clear()


def tiled_where_wanted(
    usual: EngineDetector, settings: DetectSettings, source: Size | None
) -> tuple[EngineDetector, list[str]]:
    """`usual`, or where `settings` ask for tiles or mirrored pictures the same with them, and notices, one line each.

    Args:
        usual: opened with `one_look(settings)`. source: (width, height) of the pictures; None: of many sizes.
    """
    if settings.tiles == "off" and not settings.flip:
        return usual, []
    tiled = TiledDetector(usual, settings, source)
    return tiled, tiled.notices
