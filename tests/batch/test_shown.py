"""What an archive shows of its videos: the same from run to run."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")

from tests.fakes import squares
from tracker.batch.inputs import Video
from tracker.batch.job import DONE, Job, Plan
from tracker.batch.pictures import write_pictures
from tracker.batch.sights import Sight
from tracker.batch.spool import About, Spool
from tracker.batch.work import Worker
from tracker.config import make_settings
from tracker.exports import Annotation, Recorder
from tracker.structures import Tracks
from tracker.write import mp4

FRAMES = 40


def annotated() -> Annotation:
    recorder = Recorder()
    for index in range(FRAMES):
        found = squares(index)
        ids, state = np.arange(1, len(found) + 1), np.ones(len(found), np.int64)
        speed = np.zeros(len(found), np.float32)
        recorder.add(index / 30, Tracks(ids, found.boxes, found.scores, found.class_ids, speed, state))
    return recorder.annotation("v.mp4", 160, 120, frame_rate=None, class_names=("person", "bicycle", "car"), model="m")


def test_the_annotated_video_does_not_depend_on_how_fast_the_machine_is(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for name in ("fast", "slow"):
        plan = Plan(tmp_path / name, make_settings(None, {}), ("mot",), video=True)
        plan.output.mkdir()
        write_pictures(Job(Video("v", clip), plan), annotated(), Event())
        made.append((plan.output / "video" / "v.mp4").read_bytes())
        chance, now = random.Random(1), [0.0]

        def slow(chance: random.Random = chance, now: list[float] = now) -> float:
            now[0] += chance.choice((0.01, 0.3))
            return now[0]

        monkeypatch.setattr(mp4, "monotonic", slow)
    assert made[0] == made[1]


def test_pictures_of_a_remote_video_are_made_after_a_kill_and_nothing_is_left(clip: Path, tmp_path: Path) -> None:
    """The kill came when the spool was whole, and its pictures were not kept yet."""
    pytest.importorskip("fsspec", reason="the extra 'annotate' is not installed")
    local = Job(Video("v", clip), Plan(tmp_path / "local", make_settings(None, {}), ("coco",)))
    far = Job(Video("v", Path(clip.name), clip.as_uri()), replace(local.plan, output=tmp_path / "far"))
    for job in (local, far):
        spool = Spool(job.plan.spools, "v")
        spool.add([Sight(k, k / 30, 1 / 30, squares(k), ticks=None) for k in range(FRAMES)])
        spool.finish(About(160, 120, "30", ("person", "bicycle", "car")), FRAMES)
    fetched = far.plan.output / "fetched"
    fetched.mkdir()
    (fetched / f"v{clip.suffix}").write_bytes(clip.read_bytes())
    outcomes = [Worker(Event(), 1).do(job) for job in (local, far)]
    assert [outcome.state for outcome in outcomes] == [DONE, DONE]
    assert outcomes[0].figures == outcomes[1].figures and not fetched.exists()
    made = [job.plan.output / "coco" / "v.json" for job in (local, far)]
    assert made[0].read_bytes() == made[1].read_bytes()
