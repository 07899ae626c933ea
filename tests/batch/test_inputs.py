"""The videos of an archive: which, by which name, and whether they are still the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tracker.batch import inputs
from tracker.batch.inputs import Video, find_videos, fingerprint
from tracker.errors import SourceError, UsageError


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(found) -> dict[str, str]:
    return {video.name: video.path.name for video in found}


def test_a_folder_gives_its_videos_and_those_below_it_in_a_steady_order(tmp_path: Path) -> None:
    for place in ("b.mp4", "a.MKV", "deep/er/c.avi", "notes.txt", ".hidden.mp4", "._b.mp4"):
        put(tmp_path / "in" / place)
    found = find_videos([str(tmp_path / "in")], tmp_path / "out")
    assert [video.name for video in found] == ["a", "b", "c"]


def test_names_are_unique_whatever_the_stems(tmp_path: Path) -> None:
    for place in ("x.mp4", "one/x.mp4", "two/x.mp4", "two/x.mkv", "two/X.avi", "y.mp4"):
        put(tmp_path / "in" / place)
    found = find_videos([str(tmp_path / "in")], tmp_path / "out")
    given = [video.name for video in found]
    assert len({name.casefold() for name in given}) == 6
    assert names(found)["y"] == "y.mp4" and names(found)["one__x"] == "x.mp4"
    assert all("/" not in name for name in given)


def test_names_of_files_from_different_folders_that_are_named_are_unique(tmp_path: Path) -> None:
    paths = [str(put(tmp_path / folder / "x.mp4")) for folder in ("a", "b", "c")]
    assert len({video.name for video in find_videos(paths, tmp_path / "out")}) == 3


def test_a_file_that_is_named_may_have_any_suffix_and_counts_once(tmp_path: Path) -> None:
    clip = put(tmp_path / "in" / "recording.data")
    found = find_videos([str(clip), str(clip), f"{tmp_path}/in/*.data"], tmp_path / "out")
    assert names(found) == {"recording": "recording.data"}


def test_what_lies_in_the_output_is_no_input(tmp_path: Path) -> None:
    put(tmp_path / "a.mp4")
    put(tmp_path / "labels" / "video" / "a.mp4")
    assert len(find_videos([str(tmp_path)], tmp_path / "labels")) == 1


@pytest.mark.parametrize("wrong", ["missing.mp4", "empty", "*.mp4"])
def test_nothing_there_is_told_in_one_line(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no such file|no video in") as caught:
        find_videos([str(tmp_path / wrong)], tmp_path / "out")
    assert "\n" not in str(caught.value) and wrong in str(caught.value)


def test_a_fingerprint_tells_files_apart_by_their_ends_or_by_all(tmp_path: Path) -> None:
    large = bytes(3 << 20)
    contents = {
        "one": large, "same": large, "end": large[:-1] + b"!",
        "middle": large[: 3 << 19] + b"!" + large[(3 << 19) + 1 :],
    }  # fmt: skip
    one, same, end, middle = (Video(name, put(tmp_path / name, content)) for name, content in contents.items())
    assert fingerprint(one).digest == fingerprint(same).digest == fingerprint(middle).digest
    assert fingerprint(one).digest != fingerprint(end).digest
    assert fingerprint(one, whole=True).digest != fingerprint(middle, whole=True).digest
    with pytest.raises(SourceError, match="cannot be read"):
        fingerprint(Video("none", tmp_path / "none"))


@pytest.mark.parametrize(
    "stem", ["clip.partial", "clip.replaced", "clip.parquet", "clip.pictures", "a\nb\x1b[2J", "é" * 124]
)
def test_a_name_leaves_room_for_what_is_made_of_it(stem: str, tmp_path: Path) -> None:
    put(tmp_path / "in" / "clip.mp4")
    put(tmp_path / "in" / f"{stem}.mp4")
    given = {video.name for video in find_videos([str(tmp_path / "in")], tmp_path / "out")}
    assert len(given) == 2
    ends = (".partial.parquet", ".partial", ".replaced", ".parquet", ".pictures", ".pictures.partial")
    assert not given & {name + end for name in given for end in ends}
    for name in given:
        assert name.isprintable() and put(tmp_path / f"{name}.partial.parquet").exists()


def test_long_names_stay_different(tmp_path: Path) -> None:
    for end in "ab":
        put(tmp_path / "in" / f"{'x' * 240}{end}.mp4")
    first, second = find_videos([str(tmp_path / "in")], tmp_path / "out")
    assert first.name != second.name


def test_a_name_that_is_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    put(tmp_path / "in" / os.fsdecode(b"caf\xe9.mp4"))
    with pytest.raises(UsageError, match=r"caf\\udce9\.mp4' has a name that is not UTF-8"):
        find_videos([str(tmp_path / "in")], tmp_path / "out")


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "in" / "a.mp4")
    put(tmp_path / "in" / "locked" / "b.mp4")
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UsageError, match="locked' cannot be listed: Permission denied"):
        find_videos([str(tmp_path / "in")], tmp_path / "out")


def test_an_address_is_known_again_without_its_secrets() -> None:
    for url, place in (
        ("s3://KEY:hidden@bucket/a.mp4", "s3://KEY:***@bucket/a.mp4"),
        ("https://host/a.mp4?X-Amz-Date=now&X-Amz-Signature=hidden", "https://host/a.mp4?***"),
        ("https://host/a.mp4?camera=3", "https://host/a.mp4?camera=3"),
    ):
        video = Video.at("a", url)
        assert (video.url, video.place) == (url, place)
        assert Video.at("a", place).place == place


def test_addresses_that_differ_in_secrets_alone_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inputs, "expand", lambda text, is_video: [(text, "a.mp4")])
    urls = [f"https://host/a.mp4?token=hidden{k}" for k in range(2)]
    with pytest.raises(UsageError, match="differ only in secrets") as caught:
        find_videos(urls, tmp_path)
    assert "hidden" not in str(caught.value)


def test_a_signature_in_an_address_is_in_no_name() -> None:
    video = Video.at("a", "https://host/deep/a.mp4?X-Amz-Signature=secret#t=1")
    assert video.path.name == "a.mp4" and video.url.endswith("#t=1")
    assert Video.at("b", "s3://bucket/b?.mp4").path.name == "b?.mp4"
