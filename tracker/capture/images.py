"""Folders and globs of pictures, as a video: at the times when they were taken, or at a constant rate."""

from __future__ import annotations

import glob
import os
import re
import statistics
from collections.abc import Generator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tracker.capture.report import Report
from tracker.capture.sniff import damaged_png
from tracker.capture.taken import PictureTimes, picture_times
from tracker.errors import SourceError
from tracker.structures import Frame, Image, StreamInfo

if TYPE_CHECKING:
    from tracker.capture.halt import Halt

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
MOST_NAMED = 20
"""Unreadable pictures that are named one by one; beyond, they are counted only."""


def is_image(name: str) -> bool:
    """Whether the name is that of a picture. Hidden files, such as the `._x.jpg` of macOS, are none."""
    base = os.path.basename(name)
    return not base.startswith(".") and os.path.splitext(base)[1].lower() in SUFFIXES


def natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key in which `img2` comes before `img10`."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name.lower())]


class ImageReader:
    """Pictures in the natural order of their names, or in the order of time, one read at a time.

    The pictures' places in that order give the index: one that cannot be read leaves a gap, the others stay put.

    Attributes:
        pictures: paths and times, known by the first frame.
    """

    live = False
    varied = True

    def __init__(self, source: str, rate: Fraction, report: Report, *, timed: bool = False) -> None:
        """Read nothing yet.

        Args:
            source: a folder, a glob (`**` goes into subfolders) or one picture.
            rate: pictures a second.
            report: where to count.
            timed: go by the times when the pictures were taken, if they tell; `rate` is for those that do not.
        """
        self.name, self.report, self._rate, self._timed = source, report, rate, timed
        self.info: StreamInfo | None = None
        self.pictures: PictureTimes | None = None

    def frames(self, halt: Halt) -> Generator[Frame, None, None]:
        """The pictures.

        Raises:
            SourceError: nothing there, or not one picture that can be read.
        """
        root, names = self._find()
        taken = self.pictures = self._times([root / name for name in names])
        for _ in range(len(names) - len(taken.paths)):
            self.report.drop("duplicate")
        for warning in taken.warnings:
            self.report.note(warning)
        moments = zip(taken.paths, taken.times_s, self._durations(taken), strict=True)
        for index, (path, time_s, duration_s) in enumerate(moments):
            if halt.is_set():
                return
            bgr, name = read_bgr(path), path.relative_to(root).as_posix()
            if bgr is None:
                self._count_unreadable(name)
                continue
            self.info = self.info or self._info(bgr, path, taken)
            frame = Frame.from_bgr(index, time_s, bgr, file=name)
            yield replace(frame, duration_s=duration_s)
        if self.info is None:
            raise SourceError(
                f"'{self.name}': none of its {len(names)} pictures can be read; they are damaged or no pictures"
            )

    def _times(self, paths: Sequence[Path]) -> PictureTimes:
        """When the pictures were taken, as far as that is wanted and known."""
        if self._timed:
            return picture_times(paths, self._rate)
        return PictureTimes(
            tuple(paths), tuple(float(index / self._rate) for index in range(len(paths))), "rate", None, ()
        )

    def _durations(self, taken: PictureTimes) -> list[float]:
        """How long each picture stands, seconds: until the next one; the last one as long as is usual."""
        steps = [later - earlier for earlier, later in pairwise(taken.times_s)]
        if not steps or not taken.true_times:
            return [float(1 / self._rate)] * len(taken.paths)
        return [*steps, statistics.median(steps)]

    def _info(self, bgr: Image, path: Path, taken: PictureTimes) -> StreamInfo:
        """What is known by the first picture; of true times no rate, since they tell all there is."""
        height, width = bgr.shape[:2]
        return StreamInfo(
            self.name, width, height, None if taken.true_times else self._rate, len(taken.paths), live=False,
            codec=path.suffix[1:].lower(), began=taken.began,
        )  # fmt: skip

    def overdue(self) -> Exception | None:
        """Never."""
        return None

    def _find(self) -> tuple[Path, list[str]]:
        """The folder and the names in it, sorted."""
        try:
            if os.path.isdir(self.name):
                root = Path(self.name)
                with os.scandir(root) as entries:
                    names = [entry.name for entry in entries if is_image(entry.name) and entry.is_file()]
                wanted = f"folder '{self.name}' holds no pictures"
            elif os.path.exists(self.name):
                root, names, wanted = Path(self.name).parent, [os.path.basename(self.name)], ""
            else:
                found = [
                    path for path in glob.glob(self.name, recursive=True) if is_image(path) and os.path.isfile(path)
                ]
                root = Path(os.path.commonpath([os.path.dirname(path) for path in found])) if found else Path()
                names = [Path(path).relative_to(root).as_posix() for path in found]
                wanted = f"no picture matches '{self.name}'"
        except PermissionError:
            raise SourceError(f"'{self.name}' may not be read (permission denied); check its rights") from None
        if not names:
            raise SourceError(f"{wanted}; wanted is {', '.join(sorted(SUFFIXES))}, or the path of one video")
        return root, sorted(names, key=lambda name: (natural(name), name))

    def _count_unreadable(self, name: str) -> None:
        """One picture less."""
        self.report.drop("unreadable")
        unreadable = self.report.dropped["unreadable"]
        if unreadable <= MOST_NAMED:
            self.report.note(f"picture '{name}' cannot be read, skipped")
        elif unreadable == MOST_NAMED + 1:
            self.report.note(f"more than {MOST_NAMED} pictures cannot be read, skipped without naming them")


def read_bgr(path: Path) -> Image | None:
    """(H, W, 3) uint8 BGR, upright after EXIF, or None where it cannot be read.

    Gray becomes three equal channels, 16 bits the upper 8, alpha is left away.
    """
    try:
        # Not cv2.imread: that cannot open names outside the code page on Windows.
        data = np.fromfile(path, np.uint8)
        readable = data.size > 0 and not damaged_png(data.tobytes())
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if readable else None
    except (OSError, cv2.error):
        return None
    return None if bgr is None else np.asarray(bgr, np.uint8)
