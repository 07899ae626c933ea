"""Worker processes: what they do when the parent is gone, and what is no fault of a video."""

from __future__ import annotations

import time
from multiprocessing import connection, get_context
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")

from tracker.batch import local
from tracker.batch.inputs import Video
from tracker.batch.job import Job, Plan
from tracker.config import make_settings
from tracker.errors import ModelError

LONG_S = 60.0


class Stubborn:
    """A worker whose job looks at no stop: it is in the middle of the exports."""

    def __init__(self, stop: object) -> None:
        pass

    def do(self, job: Job, report: local.Any) -> None:
        report(1)
        time.sleep(LONG_S)


def serve_stubborn(pipe: connection.Connection) -> None:
    local.Worker = Stubborn  # type: ignore[misc, assignment]
    local.serve(pipe, ())


def job_of(folder: Path, video: Path, **settings: object) -> Job:
    return Job(Video("v", video), Plan(folder, make_settings(None, settings), ("jsonl",)))


def test_a_worker_told_to_stop_ends_at_once_when_its_parent_dies(tmp_path: Path) -> None:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve_stubborn, args=(theirs,))
    process.start()
    try:
        theirs.close()
        ours.send(job_of(tmp_path, tmp_path / "v.mp4"))
        assert ours.poll(30) and ours.recv() == ("progress", 1)
        ours.send("stop")
        ours.close()
        process.join(LONG_S / 4)
        assert process.exitcode == 1
    finally:
        process.kill()
        process.join()


def test_a_model_that_cannot_be_loaded_is_no_fault_of_the_video(tmp_path: Path, clip: Path) -> None:
    runner = local.LocalRunner(1)
    try:
        runner.submit(job_of(tmp_path, clip, **{"detect.model": "missing.onnx"}))
        with pytest.raises(ModelError, match=r"missing\.onnx"):
            for _ in range(60):
                assert not list(runner.poll(1.0))
    finally:
        runner.close()
