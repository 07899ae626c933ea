"""The second pass: tracks from a spool, boxes between where the stride passed frames over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")

from tests.fakes import squares
from tracker.batch.sights import Sight
from tracker.batch.spool import About, Spool
from tracker.batch.tracking import between, track_spool
from tracker.config import make_settings
from tracker.structures import LOST, Tracks
from tracker.track import tracklets
from tracker.track.whole import link_whole

SIZE = (160, 120)
FRAMES = 40


def spool_of(folder: Path, stride: int = 1, frames: int = FRAMES) -> Spool:
    spool = Spool(folder, "v")
    spool.add([Sight(k, k / 30, 1 / 30, None if k % stride else squares(k)) for k in range(frames)])
    spool.finish(About(*SIZE, "30", ("person", "bicycle", "car")), frames)
    return spool


def tracks_of(spool: Spool, **settings: object) -> list[tuple[int, float, Tracks]]:
    chosen = make_settings(None, {f"tracker.{key}": value for key, value in settings.items()}).tracker
    return list(track_spool(spool, chosen, SIZE, spool.moments()))


def test_without_pictures_the_tracks_are_those_of_link(tmp_path: Path) -> None:
    rows = tracks_of(spool_of(tmp_path))
    wanted = list(link_whole(make_settings(None, {}).tracker, [(squares(k), k / 30) for k in range(FRAMES)]))
    assert [(index, round(time_s * 30)) for index, time_s, _ in rows] == [(k, k) for k in range(FRAMES)]
    for (_, _, mine), theirs in zip(rows, wanted, strict=True):
        assert np.array_equal(mine.ids, theirs.ids) and np.array_equal(mine.boxes, theirs.boxes)
    assert set(rows[20][2].ids.tolist()) == {1, 2}


@pytest.mark.parametrize("name", ["steady", "bytetrack", "sort"])
def test_frames_passed_over_get_the_boxes_between(name: str, tmp_path: Path) -> None:
    rows = tracks_of(spool_of(tmp_path, stride=4), name=name)
    assert [index for index, _, _ in rows] == list(range(FRAMES))
    (_, _, middle) = rows[22]
    truth = squares(22).boxes
    assert len(middle) == 2 and (middle.state == LOST).all()
    for box in middle.boxes:
        assert min(np.abs(box - one).max() for one in truth) < 2.0
    assert not len(rows[39][2])  # nobody knows what comes after the last look


def test_how_much_is_worked_on_together_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = spool_of(tmp_path)
    whole = tracks_of(spool)
    monkeypatch.setattr(tracklets, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(tracklets, "FRAMES_AT_ONCE", 7)
    for (_, _, one), (_, _, other) in zip(whole, tracks_of(spool), strict=True):
        for name in ("ids", "boxes", "scores", "class_ids", "missed_s", "state"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_between_keeps_what_both_have() -> None:
    first = Tracks(
        np.array([1, 3]), np.array([[0, 0, 10, 10], [5, 5, 9, 9]], np.float32), np.array([0.9, 0.5], np.float32),
        np.array([0, 2]), np.zeros(2, np.float32), np.ones(2, np.int64),
    )  # fmt: skip
    last = Tracks(
        np.array([3, 4]), np.array([[9, 5, 13, 9], [0, 0, 1, 1]], np.float32), np.array([0.7, 0.5], np.float32),
        np.array([2, 0]), np.zeros(2, np.float32), np.ones(2, np.int64),
    )  # fmt: skip
    middle = between(first, last, 0.25)
    assert middle.ids.tolist() == [3] and middle.boxes.tolist() == [[6, 5, 10, 9]]
    assert middle.scores.tolist() == [0.5] and middle.class_ids.tolist() == [2]


def test_a_spool_without_detections_gives_empty_frames(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "v")
    spool.add([Sight(k, k / 30, 0.0, squares(k)[:0]) for k in range(5)])
    spool.finish(About(*SIZE, "", ("person",)), 5)
    assert [len(tracks) for _, _, tracks in tracks_of(spool)] == [0] * 5
