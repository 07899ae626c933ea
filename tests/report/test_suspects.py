"""Tracks to review: each kind of oddity is found where it is, and nothing is where all is well."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.exports.records import crowd, record
from tracker.exports import Annotation
from tracker.report.suspects import Suspect, find_suspects

Rows = list[tuple[float, ...]]


def walk(number: int, first: int, last: int, x: float = 100.0, **other: Any) -> Rows:
    """A track of 40x90 boxes that goes 2 px a frame."""
    score, class_id, filled = other.get("score", 0.9), other.get("class_id", 0), other.get("filled", 0)
    return [
        (k, number, x + 2 * (k - first), 100, x + 40 + 2 * (k - first), 190, score, class_id, filled)
        for k in range(first, last + 1)
    ]


def changed(rows: Rows, frame: int, *box: float) -> Rows:
    return [(*row[:2], *box, *row[6:]) if row[0] == frame else row for row in rows]


def found(rows: Rows) -> list[Suspect]:
    return find_suspects(record(rows, frame_count=200))


def test_nothing_is_odd_where_all_is_well() -> None:
    assert find_suspects(crowd(100, 40)) == []
    assert found(walk(1, 0, 90) + walk(2, 10, 150, x=300)) == []
    assert found([]) == []
    assert found([(3, 1, 1, 1, 5, 5)])[0].reasons == ("only 1 frame",)


@pytest.mark.parametrize(
    ("rows", "reason", "at"),
    [
        (changed(walk(3, 10, 60), 30, 190, 100, 230, 190), "jumps by 1.7 of its size at frame 30", 30),
        (changed(walk(3, 10, 60), 30, 120, 60, 200, 230), "size changes 3.8x at frame", 30),
        (walk(3, 10, 60, score=0.3), "mean score 0.30", 10),
        (walk(3, 10, 14), "only 5 frames", 10),
        (walk(3, 10, 30) + walk(3, 31, 60, x=142, filled=1), "59% of its boxes filled in", 10),
        (walk(3, 10, 40) + walk(3, 41, 60, x=162, class_id=1), "another class in 39% of its boxes", 10),
        (walk(3, 10, 20) + walk(3, 25, 30) + walk(3, 40, 50) + walk(3, 60, 80), "pauses 3 times", 10),
        (walk(3, 10, 60) + walk(4, 70, 120, x=210), "may go on as track 4 at frame 70", 60),
    ],
)
def test_what_is_odd_is_told_with_its_place(rows: Rows, reason: str, at: int) -> None:
    suspects = found(rows)
    assert reason in "; ".join(suspects[0].reasons)
    assert suspects[0].at == at
    assert (suspects[0].id, suspects[0].first) == (3, 10)
    assert len(suspects) == 1


def test_boxes_cut_by_the_border_are_not_odd() -> None:
    rows = [(k, 1, max(0, 30 - 6 * k), 100, 70 - 6 * k, 190) for k in range(11)]
    assert not [one for one in found(rows) if "size" in str(one.reasons) or "jump" in str(one.reasons)]


@pytest.mark.parametrize(
    "other", [walk(4, 70, 120, x=400), walk(4, 70, 120, x=210, class_id=1), walk(4, 150, 199, x=210)]
)
def test_another_object_is_not_the_same(other: Rows) -> None:
    assert found(walk(3, 10, 60) + other) == []


def test_the_oddest_come_first() -> None:
    twice = changed(walk(9, 10, 60, score=0.3), 30, 190, 100, 230, 190)
    assert [one.id for one in found(walk(2, 5, 9, x=400) + twice + walk(5, 3, 70, x=300, score=0.2))] == [9, 5, 2]


def test_many_tracks_are_looked_at_in_time() -> None:
    """10,000 tracks of a dozen boxes, each followed by another one."""
    count = 10_000
    ids = np.arange(1, count + 1).repeat(12)
    frames = (np.arange(count).repeat(12) // 10 * 6 + np.tile(np.arange(12), count)).astype(np.int32)
    corner = np.stack((ids % 50 * 30.0 + 100, ids % 7 * 100.0 + 100), 1)
    order = np.lexsort((ids, frames))
    annotation = Annotation(
        "v.mp4", 1920, 1080, 7000, record([]).frame_rate, None, ("a",), frames[order], ids[order],
        np.hstack((corner, corner + 50))[order].astype(np.float32), np.ones(len(ids), np.float32),
        np.zeros(len(ids), np.int32), np.zeros(len(ids), np.bool_),
    )  # fmt: skip
    assert len(find_suspects(annotation)) > 9000
