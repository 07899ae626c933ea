"""Who does the jobs, and how many of them at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")

from tests.fakes import squares
from tracker.batch import runners
from tracker.batch.inline import InlineRunner
from tracker.batch.inputs import Video
from tracker.batch.job import Plan
from tracker.batch.local import LocalRunner
from tracker.batch.manifest import Entry
from tracker.batch.runners import WORKER_BYTES, make_runner, workers_in_memory
from tracker.batch.sights import Sight
from tracker.batch.spool import About, Spool
from tracker.config import make_settings


def waiting(folder: Path, frames: int, *, whole: bool) -> tuple[Plan, list[Entry]]:
    plan = Plan(folder, make_settings(None, {}), ("mot",))
    entries = [Entry(Video(name, folder / f"{name}.mp4"), None, frames=frames) for name in "ab"]
    for entry in entries if whole else ():
        spool = Spool(plan.spools, entry.video.name)
        spool.add([Sight(0, 0.0, 0.0, squares(0))])
        spool.finish(About(160, 120, "30", ("person",)), 1)
    return plan, entries


@pytest.mark.parametrize(
    ("frames", "whole", "workers", "slots"),
    [
        (100, True, None, 1),  # little to be tracked again: here
        (10**6, True, None, 2),
        (10**6, True, 1, 1),
        (100, True, 2, 2),
        (100, False, None, 2),
    ],
)
def test_work_without_a_detector_begins_processes_only_where_they_are_worth_it(
    frames: int, whole: bool, workers: int | None, slots: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "cores", lambda: 2)
    monkeypatch.setattr(runners, "workers_in_memory", lambda: 8)
    plan, entries = waiting(tmp_path, frames, whole=whole)
    runner = make_runner(plan, entries, workers, None, print)
    try:
        assert runner.free == slots
        assert isinstance(runner, InlineRunner if whole and slots == 1 else LocalRunner)
    finally:
        runner.close()


def test_one_video_to_be_tracked_again_needs_no_process_however_long_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "cores", lambda: 2)
    plan, entries = waiting(tmp_path, 10**6, whole=True)
    runner = make_runner(plan, entries[:1], None, None, print)
    assert isinstance(runner, InlineRunner)
    runner.close()


@pytest.mark.parametrize(("limit", "used", "stat", "cached"), runners.LIMITS)
def test_a_limit_of_the_container_bounds_the_workers(
    limit: str, used: str, stat: str, cached: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "_available", lambda: 9 * WORKER_BYTES)
    monkeypatch.setattr(runners, "CGROUP", tmp_path)
    assert workers_in_memory() == 9
    (tmp_path / limit).parent.mkdir(exist_ok=True)
    (tmp_path / used).write_text(f"{3 * WORKER_BYTES}\n", encoding="ascii")
    # What it has read of its files lies in memory too, and goes when it is needed.
    (tmp_path / stat).write_text(f"anon 17\n{cached} {2 * WORKER_BYTES}\nother 1\n", encoding="ascii")
    for most, wanted in (("max\n", 9), (f"{4 * WORKER_BYTES}\n", 3), ("1\n", 1)):
        (tmp_path / limit).write_text(most, encoding="ascii")
        assert workers_in_memory() == wanted
