"""Detections from files: MOTChallenge lines `frame,-1,left,top,width,height,score[,class,...]`, frames from 1.

Everything in a file is checked; what is wrong is named by its line, what is left out is counted.
"""

from __future__ import annotations

import itertools
import warnings
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracker.errors import UsageError
from tracker.structures import Detections

FORM = "'frame,-1,left,top,width,height,score[,class]'"
FRAME, BOX, SCORE, CLASS = 0, slice(2, 6), 6, 7  # columns
COLUMNS = 8
NO_CLASS = -1.0
LAST_FRAME = 10_000_000  # 92 hours at 30/s; beyond it the column holds something else, a time for instance
FARTHEST = 1e7  # pixels; float32 still tells whole pixels apart
ROUNDING = 1e-6  # a score may be this much above 1: float32 arithmetic of its detector

Rows = NDArray[np.float64]
Lines = NDArray[np.int64]


@dataclass(frozen=True)
class DetectionFile:
    """The detections of one sequence.

    Attributes:
        detections: all of them, (N, ...), by frame; within a frame in the order of the file.
        offsets: (F + 1,) int64; frame k (from 1) has the rows `offsets[k - 1]` to `offsets[k]`.
        without_area: boxes left out because their width or height is not above 0.
        in_order: whether the frames came in order; if not, they were sorted.
    """

    detections: Detections
    offsets: NDArray[np.int64]
    without_area: int
    in_order: bool

    @property
    def frames(self) -> int:
        """F, the largest frame number; 0 where the file is empty."""
        return len(self.offsets) - 1

    def frame(self, number: int) -> Detections:
        """The detections of a frame, numbered from 1; empty for one that the file does not name."""
        if not 1 <= number <= self.frames:
            return Detections.empty()
        return self.detections[self.offsets[number - 1] : self.offsets[number]]

    def where(self, mask: NDArray[np.bool_]) -> DetectionFile:
        """The detections of a mask (N,), in as many frames."""
        before = np.concatenate(([0], np.cumsum(mask)))
        return DetectionFile(self.detections[mask], before[self.offsets], self.without_area, self.in_order)


def read_detections(path: Path) -> DetectionFile:
    """Read a file of MOTChallenge detections; class -1 or no class is class_id 0.

    A million lines take about a second and 0.3 GB.

    Raises:
        UsageError: the file can't be read, a line is not numbers of that form, or a number is not finite or out of its
            range; the line is named.
    """
    try:
        rows = _read_fast(path)
        fault = None if rows is None else _fault(rows)
        if rows is None or fault:
            rows, lines = _read_slow(path)
            fault = _fault(rows)
            if fault:
                number = int(lines[fault[0]])
                raise UsageError(f"{path}, line {number}: {fault[1]}, got '{_line(path, number)}'")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    return _by_frame(rows)


def _read_fast(path: Path) -> Rows | None:
    """(N, 8) by NumPy's own parser; None where a line is no row of numbers, or rows differ in length."""
    try:
        with path.open(encoding="utf-8-sig") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of an empty file
            rows = np.loadtxt(file, np.float64, comments=None, delimiter=",", ndmin=2)
    except UnicodeDecodeError:
        raise
    except ValueError:
        return None
    if not rows.size:
        return np.zeros((0, COLUMNS))
    if rows.shape[1] < COLUMNS - 1:
        return None
    if rows.shape[1] < COLUMNS:
        return np.concatenate((rows, np.full((len(rows), 1), NO_CLASS)), 1)
    return rows[:, :COLUMNS]


def _read_slow(path: Path) -> tuple[Rows, Lines]:
    """(N, 8) line by line, and the line number of each row. Raises UsageError at the first line that is no row."""
    numbers, lines = array("d"), array("q")
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            words = line.split(",")[:COLUMNS]
            try:
                row = [float(word) for word in words]
            except ValueError:
                raise UsageError(f"{path}, line {number}: wanted numbers {FORM}, got '{_shown(line)}'") from None
            if len(row) < COLUMNS - 1:
                raise UsageError(
                    f"{path}, line {number}: wanted at least {COLUMNS - 1} numbers {FORM}, got {len(row)}: "
                    f"'{_shown(line)}'"
                )
            numbers.extend(row if len(row) == COLUMNS else [*row, NO_CLASS])
            lines.append(number)
    return np.array(numbers, np.float64).reshape(-1, COLUMNS), np.array(lines, np.int64)


def _line(path: Path, number: int) -> str:
    """A line of a file, as a message shows it."""
    with path.open(encoding="utf-8-sig") as file:
        return _shown(next(itertools.islice(file, number - 1, None), ""))


def _shown(line: str) -> str:
    """The beginning of a line, on one line, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in line.strip()[:60])


def _fault(rows: Rows) -> tuple[int, str] | None:
    """The first row (N, 8) out of its range and what was wanted of it; None where all is well."""
    frame, boxes, score, label = rows[:, FRAME], rows[:, BOX], rows[:, SCORE], rows[:, CLASS]
    with np.errstate(invalid="ignore"):
        faults = [
            (~np.isfinite(rows).all(1), "wanted finite numbers"),
            (
                (frame % 1 != 0) | (frame < 1) | (frame > LAST_FRAME),
                f"wanted a whole frame number from 1 to {LAST_FRAME}",
            ),
            (np.abs(boxes).max(1, initial=0) > FARTHEST, f"wanted a box within {FARTHEST:.0f} pixels"),
            (
                (score < 0) | (score > 1 + ROUNDING),
                "wanted a score of 0 to 1 (divide per cents by 100, put logits through a sigmoid)",
            ),
            (
                (label != NO_CLASS) & ((label % 1 != 0) | (label < 1) | (label > LAST_FRAME)),
                "wanted a whole class number from 1, or -1 for none",
            ),
        ]
    firsts = [(int(mask.argmax()), wanted) for mask, wanted in faults if mask.any()]
    return min(firsts, key=lambda first: first[0]) if firsts else None  # of one row: the fault listed first


def _by_frame(rows: Rows) -> DetectionFile:
    """Checked rows (N, 8), sorted by frame, as arrays of detections."""
    in_order = bool((np.diff(rows[:, FRAME]) >= 0).all())
    if not in_order:
        rows = rows[np.argsort(rows[:, FRAME], kind="stable")]
    last = int(rows[-1, FRAME]) if len(rows) else 0
    boxes = rows[:, BOX].copy()
    boxes[:, 2:] += boxes[:, :2]
    sides = boxes.astype(np.float32)
    area = (sides[:, 2:] > sides[:, :2]).all(1)
    if not area.all():
        rows, sides = rows[area], sides[area]
    labels = rows[:, CLASS].astype(np.int64)
    found = Detections(
        sides, np.minimum(rows[:, SCORE], 1).astype(np.float32), np.where(labels > 0, labels - 1, 0).astype(np.int64)
    )
    offsets = np.searchsorted(rows[:, FRAME], np.arange(1, last + 2))
    return DetectionFile(found, offsets.astype(np.int64), int((~area).sum()), in_order)
