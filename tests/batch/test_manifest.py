"""The manifest: what is kept, and what is refused at --resume."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from tracker.batch import inputs
from tracker.batch import manifest as module
from tracker.batch.inputs import Fingerprint, Video
from tracker.batch.job import DONE, FAILED, STOPPED, Outcome
from tracker.batch.manifest import NAME, WAITING, Manifest, check_same, check_unchanged
from tracker.errors import Interrupted, OutputError, UsageError, WriteError


@pytest.fixture
def videos(tmp_path: Path) -> list[Video]:
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_bytes(name.encode() * 100)
    return [Video(name, tmp_path / f"{name}.mp4") for name in "abc"]


def test_what_was_written_is_there_again(tmp_path: Path, videos: list[Video]) -> None:
    manifest = Manifest(tmp_path)
    assert manifest.empty
    manifest.add(videos, whole=False)
    manifest.set_about(stride=2, detect={"model": "street6"})
    manifest.begin("a")
    manifest.reached("a", 512)
    manifest.end("a", Outcome(DONE, frames=600, warnings=("w",), figures={"frames": 600}, wall_s=1.5))
    manifest.end("b", Outcome(FAILED, "it is broken"))
    manifest.end("c", Outcome(STOPPED, frames=3))
    manifest.close()
    again = Manifest(tmp_path)
    assert again.about() == {"stride": 2, "detect": {"model": "street6"}} and not again.empty
    a, b, c = again.entries()
    assert (a.video, a.state, a.frames, a.attempts, a.wall_s) == (videos[0], DONE, 600, 1, 1.5)
    assert a.warnings == ("w",) and a.figures == {"frames": 600}
    assert (b.state, b.reason) == (FAILED, "it is broken") and (c.state, c.frames) == (WAITING, 3)
    again.again([DONE])
    assert [entry.state for entry in again.entries()] == [WAITING, FAILED, WAITING]
    again.close()


def test_a_video_that_cannot_be_read_has_failed_at_once(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.add([Video("gone", tmp_path / "gone.mp4")], whole=False)
    (entry,) = manifest.entries()
    assert entry.state == FAILED and "gone.mp4" in entry.reason and entry.before is None
    manifest.close()


def test_changed_settings_are_refused_by_name() -> None:
    before = {"detect": {"model": "street6", "score": 0.25}, "stride": 1}
    check_same(before, {"detect": {"model": "street6", "score": 0.25}, "stride": 1})
    with pytest.raises(UsageError, match=r"detect\.score 0\.25 before, 0\.5 now; stride 1 before, 2 now"):
        check_same(before, {"detect": {"model": "street6", "score": 0.5}, "stride": 2})


def test_changed_inputs_are_refused_by_name(tmp_path: Path, videos: list[Video]) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(videos, whole=True)
    manifest.end("c", Outcome(DONE))
    check_unchanged(manifest.entries())
    videos[0].path.write_bytes(b"a" * 99 + b"b")
    videos[1].path.unlink()
    videos[2].path.unlink()  # done: nobody needs it any more
    with pytest.raises(UsageError, match=r"b\.mp4' cannot be read|a\.mp4") as caught:
        check_unchanged(manifest.entries())
    assert "a.mp4 (100 bytes before, 100 now)" in str(caught.value) and "c.mp4" not in str(caught.value)
    manifest.close()


def test_a_touched_file_with_the_same_bytes_is_the_same(tmp_path: Path, videos: list[Video]) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(videos, whole=False)
    videos[0].path.touch()
    check_unchanged(manifest.entries())
    manifest.close()


def test_an_untouched_file_is_not_read_again_unless_all_of_it_counts(
    tmp_path: Path, videos: list[Video], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(videos[:2], whole=False)
    manifest.add(videos[2:], whole=True)
    read: list[str] = []

    def fingerprint(video: Video, *, whole: bool) -> Fingerprint:
        read.append(video.name)
        return inputs.fingerprint(video, whole=whole)

    monkeypatch.setattr(module, "fingerprint", fingerprint)
    os.utime(videos[1].path, ns=(1, 1))
    check_unchanged(manifest.entries())
    assert read == ["b", "c"]
    manifest.close()


def test_secrets_of_an_address_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "remote_digest", lambda url, ends, whole: (5, "abc"))
    url = "https://me:hidden1@host/a.mp4?X-Amz-Date=today&X-Amz-Signature=hidden2"
    manifest = Manifest(tmp_path)
    manifest.add([Video.at("a", url)], whole=False)
    (entry,) = manifest.entries()
    assert entry.video.url == entry.video.place == Video.at("a", url.replace("today", "later")).place
    with pytest.raises(UsageError, match=r"host/a\.mp4.* has secrets, which are not kept: name it as an input again"):
        monkeypatch.undo()
        check_unchanged([entry])
    manifest.close()
    assert b"hidden" not in (tmp_path / NAME).read_bytes()


def test_the_pictures_come_one_video_at_a_time(tmp_path: Path, videos: list[Video]) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(videos, whole=False)
    picture = {"frame": 3, "jpeg": "aaaa", "boxes": []}
    manifest.end("a", Outcome(DONE, figures={"frames": 5, "summary": {"tracks": 2, "pictures": [picture]}}))
    assert manifest.entries()[0].figures == {"frames": 5, "summary": {"tracks": 2}}
    assert manifest.pictures("a") == [picture] and manifest.pictures("b") == []
    manifest.close()


def test_another_version_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / NAME) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(OutputError, match="another version of tracker"):
        Manifest(tmp_path)
    (tmp_path / NAME).write_bytes(b"no database" * 100)
    with pytest.raises(OutputError, match="cannot be used"):
        Manifest(tmp_path)


def test_a_write_that_fails_changes_nothing(tmp_path: Path, videos: list[Video]) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(videos, whole=False)
    with pytest.raises(WriteError, match=NAME):
        manifest.add(videos, whole=False)  # the names are taken
    assert len(manifest.entries()) == 3
    manifest.set_about(stride=1)
    manifest.close()


def test_videos_and_what_they_are_begun_with_are_there_together_or_not_at_all(
    tmp_path: Path, videos: list[Video]
) -> None:
    manifest = Manifest(tmp_path)
    with pytest.raises(WriteError):
        manifest.add([*videos, videos[0]], whole=False, stride=2)
    assert manifest.empty and not manifest.entries()
    with pytest.raises(Interrupted):
        manifest.add(videos, whole=False, stop=lambda: True, stride=2)
    assert manifest.empty and not manifest.entries()
    manifest.add(videos, whole=False, stride=2)
    manifest.end("a", Outcome(DONE))
    manifest.again([DONE], stride=3)
    assert manifest.about() == {"stride": 3} and manifest.entries()[0].state == WAITING
    manifest.close()


def test_a_video_that_was_detected_may_be_gone(tmp_path: Path, videos: list[Video]) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(videos, whole=False)
    videos[0].path.unlink()  # waits to be tracked again, from its spool
    check_unchanged(manifest.entries(), lambda name: name == "a")
    with pytest.raises(UsageError, match=r"a\.mp4"):
        check_unchanged(manifest.entries())
    manifest.close()
