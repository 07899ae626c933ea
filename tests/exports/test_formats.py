"""What is in the exports, read without the tools that they are made for."""

from __future__ import annotations

import json
import sys
import tracemalloc
import zipfile
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from tests.exports.records import HOSTILE, crowd, record, sights, street
from tracker.errors import OutputError, RequirementError, UsageError, WriteError
from tracker.exports import FORMATS, Annotation, labelling_config, read_jsonl, read_parquet, write_coco
from tracker.exports.cvat import write_cvat
from tracker.exports.keyframes import keyframes, paths
from tracker.exports.labelstudio import write_labelstudio
from tracker.exports.prepare import clean_names, prepared, safe_stem
from tracker.structures import CONFIRMED, Tracks
from tracker.write.files import PartialFile
from tracker.write.records import JsonLinesWriter

needs_pyarrow = pytest.mark.skipif("not __import__('importlib.util').util.find_spec('pyarrow')", reason="no pyarrow")
EVERY = [pytest.param(name, marks=needs_pyarrow) if name == "parquet" else name for name in FORMATS]
OUTSIDE = record(
    [(0, 1, -20, 5, 30, 400), (1, 1, -20, 5, -1, 40), (2, 1, 639.999, 5, 700, 40), (3, 1, 30, 30, 10, 40),
     (4, 1, 600, 300, 800, 500), (2, 2, 700, 10, 800, 20)]
)  # fmt: skip
HOSTILE_VIDEO = {"name": '../a&b<c>"d"\n\udcff é.mp4', "class_names": HOSTILE, "model": 'm"<1>'}


def write(name: str, annotation: Annotation, folder: Path) -> tuple[Path, int]:
    path = folder / f"x{FORMATS[name].suffix}"
    return path, FORMATS[name].write(annotation, path, overwrite=True)


def contents(path: Path) -> dict[str, bytes]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(file.relative_to(path.parent)): file.read_bytes() for file in files if file.is_file()}


def boxes_of(path: Path) -> list[dict[str, str]]:
    return [
        {**box.attrib, "id": track.attrib["id"], "label": track.attrib["label"]}
        for track in ElementTree.parse(path).iter("track") for box in track
    ]  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("annotation", [street(), record([]), record([], frame_count=0, class_names=()), OUTSIDE])
