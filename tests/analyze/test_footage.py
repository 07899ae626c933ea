"""Counts on a real scene: people who walk to and fro before a fixed camera, 7 frames a second (PETS09-S2L1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tracker.analyze import Analyzer, LineSettings
from tracker.config import default_tracker
from tracker.structures import CONFIRMED, Detections, Tracks
from tracker.track import make_tracker

pytestmark = pytest.mark.data

SIZE, RATE = (768, 576), 7.0
ACROSS = {f"at {share}": LineSettings(start=(share, 0), end=(share, 1)) for share in (0.25, 0.5, 0.75)}

Table = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def frames(table: Table, stride: int = 1) -> Iterator[tuple[float, Table]]:
    """Time and lines of each frame of a MOT file."""
    for number in range(1, int(table[:, 0].max()) + 1, stride):
        yield (number - 1) / RATE, table[table[:, 0] == number]


def boxes(rows: Table) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.concatenate((rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]), 1).astype(np.float32)


def true_tracks(rows: Table) -> Tracks:
    zeros, ones = np.zeros(len(rows), np.float32), np.ones(len(rows), np.float32)
    ids, state = rows[:, 1].astype(np.int64), np.full(len(rows), CONFIRMED, np.int64)
    return Tracks(ids, boxes(rows), ones, np.zeros(len(rows), np.int64), zeros, state)


def totals(one: Analyzer) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """In and out of each line, (3, 2)."""
    return np.array([(line["in"], line["out"]) for line in one.counts()["lines"].values()])


@pytest.fixture(scope="module")
def scene(data: Path) -> Path:
    return data / "mot" / "MOT15" / "PETS09-S2L1"


def counted(scene: Path, stride: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    one = Analyzer({}, ACROSS, ("person",), SIZE)
    for time_s, rows in frames(np.loadtxt(scene / "gt" / "gt.txt", delimiter=","), stride):
        one.update(true_tracks(rows), time_s)
    return totals(one)


def test_people_counted_at_a_third_of_the_rate_are_as_many(scene: Path) -> None:
    truth = counted(scene, 1)
    assert truth.sum() > 60
    np.testing.assert_array_equal(counted(scene, 3), truth)


def test_detected_people_are_counted_where_flips_of_side_are_not(scene: Path) -> None:
    """Twice as many ids as people, boxes that tremble: a tenth off the truth; counting flips is off by far more."""
    truth, one, flips = counted(scene, 1), Analyzer({}, ACROSS, ("person",), SIZE), np.zeros((3, 2), np.int64)
    tracker, sides = make_tracker(default_tracker()), dict[tuple[int, int], bool]()
    for time_s, rows in frames(np.loadtxt(scene / "det" / "det.txt", delimiter=",")):
        count = len(rows)
        found = Detections(boxes(rows), rows[:, 6].astype(np.float32), np.zeros(count, np.int64))
        tracks = tracker.update(found, time_s)
        one.update(tracks, time_s)
        for number, box in zip(tracks.ids.tolist(), tracks.boxes, strict=True):
            for index, line in enumerate(ACROSS.values()):
                side = bool((box[0] + box[2]) / 2 < line.start[0] * SIZE[0])
                flips[index, int(not side)] += sides.setdefault((number, index), side) != side
                sides[number, index] = side
    error, naive_error = np.abs(totals(one) - truth).sum(), np.abs(flips - truth).sum()
    assert error <= 0.1 * truth.sum()
    assert naive_error > 3 * error
