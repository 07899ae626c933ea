"""What the tools themselves want beyond their importers: where they look for a video, which picture they show."""

from __future__ import annotations

import json
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exports.records import record, street
from tracker.exports.labelstudio import FASTEST, write_labelstudio
from tracker.exports.yolo import write_yolo


def task(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Data of the one task, and its regions' values."""
    (one,) = json.loads(path.read_text(encoding="utf-8"))
    return one["data"], [region["value"] for region in one["predictions"][0]["result"]]


def test_label_studio_looks_for_the_video_among_its_local_files(tmp_path: Path) -> None:
    write_labelstudio(street(name="my clip & 50% #1 é.mp4"), tmp_path / "x.json")
    assert task(tmp_path / "x.json")[0]["video"] == (
        "/data/local-files/?d=videos/my%20clip%20%26%2050%25%20%231%20%C3%A9.mp4"
    )
    write_labelstudio(street(), tmp_path / "x.json", url="s3://bucket/a.mp4", overwrite=True)
    assert task(tmp_path / "x.json")[0]["video"] == "s3://bucket/a.mp4"


@pytest.mark.parametrize("steps", [[1 / 15, 1 / 30], [0.04, 0.013, 0.21], [0.5], [0.1, 0.0005, 0.1]])
def test_label_studio_shows_a_box_over_its_own_picture(steps: list[float], tmp_path: Path) -> None:
    """It shows at place P what the video shows P - 1 ticks of its one rate after the beginning."""
    times_s = np.concatenate(([0.0], np.cumsum(np.resize(steps, 39))))
    boxes = record([(k, 1, 3 * k, 10, 3 * k + 30, 60) for k in range(40)], times_s=times_s, frame_rate=None)
    write_labelstudio(boxes, tmp_path / "x.json", tolerance_px=0)
    data, (value,) = task(tmp_path / "x.json")
    shown = [key["frame"] for key in value["sequence"]]
    assert shown == sorted(set(shown)) and value["framesCount"] == shown[-1]
    if min(steps) > 1 / FASTEST:
        assert len(shown) == 40
        for place, (begin_s, end_s) in zip(shown, pairwise([*times_s, np.inf]), strict=True):
            assert begin_s <= (place - 1 + 0.011) / data["fps"] and (place - 1) / data["fps"] < end_s
    lefts = [round(key["x"] * 6.4) for key in value["sequence"]]
    assert lefts == sorted(lefts) and set(lefts) <= {3 * k for k in range(40)}
    assert len(lefts) >= 40 * (1 - np.mean(np.array(steps) < 1 / FASTEST)) - 1


@pytest.mark.parametrize("name", ["street.mp4", "my clip & 50% #1 'é'.mp4"])
def test_the_command_that_makes_pictures_to_train_on_names_them_as_the_labels_are(name: str, tmp_path: Path) -> None:
    write_yolo(street(name=name), tmp_path / "y")
    line = (tmp_path / "y" / "data.yaml").read_text(encoding="utf-8").splitlines()[0]
    make, command = line.partition(": ")[2].split("; ")
    pattern = shlex.split(command)[-1]
    assert make == "mkdir images" and Path(pattern).parent == Path("images")
    labels = {path.stem for path in (tmp_path / "y" / "labels").glob("*.txt")}
    assert {Path(pattern % (k + 1)).stem for k in range(40)} >= labels and labels


def test_label_studio_is_not_given_a_timeline_without_end(tmp_path: Path) -> None:
    times_s = np.arange(900) / 30.0
    times_s[450] = times_s[449] + 0.001  # one stamp is off
    boxes = [(k, 1, k, 10, k + 30, 60) for k in range(900)]
    write_labelstudio(record(boxes, frame_count=900, times_s=times_s, frame_rate=None), tmp_path / "a.json")
    data, (value,) = task(tmp_path / "a.json")
    assert data["fps"] == pytest.approx(30, rel=0.01) and value["framesCount"] < 920
    hours = np.array([0, 0.01, 0.02, 1e8])
    rows = boxes[:4]
    write_labelstudio(record(rows, frame_count=4, times_s=hours, frame_rate=None), tmp_path / "b.json")
    _, (value,) = task(tmp_path / "b.json")
    assert 0 < value["framesCount"] < 2**31 and value["sequence"][-1]["frame"] == value["framesCount"]


def test_label_studio_is_told_the_name_that_the_file_has(tmp_path: Path) -> None:
    write_labelstudio(street(name="two  blanks\u00a0and \udcff.mp4"), tmp_path / "x.json")
    assert task(tmp_path / "x.json")[0]["video"].endswith("videos/two%20%20blanks%C2%A0and%20%FF.mp4")
