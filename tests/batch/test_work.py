"""A job from beginning to end: what a stop, a kill and another detector lead to."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from threading import Event

import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")

from tests.fakes import squares
from tracker import capture
from tracker.batch.inputs import Video
from tracker.batch.job import DONE, STOPPED, Job, Plan
from tracker.batch.sights import Sight
from tracker.batch.spool import About, Spool
from tracker.batch.work import Worker
from tracker.config import make_settings
from tracker.errors import RequirementError

FRAMES = 40


@pytest.fixture
def job(tmp_path: Path, clip: Path) -> Job:
    return Job(Video("v", clip), Plan(tmp_path, make_settings(None, {}), ("jsonl",)))


@pytest.fixture
def spool(job: Job) -> Spool:
    """Whole, of the job."""
    made = Spool(job.plan.spools, "v")
    made.add([Sight(k, k / 30, 1 / 30, squares(k), ticks=None) for k in range(FRAMES)])
    made.finish(About(160, 120, "30", ("person", "bicycle", "car")), FRAMES)
    return made


def test_a_stop_while_the_report_is_made_leaves_the_job_undone(
    job: Job, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, real, opens = Event(), capture.open_source, [0]

    def opened(*arguments: object, **options: object):
        source = real(*arguments, **options)
        opens[0] += 1
        if opens[0] == 2:  # the last of its pictures
            stop.set()
        return source

    with monkeypatch.context() as stopped:
        stopped.setattr(capture, "open_source", opened)
        assert Worker(stop, 1).do(job).state == STOPPED
    outcome = Worker(Event(), 1).do(job)
    assert outcome.state == DONE and len(outcome.figures["summary"]["pictures"]) == 2


def test_segments_beside_a_whole_spool_are_taken_away(job: Job, spool: Spool) -> None:
    (job.plan.spools / "v").mkdir()
    (job.plan.spools / "v" / "000000512.parquet").write_bytes(b"left by a kill")
    assert Worker(Event(), 1).do(job).state == DONE
    assert sorted(path.name for path in job.plan.spools.iterdir()) == ["v.parquet", "v.pictures"]


def test_the_pictures_of_the_report_outlive_the_video(job: Job, spool: Spool, tmp_path: Path) -> None:
    first = Worker(Event(), 1).do(job).figures["summary"]["pictures"]
    gone = dataclasses.replace(job, video=Video("v", tmp_path / "gone.mp4"))
    again = Worker(Event(), 1).do(gone)
    assert len(first) == 2 and [one["jpeg"] for one in again.figures["summary"]["pictures"]] == [
        one["jpeg"] for one in first
    ]
    spool.pictures.write_bytes(spool.pictures.read_bytes()[:-40])  # damaged: the video is read again
    assert Worker(Event(), 1).do(gone).figures["summary"]["pictures"] == ()
    assert Worker(Event(), 1).do(job).figures["summary"]["pictures"] == first


def test_segments_of_another_detector_are_not_gone_on_with(job: Job) -> None:
    """The first job was killed before anybody but itself knew what the detector was."""
    known = job.plan.spools / "v" / "detector.json"
    known.parent.mkdir(parents=True)
    known.write_text(json.dumps({"model": "another"}), encoding="utf-8")
    with pytest.raises(RequirementError, match="model another before"):
        Worker(Event(), 1).do(job)
