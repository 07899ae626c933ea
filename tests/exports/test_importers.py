"""Round trips through the importers of the tools themselves: the same frames, ids, classes and boxes come back.

Each skips where its tool is not installed: `make test-importers` brings datumaro and label-studio-sdk.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exports.records import HOSTILE, record, street
from tracker.exports import (
    Annotation,
    labelling_config,
    write_coco,
    write_cvat,
    write_labelstudio,
    write_mot,
    write_yolo,
)
from tracker.exports.prepare import prepared

Found = dict[tuple[int, int], tuple[str, list[float]]]
"""Frame (from 0) and id -> class name and box xyxy."""

PLAIN = street()
HARD = record(
    [(k, k + 1, 5 * k - 10, 1, 5 * k + 20, 20 + 60 * k, 0.5, k) for k in range(8)]
    + [(39, 2_000_000_001, 3, 3, 30, 30, 0.4, 2)],
    class_names=HOSTILE, name="a&b <c> 'd'.mp4",
)  # fmt: skip
EMPTY = record([])
EVERY = pytest.mark.parametrize("annotation", [PLAIN, HARD, EMPTY], ids=["plain", "hard", "empty"])


def wanted(annotation: Annotation) -> Found:
    clean, _ = prepared(annotation)
    return {
        (frame, number): (clean.class_names[class_id], [left, top, right, bottom])
        for frame, number, left, top, right, bottom, _, class_id, _ in clean.rows()
    }


def check(found: Found, annotation: Annotation, tolerance: float = 0.006) -> None:
    expected = wanted(annotation)
    assert found.keys() == expected.keys()
    for key, (name, box) in found.items():
        assert name == expected[key][0]
        assert np.abs(np.subtract(box, expected[key][1])).max() <= tolerance, key


def of_datumaro(dataset: Any, frame_of: Any) -> Found:
    from datumaro.components.annotation import AnnotationType

    names = [label.name for label in dataset.categories()[AnnotationType.label].items]
    found: Found = {}
    for item in dataset:
        for one in item.annotations:
            if not one.attributes.get("outside"):
                key = (frame_of(item), int(one.attributes["track_id"]))
                assert key not in found
                found[key] = (names[one.label], list(one.points))
    return found


@EVERY
def test_datumaro_imports_mot(annotation: Annotation, tmp_path: Path) -> None:
    dm = pytest.importorskip("datumaro", reason="datumaro is not installed")
    write_mot(annotation, tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        archive.extractall(tmp_path / "x")
    dataset = dm.Dataset.import_from(str(tmp_path / "x"), "mot_seq")
    check(of_datumaro(dataset, lambda item: int(item.id) - 1), annotation)
    assert len(dataset) == annotation.frame_count
    hidden = {
        (int(item.id) - 1, one.attributes["track_id"])
        for item in dataset for one in item.annotations if one.attributes["occluded"]
    }  # fmt: skip
    filled = annotation.interpolated
    assert hidden == set(zip(annotation.frames[filled].tolist(), annotation.ids[filled].tolist(), strict=True))


@EVERY
def test_datumaro_imports_cvat(annotation: Annotation, tmp_path: Path) -> None:
    dm = pytest.importorskip("datumaro", reason="datumaro is not installed")
    write_cvat(annotation, tmp_path / "x.xml")
    dataset = dm.Dataset.import_from(str(tmp_path), "cvat")
    check(of_datumaro(dataset, lambda item: int(item.attributes["frame"])), annotation)


@EVERY
def test_datumaro_imports_coco(annotation: Annotation, tmp_path: Path) -> None:
    dm = pytest.importorskip("datumaro", reason="datumaro is not installed")
    (tmp_path / "annotations").mkdir(), (tmp_path / "images").mkdir()
    write_coco(annotation, tmp_path / "annotations" / "instances_x.json")
    dataset = dm.Dataset.import_from(str(tmp_path), "coco_instances")
    check(of_datumaro(dataset, lambda item: int(item.id.rpartition("frame_")[2])), annotation)
    assert len(dataset) == annotation.frame_count


@EVERY
def test_pycocotools_loads_coco(annotation: Annotation, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    write_coco(annotation, tmp_path / "x.json")
    loaded = coco.COCO(str(tmp_path / "x.json"))
    names = {one["id"]: one["name"] for one in loaded.loadCats(loaded.getCatIds())}
    found: Found = {}
    for image in loaded.loadImgs(loaded.getImgIds()):
        for one in loaded.loadAnns(loaded.getAnnIds(imgIds=[image["id"]])):
            left, top, wide, high = one["bbox"]
            found[image["frame_id"], one["track_id"]] = names[one["category_id"]], [left, top, left + wide, top + high]
            assert one["area"] == pytest.approx(wide * high, abs=0.006)
    check(found, annotation, 0.011)
    assert len(loaded.getImgIds()) == annotation.frame_count
    capsys.readouterr()


def drawn_by_cvat(path: Path, frame_count: int) -> Found:
    """CVAT's server is no library. It takes keyframes alone, and draws lines between them until one is outside."""
    found: Found = {}
    for track in ElementTree.parse(path).iter("track"):
        keys = [box.attrib for box in track if box.attrib["keyframe"] == "1"]
        last = {"frame": str(frame_count), "outside": "1"}
        for key, after in zip(keys, [*keys[1:], last], strict=True):
            if key["outside"] == "1":
                continue
            begin, end = int(key["frame"]), int(after["frame"])
            edges = [[float(one[edge]) for edge in ("xtl", "ytl", "xbr", "ybr")] for one in (key, {**key, **after})]
            for frame in range(begin, end):
                share = 0 if after["outside"] == "1" else (frame - begin) / (end - begin)
                box = [(1 - share) * a + share * b for a, b in zip(*edges, strict=True)]
                found[frame, int(track.attrib["id"])] = track.attrib["label"], box
    return found


