"""What a live picture looks like."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from tracker.analyze import Analyzer, LineSettings, ZoneSettings
from tracker.monitor.web.picture import around, jpeg, scaled, slate, thumbnail
from tracker.monitor.web.places import Places
from tracker.structures import Frame
from tracker.write import canvas_of
from tracker.write.canvas import planes_of

RED = (30, 20, 220)


def plain(width: int, height: int, colour: tuple[int, int, int] = RED) -> av.VideoFrame:
    return Frame.from_bgr(0, 0.0, np.full((height, width, 3), colour, np.uint8)).picture


@pytest.mark.parametrize(
    ("size", "width", "wanted"),
    [((1920, 1080), 640, (640, 360)), ((320, 240), 640, (320, 240)), ((721, 481), 640, (640, 426)),
     ((300, 4000), 320, (300, 4000)), ((2, 2), 320, (2, 2)), ((65, 49), 320, (64, 48)), ((1, 1), 320, (2, 2))],
)  # fmt: skip
def test_pictures_are_scaled_to_what_is_looked_at(
    size: tuple[int, int], width: int, wanted: tuple[int, int]
) -> None:  # fmt: skip
    result = scaled(plain(*size), width)
    assert (result.width, result.height) == wanted
    assert result.format.name in ("yuv420p", "yuvj420p")


@pytest.mark.parametrize("kind", ["bgr24", "yuv420p", "yuvj420p", "nv12", "gray", "yuv444p", "pal8"])
@pytest.mark.parametrize("size", [(1920, 1080), (640, 480)])
def test_colours_stay_as_they_are(kind: str, size: tuple[int, int]) -> None:
    colour = (128, 128, 128) if kind in ("gray", "pal8") else RED
    picture = plain(*size, colour)
    if kind == "pal8":
        picture = av.VideoFrame(*size, "pal8")
        picture.planes[0].update(bytes(picture.planes[0].buffer_size))
        palette = np.full((256, 4), 128, np.uint8)
        picture.planes[1].update(palette.tobytes())
    elif kind != "bgr24":
        before = canvas_of(picture)
        picture = before if kind == "yuv420p" else before.reformat(format=kind)
        picture.colorspace = before.colorspace
    expected = np.asarray(picture.to_ndarray(format="bgr24"))[0, 0].astype(int)
    found = canvas_of(scaled(picture, 320)).to_ndarray(format="bgr24")
    assert np.abs(found.reshape(-1, 3).astype(int) - expected).max() <= 6


def test_zones_and_lines_are_drawn_with_their_names_and_only_there() -> None:
    zone = ZoneSettings(polygon=((0.5, 0.2), (0.9, 0.2), (0.9, 0.8), (0.5, 0.8)))
    line = LineSettings(start=(0.1, 0.5), end=(0.4, 0.5))
    canvas = canvas_of(plain(320, 240, (90, 90, 90)))
    before = [plane.copy() for plane in planes_of(canvas)]
    analyzer = Analyzer({"yard": zone}, {"gate": line}, ("person",), (320, 240))
    Places(240, bt709=False, full_range=False).draw(planes_of(canvas), analyzer.shapes(320, 240))
    changed = planes_of(canvas)[0] != before[0]
    assert changed[60, 200], "the zone is tinted"
    assert changed[48, 200:280].all(), "and has a border"
    assert changed[120, 40:120].all(), "the line is drawn"
    assert not changed[:40].any()
    assert not changed[:, :30].any()
    assert not changed[200:].any()


def test_a_zone_at_the_edge_and_a_picture_of_any_size_are_drawn() -> None:
    zone = ZoneSettings(polygon=((0, 0), (1, 0), (1, 1), (0, 1)), max_occupancy=0)
    line = LineSettings(start=(0, 1), end=(1, 0))
    analyzer = Analyzer({"a-long-name-of-a-zone" * 3: zone}, {"x" * 64: line}, ("person",), (64, 48))
    for width, height in ((16, 12), (64, 48), (1280, 720), (2, 2)):
        canvas = canvas_of(plain(width, height), "yuv420p")
        Places(height, bt709=height > 700, full_range=True).draw(planes_of(canvas), analyzer.shapes(width, height))


def test_a_slate_holds_any_text() -> None:
    for name, headline, detail in (
        ("gate", "down", "connection refused"), ("ü" * 64, "", ""), ("a", "b", "c" * 500), ("a", "b", "word " * 500),
        ("name-of-64-letters-" + "a" * 45, "down", "x"),
    ):  # fmt: skip
        image = cv2.imdecode(np.frombuffer(slate(name, headline, detail, 80), np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.shape == (360, 640, 3)
        assert image[:, :18].max() < 45, "nothing is cut off at the sides"
        assert image[:, -18:].max() < 45


def test_a_thumbnail_is_no_larger_than_asked_for_and_keeps_its_shape() -> None:
    large = jpeg(np.full((1080, 1920, 3), RED, np.uint8), 90)
    small = cv2.imdecode(np.frombuffer(thumbnail(large, 240), np.uint8), cv2.IMREAD_COLOR)
    assert small is not None
    assert small.shape == (135, 240, 3)
    assert np.abs(small[60, 100].astype(int) - RED).max() <= 4
    assert len(thumbnail(large, 240)) < len(large)
    for broken in (b"", b"\xff\xd8\xff", b"GIF89a"):
        with pytest.raises(ValueError, match="cannot be read"):
            thumbnail(broken, 240)


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        ((900, 500, 980, 600), (216, 384)), ((0, 0, 10, 10), (216, 384)), ((1900, 1070, 1930, 1090), (216, 384)),
        ((100, 100, 1800, 1000), (1080, 1920)), ((-50, -50, -10, -10), (216, 384)),
        ((700, 100, 800, 700), (1020, 1813)),
    ],
)  # fmt: skip
def test_a_part_of_a_picture_has_its_shape_and_shows_the_box(box: tuple[float, ...], wanted: tuple[int, int]) -> None:
    whole = np.zeros((1080, 1920, 3), np.uint8)
    x1, y1, x2, y2 = np.clip(np.array(box, int), 0, [1920, 1080, 1920, 1080])
    whole[y1:y2, x1:x2] = 255
    part = around(whole, box)
    assert part.shape[:2] == wanted
    assert part.sum() == whole.sum(), "all of the box is in it"


def test_what_cannot_be_coded_raises() -> None:
    with pytest.raises((ValueError, cv2.error)):
        jpeg(np.zeros((0, 0, 3), np.uint8), 80)
