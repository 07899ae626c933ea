"""Videos of stores: listed, known again, fetched for the time they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tracker.batch.inputs import Video, find_videos, fingerprint
from tracker.batch.remote import fetched, is_remote, within
from tracker.errors import RequirementError, SourceError, UsageError, WriteError

fsspec = pytest.importorskip("fsspec", reason="the extra 'annotate' is not installed")


@pytest.fixture
def store() -> Iterator[str]:
    """memory://archive with two videos, one in a folder, and something else."""
    files = fsspec.filesystem("memory")
    for place, content in {"a.mp4": b"a" * 5000, "deep/b.mkv": b"b" * 10, "deep/notes.txt": b"n"}.items():
        files.pipe(f"/archive/{place}", content)
    yield "memory://archive"
    files.rm("/archive", recursive=True)


@pytest.mark.parametrize(
    ("text", "remote"), [("s3://b/x", True), ("zip::s3://b/x.zip", True), ("a/b.mp4", False), ("C:/a", False)]
)
def test_what_is_an_address(text: str, remote: bool) -> None:
    assert is_remote(text) == remote


@pytest.mark.parametrize(
    ("url", "folder", "inside"),
    [
        ("memory://a/labels", "memory://a/", True),
        ("memory://a/labels/", "memory://a/labels", True),
        ("memory://a/labels", "memory://a/clips", False),
        ("memory://ab", "memory://a", False),
        ("memory://a/labels", "memory://a/*/b*.mp4", True),
        ("memory://work/labels", "/work", False),
        ("file:///work/labels", "/work", True),
    ],
)
def test_what_lies_in_a_folder(url: str, folder: str, inside: bool) -> None:
    assert within(url, folder) == inside


def test_a_folder_a_glob_and_a_file_of_a_store(store: str, tmp_path: Path) -> None:
    found = find_videos([store], tmp_path)
    assert [(video.name, video.place.rpartition("archive/")[2]) for video in found] == [
        ("a", "a.mp4"),
        ("b", "deep/b.mkv"),
    ]
    assert all(video.url and Video.at(video.name, video.place) == video for video in found)
    assert [video.name for video in find_videos([f"{store}/deep/*.mkv"], tmp_path)] == ["b"]
    assert [video.name for video in find_videos([f"{store}/a.mp4", store], tmp_path)] == ["a", "b"]


def test_a_fingerprint_of_a_store_is_that_of_the_file(store: str, tmp_path: Path) -> None:
    (video, _) = find_videos([store], tmp_path)
    local = tmp_path / "a.mp4"
    local.write_bytes(b"a" * 5000)
    for whole in (False, True):
        far, near = fingerprint(video, whole=whole), fingerprint(Video("a", local), whole=whole)
        assert (far.size, far.digest) == (near.size, near.digest)
    fsspec.filesystem("memory").pipe("/archive/a.mp4", b"c" * 5000)
    assert fingerprint(video).digest != fingerprint(Video("a", local)).digest


def test_it_is_here_while_it_is_needed(store: str, tmp_path: Path) -> None:
    target = tmp_path / "fetched" / "a.mp4"
    with fetched(f"{store}/a.mp4", target) as path:
        assert path.read_bytes() == b"a" * 5000
    assert not target.parent.exists()
    target.parent.mkdir()
    target.write_bytes(b"from an attempt that was killed")
    with fetched(f"{store}/a.mp4", target) as path:
        assert path.read_bytes().startswith(b"from")
    with pytest.raises(ValueError, match="worked on"), fetched(f"{store}/a.mp4", target):
        raise ValueError("what was worked on failed")
    assert not target.exists()


def test_what_cannot_be_is_told_in_one_line(store: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no video in 'memory://nothing'"):
        find_videos(["memory://nothing"], tmp_path)
    with pytest.raises(RequirementError, match="s3://"):
        find_videos(["s3://user:secret@bucket/x"], tmp_path)
    with pytest.raises(UsageError, match="no address"):
        find_videos(["nosuch://x"], tmp_path)
    with pytest.raises(SourceError, match="cannot be read"), fetched(f"{store}/gone.mp4", tmp_path / "x.mp4"):
        pass
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteError, match="could not be written"), fetched(f"{store}/a.mp4", tmp_path / "file" / "x"):
        pass
