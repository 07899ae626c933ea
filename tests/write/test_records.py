"""MOT lines, JSON lines, COCO results."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.write.scenes import detections, gray_frame, info, tracks
from tracker.errors import OutputError, WriteError
from tracker.structures import Detections, Tracks
from tracker.write import (
    CocoDetections,
    JsonLinesDetections,
    JsonLinesWriter,
    MotWriter,
    StaysWriter,
    VideoSink,
    partial_path,
)

NAMES = ("person", "bicycle", "Straßenbahn")
TWO = ((10.126, 20, 30.5, 60.25, 0.91234, 0), (1, 2, 3, 4, 0.5, 2))


def test_mot(tmp_path: Path) -> None:
    """What evaluation kits read: frame and class from 1, left and top with width and height."""
    sink = MotWriter(tmp_path / "o.txt")
    sink.write(gray_frame(0, 0.0), tracks(*TWO, first_id=7))
    sink.write(gray_frame(1, 0.1), Tracks.empty())
    sink.write(gray_frame(4, 0.4), tracks(TWO[1]))
    sink.close()
    assert (tmp_path / "o.txt").read_text().splitlines() == [
        "1,7,10.13,20.00,20.37,40.25,0.9123,1,1",
        "1,8,1.00,2.00,2.00,2.00,0.5000,3,1",
        "5,1,1.00,2.00,2.00,2.00,0.5000,3,1",
    ]


def test_json_lines(tmp_path: Path) -> None:
    """One object a frame, also of an empty one, so that a reader can tell empty from missing."""
    sink = JsonLinesWriter(tmp_path / "o.jsonl", NAMES)
    sink.write(gray_frame(0, 1 / 3), tracks(*TWO, (0, 0, 1, 1, 0.3, 9), first_id=7))
    sink.write(replace(gray_frame(1, 0.5), file="ü 1.png"), Tracks.empty())
    sink.close()
    first, second = (json.loads(line) for line in (tmp_path / "o.jsonl").read_text("utf-8").splitlines())
    assert first["index"] == 0
    assert first["time_s"] == 0.333333
    assert first["tracks"][0] == {
        "id": 7, "class_name": "person", "class_id": 0, "score": 0.9123, "box": [10.13, 20.0, 30.5, 60.25],
    }  # fmt: skip
    assert [found["class_name"] for found in first["tracks"]] == ["person", "Straßenbahn", "class_9"]
    assert "file" not in first
    assert second == {"index": 1, "time_s": 0.5, "file": "ü 1.png", "tracks": []}


def test_json_lines_of_detections(tmp_path: Path) -> None:
    """`detect` has no ids to tell."""
    sink = JsonLinesDetections(tmp_path / "o.jsonl", NAMES)
    sink.write_detections(gray_frame(0, 0.0), detections(TWO[1]))
    sink.write_detections(gray_frame(1, 0.1), Detections.empty())
    sink.close()
    first, second = (json.loads(line) for line in (tmp_path / "o.jsonl").read_text("utf-8").splitlines())
    assert first["detections"] == [{"class_name": "Straßenbahn", "class_id": 2, "score": 0.5, "box": [1, 2, 3, 4]}]
    assert second == {"index": 1, "time_s": 0.1, "detections": []}


def test_a_name_that_is_no_unicode(tmp_path: Path) -> None:
    """File names on Linux are bytes; one odd name must not end a run of thousands."""
    sink = JsonLinesWriter(tmp_path / "o.jsonl", NAMES)
    sink.write(replace(gray_frame(0, 0.0), file="a\udcff.png"), Tracks.empty())
    sink.close()
    assert json.loads((tmp_path / "o.jsonl").read_bytes())["index"] == 0


@pytest.mark.parametrize(
    ("file", "ids", "image_id", "category_id"),
    [
        ("", None, 6, 3),  # a video: frames from 1, classes from 1
        ("000000000139.jpg", None, 139, 3),  # COCO's own names
        ("street_12.jpg", None, 6, 3),  # no number alone
        ("", {2: 77}, 6, 77),
        ("", (1, 5, 90), 6, 90),
    ],
)
def test_coco(tmp_path: Path, file: str, ids: Any, image_id: int, category_id: int) -> None:
    """Wrong ids give an AP of 0 without a word."""
    sink = CocoDetections(tmp_path / "o.json", category_ids=ids)
    sink.write_detections(replace(gray_frame(5, 0.0), file=file), detections(TWO[1]))
    sink.write_detections(gray_frame(6, 0.1), Detections.empty())
    sink.write_detections(gray_frame(7, 0.2), detections(*TWO))
    sink.close()
    rows = json.loads((tmp_path / "o.json").read_text())
    assert rows[0] == {"image_id": image_id, "category_id": category_id, "bbox": [1, 2, 2, 2], "score": 0.5}
    assert [row["image_id"] for row in rows] == [image_id, 8, 8]


def test_coco_without_a_detection(tmp_path: Path) -> None:
    """An empty list is JSON; an empty file is not."""
    CocoDetections(tmp_path / "o.json").close()
    assert json.loads((tmp_path / "o.json").read_text()) == []


def test_coco_aborted_is_still_json(tmp_path: Path) -> None:
    """What was found before Ctrl-C can be read."""
    sink = CocoDetections(tmp_path / "o.json")
    sink.write_detections(gray_frame(0, 0.0), detections(TWO[1]))
    sink.abort()
    assert len(json.loads((tmp_path / "o.partial.json").read_text())) == 1


MAKERS: dict[str, Callable[..., Any]] = {
    "o.txt": MotWriter,
    "o.jsonl": lambda path, **more: JsonLinesWriter(path, NAMES, **more),
    "o.json": CocoDetections,
    "o.csv": lambda path, **more: StaysWriter(path, NAMES, **more),
    "o.mp4": lambda path, **more: VideoSink(path, info(), **more),
}


def put(sink: Any) -> None:
    if hasattr(sink, "write_detections"):
        sink.write_detections(gray_frame(0, 0.0), detections(TWO[1]))
    else:
        sink.write(gray_frame(0, 0.0), tracks(TWO[1]))


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_is_replaced_unasked(tmp_path: Path, name: str) -> None:
    """Neither a result nor what a killed run left; with the word both are."""
    target, make = tmp_path / name, MAKERS[name]
    for taken in (target, partial_path(target)):
        taken.write_text("precious")
        with pytest.raises(OutputError, match="exists") as caught:
            make(target)
        assert "--overwrite" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert taken.read_text() == "precious"
        sink = make(target, overwrite=True)
        put(sink)
        if taken == target:
            assert taken.read_text() == "precious"  # until the new one is whole
        sink.close()
        assert b"precious" not in target.read_bytes()
        assert list(tmp_path.iterdir()) == [target]
        target.unlink()


@pytest.mark.parametrize("name", MAKERS)
def test_places_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    """Said before hours of work, not after."""
    make = MAKERS[name]
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / name).mkdir(parents=True)
    for place in ("missing", "file", "folder"):
        with pytest.raises(OutputError) as caught:
            make(tmp_path / place / name, overwrite=True)
        assert name in str(caught.value)


@pytest.mark.parametrize("name", MAKERS)
def test_a_target_made_meanwhile_is_kept(tmp_path: Path, name: str) -> None:
    """Two runs with one output: the second to end does not destroy the first's."""
    target = tmp_path / name
    sink = MAKERS[name](target)
    put(sink)
    target.write_text("the other's")
    with pytest.raises(OutputError, match="meanwhile"):
        sink.close()
    assert target.read_text() == "the other's"
    assert partial_path(target).stat().st_size > 0


@pytest.mark.parametrize("name", MAKERS)
def test_abort_before_anything_leaves_nothing(tmp_path: Path, name: str) -> None:
    """A run that fails at its start must not block the next one with a leftover."""
    sink = MAKERS[name](tmp_path / name)
    sink.abort()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(WriteError, match="closed"):
        put(sink)


def test_two_runs_on_one_output(tmp_path: Path) -> None:
    """The second took the partial with --overwrite: the first must neither write into it nor rename it."""
    first, second = MotWriter(tmp_path / "o.txt"), MotWriter(tmp_path / "o.txt", overwrite=True)
    first.write(gray_frame(0, 0.0), tracks(TWO[0]))
    second.write(gray_frame(7, 0.0), tracks(TWO[1]))
    with pytest.raises(OutputError, match="another run"):
        first.close()
    second.close()
    assert (tmp_path / "o.txt").read_text().startswith("8,1,")
    assert len(list(tmp_path.iterdir())) == 1
