"""When a frame was, as text and on the picture."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.write.scenes import gray_frame, info, luma_of
from tests.write.test_draw import NAMES, canvas, drawn
from tracker.structures import Tracks
from tracker.write import Overlay, VideoOptions, VideoSink, stamp
from tracker.write.canvas import planes_of

BEGAN = datetime(2024, 1, 31, 23, 59, 59, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("began", "time_s", "said"),
    [
        (BEGAN, 0.0, "2024-01-31 23:59:59"),
        (BEGAN, 0.999, "2024-01-31 23:59:59"),  # as clocks go: the second is not over
        (BEGAN, 1.0, "2024-02-01 00:00:00"),
        (BEGAN, 59.9999999, "2024-02-01 00:00:59"),  # a minute, but for the rounding of a fraction
        (BEGAN.replace(microsecond=600_000), 0.5, "2024-02-01 00:00:00"),
        (BEGAN, 29 * 86400.0, "2024-02-29 23:59:59"),
        (None, 0.0, "00:00:00"),
        (None, 59.9999999, "00:01:00"),
        (None, 86399.0, "23:59:59"),
        (None, 86400 + 7384.5, "1 d 02:03:04"),
        (None, 400 * 86400.0, "400 d 00:00:00"),
    ],
)
def test_stamp(began: datetime | None, time_s: float, said: str) -> None:
    assert stamp(began, time_s) == said


def test_a_stamp_is_the_panels_first_line() -> None:
    """Above the figures, which keep their look."""
    overlay, figures = Overlay(NAMES), ("48.2 fps", "17 ms")
    without = drawn(canvas(), Overlay(NAMES), Tracks.empty(), 0.0, figures)
    with_it = drawn(canvas(), Overlay(NAMES), Tracks.empty(), 0.0, ("", *figures))
    stamped = canvas(seed=1)
    overlay.draw(stamped, Tracks.empty(), 0.0, figures, "00:00:07")
    changed = planes_of(stamped)[0] != planes_of(canvas(seed=1))[0]
    rows = [np.flatnonzero(one.any(1))[-1] for one in (without, changed, with_it)]
    assert rows[0] < rows[1]
    assert abs(int(rows[1]) - int(rows[2])) <= 1


@pytest.mark.parametrize("panel", [True, False])
def test_a_stamp_is_shown_with_and_without_figures(panel: bool) -> None:
    """Without the panel it stands alone."""
    target = canvas()
    Overlay(NAMES, panel=panel).draw(target, Tracks.empty(), 0.0, (), "00:00:07")
    changed = planes_of(target)[0] != planes_of(canvas())[0]
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert (rows[0], columns[0]) < (10, 10)
    assert (rows[-1], columns[-1]) < (30, 100)
    assert rows[-1] > 10


def test_a_stamp_is_that_of_its_frame_while_figures_are_held() -> None:
    """The panel's figures change four times a second at most; a held time would be a wrong one."""
    overlay, shots = Overlay(NAMES), []
    for step in range(6):
        target = canvas(seed=3)
        overlay.draw(target, Tracks.empty(), step / 30, (f"{step} fps",), f"00:00:{step:02d}")
        fresh = canvas(seed=3)
        Overlay(NAMES).draw(fresh, Tracks.empty(), step / 30, ("0 fps",), f"00:00:{step:02d}")
        shots.append((planes_of(target)[0].tobytes(), planes_of(fresh)[0].tobytes()))
    assert all(target == fresh for target, fresh in shots)  # each with its own time, all with the first figures
    assert len({target for target, _ in shots}) == 6


def test_going_back_to_an_earlier_time_draws_it() -> None:
    """A stream that begins anew."""
    overlay, shots = Overlay(NAMES), []
    for said in ("00:00:01", "00:00:02", "00:00:01", ""):
        target = canvas(seed=3)
        overlay.draw(target, Tracks.empty(), 0.0, ("1 fps",), said)
        shots.append(planes_of(target)[0].tobytes())
    assert shots[0] == shots[2]
    assert len(set(shots)) == 3


@pytest.mark.parametrize("rate", [None, Fraction(5)])
@pytest.mark.parametrize("began", [None, BEGAN])
def test_a_video_shows_the_time_of_each_frame(tmp_path: Path, rate: Fraction | None, began: datetime | None) -> None:
    """The time of the source, at whatever rate it is played, and not the time that the loop has reached."""
    size = (320, 240)
    sink = VideoSink(
        tmp_path / "o.mp4", replace(info(size=size), began=began), Overlay(()), stamps=True,
        options=VideoOptions(crf=1, output_rate=rate),
    )  # fmt: skip
    for index in range(4):
        sink.write(gray_frame(0, 61.0 * index, 61.0, size), Tracks.empty())
    sink.close()
    with av.open(str(tmp_path / "o.mp4")) as container:
        shown = [luma_of(picture).astype(int) for picture in container.decode(video=0)]
    assert len(shown) == 4
    for index, luma in enumerate(shown):
        for other in range(4):
            expected = gray_frame(0, 0.0, size=size).picture
            Overlay(()).draw(expected, Tracks.empty(), 0.0, (), stamp(began, 61.0 * other))
            assert (np.abs(luma - luma_of(expected)).max() < 20) == (index == other)


def test_no_stamp_unasked(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "o.mp4", info(), Overlay(()), options=VideoOptions(crf=1))
    sink.write(gray_frame(0, 0.0), Tracks.empty())
    sink.close()
    with av.open(str(tmp_path / "o.mp4")) as container:
        shown = luma_of(next(container.decode(video=0))).astype(int)
    assert np.abs(shown - luma_of(gray_frame(0, 0.0).picture)).max() < 12
