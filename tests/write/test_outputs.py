"""The outputs of a run together, and what is refused before it begins."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.write.scenes import gray_frame, info, read_back, tracks
from tracker.config import WriteSettings
from tracker.errors import OutputError, WriteError
from tracker.structures import Frame, Tracks
from tracker.write.outputs import OutputPaths, open_outputs
from tracker.write.paths import check_paths

BEGAN = datetime(2024, 1, 31, 23, 59, tzinfo=timezone.utc)
NAMES = ("person",)


def every(folder: Path) -> OutputPaths:
    deep = folder / "deep"
    return OutputPaths(
        folder / "o.mp4", folder / "o.txt", folder / "o.jsonl", stays=deep / "o.csv", pictures=deep / "pics"
    )  # fmt: skip


def run(paths: OutputPaths, frames: list[Frame], **more: Any) -> None:
    sink = open_outputs(paths, replace(info(), began=BEGAN), NAMES, WriteSettings(), **more)
    try:
        for index, frame in enumerate(frames):
            sink.write(frame, tracks((10 + index, 20, 60 + index, 60, 0.9, 0)))
        sink.close()
    except BaseException:
        sink.abort()
        raise


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def minutes(count: int) -> list[Frame]:
    return [replace(gray_frame(index, 60.0 * index, 60.0), file=f"{index}.png") for index in range(count)]


def test_all_of_a_time_lapse(tmp_path: Path) -> None:
    """At a rate that a person can follow, with dates; stays and records have what the detector saw only."""
    run(every(tmp_path), minutes(6), output_rate=Fraction(5), stamps=True, stride=2)
    assert left(tmp_path) == [
        "deep/o.csv", *(f"deep/pics/{index}.png" for index in range(6)), "o.jsonl", "o.mp4", "o.txt",
    ]  # fmt: skip
    times, numbers, duration = read_back(tmp_path / "o.mp4")
    assert times == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], abs=1e-6)
    assert (len(numbers), duration) == (6, pytest.approx(1.2))
    (stay,) = csv.DictReader((tmp_path / "deep" / "o.csv").read_text("utf-8").splitlines())
    assert (stay["sights"], stay["gaps"], stay["last_seen"]) == ("3", "0", "2024-02-01 00:03:00")
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("panel", [False, True])
@pytest.mark.parametrize("stamps", [False, True])
def test_stamps_and_panel_are_wanted_apart(tmp_path: Path, stamps: bool, panel: bool) -> None:
    paths = OutputPaths(tmp_path / "o.mp4", pictures=tmp_path / "pics")
    frame = Frame.from_bgr(0, 0.0, np.full((240, 320, 3), 90, np.uint8), file="a.png")
    sink = open_outputs(
        paths, replace(info(size=(320, 240)), began=BEGAN), NAMES, WriteSettings(panel=panel, crf=1), stamps=stamps,
        panel=lambda: ("7 fps", "9 ms"),
    )  # fmt: skip
    sink.write(frame, Tracks.empty())
    sink.close()
    with av.open(str(tmp_path / "o.mp4")) as container:
        video = next(container.decode(video=0)).to_ndarray(format="gray").astype(int)
    for image in (video, cv2.imread(str(tmp_path / "pics" / "a.png"), cv2.IMREAD_GRAYSCALE).astype(int)):
        rows = np.flatnonzero((np.abs(image - image[-1, -1]) > 30).any(1))
        assert (rows[-1] // 14 if len(rows) else 0) == stamps + 2 * panel


def test_one_that_cannot_be_leaves_none(tmp_path: Path) -> None:
    """The stays exist already: no video half open, no folder for no pictures."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "o.csv").write_text("precious")
    with pytest.raises(OutputError, match=r"o\.csv exists"):
        run(every(tmp_path), [])
    assert left(tmp_path) == ["deep/o.csv"]
    assert not (tmp_path / "deep" / "pics").exists()


