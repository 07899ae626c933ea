"""Worker processes: what they do when the parent is gone, and what is no fault of a video."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from multiprocessing import connection, get_context
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")

from tests.fakes import squares
from tracker.batch import inline, local, work
from tracker.batch.archive import Runner
from tracker.batch.inputs import Video
from tracker.batch.job import CRASHED, DONE, Job, Plan
from tracker.batch.sights import Sight
from tracker.batch.spool import About, Spool
from tracker.config import make_settings
from tracker.errors import ModelError, RequirementError

LONG_S = 60.0


class Stubborn:
    """A worker whose job looks at no stop: it is in the middle of the exports."""

    def __init__(self, stop: object) -> None:
        pass

    def do(self, job: Job, report: local.Any) -> None:
        report(1)
        time.sleep(LONG_S)


def serve_stubborn(pipe: connection.Connection) -> None:
    work.Worker = Stubborn  # type: ignore[misc, assignment]
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


@pytest.mark.parametrize("kind", [lambda: local.LocalRunner(1), inline.InlineRunner])
def test_a_model_that_cannot_be_loaded_is_no_fault_of_the_video(
    kind: Callable[[], Runner], tmp_path: Path, clip: Path
) -> None:
    runner = kind()
    try:
        runner.submit(job_of(tmp_path, clip, **{"detect.model": "missing.onnx"}))
        with pytest.raises(ModelError, match=r"missing\.onnx"):
            for _ in range(60):
                assert not list(runner.poll(1.0))
    finally:
        runner.close()


def test_a_system_without_processes_to_give_is_told_in_one_line(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(process: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(local.SPAWN.Process, "start", start)
    runner = local.LocalRunner(1)
    with pytest.raises(RequirementError, match="no worker process can be started: Resource temporarily unavailable"):
        runner.submit(job_of(tmp_path, clip))
    runner.close()


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal masks")
def test_a_process_begins_with_the_signals_of_the_terminal_kept_back() -> None:
    def blocked() -> set[signal.Signals]:
        return set(signal.pthread_sigmask(signal.SIG_BLOCK, ())) & set(local.ENDS)

    before = blocked()
    with local.kept_back():
        assert blocked() == set(local.ENDS)
    assert blocked() == before


def test_a_thread_of_this_process_does_one_job_after_the_other(tmp_path: Path, clip: Path) -> None:
    job = job_of(tmp_path, clip)
    spool = Spool(job.plan.spools, "v")
    spool.add([Sight(k, k / 30, 1 / 30, squares(k)) for k in range(40)])
    spool.finish(About(160, 120, "30", ("person", "bicycle", "car")), 40)
    runner = inline.InlineRunner()
    try:
        for _ in range(2):
            assert runner.free == 1
            runner.submit(job)
            assert runner.free == 0
            (event,) = runner.poll(60)
            assert isinstance(event, local.Finished) and (event.outcome.state, event.outcome.frames) == (DONE, 40)
        assert not list(runner.poll(0.01))
    finally:
        runner.close()
    assert (tmp_path / "jsonl" / "v.jsonl").exists()


def test_a_thread_that_breaks_is_told_and_not_waited_for(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "new_worker", lambda stop: 1 / 0)
    runner = inline.InlineRunner()
    runner.submit(job_of(tmp_path, clip))
    (event,) = runner.poll(10)
    assert isinstance(event, local.Finished) and event.outcome.state == CRASHED
    assert "ZeroDivisionError" in event.outcome.reason and runner.free == 1
    runner.close()
