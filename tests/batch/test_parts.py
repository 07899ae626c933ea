"""A long video in parts: the spool is the one that a single worker makes, byte for byte."""

from __future__ import annotations

import filecmp
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import av
import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")

from tests.batch.test_detecting import FRAMES, detect, job_of, panned  # noqa: F401 - a fixture
from tests.fakes import FakeDetector, write_clip
from tracker.batch import ahead, detecting, parts, spool
from tracker.batch.ahead import Ahead, Survey
from tracker.batch.job import Job, Part
from tracker.batch.parts import detect_part, survey_video
from tracker.batch.spool import Spool
from tracker.capture import Source, open_source
from tracker.capture.mark import frames_announced, ticks_of
from tracker.structures import Detections, Frame


@pytest.fixture
def long_video(tmp_path: Path) -> Path:
    """Long enough to be shared among workers as they are."""
    path = tmp_path / "long.mp4"
    write_clip(path, 2600, crf="30", g="100")
    return path


def annotate(videos: Path, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tracker", "annotate", str(videos), "--output", str(output), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def differing(one: Path, other: Path) -> list[str]:
    places = {path.relative_to(one) for path in one.rglob("*") if path.is_file() and path.name != "manifest.sqlite"}
    assert places
    return [str(place) for place in places if not filecmp.cmp(one / place, other / place, shallow=False)]


@pytest.mark.slow
def test_two_workers_share_a_long_video_and_a_kill_changes_nothing(long_video: Path, tmp_path: Path) -> None:
    assert annotate(long_video, tmp_path / "one", "--workers", "1", "--stride", "8").returncode == 0
    command = [sys.executable, "-m", "tracker", "annotate", str(long_video), "--output", str(tmp_path / "two")]
    options = "--workers", "2", "--stride", "8"
    begun = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not list(tmp_path.glob("two/spool/long/*.ahead.parquet")) and time.monotonic() < until:
        time.sleep(0.02)
    begun.kill()
    begun.wait()
    assert not list(tmp_path.glob("two/spool/*.parquet"))
    done = annotate(long_video, tmp_path / "two", *options, "--resume")
    assert done.returncode == 0, done.stderr
    assert differing(tmp_path / "one", tmp_path / "two") == []


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (spool, ahead, detecting, parts):
        monkeypatch.setattr(module, "SEGMENT", 4)
    monkeypatch.setattr(parts, "PART", 8)
    monkeypatch.setattr(parts, "LONG", 16)


def survey(job: Job) -> tuple[Part, ...]:
    with open_source(str(job.video.path)) as source:
        return survey_video(job, source, Event())[0]


def detect_ahead(job: Job, part: Part, stop: Event | None = None) -> tuple[str, list[int]]:
    """Detect a part; why it could not be, and what was told of it."""
    told: list[int] = []
    one = Job(job.video, job.plan, part)
    return detect_part(one, lambda _: FakeDetector(), stop or Event(), told.append), told


def seen_by_the_last(job: Job) -> int:
    """Let the job for the whole do the rest; how many frames it had to detect."""
    detector = FakeDetector()
    with detecting.open_video(job, Event()) as source:
        assert detecting.detect_video(job, source, lambda _: detector, Event())
    return len(detector.seen)


@pytest.mark.parametrize("stride", [1, 3])
def test_parts_in_any_order_make_the_same_spool(stride: int, panned: Path, tmp_path: Path) -> None:  # noqa: F811
    whole, split = job_of(panned, tmp_path / "whole", stride), job_of(panned, tmp_path / "split", stride)
    assert detect(whole)
    found = survey(split)
    assert found == tuple(Part(first, min(first + 8, 40)) for first in range(0, 40, 8))
    for part in reversed(found):
        assert detect_ahead(split, part) == ("", list(range(4, part.until - part.first + 1, 4)))
    assert Spool(split.plan.spools, "clip").reached() == 0
    assert seen_by_the_last(split) <= 1
    one, other = (Spool(job.plan.spools, "clip") for job in (whole, split))
    assert one.path.read_bytes() == other.path.read_bytes()
    assert not (split.plan.spools / "clip").exists()


class Batched(FakeDetector):
    """What it finds depends a little on the pictures it is given together, as on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[int]] = []

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        self.calls.append([frame.index for frame in frames])
        found = super().detect(frames)
        shifts = [np.float32(0.25 * len(frames) + 0.125 * place) for place in range(len(frames))]
        return [
            Detections(one.boxes + shift, one.scores, one.class_ids) for one, shift in zip(found, shifts, strict=True)
        ]


@pytest.mark.parametrize(("stride", "batch"), [(1, 3), (3, 1), (2, 2), (1, 4)])
def test_wherever_it_begins_the_same_pictures_go_into_one_inference(
    stride: int, batch: int, panned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    for module in (spool, ahead, detecting, parts):
        monkeypatch.setattr(module, "SEGMENT", 8)
    detector = Batched()

    def job(name: str) -> Job:
        made = job_of(panned, tmp_path / name, stride)
        return replace(made, plan=replace(made.plan, batch=batch))

    def whole(job: Job) -> bytes:
        with detecting.open_video(job, Event()) as source:
            assert detecting.detect_video(job, source, lambda _: detector, Event())
        return Spool(job.plan.spools, "clip").path.read_bytes()

    plain = whole(job("whole"))
    calls = [call for call in detector.calls if call[0] < 32]
    assert max(map(len, calls)) == batch and all(call[0] // 8 == call[-1] // 8 for call in calls)
    split = job("split")
    for part in reversed(survey(split)):
        one = replace(split, part=part)
        assert detect_part(one, lambda _: detector, Event(), lambda frames: None) == ""
    assert whole(split) == plain
    broken, stop = job("broken"), Event()
    with detecting.open_video(broken, stop) as source:
        report = lambda frames: stop.set() if frames >= 16 else None  # noqa: E731
        assert not detecting.detect_video(broken, source, lambda _: detector, stop, report)
    assert whole(broken) == plain


def test_a_part_that_is_missing_is_detected_by_the_last_job(panned: Path, tmp_path: Path) -> None:  # noqa: F811
    whole, split = job_of(panned, tmp_path / "whole"), job_of(panned, tmp_path / "split")
    assert detect(whole)
    first, _, *others = survey(split)
    for part in (first, *others):
        detect_ahead(split, part)
    assert survey(split) == (Part(8, 16),)  # what is there is not done again
    assert seen_by_the_last(split) == FRAMES - 8
    assert Spool(whole.plan.spools, "clip").path.read_bytes() == Spool(split.plan.spools, "clip").path.read_bytes()


def test_a_stop_keeps_the_segments_before(panned: Path, tmp_path: Path) -> None:  # noqa: F811
    job, stop = job_of(panned, tmp_path), Event()
    survey(job)
    one = Job(job.video, job.plan, Part(8, 16))
    assert detect_part(one, lambda _: FakeDetector(), stop, lambda frames: stop.set()) == ""
    assert survey(job)[:2] == (Part(0, 8), Part(12, 16))
    assert Ahead(Spool(job.plan.spools, "clip")).frames() == 4
    assert detect_ahead(job, Part(8, 16)) == ("", [8]) and detect_ahead(job, Part(8, 16)) == (
        "",
        [],
    )  # begun again after a crash


def test_a_short_video_has_no_parts(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LONG", 1000)
    job = job_of(clip, tmp_path)
    assert survey(job) == () and not (job.plan.spools / "clip").exists()


def test_pictures_that_are_not_those_of_the_survey_are_refused(panned: Path, tmp_path: Path) -> None:  # noqa: F811
    """As if the decoder had left one out, before the part or in it."""
    job = job_of(panned, tmp_path)
    survey(job)
    kept = Ahead(Spool(job.plan.spools, "clip"))
    true = kept.survey()
    assert true is not None
    kept.keep(Survey(np.delete(true.ticks, 20), true.width, true.height))
    reason, told = detect_ahead(job, Part(16, 24))
    assert "frame 20 is not the one" in reason and told == [4]
    kept.keep(Survey(np.delete(true.ticks, 2), true.width, true.height))
    assert detect_ahead(job, Part(8, 16))[0] == ""  # it cannot see that; the one who takes it in does
    detect_ahead(job, Part(4, 8))
    assert "frame 2 is not the one" in detect_ahead(job, Part(0, 4))[0]
    whole = job_of(panned, tmp_path / "whole")
    assert detect(whole) and seen_by_the_last(job) == FRAMES
    assert Spool(whole.plan.spools, "clip").path.read_bytes() == Spool(job.plan.spools, "clip").path.read_bytes()


def test_a_video_of_another_size_is_refused(panned: Path, tmp_path: Path) -> None:  # noqa: F811
    job = job_of(panned, tmp_path)
    survey(job)
    kept = Ahead(Spool(job.plan.spools, "clip"))
    kept.keep(Survey(kept.survey().ticks, 80, 60))  # type: ignore[union-attr]
    assert "size" in detect_ahead(job, Part(8, 16))[0]


def test_a_damaged_picture_leaves_the_part_to_the_last_job(tmp_path: Path) -> None:
    clip = tmp_path / "damaged.mp4"
    write_clip(clip, FRAMES, g="8", bf="0")
    with av.open(str(clip)) as source:
        packets = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    data = clip.read_bytes()
    data = data.replace(packets[19], packets[19][:4] + bytes(len(packets[19]) - 4))
    clip.write_bytes(data)
    whole, split = job_of(clip, tmp_path / "whole"), job_of(clip, tmp_path / "split")
    assert detect(whole)
    assert any("could not be decoded" in detect_ahead(split, part)[0] for part in survey(split))
    seen_by_the_last(split)
    one, other = (Spool(job.plan.spools, "clip") for job in (whole, split))
    assert one.about() == other.about() and one.about().warnings
    assert one.path.read_bytes() == other.path.read_bytes()


def test_a_damaged_survey_is_none(panned: Path, tmp_path: Path) -> None:  # noqa: F811
    job = job_of(panned, tmp_path)
    survey(job)
    kept = job.plan.spools / "clip" / "survey.npz"
    good = kept.read_bytes()
    for place in range(0, len(good), 7):
        kept.write_bytes(good[:place] + bytes((good[place] ^ 0x55,)) + good[place + 1 :])
        Ahead(Spool(job.plan.spools, "clip")).survey()  # whatever it makes of it, it does not raise
    for damaged in (b"", good[: len(good) // 2]):
        kept.write_bytes(damaged)
        assert Ahead(Spool(job.plan.spools, "clip")).survey() is None
    assert "survey" in detect_ahead(job, Part(8, 16))[0]


def test_nothing_is_made_ahead_that_would_not_be_taken_in(panned: Path, tmp_path: Path) -> None:  # noqa: F811
    job, stop = job_of(panned, tmp_path), Event()
    with detecting.open_video(job, stop) as source:
        report = lambda frames: stop.set() if frames >= 8 else None  # noqa: E731
        assert not detecting.detect_video(job, source, lambda _: FakeDetector(), stop, report)
    assert survey(job)[0] == Part(8, 16)
    first = job.plan.spools / "clip" / "000000000.parquet"
    spool.write_segment(first, list(spool.sights_of(pyarrow_table(first))), faults=1)
    assert survey(job) == ()


def pyarrow_table(path: Path) -> object:
    """A segment as it is."""
    from pyarrow import parquet

    return parquet.read_table(path)


def test_a_stop_within_a_segment_leaves_no_other_bytes(panned: Path, tmp_path: Path) -> None:  # noqa: F811
    """The frame that is the newest when the stop comes is not the last one of the video."""
    whole, broken, stop = job_of(panned, tmp_path / "whole", 3), job_of(panned, tmp_path / "broken", 3), Event()
    assert detect(whole)

    class Stopped:
        """A source that ends, as it does where the reader waits for the decoder when the stop comes."""

        def __init__(self, source: Source) -> None:
            self._source = source

        def __getattr__(self, name: str) -> object:
            return getattr(self._source, name)

        def __iter__(self) -> Iterator[Frame]:
            for frame in self._source:
                if frame.index == 8:
                    stop.set()
                    return
                yield frame

    with detecting.open_video(broken, stop) as source:
        stopped: Any = Stopped(source)
        assert not detecting.detect_video(broken, stopped, lambda _: FakeDetector(), stop)
    assert detect(broken)
    one, other = (Spool(job.plan.spools, "clip") for job in (whole, broken))
    assert one.path.read_bytes() == other.path.read_bytes()


def test_packets_tell_every_frame_of_a_video_with_reordered_ones(tmp_path: Path) -> None:
    clip = tmp_path / "b.mp4"
    write_clip(clip, FRAMES, bf="3", g="12")
    with open_source(str(clip)) as source:
        shown = [frame.picture.pts for frame in source]
    with av.open(str(clip)) as source:
        assert [packet.pts for packet in source.demux(video=0) if packet.size] != shown
    assert ticks_of(str(clip), Event()) == shown and frames_announced(str(clip)) == FRAMES
    stopped = Event()
    stopped.set()
    assert ticks_of(str(clip), stopped) is None


def test_what_has_no_index_tells_nothing(tmp_path: Path) -> None:
    clip = tmp_path / "t.ts"
    write_clip(clip, 5)
    assert ticks_of(str(clip), Event()) is None
    (tmp_path / "x.mp4").write_bytes(b"no video")
    assert ticks_of(str(tmp_path / "x.mp4"), Event()) is None and frames_announced(str(tmp_path / "x.mp4")) == 0
    assert frames_announced(str(tmp_path / "gone.mp4")) == 0
