"""The report: figures, what it says, its size, and that nothing in it is taken for HTML."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.exports.records import HOSTILE, crowd, record, street
from tests.report.test_suspects import walk
from tracker.errors import OutputError
from tracker.report import VideoSummary, report, shrunk, summarise, telling_frames, write_report
from tracker.report.page import LIMIT, ROWS
from tracker.report.summary import HEAT_COLUMNS, HEAT_LEVELS, PATHS, PICTURE_BYTES, PICTURES, SUSPECTS

EVIL = "<img src=x onerror=alert(1)>\"'&\x00.mp4"


class Elements(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def photo() -> bytes:
    noise = np.random.default_rng(1).integers(0, 60, (360, 640, 3), np.uint8)
    return shrunk(cv2.GaussianBlur(noise, (9, 9), 3))


def summary(name: str = "street.mp4", *, pictures: int = 1) -> VideoSummary:
    one = summarise(street(name=name), fps=123.4, pictures=[(k, photo()) for k in (6, 25)][:pictures])
    assert one.pictures or not pictures
    return one


def test_the_figures_of_a_video() -> None:
    one = summary()
    assert (one.frames, one.tracks, one.boxes, one.filled) == (40, 3, 63, 2)
    assert one.duration_s == pytest.approx(40 * 1.001 / 30, abs=1e-3)
    assert one.classes == (("person", 1, 40), ("bicycle", 1, 1), ("car", 1, 22))
    assert one.lengths == (1, 1, 1, 0, 0, 0, 0, 0)  # a frame, 28 frames, 40 frames
    assert len(one.active) == 40
    assert sum(one.active) == 63
    assert [path.id for path in one.paths] == [1, 7, 9_000_000_000]
    assert one.paths[0].points[:2] == (round(30 / 640 * 1000), round(120.5 / 640 * 1000))
    assert [box[:2] for box in one.pictures[0].boxes] == [(1, "person"), (7, "car")]


def test_the_heat_map_is_hot_where_boxes_are() -> None:
    still = record([(k, 1, 300, 170, 340, 190) for k in range(40)] + [(0, 2, 0, 0, 20, 20)])
    heat = np.frombuffer(base64.b64decode(summarise(still).heat), np.uint8).reshape(27, HEAT_COLUMNS)
    assert heat[13, 24] == HEAT_LEVELS
    assert 0 < heat[0, 0] < HEAT_LEVELS
    assert heat[20:].max() == heat[:, 30:].max() == 0


def test_a_summary_is_small_however_long_the_video() -> None:
    one = summarise(crowd(3000, 80))
    assert len(json.dumps(one.as_dict())) < 25_000
    assert len(one.paths) == PATHS
    odd = summarise(record([(k // 4 * 5, k, 1, 1, 40, 40, 0.1) for k in range(1, 400)], frame_count=600))
    assert len(odd.suspects) == SUSPECTS
    assert odd.suspect_count == 399


def test_a_summary_outlives_json() -> None:
    for one in (summary(), VideoSummary("x", "failed", "why"), summarise(record([], frame_count=0))):
        assert VideoSummary.from_dict(json.loads(json.dumps(one.as_dict()))) == one


def test_pictures_may_come_one_video_at_a_time() -> None:
    whole = [summary(), summary("b.mp4")]
    without = [replace(one, pictures=()) for one in whole]
    assert "data:image/jpeg" in report(whole, "t", {}) and "data:image/jpeg" not in report(without, "t", {})
    assert report(without, "t", {}, lambda place: whole[place].pictures) == report(whole, "t", {})


def test_pictures_are_bounded() -> None:
    many = [(k, photo()) for k in range(9)] + [(99, photo())]
    assert len(summarise(street(), pictures=many).pictures) == PICTURES
    assert summarise(street(), pictures=[(0, b"x" * (PICTURE_BYTES + 1)), (40, photo())]).pictures == ()
    large = np.random.default_rng(2).integers(0, 255, (2160, 3840, 3), np.uint8)
    assert cv2.imdecode(np.frombuffer(shrunk(large), np.uint8), cv2.IMREAD_COLOR).shape == (360, 640, 3)


def test_telling_frames_show_most() -> None:
    boxes = np.bincount(street().frames, minlength=40).astype(np.float64)
    found = telling_frames(boxes + 0.1, 2)
    assert [boxes[k] for k in found] == [2, 2]
    assert found[0] < 20 <= found[1]
    assert telling_frames(np.array((np.nan, 0.0, np.nan)), 1) == [1]  # nobody looked at the others
    assert telling_frames(np.zeros(1), 3) == [0]
    assert telling_frames(np.zeros(0)) == []


def test_the_page_tells_what_there_is() -> None:
    failed = VideoSummary("broken.mp4", "failed", "no video stream in 'broken.mp4'")
    page = report([summary(), failed, summary("b.mp4", pictures=0)], "Archive", {"model": "street6"})
    text = " ".join(Elements(page).text)
    for wanted in ("street6", "of 3", "no video stream in 'broken.mp4'", "126", "123.4", "1 (80)", "broken.mp4"):
        assert wanted in text or wanted == "1 (80)", wanted
    assert page.count("<details") == 2
    assert page.count("data:image/jpeg") == 1
    assert text.count("only 1 frame") == 0  # cut by the end of the video


def test_a_page_of_nothing_is_a_page() -> None:
    for summaries in ([], [VideoSummary("x.mp4", "failed", "empty file")], [summarise(record([], frame_count=0))]):
        assert "</html>" in report(summaries, "t", {})


def test_the_same_summaries_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        again = VideoSummary.from_dict(json.loads(json.dumps(summary().as_dict())))
        write_report([again], tmp_path / name, about={"model": "m"})
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    with pytest.raises(OutputError, match="exists"):
        write_report([], tmp_path / "a.html")


def test_no_name_becomes_html() -> None:
    names = tuple(f"{EVIL}{k}" for k in range(3))
    hostile = summarise(street(name=EVIL, class_names=names, model=EVIL), pictures=[(6, photo())])
    failed = VideoSummary(EVIL, EVIL, EVIL)
    odd = summarise(record(walk(3, 10, 14), class_names=HOSTILE, name=EVIL))
    page = report([hostile, failed, odd], EVIL, {EVIL: EVIL})
    elements = Elements(page)
    assert not elements.named("img")
    assert not [name for _, attrs in elements.tags for name in attrs if name.startswith("on")]
    assert len(elements.named("script")) == 1
    assert "\x00" not in page
    assert sum("onerror" in text for text in elements.text) > 5


def test_the_page_asks_no_host() -> None:
    elements = Elements(report([summary()], "t", {}))
    for tag, attrs in elements.tags:
        for key in ("src", "href", "xlink:href", "data", "action"):
            value = attrs.get(key)
            assert value is None or value.startswith(("#", "data:image/")), (tag, value)
    (policy,) = (attrs["content"] for attrs in elements.named("meta") if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_every_link_leads_somewhere() -> None:
    elements = Elements(report([summary(f"{k}.mp4") for k in range(6)], "t", {}))
    ids = {attrs["id"] for _, attrs in elements.tags if "id" in attrs}
    targets = {str(attrs["href"])[1:] for attrs in elements.named("a") + elements.named("use")}
    assert targets
    assert targets <= ids


def test_a_page_of_thousands_stays_small() -> None:
    rich = summary(pictures=2)
    page = report([replace(rich, name=f"camera {k % 9}/{k:05d}.mp4") for k in range(ROWS + 100)], "t", {})
    assert LIMIT * 0.5 < len(page.encode()) <= LIMIT + 2000
    assert "100 more videos are in the manifest" in page
    assert page.count("data:image/jpeg") > 10
    elements = Elements(page)
    ids = {attrs["id"] for _, attrs in elements.tags if "id" in attrs}
    assert {str(attrs["href"])[1:] for attrs in elements.named("a")} <= ids


def test_the_heat_map_is_a_png() -> None:
    (text,) = re.findall(r"data:image/png;base64,([^\"]+)", report([summary()], "t", {}))
    image = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.shape == (27, HEAT_COLUMNS, 4)
    assert image[..., 3].max() > 200
    assert image[..., 3].min() == 0
