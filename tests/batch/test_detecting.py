"""The first pass: however often it is stopped, the spool is the same, byte for byte."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from threading import Event

import av
import cv2
import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")

from tests.fakes import FakeDetector, picture, write_clip
from tracker.batch import detecting, spool
from tracker.batch.inputs import Video
from tracker.batch.job import Job, Plan, cues_of
from tracker.batch.spool import Spool
from tracker.config import Settings, make_settings
from tracker.errors import TrackerError

FRAMES = 41


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SEGMENT", 8)
    monkeypatch.setattr(detecting, "SEGMENT", 8)


@pytest.fixture(scope="module")
def panned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera that turns over a scene with texture, and the two squares."""
    path = tmp_path_factory.mktemp("panned") / "panned.mp4"
    wall = np.repeat(np.repeat(np.random.default_rng(0).integers(0, 255, (40, 100), np.uint8), 6, 0), 6, 1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"preset": "ultrafast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for index in range(FRAMES):
            scene = np.dstack([wall[20:140, 3 * index : 3 * index + 160]] * 3)
            image = picture(index)
            shown = np.where((image != 90).any(2, keepdims=True), image, scene)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="bgr24")))
        out.mux(stream.encode(None))
    return path


def job_of(clip: Path, output: Path, stride: int = 1, settings: Settings | None = None) -> Job:
    settings = settings or make_settings(None, {})
    return Job(Video("clip", clip), Plan(output, settings, ("mot",), stride, cues=cues_of(settings.tracker)))


def detect(job: Job, stop_after: int | None = None) -> bool:
    """One attempt that is stopped once so many frames were detected."""
    stop, detector = Event(), FakeDetector()

    class Stopping(FakeDetector):
        def detect(self, frames):
            found = detector.detect(frames)
            if stop_after is not None and len(detector.seen) >= stop_after:
                stop.set()
            return found

    with detecting.open_video(job, stop) as source:
        return detecting.detect_video(job, source, lambda _: Stopping(), stop)


@pytest.mark.parametrize("stride", [1, 3])
def test_however_often_it_is_stopped_the_spool_is_the_same(stride: int, panned: Path, tmp_path: Path) -> None:
    whole, broken = job_of(panned, tmp_path / "whole", stride), job_of(panned, tmp_path / "broken", stride)
    assert detect(whole)
    attempts = 0
    while not detect(broken, stop_after=9):
        attempts += 1
        assert attempts < FRAMES
    assert attempts >= 1
    one, other = (Spool(job.plan.spools, "clip") for job in (whole, broken))
    assert one.path.read_bytes() == other.path.read_bytes()
    sights = list(one)
    assert len(sights) == FRAMES and [sight.index for sight in sights] == list(range(FRAMES))
    detected = sorted({*range(0, FRAMES, stride), FRAMES - 1})  # nothing behind the last one could be filled in
    assert [sight.index for sight in sights if sight.found is not None] == detected
    seen = [sight for sight in sights if sight.found is not None]
    moved = [sight.motion[0, 2] for sight in seen[1:] if sight.motion is not None]
    assert len(moved) > len(seen) / 2 and np.median(moved) == pytest.approx(-3 * stride, abs=0.5)
    assert all(sight.looks is not None for sight in seen)


def test_a_whole_spool_needs_no_detector(panned: Path, tmp_path: Path) -> None:
    job = job_of(panned, tmp_path)
    assert detect(job)
    stop = Event()
    with detecting.open_video(job, stop) as source:
        assert detecting.detect_video(job, source, lambda _: pytest.fail("opened"), stop)


def test_what_fails_keeps_the_segments_before(panned: Path, tmp_path: Path) -> None:
    job, stop, told = job_of(panned, tmp_path), Event(), []
    with detecting.open_video(job, stop) as source, pytest.raises(RuntimeError, match="the detector broke"):
        detecting.detect_video(job, source, lambda _: FakeDetector(fail_at=20), stop, told.append)
    assert Spool(job.plan.spools, "clip").reached() == 16 and told == [8, 16]
    assert detect(job)


def test_other_trackers_look_at_no_picture(panned: Path, tmp_path: Path) -> None:
    job = job_of(panned, tmp_path, settings=make_settings(None, {"tracker.name": "bytetrack"}))
    assert detect(job)
    assert all(sight.motion is None and sight.looks is None for sight in Spool(job.plan.spools, "clip"))


def test_a_broken_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes(b"\x00\x01\x02\x03" * 1000)
    with (
        pytest.raises(TrackerError, match=r"b\.mp4"),
        detecting.open_video(job_of(tmp_path / "b.mp4", tmp_path), Event()),
    ):
        pass


def resumed_is_whole(clip: Path, folder: Path, stop_after: int) -> list[str]:
    """Detect at once, and with a stop on the way: the spools must be the same. Returns the warnings."""
    whole, broken = job_of(clip, folder / "whole"), job_of(clip, folder / "broken")
    assert detect(whole)
    assert not detect(broken, stop_after=stop_after)
    with detecting.open_video(broken, Event()) as source:
        assert next(iter(source)).index > 0  # goes on from a mark
    assert detect(broken)
    one, other = (Spool(job.plan.spools, "clip") for job in (whole, broken))
    assert one.about() == other.about()
    assert one.path.read_bytes() == other.path.read_bytes()
    return list(one.about().warnings)


def test_damage_behind_the_mark_is_counted_as_from_the_beginning(tmp_path: Path) -> None:
    clip = tmp_path / "damaged.mp4"
    write_clip(clip, FRAMES, g="8")
    with av.open(str(clip)) as source:
        packets = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    data = clip.read_bytes()
    for packet in packets[-3:]:  # all that the decoder has in hand at the end of the file
        assert data.count(packet) == 1
        data = data.replace(packet, packet[:4] + bytes(len(packet) - 4))
    clip.write_bytes(data)
    assert any("could not be decoded" in line for line in resumed_is_whole(clip, tmp_path, 24))


def test_a_video_that_changes_its_size_is_gone_on_with_as_one_of_its_first_size(tmp_path: Path) -> None:
    clip = tmp_path / "changing.mkv"
    with av.open(str(clip), "w") as out:
        stream = out.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuvj420p"
        for index in range(FRAMES):
            size = (160, 120) if index < 12 else (80, 60)
            image = np.full((size[1], size[0], 3), 90, np.uint8)
            jpeg = av.Packet(cv2.imencode(".jpg", image)[1].tobytes())
            jpeg.stream, jpeg.pts, jpeg.dts, jpeg.time_base = stream, index * 33, index * 33, Fraction(1, 1000)
            jpeg.is_keyframe = True
            out.mux(jpeg)
    whole, broken = job_of(clip, tmp_path / "whole"), job_of(clip, tmp_path / "broken")
    assert detect(whole) and not detect(broken, stop_after=26) and detect(broken)
    one, other = (Spool(job.plan.spools, "clip") for job in (whole, broken))
    assert (one.about().width, one.about().height) == (160, 120)
    assert one.path.read_bytes() == other.path.read_bytes()
