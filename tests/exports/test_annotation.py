"""The canonical record."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.exports.records import crowd, record, street
from tracker.exports import Annotation, Recorder
from tracker.structures import CONFIRMED, LOST, Tracks


def tracks(*rows: tuple[float, ...]) -> Tracks:
    """Rows of id, x1, y1, x2, y2, class, missed_s, state."""
    table = np.array(rows, np.float64).reshape(-1, 8)
    return Tracks(
        table[:, 0].astype(np.int64), table[:, 1:5].astype(np.float32), np.full(len(table), 1.0000001, np.float32),
        table[:, 5].astype(np.int64), table[:, 6].astype(np.float32), table[:, 7].astype(np.int64),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"width": 0}, "size"),
        ({"frame_count": -1}, "count"),
        ({"frame_count": 39}, "frames must be 0 to 38"),
        ({"frame_rate": None}, "frame_rate or times_s"),
        ({"frame_rate": Fraction(0)}, "above 0"),
        ({"class_names": ("person",)}, "class_ids"),
        ({"files": ("a.jpg",)}, "files"),
        ({"times_s": np.zeros(3)}, "times_s"),
        ({"times_s": np.arange(40.0)[::-1].copy()}, "never decrease"),
        ({"times_s": np.full(40, np.nan)}, "finite"),
        ({"ids": np.zeros(63, np.int64)}, "ids from 1"),
        ({"ids": np.ones(63, np.int64)}, "no id twice"),
        ({"ids": np.ones(63, np.int32)}, "int64"),
        ({"scores": np.full(63, np.nan, np.float32)}, "scores"),
        ({"scores": np.ones(62, np.float32)}, "scores must be float32"),
        ({"boxes": np.full((63, 4), np.inf, np.float32)}, "finite"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        street(**changes)


def test_rows_out_of_order_are_refused() -> None:
    good = street()
    with pytest.raises(ValueError, match="order"):
        dataclasses.replace(good, frames=good.frames[::-1].copy())


def test_a_recorder_gives_what_was_added_in_order() -> None:
    recorder = Recorder()
    recorder.add(0.0, tracks((5, 1, 2, 3, 4, 2, 0, CONFIRMED), (2, 5, 6, 7, 8, 0, 0, LOST)))
    recorder.add(0.1, Tracks.empty())
    recorder.add(0.3, tracks((5, 1, 2, 3, 4, 1, 0.2, CONFIRMED)))
    made = recorder.annotation("v.mp4", 100, 50, frame_rate=None, class_names=("a",))
    assert (made.frame_count, made.frames.tolist(), made.ids.tolist()) == (3, [0, 0, 2], [2, 5, 5])
    assert made.interpolated.tolist() == [True, False, True]
    assert made.class_names == ("a", "class_1", "class_2")
    assert made.boxes.tolist() == [[5, 6, 7, 8], [1, 2, 3, 4], [1, 2, 3, 4]]
    assert made.scores.max() <= 1


def test_a_recorder_grows() -> None:
    recorder = Recorder()
    for k in range(3000):
        recorder.add(k / 10, tracks((1, k, 0, k + 1, 1, 0, 0, CONFIRMED)))
    made = recorder.annotation("v.mp4", 4000, 50, frame_rate=None, class_names=())
    assert made.boxes[:, 0].tolist() == list(range(3000))
    assert made.rate == 10


def test_times_and_rate_tell_each_other() -> None:
    steady = street()
    assert steady.times()[30] == 30 * 1001 / 30000
    assert steady.duration_s == pytest.approx(40 * 1001 / 30000)
    uneven = street(frame_rate=None, times_s=np.arange(40) ** 2 / 100)
    assert uneven.rate == Fraction(100, 39)
    assert record([], frame_count=1, frame_rate=None, times_s=np.zeros(1)).rate == 1
    assert record([], frame_count=0).times().tolist() == []


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(25), Fraction(1, 3600), Fraction(3, 2)])
def test_a_rate_is_measured_through_rounded_times(rate: Fraction) -> None:
    times = np.round(np.arange(40) / float(rate), 6)
    assert street(frame_rate=None, times_s=times).rate == rate


def test_rows_of_tracks_and_frames() -> None:
    made = street()
    order, starts = made.by_track()
    assert [made.ids[order[start]] for start in starts[:-1]] == [1, 7, 9_000_000_000]
    assert starts.tolist() == [0, 40, 62, 63]
    assert all(np.diff(made.frames[order[a:b]]).min(initial=1) > 0 for a, b in pairwise(starts))
    offsets = made.offsets()
    assert [int(count) for count in np.diff(offsets)][3:7] == [1, 1, 2, 2]
    assert offsets[-1] == len(made)
    empty = record([])
    assert empty.by_track()[1].tolist() == [0]
    assert list(empty.rows()) == []


def test_rows_come_as_numbers_in_any_order() -> None:
    made = crowd(200, 60)
    rows = list(made.rows())
    assert len(rows) == 12_000
    assert rows[-1][:2] == (199, 60)
    assert list(made.rows(np.arange(len(made))[::-1])) == rows[::-1]
    assert all(isinstance(row, tuple) for row in rows[:3])
    assert Annotation.rows(record([(0, 1, -0.001, 0, 5, 5)])).__next__()[2:4] == (0.0, 0.0)
