"""The types that cross a boundary check themselves."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from fractions import Fraction

import numpy as np
import pytest

from tests.fakes import detections
from tracker.structures import Detections, Frame, StreamInfo, Tracks


@pytest.mark.parametrize(
    ("boxes", "scores", "classes", "message"),
    [
        (
            np.zeros((2, 4)),
            np.zeros(2, np.float32),
            np.zeros(2, np.int64),
            r"boxes must be float32 \(2, 4\), got float64",
        ),
        (
            np.zeros((2, 4), np.float32),
            np.zeros(3, np.float32),
            np.zeros(2, np.int64),
            r"scores must be float32 \(2,\), got float32 \(3,\)",
        ),
        (
            np.zeros((2, 4), np.float32),
            np.zeros(2, np.float32),
            np.zeros(2, np.int32),
            r"class_ids must be int64 \(2,\), got int32",
        ),
        (
            np.zeros((2, 5), np.float32),
            np.zeros(2, np.float32),
            np.zeros(2, np.int64),
            r"boxes must be float32 \(2, 4\), got float32 \(2, 5\)",
        ),
    ],
)
def test_detections_say_what_was_wanted_and_what_came(boxes, scores, classes, message) -> None:
    with pytest.raises(ValueError, match=message):
        Detections(boxes, scores, classes)


def test_nothing_found_is_empty_and_indexing_keeps_the_type() -> None:
    assert len(Detections.empty()) == len(Tracks.empty()) == 0
    found = detections((0, 0, 1, 1, 0.9, 3), (1, 1, 2, 2, 0.2, 4))
    assert found[found.scores > 0.5].class_ids.tolist() == [3]


def test_a_frame_makes_its_bgr_once() -> None:
    frame = Frame.from_bgr(0, 0.0, np.full((4, 6, 3), (10, 20, 30), np.uint8))
    assert frame.bgr is frame.bgr
    assert frame.bgr.shape == (4, 6, 3)
    assert frame.bgr[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize(("index", "time_s"), [(-1, 0.0), (0, -0.1), (0, float("nan"))])
def test_a_frame_without_place_or_time_is_refused(index: int, time_s: float) -> None:
    with pytest.raises(ValueError, match="index >= 0 and time_s >= 0"):
        Frame.from_bgr(index, time_s, np.zeros((2, 2, 3), np.uint8))


def test_the_beginning_of_a_stream_is_in_utc_or_not_known() -> None:
    """A date without a zone, or with another one, would be drawn and written hours off."""
    known = {"name": "x", "width": 6, "height": 4, "frame_rate": Fraction(1), "frame_count": None, "live": False}
    assert StreamInfo(**known).began is None
    moment = datetime(2024, 1, 31, 23, 59, 59, tzinfo=timezone.utc)
    assert StreamInfo(**known, began=moment).began == moment
    for wrong in (moment.replace(tzinfo=None), moment.astimezone(timezone(timedelta(hours=1)))):
        with pytest.raises(ValueError, match="began must be in UTC"):
            StreamInfo(**known, began=wrong)
