"""The coordinator: who gets what, what a crash, a full disk and a wrong detector lead to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from tracker.batch import archive as module
from tracker.batch.archive import Archive
from tracker.batch.inputs import Video
from tracker.batch.job import CRASHED, DONE, FAILED, FULL, STOPPED, Job, Outcome, Plan
from tracker.batch.local import Finished, Progress
from tracker.batch.manifest import WAITING, Manifest
from tracker.config import make_settings
from tracker.errors import RequirementError, WriteError

WHO = {"model": "m", "precision": "bf16"}


class FakeRunner:
    """Does jobs at once, as `answer` says; remembers what it was given."""

    def __init__(self, answer: Callable[[Job], Outcome], slots: int = 2) -> None:
        self._answer, self._slots = answer, slots
        self._jobs: deque[Job] = deque()
        self.given: list[Job] = []
        self.stopped = self.closed = False

    @property
    def free(self) -> int:
        return self._slots - len(self._jobs)

    def submit(self, job: Job) -> None:
        assert self.free > 0
        self._jobs.append(job)
        self.given.append(job)

    def poll(self, timeout_s: float) -> Iterator[Progress | Finished]:
        if self._jobs:
            job = self._jobs.popleft()
            if not self.stopped:
                yield Progress(job, 5)
            yield Finished(job, Outcome(STOPPED, frames=5) if self.stopped else self._answer(job))

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.closed = True

    @property
    def names(self) -> list[str]:
        return [job.video.name for job in self.given]


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Manifest]:
    for name in "abcd":
        (tmp_path / f"{name}.mp4").write_bytes(name.encode())
    made = Manifest(tmp_path)
    made.add([Video(name, tmp_path / f"{name}.mp4") for name in "abcd"], whole=False)
    yield made
    made.close()


def archive_of(manifest: Manifest, runner: FakeRunner, stop: Event | None = None, **options) -> Archive:
    plan = Plan(manifest.path.parent, make_settings(None, {}), ("mot",), pinned=options.pop("pinned", None))
    return Archive(plan, manifest, runner, stop or Event(), **options)


def good(job: Job) -> Outcome:
    return Outcome(DONE, frames=10, identity=WHO, figures={"frames": 10})


def states(manifest: Manifest) -> str:
    return " ".join(entry.state for entry in manifest.entries())


def test_all_are_done_once_and_counted(manifest: Manifest) -> None:
    runner = FakeRunner(good)
    board = archive_of(manifest, runner).run(manifest.entries())
    assert runner.names == list("abcd") and runner.closed
    assert (board.done, board.failed, board.frames, board.new) == (4, 0, 40, 40)
    assert states(manifest) == "done done done done"
    assert [entry.attempts for entry in manifest.entries()] == [1] * 4


def test_the_first_job_goes_ahead_and_its_detector_is_that_of_all(manifest: Manifest) -> None:
    runner = FakeRunner(good)
    archive_of(manifest, runner).run(manifest.entries())
    assert [job.plan.pinned for job in runner.given] == [None, WHO, WHO, WHO]
    assert manifest.about()["detector"] == WHO


def test_one_that_fails_does_not_keep_the_others(manifest: Manifest) -> None:
    said: list[str] = []
    runner = FakeRunner(lambda job: Outcome(FAILED, "broken") if job.video.name == "b" else good(job))
    board = archive_of(manifest, runner, say=said.append).run(manifest.entries())
    assert (board.done, board.failed) == (3, 1) and said == ["failed: b: broken"]
    assert states(manifest) == "done failed done done"


def test_too_many_failures_end_it(manifest: Manifest) -> None:
    runner = FakeRunner(lambda job: Outcome(FAILED, "broken"), slots=1)
    board = archive_of(manifest, runner, max_failures=1).run(manifest.entries())
    assert board.failed == 2 and runner.names == ["a", "b"]
    assert states(manifest) == f"failed failed {WAITING} {WAITING}"


def test_a_crash_is_tried_again_and_three_are_a_failure(manifest: Manifest) -> None:
    tries: list[str] = []

    def answer(job: Job) -> Outcome:
        tries.append(job.video.name)
        if job.video.name == "a" and tries.count("a") < 2:
            return Outcome(CRASHED, "its process died: signal 9")
        return Outcome(CRASHED, "its process died: signal 11") if job.video.name == "c" else good(job)

    board = archive_of(manifest, FakeRunner(answer, slots=1)).run(manifest.entries())
    assert tries.count("a") == 2 and tries.count("c") == 3
    assert (board.done, board.failed) == (3, 1)
    (failed,) = [entry for entry in manifest.entries() if entry.state == FAILED]
    assert failed.reason == "its process died: signal 11, 3 times"


def test_stopping_ends_the_jobs_and_leaves_the_rest_waiting(manifest: Manifest) -> None:
    stop = Event()

    def answer(job: Job) -> Outcome:
        stop.set()
        return good(job)

    runner = FakeRunner(answer, slots=1)
    board = archive_of(manifest, runner, stop).run(manifest.entries())
    assert runner.stopped and board.done == 1 and states(manifest) == f"done {WAITING} {WAITING} {WAITING}"


def test_a_full_disk_pauses_until_there_is_room(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    free, said, shown = [0], list[str](), set[str]()
    tries: list[str] = []

    class Usage:
        @property
        def free(self) -> int:
            return free[0]

    def answer(job: Job) -> Outcome:
        tries.append(job.video.name)
        if free[0] == 0:
            free[0] = 1 << 20  # not enough yet
            return Outcome(FULL, "No space left on device", frames=5)
        return good(job)

    def show(board: module.Board) -> None:
        if board.paused:
            shown.add(board.paused)
            free[0] += module.ROOM_BYTES

    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: Usage())
    monkeypatch.setattr(module, "ROOM_S", 0.001)
    board = archive_of(manifest, FakeRunner(answer, slots=1), say=said.append, show=show).run(manifest.entries())
    assert board.done == 4 and tries.count("a") == 2 and shown == {"the disk is full"}
    assert "paused" in said[0] and "going on" in said[1]


def test_where_another_disk_is_full_it_is_tried_again(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    tries: list[str] = []

    def answer(job: Job) -> Outcome:
        tries.append(job.video.name)
        return Outcome(FULL, "No space left on device") if len(tries) == 1 else good(job)

    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": module.PLENTY_BYTES}))
    monkeypatch.setattr(module, "ROOM_S", 0.001)
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    board = archive_of(manifest, FakeRunner(answer, slots=1), say=said.append).run(manifest.entries())
    assert board.done == 4 and tries[:2] == ["a", "a"]
    assert "not that of" in said[0] and said[1] == "trying again"


def test_a_manifest_on_a_full_disk_waits_and_loses_nothing(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = manifest.end, [2]

    def end(name: str, outcome: Outcome) -> None:
        if left[0]:
            left[0] -= 1
            raise WriteError("manifest.sqlite could not be written: database or disk is full")
        real(name, outcome)

    free = iter(range(0, 1 << 40, module.ROOM_BYTES))
    monkeypatch.setattr(manifest, "end", end)
    monkeypatch.setattr(module, "ROOM_S", 0.001)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": next(free)}))
    archive_of(manifest, FakeRunner(good)).run(manifest.entries())
    assert states(manifest) == "done done done done" and not left[0]


def test_a_detector_that_is_not_there_ends_it_and_the_workers(manifest: Manifest) -> None:
    def answer(job: Job) -> Outcome:
        raise RequirementError("tensorrt is not there")

    runner = FakeRunner(answer)
    with pytest.raises(RequirementError, match="tensorrt"):
        archive_of(manifest, runner).run(manifest.entries())
    assert runner.closed and states(manifest) == " ".join([WAITING] * 4)