def test_a_failing_picture_keeps_the_rest(tmp_path: Path) -> None:
    """What was done until then is whole, under partial names."""
    paths = every(tmp_path)
    large = Frame.from_bgr(2, 120.0, np.zeros((2, 16400, 3), np.uint8), file="2.webp")
    with pytest.raises(WriteError, match=r"2\.webp could not be encoded"):
        run(paths, [*minutes(2), large, *minutes(2)])
    kept = left(tmp_path)
    assert kept == [
        "deep/o.partial.csv", "deep/pics/0.png", "deep/pics/1.png", "o.partial.jsonl", "o.partial.mp4", "o.partial.txt",
    ]  # fmt: skip


def test_the_paths_by_name_and_option(tmp_path: Path) -> None:
    paths = every(tmp_path)
    assert list(paths.named()) == ["video", "mot", "jsonl", "stays", "pictures"]
    assert list(paths.options()) == ["--output", "--mot", "--jsonl", "--stays", "--pictures"]
    assert OutputPaths().named() == {}
    with pytest.raises(OutputError, match=r"\.csv or \.json"):
        OutputPaths(stays=tmp_path / "stays.xlsx")


def check(folder: Path, source: Path | str, **more: bool) -> None:
    check_paths({"--pictures": folder}, **{"overwrite": False, **more}, source=str(source))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A source of two pictures and one below."""
    for name in ("a.jpg", "b.png", "sub/c.jpg"):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "source"


@pytest.mark.parametrize(
    ("source", "there", "refused"),
    [
        (".", [], False),
        (".", ["notes.txt", "c.jpg", "sub/a.jpg"], False),  # nothing that would be replaced
        (".", ["b.png"], True),
        (".", ["b.partial.png"], True),
        ("a.jpg", ["b.png"], False),
        ("a.jpg", ["a.jpg"], True),
        ("*.jpg", ["b.png"], False),
        ("*.jpg", ["a.jpg"], True),
        ("**/*.jpg", ["sub/c.jpg"], True),
        ("sub/*.jpg", ["sub/c.jpg"], False),  # it would be named c.jpg
        ("sub/*.jpg", ["c.jpg"], True),
        ("video.mp4", ["a.jpg", "cover.jpg"], False),
        ("video.mp4", ["000007.jpg"], True),
        ("rtsp://camera/1", ["1000000.jpg"], True),
        ("rtsp://camera/1", ["000007.partial.jpg"], True),
    ],
)
def test_only_what_would_be_replaced_is_refused(
    tmp_path: Path, pictures: Path, source: str, there: list[str], refused: bool
) -> None:
    """Told before hours of detection, not after."""
    folder = tmp_path / "out"
    for name in there:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("precious")
    where = source if "://" in source else pictures / source
    if refused:
        with pytest.raises(OutputError, match="exists; add --overwrite or choose another folder for --pictures"):
            check(folder, where)
    else:
        check(folder, where)
    check(folder, where, overwrite=True)
    check(folder, where, leftovers=True)


@pytest.mark.parametrize("source", [".", "a.jpg", "*.jpg", "**/*.jpg"])
def test_the_originals_are_never_replaced(pictures: Path, source: str) -> None:
    """Not even with --overwrite: they cannot be had again."""
    with pytest.raises(OutputError, match="is the source itself"):
        check(pictures, pictures / source, overwrite=True)
    (pictures / "sub" / "link").symlink_to(pictures)
    with pytest.raises(OutputError, match="is the source itself"):
        check(pictures / "sub" / "link", pictures / source, overwrite=True)
    check(pictures / "annotated", pictures / source)


def test_folders_and_files_are_not_taken_for_each_other(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file; give the name of a folder"):
        check(tmp_path / "file", "video.mp4")
    with pytest.raises(OutputError, match="is not a folder"):
        check(tmp_path / "file" / "deeper", "video.mp4")
    with pytest.raises(OutputError, match="is a folder; give the name of a file"):
        check_paths({"--stays": tmp_path}, overwrite=True, source="video.mp4")
