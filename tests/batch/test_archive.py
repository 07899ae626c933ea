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
from tracker.batch.job import CRASHED, DONE, FAILED, FULL, STOPPED, SURVEY, Job, Outcome, Part, Plan
from tracker.batch.local import Finished, Progress
from tracker.batch.manifest import WAITING, Manifest
from tracker.config import make_settings
from tracker.errors import RequirementError, WriteError

WHO = {"model": "m", "precision": "bf16"}


class FakeRunner:
    """Does jobs at once, as `answer` says; remembers what it was given."""

    def __init__(self, answer: Callable[[Job], Outcome], slots: int = 2, *, splits: bool = False) -> None:
        self._answer, self._slots = answer, slots
        self.slots = slots if splits else 1
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
            if not self.stopped and job.part != SURVEY:
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


PARTS = Part(0, 8), Part(8, 16), Part(16, 24)


def surveyed(job: Job) -> Outcome:
    """One long video, d."""
    if job.part == SURVEY:
        parts = PARTS if job.video.name == "d" else ()
        return Outcome(DONE, frames=4, identity=WHO, figures={"frames": 30}, wall_s=1.0, parts=parts)
    if job.part is not None:
        return Outcome(DONE, frames=8, wall_s=2.0)
    return Outcome(DONE, frames=30, identity=WHO, figures={"frames": 30}, wall_s=4.0)


def of_the_last(runner: FakeRunner) -> list[Part | None]:
    return [job.part for job in runner.given if job.video.name == "d"]


def test_when_there_are_fewer_videos_than_workers_long_ones_are_for_several(manifest: Manifest) -> None:
    runner, boards = FakeRunner(surveyed, slots=3, splits=True), []
    archive = archive_of(manifest, runner, show=lambda board: boards.append((board.frames, dict(board.running))))
    assert archive.run(manifest.entries()).frames == 120
    assert [job.part for job in runner.given if job.video.name in "ab"] == [None, None]
    assert [job.part for job in runner.given if job.video.name == "c"] == [SURVEY, None]
    assert of_the_last(runner) == [SURVEY, *PARTS, None]
    last = manifest.entries()[-1]
    assert (last.state, last.frames, last.attempts, last.wall_s) == (DONE, 30, 1, 11.0)
    assert all(frames >= 0 for frames, _ in boards)


def test_a_part_that_crashes_is_tried_again_and_nothing_is_done_twice(manifest: Manifest) -> None:
    crashes = [1]

    def answer(job: Job) -> Outcome:
        if job.part == PARTS[1] and crashes and crashes.pop():
            return Outcome(CRASHED, "its process died: signal 9")
        return surveyed(job)

    runner = FakeRunner(answer, slots=3, splits=True)
    assert archive_of(manifest, runner).run(manifest.entries()).done == 4
    given = of_the_last(runner)
    assert given[0] == SURVEY and given[-1] is None and given.count(None) == 1
    assert [given.count(part) for part in PARTS] == [1, 2, 1]


@pytest.mark.parametrize("state", [FAILED, CRASHED])
def test_a_part_that_cannot_be_detected_leaves_the_rest_to_one_worker(state: str, manifest: Manifest) -> None:
    lines: list[str] = []
    runner = FakeRunner(
        lambda job: Outcome(state, "it is odd") if job.part == PARTS[0] else surveyed(job), slots=2, splits=True
    )
    board = archive_of(manifest, runner, say=lines.append).run(manifest.entries())
    assert board.done == 4 and states(manifest) == "done done done done"
    assert of_the_last(runner)[-1] is None and of_the_last(runner).count(None) == 1
    assert of_the_last(runner).count(PARTS[2]) == (state == CRASHED)  # it had been handed out by then
    assert "notice: d: it is odd" in " ".join(lines) and "what is left is for one worker" in lines[-1]


def test_a_survey_that_fails_leaves_the_word_to_the_job_for_the_whole(manifest: Manifest) -> None:
    runner = FakeRunner(
        lambda job: Outcome(FAILED, "no video") if job.video.name == "d" else good(job), slots=3, splits=True
    )
    board = archive_of(manifest, runner).run(manifest.entries())
    assert of_the_last(runner) == [SURVEY, None] and (board.done, board.failed) == (3, 1)
    assert manifest.entries()[-1].reason == "no video"


def test_a_stop_among_parts_leaves_the_video_waiting_with_its_frames(manifest: Manifest) -> None:
    stop = Event()

    def answer(job: Job) -> Outcome:
        if job.part == PARTS[0]:
            stop.set()
        return surveyed(job)

    runner = FakeRunner(answer, slots=3, splits=True)
    archive_of(manifest, runner, stop).run(manifest.entries())
    last = manifest.entries()[-1]
    assert last.state == WAITING and last.frames >= 12 and None not in of_the_last(runner)


def test_deaths_of_other_parts_do_not_fail_a_video(manifest: Manifest) -> None:
    """A node that dies takes all that it worked on along: each part of it has crashed once."""
    died: set[str] = set()

    def answer(job: Job) -> Outcome:
        if job.video.name == "d" and job.part != SURVEY and job.key not in died:
            died.add(job.key)
            return Outcome(CRASHED, "its node died")
        return surveyed(job)

    runner = FakeRunner(answer, slots=3, splits=True)
    assert archive_of(manifest, runner).run(manifest.entries()).done == 4
    assert len(died) == 4 and [of_the_last(runner).count(part) for part in (*PARTS, None)] == [2, 2, 2, 2]


def test_a_job_that_is_alone_is_told_so(manifest: Manifest) -> None:
    runner = FakeRunner(surveyed, slots=3, splits=True)
    archive_of(manifest, runner).run(manifest.entries())
    alone = [(job.video.name, job.part) for job in runner.given if job.alone]
    assert alone == [("d", None)]