def test_the_same_record_gives_the_same_bytes(name: str, annotation: Annotation, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    first, again = write(name, annotation, tmp_path / "a")[0], write(name, annotation, tmp_path / "b")[0]
    assert contents(first) == contents(again)
    assert contents(first)
    assert not [file for file in tmp_path.rglob("*") if "partial" in file.name]


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_replaced_unasked(name: str, tmp_path: Path) -> None:
    path, _ = write(name, street(), tmp_path)
    before = contents(path)
    with pytest.raises(OutputError, match="exists"):
        FORMATS[name].write(record([]), path)
    assert contents(path) == before
    FORMATS[name].write(record([]), path, overwrite=True)
    assert contents(path) != before


@pytest.mark.parametrize("name", EVERY)
def test_a_write_that_fails_leaves_what_was_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = write(name, street(), tmp_path)
    before = contents(path)

    def fail(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(Annotation, "rows", fail)
    monkeypatch.setattr(Annotation, "times", fail)
    monkeypatch.setattr(Annotation, "by_track", fail)
    with pytest.raises(MemoryError):
        FORMATS[name].write(record([]), tmp_path / "new")
    with pytest.raises(MemoryError):
        write(name, record([]), tmp_path)
    assert contents(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_ends_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = write("cvat", street(), tmp_path)
    before = contents(path)

    def full(*_: Any) -> None:
        raise WriteError("no space left")

    monkeypatch.setattr(PartialFile, "append", full)
    for _ in range(2):  # what the first one left does not stand in the way
        with pytest.raises(WriteError, match="no space"):
            write("cvat", record([]), tmp_path)
    assert contents(path) == before


@pytest.mark.parametrize("name", ["mot", "coco", "cvat", "labelstudio", "yolo"])
def test_boxes_are_clipped_and_those_without_area_counted(name: str, tmp_path: Path) -> None:
    path, left_out = write(name, OUTSIDE, tmp_path)
    assert left_out == 4
    if name == "mot":
        lines = zipfile.ZipFile(path).read("gt/gt.txt").decode().splitlines()
        assert lines == ["1,1,0.00,5.00,30.00,355.00,1,1,1", "5,1,600.00,300.00,40.00,60.00,1,1,1"]
    elif name == "coco":
        found = json.loads(path.read_text())["annotations"]
        assert [one["bbox"] for one in found] == [[0, 5, 30, 355], [600, 300, 40, 60]]
        assert [one["area"] for one in found] == [30 * 355, 40 * 60]
    elif name == "cvat":
        inside = [box for box in boxes_of(path) if box["outside"] == "0"]
        assert [(box["xtl"], box["ybr"]) for box in inside] == [("0.00", "360.00"), ("600.00", "360.00")]
    elif name == "labelstudio":
        (region,) = json.loads(path.read_text())[0]["predictions"][0]["result"]
        last = region["value"]["sequence"][-1]
        assert (last["x"], last["y"], last["width"], last["height"]) == (93.75, 83.3333, 6.25, 16.6667)
    else:
        assert (path / "labels" / "street_5.txt").read_text() == "0 0.968750 0.916667 0.062500 0.166667\n"


@pytest.mark.parametrize("name", EVERY)
def test_names_of_any_kind_pass(name: str, tmp_path: Path) -> None:
    rows = [(k, k + 1, 1, 1, 20, 20, 0.5, k) for k in range(len(HOSTILE))]
    path, left_out = write(name, record(rows, **HOSTILE_VIDEO), tmp_path)
    assert left_out == 0
    names = clean_names(HOSTILE)
    assert len(set(names)) == len(names)
    assert names[2:6] == ["машина 車 é", "car", "car (2)", "class_5"]
    if name == "mot":
        assert zipfile.ZipFile(path).read("gt/labels.txt").decode().splitlines() == names
    elif name == "coco":
        assert [one["name"] for one in json.loads(path.read_text())["categories"]] == names
    elif name == "cvat":
        assert [one.text for one in ElementTree.parse(path).iterfind(".//label/name")] == names
        assert [box["label"] for box in boxes_of(path) if box["outside"] == "0"] == names
    elif name == "labelstudio":
        regions = json.loads(path.read_text())[0]["predictions"][0]["result"]
        assert [region["value"]["labels"] for region in regions] == [[one] for one in names]
        labels = ElementTree.fromstring(labelling_config(HOSTILE)).iter("Label")
        assert [label.attrib["value"] for label in labels] == names
    elif name == "yolo":
        assert yaml.safe_load((path / "data.yaml").read_text())["names"] == dict(enumerate(names))
        assert len(list((path / "labels").iterdir())) == len(HOSTILE)
    elif name == "parquet":
        assert read_parquet(path).class_names == HOSTILE
    else:
        assert read_jsonl(path, "v", 640, 360, Fraction(30)).class_names == HOSTILE


def test_stems_are_safe_on_any_system() -> None:
    assert safe_stem("a/../../x:y*.mp4") == "x_y_"
    assert safe_stem("...") == "video"
    assert safe_stem("\n") == "video"
    assert len(safe_stem("é" * 400 + ".mp4").encode()) <= 180


def test_a_track_has_the_class_of_most_of_its_boxes() -> None:
    rows = [(k, 3, 1, 1, 20, 20, 0.5, int(k in (0, 4))) for k in range(5)] + [(0, 4, 1, 1, 9, 9, 1, 2)]
    assert prepared(record(rows))[0].class_ids.tolist() == [0, 2, 0, 0, 0, 0]
    assert prepared(record([(0, 1, 1, 1, 9, 9, 1, 2), (1, 1, 1, 1, 9, 9, 1, 1)]))[0].class_ids.tolist() == [1, 1]


def test_mot_tells_the_sequence(tmp_path: Path) -> None:
    path, _ = write("mot", street(), tmp_path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        lines = archive.read("gt/gt.txt").decode().splitlines()
        ini = archive.read("seqinfo.ini").decode()
    assert "frameRate=30\nseqLength=40\nimWidth=640\nimHeight=360\n" in ini
    assert "30000/1001" in ini
    assert lines[0] == "1,1,10.00,20.25,40.00,100.25,1,1,1"
    assert lines[-1] == "40,9000000000,1.00,2.00,29.00,38.00,1,2,1"
    assert sum(line.endswith(",0") for line in lines) == 2  # the filled-in ones


def test_coco_of_several_videos_counts_on(tmp_path: Path) -> None:
    write_coco([street(), street(name="other.mp4"), record([])], tmp_path / "all.json")
    found = json.loads((tmp_path / "all.json").read_text())
    assert [video["name"] for video in found["videos"]] == ["street.mp4", "other.mp4", "street.mp4"]
    for key in ("images", "annotations"):
        assert [one["id"] for one in found[key]] == list(range(1, len(found[key]) + 1))
    assert len(found["images"]) == 120
    assert len({track["id"] for track in found["tracks"]}) == 6
    assert {one["track_id"] for one in found["annotations"]} == {track["id"] for track in found["tracks"]}
    images = {image["id"]: image for image in found["images"]}
    assert all(images[one["image_id"]]["video_id"] == one["video_id"] for one in found["annotations"])
    assert found["images"][41]["file_name"] == "other/frame_000001.jpg"
    assert len({image["file_name"] for image in found["images"]}) == 120
    with pytest.raises(UsageError, match="class names"):
        write_coco([street(), street(class_names=("a", "b", "c"))], tmp_path / "more.json")


def test_coco_names_the_pictures_of_a_folder(tmp_path: Path) -> None:
    path, _ = write("coco", street(files=tuple(f"img/{k:03d}.png" for k in range(40))), tmp_path)
    assert json.loads(path.read_text())["images"][3]["file_name"] == "img/003.png"


def test_cvat_ends_every_span(tmp_path: Path) -> None:
    write_cvat(street(), tmp_path / "x.xml", tolerance_px=0)
    found = boxes_of(tmp_path / "x.xml")
    outside = [(box["id"], box["frame"]) for box in found if box["outside"] == "1"]
    assert outside == [("7", "14"), ("7", "33")]  # the others last to the end
    inside = {(int(box["frame"]), int(box["id"])) for box in found if box["outside"] == "0"}
    assert inside == sights(street())
    assert {box["keyframe"] for box in found} == {"1"}
    assert [box["frame"] for box in found if box["occluded"] == "1"] == ["8", "13", "14"]


def test_label_studio_ends_every_span(tmp_path: Path) -> None:
    write_labelstudio(street(), tmp_path / "x.json", url="/data/street.mp4", tolerance_px=0)
    (task,) = json.loads((tmp_path / "x.json").read_text())
    assert task["data"] == {"video": "/data/street.mp4", "fps": 29.97003}
    assert task["predictions"][0]["model_version"] == "m 1"
    first, second, third = (region["value"] for region in task["predictions"][0]["result"])
    assert [key["frame"] for key in second["sequence"] if not key["enabled"]] == [14, 33]
    assert [key["frame"] for key in first["sequence"]] == list(range(1, 41))
    assert first["sequence"][29]["time"] == pytest.approx(1.001)
    assert third["sequence"][0]["frame"] == 40
    assert (first["framesCount"], first["duration"]) == (40, pytest.approx(40 * 1.001 / 30, abs=1e-6))


@pytest.mark.parametrize("tolerance", [0.1, 0.5, 3.0])
def test_lines_between_keyframes_give_every_box_back(tolerance: float) -> None:
    for path in paths(crowd(700, 3)):
        keep = keyframes(path, tolerance)
        for edge in path.boxes.T:
            line = np.interp(path.frames, path.frames[keep], edge[keep])
            assert np.abs(line - edge).max() <= tolerance + 1e-9
        assert keep.sum() < len(keep) * (0.6 if tolerance < 0.5 else 0.25)


def test_no_line_crosses_a_pause() -> None:
    path = list(paths(street()))[1]
    keep = keyframes(path, 1000.0)
    assert path.frames[keep].tolist() == [5, 13, 20, 32]


def test_yolo_has_lines_with_and_without_ids(tmp_path: Path) -> None:
    path, _ = write("yolo", street(), tmp_path)
    plain, tracked = ((path / folder / "street_6.txt").read_text().splitlines() for folder in ("labels", "tracks"))
    assert [line.split() for line in plain] == [line.split()[:5] for line in tracked]
    assert [line.split()[5] for line in tracked] == ["1", "7"]
    assert len(list((path / "labels").iterdir())) == 40
    values = np.array([line.split() for line in plain], np.float64)
    assert values[0].tolist() == pytest.approx([0, (25.5 + 65.5) / 2 / 640, (20.25 + 120.5) / 2 / 360, 40 / 640, 100.25 / 360], abs=1e-6)  # fmt: skip # noqa: E501


def test_json_lines_are_those_of_run(tmp_path: Path) -> None:
    path, _ = write("jsonl", street(), tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(40))
    assert lines[6]["tracks"][1] == {
        "id": 7, "class_name": "car", "class_id": 2, "score": 0.5, "box": [294.0, 54.0, 354.0, 114.0],
    }  # fmt: skip
    again = read_jsonl(path, "street.mp4", 640, 360, Fraction(30000, 1001))
    assert sights(again) == sights(street())
    assert np.abs(again.boxes - street().boxes).max() <= 0.0051


def test_json_lines_are_byte_for_byte_those_of_run(tmp_path: Path) -> None:
    for name, made in (
        ("rates", street(class_names=HOSTILE, files=tuple(f"\udcff {k}.png" for k in range(40)))),
        ("times", street(frame_rate=None, times_s=np.arange(40.0) ** 2 / 7)),
        ("crowd", crowd(30, 40)),
    ):
        path, _ = write("jsonl", made, tmp_path)
        writer = JsonLinesWriter(tmp_path / f"{name}.jsonl", made.class_names)
        for index, time_s in enumerate(made.times().tolist()):
            rows = made.frames == index
            count = int(rows.sum())
            tracks = Tracks(
                made.ids[rows], made.boxes[rows], made.scores[rows], made.class_ids[rows].astype(np.int64),
                np.zeros(count, np.float32), np.full(count, CONFIRMED, np.int64),
            )  # fmt: skip
            file = made.files[index] if made.files else ""
            writer.write(SimpleNamespace(index=index, time_s=time_s, file=file), tracks)
        writer.close()
        assert path.read_bytes() == (tmp_path / f"{name}.jsonl").read_bytes()


def test_a_line_that_is_no_frame_is_named(tmp_path: Path) -> None:
    for text in ("{}\n", '{"index": 1, "time_s": 0, "tracks": []}\n', '{"index": 0, "time_s": 0, "tracks": [{}]}', "["):
        (tmp_path / "x.jsonl").write_text(text)
        with pytest.raises(UsageError, match="line 1"):
            read_jsonl(tmp_path / "x.jsonl", "v", 10, 10)


@needs_pyarrow
@pytest.mark.parametrize(
    "changes",
    [{}, {"frame_rate": None, "times_s": np.arange(40.0) ** 2}, {"files": tuple(f"{k}.png" for k in range(40))}],
)
def test_parquet_gives_the_record_back(changes: dict[str, Any], tmp_path: Path) -> None:
    path, _ = write("parquet", street(**changes), tmp_path)
    again, first = vars(read_parquet(path)), vars(street(**changes))
    for key, value in first.items():
        assert np.array_equal(again[key], value) if isinstance(value, np.ndarray) else again[key] == value, key
        assert getattr(again[key], "dtype", None) == getattr(value, "dtype", None)


@needs_pyarrow
def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    for path in (tmp_path / "none.parquet", tmp_path / "text.parquet", tmp_path / "other.parquet"):
        if path.stem == "text":
            path.write_text("text")
        elif path.stem == "other":
            parquet.write_table(pa.table({"frame": [1]}), path)
        with pytest.raises(UsageError, match="no record"):
            read_parquet(path)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RequirementError, match=r"tracker\[annotate\]"):
        FORMATS["parquet"].write(street(), tmp_path / "x.parquet")


@pytest.mark.parametrize("name", ["mot", "coco", "cvat", "labelstudio", "jsonl", pytest.param("parquet", marks=needs_pyarrow)])  # fmt: skip # noqa: E501
def test_memory_does_not_grow_with_the_file(name: str, tmp_path: Path) -> None:
    """Beyond copies of the columns, what a writer holds is a piece of the file and one track."""
    annotation = crowd(400, 60)  # as Python objects, 8 MB and more
    write(name, street(), tmp_path)  # imports
    tracemalloc.start()
    try:
        path, _ = write(name, annotation, tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000
    assert path.stat().st_size > 100_000
