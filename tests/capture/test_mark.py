"""Going on in the middle of a file: the frames are those of a reading from the beginning."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tracker.capture import mark as module
from tracker.capture import open_source
from tracker.capture.mark import Mark

FRAMES, TICK = 50, Fraction(1, 90000)


CODED = {"preset": "fast", "g": "12", "bf": "2", "crf": "30"}


def write(path: Path, ticks: list[int] | None = None, codec: str = "libx264", options: dict[str, str] = CODED) -> Path:
    """Noise with key frames every 12 and B-frames between; `ticks`: PTS of each frame at 1/90000 s."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = TICK
        for index in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (48, 64, 3), np.uint8), format="bgr24")
            frame.pts = 3000 * index if ticks is None else ticks[index]
            frame.time_base = TICK
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def read(path: Path, mark: Mark | None = None):
    with open_source(str(path), mark=mark) as source:
        frames = [(frame.index, frame.time_s, frame.duration_s, frame.picture.pts, frame.bgr) for frame in source]
        return frames, source.warnings, source.report.decoded


def mark_at(frames, count: int) -> Mark:
    return Mark([frame[3] for frame in frames[:count]], [frame[1] for frame in frames[:count]])


def assert_tail(frames, whole) -> None:
    for one, other in zip(frames, whole[-len(frames) :], strict=True):
        assert one[:4] == other[:4] and np.array_equal(one[4], other[4])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts", "a.avi"])
@pytest.mark.parametrize("count", [1, 12, 13, 30, FRAMES])
def test_what_follows_a_mark_is_what_follows_it_in_the_whole(name: str, count: int, tmp_path: Path) -> None:
    path = write(tmp_path / name)
    whole, warnings, decoded = read(path)
    frames, again, counted = read(path, mark_at(whole, count))
    assert frames[-1][0] == FRAMES - 1 and frames[0][0] <= count - 1
    assert_tail(frames, whole)
    assert (again, counted) == (warnings, decoded)
    indexed = name in ("a.mp4", "a.mkv", "a.mov")
    assert frames[0][0] == (count - 1 if indexed else 0)


def test_only_what_is_needed_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, decoded = write(tmp_path / "a.mp4"), []
    whole, _, _ = read(path)
    reached = Mark.reached

    def counting(self, stamped, report):
        return reached(self, (decoded.append(pair[1]) or pair for pair in stamped), report)

    monkeypatch.setattr(module.Mark, "reached", counting)
    frames, _, _ = read(path, mark_at(whole, 40))
    assert frames[0][0] == 39 and len(decoded) <= FRAMES - 39 + 12


def test_a_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    steps = np.random.default_rng(1).integers(900, 9000, FRAMES)
    path = write(tmp_path / "a.mp4", [0, *itertools.accumulate(steps.tolist())][:FRAMES])
    whole, warnings, _ = read(path)
    frames, again, _ = read(path, mark_at(whole, 25))
    assert frames[0][0] == 24 and again == warnings
    assert_tail(frames, whole)


@pytest.mark.parametrize("what", ["ticks", "times"])
def test_a_mark_of_another_file_is_no_mark(what: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    whole, _, decoded = read(path)
    good = mark_at(whole, 25)
    ticks = [*good.ticks[:-1], good.ticks[-1] + 1] if what == "ticks" else good.ticks
    times = [time_s + 0.001 for time_s in good.times_s] if what == "times" else good.times_s
    frames, _, counted = read(path, Mark(ticks, times))
    assert len(frames) == FRAMES and counted == decoded
    assert_tail(frames, whole)


OPEN = "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0"


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"x264-params": OPEN}),
        ("libx264", {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}),
        ("libx265", {"x265-params": f"{OPEN}:log-level=none"}),
    ],
)
@pytest.mark.parametrize("count", [11, 12, 13, 14, 36, 49])
def test_a_key_frame_that_is_shown_behind_the_mark_is_passed_by(
    codec: str, options: dict[str, str], count: int, tmp_path: Path
) -> None:
    """As phones and cameras write them: pictures in front of a key frame, in need of those before it."""
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    path = write(tmp_path / "a.mp4", codec=codec, options=options)
    whole, warnings, decoded = read(path)
    frames, again, counted = read(path, mark_at(whole, count))
    assert frames[0][0] == count - 1 and len(whole) == FRAMES
    assert_tail(frames, whole)
    assert (again, counted) == (warnings, decoded)
