"""What a cluster's nodes may lack, without a cluster: a stand-in for Ray answers at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")

from tracker.batch.cluster import MOST_STARTS, Annotator, RayRunner, Slot
from tracker.batch.inputs import Video
from tracker.batch.job import FAILED, Job, Plan
from tracker.batch.manifest import Manifest
from tracker.config import make_settings
from tracker.errors import RequirementError


class RayError(Exception):
    pass


class FakeRay:
    """Every answer is there at once; a text is an actor's death."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=type("RayTaskError", (RayError,), {}))

    def wait(self, refs: list[object], timeout: float, num_returns: int = 1) -> tuple[list[object], list[object]]:
        return refs, []

    def get(self, ref: object) -> object:
        if isinstance(ref, str):
            raise RayError(ref)
        return ref


def runner_of(slots: list[Slot], begin: Slot) -> RayRunner:
    runner = RayRunner.__new__(RayRunner)
    runner._ray, runner._slots, runner._begin = FakeRay(), slots, lambda: begin
    return runner


def test_a_cluster_without_room_is_told_once() -> None:
    said: list[str] = []
    runner = runner_of([Slot(None, 0), Slot(None, 0)], Slot(None, 0))
    runner._say, runner._kind, runner._idle_since = said.append, "CPU", 0.0
    for _ in range(2):
        assert list(runner.poll(0.0)) == []
    assert said == ["the cluster has no CPU free: waiting until its other work leaves one; Ctrl-C ends"]


def test_an_actor_that_never_begins_is_told() -> None:
    dead = Slot(None, "ModuleNotFoundError: No module named 'tracker'")
    runner = runner_of([dead], dead)
    assert [runner.free for _ in range(MOST_STARTS - 1)] == [0] * (MOST_STARTS - 1)
    with pytest.raises(RequirementError, match="No module named 'tracker'"):
        assert runner.free


def test_one_that_was_late_counts_again_from_nothing() -> None:
    runner = runner_of([Slot(None, "died")], Slot(None, 0))
    assert runner.free == 0 and runner.free == 1 and runner._slots[0].failed == 0


def test_a_node_that_does_not_see_the_videos_fails_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKER_NO_NUMBA", "1")  # as the actor does for itself
    Manifest(tmp_path).close()
    here, gone = tmp_path / "here.mp4", tmp_path / "gone.mp4"
    here.write_bytes(b"x")
    plan = Plan(tmp_path, make_settings(None, {}), ("jsonl",))
    answer = Annotator().do(Job(Video("v", gone), plan))
    assert answer[0] == "gone" and str(gone) in answer[1]
    for path in (here, gone):
        slot = Slot(None, None, Job(Video("v", path), plan), answer)
        runner = runner_of([slot], slot)
        if path == here:
            with pytest.raises(RequirementError, match="shared disk"):
                runner._finished(slot)
        else:
            assert runner._finished(slot).outcome.state == FAILED