def drawn_by_label_studio(path: Path, annotation: Annotation) -> Found:
    """As its editor does: a keyframe that is enabled lasts until the next one, one that is not for its own frame."""
    found: Found = {}
    size = np.array([annotation.width, annotation.height] * 2) / 100
    for region in json.loads(path.read_text())[0]["predictions"][0]["result"]:
        keys = region["value"]["sequence"]
        for key, after in zip(keys, [*keys[1:], {"frame": annotation.frame_count + 1}], strict=True):
            edges = [np.array([one[part] for part in ("x", "y", "width", "height")]) for one in (key, {**key, **after})]
            for frame in range(key["frame"], after["frame"] if key["enabled"] else key["frame"] + 1):
                share = (frame - key["frame"]) / (after["frame"] - key["frame"])
                x, y, wide, high = (1 - share) * edges[0] + share * edges[1]
                box = (np.array([x, y, x + wide, y + high]) * size).tolist()
                found[frame - 1, int(region["id"].removeprefix("track_"))] = region["value"]["labels"][0], box
    return found


@EVERY
@pytest.mark.parametrize("tolerance", [0.0, 0.5])
def test_cvat_draws_the_same_boxes(annotation: Annotation, tolerance: float, tmp_path: Path) -> None:
    write_cvat(annotation, tmp_path / "x.xml", tolerance_px=tolerance)
    check(drawn_by_cvat(tmp_path / "x.xml", annotation.frame_count), annotation, tolerance + 0.006)


def hidden_in_cvat(path: Path) -> set[int]:
    """Frames of the one track that the server takes for occluded: it copies a keyframe's flags up to the next one."""
    (track,) = ElementTree.parse(path).iter("track")
    keys = [box.attrib for box in track if box.attrib["keyframe"] == "1"]
    found: set[int] = set()
    for key, after in itertools.pairwise(keys):
        if key["occluded"] == "1":
            found |= set(range(int(key["frame"]), int(after["frame"])))
    return found


@pytest.mark.parametrize("tolerance", [0.0, 0.5])
@pytest.mark.parametrize(("stride", "missed"), [(1, range(7, 11)), (3, range(10, 15)), (5, range(0))])
def test_cvat_knows_the_boxes_that_a_pause_was_filled_with(
    stride: int, missed: range, tolerance: float, tmp_path: Path
) -> None:
    rows = [(k, 1, 5 * k, 10, 5 * k + 30, 60, 0.9, 0, k % stride != 0 or k in missed) for k in range(31)]
    write_cvat(record(rows), tmp_path / "x.xml", tolerance_px=tolerance)
    assert hidden_in_cvat(tmp_path / "x.xml") == set(missed)
    if tolerance:  # it goes straight on: nothing but what the flags need
        assert len(ElementTree.parse(tmp_path / "x.xml").findall(".//box[@keyframe='1']")) <= 5


@EVERY
@pytest.mark.parametrize("tolerance", [0.0, 0.5])
def test_label_studio_draws_the_same_boxes(annotation: Annotation, tolerance: float, tmp_path: Path) -> None:
    write_labelstudio(annotation, tmp_path / "x.json", tolerance_px=tolerance)
    check(drawn_by_label_studio(tmp_path / "x.json", annotation), annotation, tolerance + 0.006)


