"""Files as cameras: at their own rate, over and over, time running on."""

from __future__ import annotations

import time
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.capture.clips import Clip, read_shade
from tests.capture.servers import Camera
from tracker.capture import Access, Halt, Report, camera_reader
from tracker.errors import SourceError
from tracker.structures import Frame


def play(source: str, count: int, report: Report | None = None, **how: Any) -> tuple[list[Frame], float]:
    """The first frames, and the seconds that they took."""
    reader = camera_reader(source, report or Report(), access=Access(), **how)
    frames, began = [], time.monotonic()
    with closing(reader.frames(Halt())) as found:
        for frame in found:
            frames.append(frame)
            if len(frames) == count:
                break
    assert reader.info is not None
    assert reader.info.live
    return frames, time.monotonic() - began


def test_a_file_comes_at_its_own_rate(tmp_path: Path) -> None:
    path = Clip(20).write(tmp_path / "a.mp4")
    frames, seconds = play(str(path), 100)
    assert [read_shade(frame.bgr) for frame in frames] == list(range(20))
    assert [round(frame.time_s * 25) for frame in frames] == list(range(20))
    assert seconds >= 19 / 25


def test_it_begins_again_and_time_and_numbers_go_on(tmp_path: Path) -> None:
    path, report = Clip(5).write(tmp_path / "a.mp4"), Report()
    frames, seconds = play(str(path), 13, report, loop=True)
    assert [read_shade(frame.bgr) for frame in frames] == [index % 5 for index in range(13)]
    assert [frame.index for frame in frames] == list(range(13))
    steps = [after.time_s - before.time_s for before, after in pairwise(frames)]
    assert steps == pytest.approx([0.04] * 12, abs=1e-6)
    assert seconds >= 12 / 25
    assert report.dropped == {}


def test_who_is_slow_does_not_fall_behind_for_ever(tmp_path: Path) -> None:
    """The time line is stretched, and said so: a camera would not have waited either."""
    path, report = Clip(50).write(tmp_path / "a.mp4"), Report()
    reader = camera_reader(str(path), report, access=Access(), loop=True)
    began, lags = time.monotonic(), []
    with closing(reader.frames(Halt())) as frames:
        for frame in frames:
            lags.append(report.lag_s)
            time.sleep(0.2)
            if frame.index == 14:
                break
    assert max(lags) < 1.5
    assert frame.time_s > 0.5 * (time.monotonic() - began)
    assert any("could not be read at its own rate" in note for note in report.notes)


def test_a_file_on_a_web_server_is_played_too(tmp_path: Path) -> None:
    path = Clip(10, container_options={"movflags": "faststart"}).write(tmp_path / "a.mp4")
    with Camera("file", file=path) as camera:
        frames, seconds = play(camera.url, 15, loop=True)
    assert [read_shade(frame.bgr) for frame in frames] == [index % 10 for index in range(15)]
    assert seconds >= 14 / 25


def test_a_live_stream_is_passed_on_as_it_is() -> None:
    with Camera(rate=100) as camera:
        frames, _ = play(camera.url, 10)
        assert [frame.index for frame in frames] == list(range(10))


def test_an_end_asked_for_comes_at_once(tmp_path: Path) -> None:
    path = Clip(3, rate=Fraction(1)).write(tmp_path / "a.mp4")
    halt = Halt()
    with closing(camera_reader(str(path), Report(), access=Access()).frames(halt)) as frames:
        next(frames)
        halt.set()
        began = time.monotonic()
        list(frames)
        assert time.monotonic() - began < 2.5


@pytest.mark.parametrize(("source", "message"), [("-", "cannot be a camera"), ("87", "no webcam 87")])
def test_what_is_no_camera_is_refused(source: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        camera_reader(source, Report(), access=Access())