@settings(max_examples=40, deadline=None)
@given(
    there=st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=4),
    steps=st.lists(st.floats(-80, 80, width=32), min_size=12, max_size=12),
    tolerance=st.sampled_from([0.0, 0.3, 5.0]),
)
def test_pauses_of_any_kind_come_back(there: list[list[bool]], steps: list[float], tolerance: float) -> None:
    places = np.cumsum(steps) + 200
    rows = [
        (frame, number, places[frame] + 9 * number, 10, places[frame] + 9 * number + 30, 60)
        for number, frames in enumerate(there, 1) for frame, seen in enumerate(frames) if seen
    ]  # fmt: skip
    annotation = record(rows, frame_count=12)
    with tempfile.TemporaryDirectory() as folder:
        write_cvat(annotation, Path(folder, "x.xml"), tolerance_px=tolerance)
        write_labelstudio(annotation, Path(folder, "x.json"), tolerance_px=tolerance)
        check(drawn_by_cvat(Path(folder, "x.xml"), 12), annotation, tolerance + 0.006)
        check(drawn_by_label_studio(Path(folder, "x.json"), annotation), annotation, tolerance + 0.006)


@EVERY
@pytest.mark.parametrize("tolerance", [0.0, 0.5])
def test_label_studio_takes_the_tasks(annotation: Annotation, tolerance: float, tmp_path: Path) -> None:
    sdk = pytest.importorskip("label_studio_sdk.label_interface", reason="label-studio-sdk is not installed")
    video = pytest.importorskip("label_studio_sdk._extensions.label_studio_tools.postprocessing.video")
    write_labelstudio(annotation, tmp_path / "x.json", tolerance_px=tolerance)
    (task,) = json.loads((tmp_path / "x.json").read_text())
    (prediction,) = task["predictions"]
    interface = sdk.LabelInterface(labelling_config(annotation.class_names))
    assert not interface.validate_prediction(prediction, return_errors=True)
    assert interface.validate_task({"data": task["data"]})  # with predictions the SDK calls itself wrongly
    size = np.array([annotation.width, annotation.height]) / 100
    found: Found = {}
    for region in video.extract_key_frames(prediction["result"]):
        for key in region["value"]["sequence"]:
            corner = size * (key["x"], key["y"])
            box = [*corner, *(corner + size * (key["width"], key["height"]))]
            found[key["frame"] - 1, int(region["id"].removeprefix("track_"))] = region["value"]["labels"][0], box
    check(found, annotation, tolerance + 0.02)


@EVERY
def test_ultralytics_loads_yolo(annotation: Annotation, tmp_path: Path) -> None:
    utils = pytest.importorskip("ultralytics.data.utils", reason="ultralytics is not installed")
    write_yolo(annotation, tmp_path / "x")
    images = tmp_path / "x" / "images"
    images.mkdir()
    stems = [path.stem for path in (tmp_path / "x").glob("labels/*")] or ["background"]
    for stem in stems:
        cv2.imwrite(str(images / f"{stem}.jpg"), np.zeros((annotation.height, annotation.width, 3), np.uint8))
    data = utils.check_det_dataset(str(tmp_path / "x" / "data.yaml"), autodownload=False)
    assert Path(data["train"]) == images
    found: Found = {}
    for image in sorted(images.iterdir()):
        (label,) = utils.img2label_paths([str(image)])
        row = utils.verify_image_label((str(image), label, "", False, len(data["names"]), 0, 0, False))
        assert row[0] == str(image), row[-1]
        tracked = tmp_path / "x" / "tracks" / Path(label).name
        ids = [int(line.split()[5]) for line in tracked.read_text().splitlines()] if tracked.exists() else []
        assert len(ids) == len(row[1])
        # The loader drops doubles and may sort: ids are found by the whole line.
        for number, line in zip(ids, np.loadtxt(tracked, ndmin=2) if ids else (), strict=True):
            best = row[1][np.abs(row[1] - line[:5]).max(1).argmin()]
            centre, half = best[1:3], best[3:5] / 2
            box = np.concatenate((centre - half, centre + half)) * ([annotation.width, annotation.height] * 2)
            found[int(image.stem.rpartition("_")[2]) - 1, number] = data["names"][int(best[0])], box.tolist()
    check(found, annotation, 0.01)
