"""The overlay: where it draws, in which colour, and that nothing makes it fail."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.write.scenes import tracks
from tracker.structures import Tracks
from tracker.write import Overlay, canvas_of, pixel_format_for
from tracker.write.canvas import planes_of
from tracker.write.palette import VIVID, colour_numbers, to_yuv

Image = np.ndarray[Any, np.dtype[np.uint8]]
NAMES = ("person", "a class with quite a long name")


def canvas(width: int = 320, height: int = 240, seed: int = 1) -> av.VideoFrame:
    """Noise, so that no pixel looks untouched by chance."""
    rng = np.random.default_rng(seed)
    result = av.VideoFrame(width, height, pixel_format_for(width, height))
    for plane in planes_of(result):
        plane[:] = rng.integers(0, 256, plane.shape)
    return result


def drawn(
    before: av.VideoFrame, overlay: Overlay, found: Tracks, time_s: float = 0.0, panel: tuple[str, ...] = ()
) -> Image:
    """Which pixels one drawing changed, (H, W) bool in pixels of luma; a changed chroma sample counts for its cell."""
    copy = canvas_of(before)
    overlay.draw(copy, found, time_s, panel)
    changed = np.zeros((before.height, before.width), bool)
    for old, new in zip(planes_of(before), planes_of(copy), strict=True):
        scale = changed.shape[0] // old.shape[0]
        changed |= np.kron(old != new, np.ones((scale, scale), bool))[: before.height, : before.width]
    return changed


BARE = {"labels": False, "trails": False, "panel": False}


def test_a_box_is_where_it_should_be() -> None:
    """Lines inside the box's edges, within the two pixels of a chroma sample; all else is untouched."""
    changed = drawn(canvas(), Overlay(NAMES, **BARE), tracks((101, 61, 200, 180, 0.9, 0)))
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == pytest.approx((101, 61, 200, 180), abs=1)
    assert not changed[66:175, 106:195].any()


def test_no_tracks_no_change() -> None:
    """An empty frame is the source's frame."""
    assert not drawn(canvas(), Overlay(NAMES), Tracks.empty()).any()


@pytest.mark.parametrize("size", [(320, 240), (640, 360), (1920, 1080), (321, 241)])
def test_labels_stay_inside(size: tuple[int, int]) -> None:
    """At the upper edge there is no room above: the label goes inside the box, whole."""
    width, height = size
    overlay = Overlay(NAMES, trails=False)
    lower = tracks((width // 4, height // 4, width // 2, height // 2, 0.9, 0))
    at_top = drawn(canvas(*size), overlay, tracks((width // 4, 0, width // 2, height // 2, 0.9, 0)))
    below = drawn(canvas(*size), overlay, lower)
    alone = drawn(canvas(*size), Overlay(NAMES, **BARE), lower)
    plate = np.flatnonzero((below & ~alone).any(1))
    assert plate[0] < height // 4  # above the box
    assert at_top[: len(plate), width // 4 : width // 4 + len(plate)].mean() > 0.95


def test_label_at_the_right_edge_is_moved_in() -> None:
    """A label cut at the edge cannot be read."""
    box = (312, 100, 320, 200, 0.9, 0)
    plain = drawn(canvas(), Overlay(NAMES, **BARE), tracks(box))
    labelled = drawn(canvas(), Overlay(NAMES, trails=False), tracks(box, first_id=88))
    assert np.flatnonzero((labelled & ~plain).any(0))[0] < 306


def colour_of_edge(found: Tracks, row: int) -> tuple[int, ...]:
    target = canvas(seed=row)
    Overlay(NAMES, **BARE).draw(target, found, 0.0)
    x, y = int(found.boxes[row, 0]), int(found.boxes[row, 1:4:2].mean())
    luma, u, v = planes_of(target)
    return int(luma[y, x]), int(u[y // 2, x // 2]), int(v[y // 2, x // 2])


def test_colours_are_steady_and_differ() -> None:
    """An id keeps its colour wherever it is, and its neighbours have others."""
    here = tracks((40, 40, 90, 90, 0.9, 0), (200, 40, 260, 90, 0.9, 0), first_id=7)
    there = tracks((10, 100, 60, 200, 0.2, 1), (100, 140, 160, 190, 0.3, 1), first_id=8)
    assert colour_of_edge(here, 1) == colour_of_edge(there, 0)
    assert colour_of_edge(here, 0) != colour_of_edge(here, 1)
    numbers = colour_numbers(np.arange(1, 1000))
    assert all(len(set(numbers[start : start + 21].tolist())) == 21 for start in range(900))
    hues = cv2.cvtColor(VIVID[None, numbers[:200]], cv2.COLOR_RGB2HSV)[0, :, 0].astype(int) * 2
    assert min(min(abs(a - b), 360 - abs(a - b)) for a, b in pairwise(hues.tolist())) > 60


@pytest.mark.parametrize("bt709", [False, True])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_are_the_palettes(bt709: bool, full_range: bool) -> None:
    """Converted by the matrix and range of the picture, so that red is red in every video."""
    yuv = to_yuv(VIVID, bt709=bt709, full_range=full_range)
    picture = av.VideoFrame(64, 64, "yuv444p")
    for number, colour in enumerate(yuv):
        for plane, value in zip(planes_of(picture), colour, strict=True):
            plane[:] = value
        back = picture.reformat(
            format="rgb24", src_colorspace=1 if bt709 else 5, src_color_range=2 if full_range else 1, dst_color_range=2
        )
        assert back.to_ndarray()[5, 5].astype(int) == pytest.approx(VIVID[number].astype(int), abs=4)


def test_trails_follow_and_fade() -> None:
    """The last second of the way, strongest at the object, gone a second after; other ids have none."""
    overlay = Overlay(NAMES, labels=False, panel=False)
    plain = canvas(640, 360)
    for plane in planes_of(plain):
        plane[:] = 128
    for step in range(61):
        x = 40 + 4 * step
        found = tracks((x - 10, 100, x + 10, 200, 0.9, 0), first_id=10)
        target = canvas_of(plain)
        overlay.draw(target, found, step / 30)
    luma = planes_of(target)[0][196:204].astype(int)
    difference = np.abs(luma - 128).max(0)
    assert difference[:120].max() == 0  # more than a second ago
    assert difference[255:265].max() > difference[180:190].max() > 5
    changed = drawn(plain, overlay, found, 3.5)
    assert not changed[:, :230].any()


def test_a_trail_survives_a_missed_frame_but_not_its_id() -> None:
    """A detector that blinks must not cut the trail; an id that is gone takes its trail along."""
    overlay = Overlay(NAMES, labels=False, panel=False)
    boxes = [(20 + 4 * step, 100, 40 + 4 * step, 200, 0.9, 0) for step in range(40)]
    for step in range(30):
        overlay.draw(canvas(640, 360), tracks(boxes[step]) if step != 15 else Tracks.empty(), step / 30)
    assert drawn(canvas(640, 360), overlay, tracks(boxes[30]), 30 / 30)[196:204, 60:120].any()
    assert not drawn(canvas(640, 360), overlay, Tracks.empty(), 31 / 30).any()
    assert not drawn(canvas(640, 360), overlay, tracks(boxes[39], first_id=5), 32 / 30)[:, :170].any()


def test_time_may_go_back() -> None:
    """A looped file starts again: no trail across the picture."""
    overlay = Overlay(NAMES, labels=False, panel=False)
    for step in range(20):
        overlay.draw(canvas(), tracks((200, 100, 220, 150, 0.9, 0)), 50 + step / 30)
    assert not drawn(canvas(), overlay, tracks((20, 100, 40, 150, 0.9, 0)), 0.0)[:, 60:].any()


def test_the_size_may_change() -> None:
    """Pictures of a folder: trails of a larger one would lie outside of the next."""
    overlay = Overlay(NAMES, labels=False, panel=False)
    for step in range(4):
        overlay.draw(canvas(640, 480), tracks((600 - step, 400, 620 - step, 470, 0.9, 0)), step / 5)
    changed = drawn(canvas(), overlay, tracks((20, 100, 40, 150, 0.9, 0)), 0.8)
    assert not changed[:, 60:].any()


def test_memory_stays_bounded() -> None:
    """A camera runs for months and ids only grow."""
    overlay = Overlay(NAMES)
    for step in range(300):
        overlay.draw(canvas(64, 48), tracks((5, 20, 40, 40, step % 100 / 100, 0), first_id=1 + 7 * step), step / 5)
    trails: Any = overlay._trails
    assert len(trails._ids) <= 8
    assert len(trails._times) <= 8


def test_panel() -> None:
    """In the upper left corner, over everything, and what is behind it stays visible."""
    overlay = Overlay(NAMES)
    dark = drawn(canvas(), overlay, Tracks.empty(), 0.0, ("48.2 fps", "17 ms", "12 tracks"))
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    assert (rows[0], columns[0]) < (10, 10)
    assert (rows[-1], columns[-1]) < (80, 120)
    target = canvas()
    overlay.draw(target, Tracks.empty(), 1.0, ("48.2 fps", "17 ms", "12 tracks"))
    assert planes_of(target)[0][: rows[-1], : columns[-1]].std() > 20
    assert not drawn(canvas(), Overlay(NAMES, panel=False), Tracks.empty(), 0.0, ("48.2 fps",)).any()


def test_panel_text_is_held() -> None:
    """Figures that change with every frame cannot be read: four times a second."""
    overlay = Overlay(NAMES)
    shots = []
    for step in range(12):
        target = canvas(seed=3)
        overlay.draw(target, Tracks.empty(), step / 30, (f"{step} fps",))
        shots.append(planes_of(target)[0].tobytes())
    assert 2 <= len(set(shots)) <= 3


AWKWARD = [
    (0, 0, 0, 0), (5, 5, 5, 50), (5, 5, 50, 5), (50, 50, 10, 10), (-50, -50, -10, -10), (1e9, 1e9, 2e9, 2e9),
    (-1e9, -1e9, 1e9, 1e9), (-3, 4, 2, 9), (0.2, 0.2, 0.4, 0.4), (-1e30, 3, 1e30, 5), (10, -40, 30, 2), (0, 0, 1, 1),
]  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (16, 16), (17, 5), (3, 200), (320, 240), (321, 241)])
def test_nothing_crashes(size: tuple[int, int]) -> None:
    """Trackers predict boxes out of the picture, and pictures can be as small as a thumbnail."""
    overlay = Overlay(("x",))
    for step in range(6):
        rows = [(*(value + step for value in box), 0.5, step) for box in AWKWARD]
        overlay.draw(canvas(*size), tracks(*rows), step / 10, ("long line of a panel " * 3, "", "ünï ☃"))
        overlay.draw(canvas(*size), Tracks.empty(), step / 10 + 0.05)


def test_boxes_outside_leave_no_mark() -> None:
    """Not even a label at the edge: nothing is seen there."""
    outside = [(-50, 20, -10, 60), (400, 20, 500, 60), (20, 300, 60, 400), (50, 50, 50, 90)]
    assert not drawn(canvas(), Overlay(NAMES), tracks(*((*box, 0.9, 0) for box in outside))).any()


def test_trail_seconds_are_checked() -> None:
    """0 would divide by zero at the first frame."""
    with pytest.raises(ValueError, match="trail_s"):
        Overlay(NAMES, trail_s=0)
    Overlay(NAMES, trails=False, trail_s=0)


def test_a_canvas_is_used_again_only_when_it_fits() -> None:
    """Taking the old memory saves its page faults; a picture of another size needs its own."""
    first = canvas_of(canvas())
    before = planes_of(first)[0].ctypes.data
    again = canvas_of(canvas(seed=2), reuse=first)
    assert planes_of(again)[0].ctypes.data == before
    assert np.array_equal(planes_of(again)[1], planes_of(canvas(seed=2))[1])
    other = canvas_of(canvas(64, 48), reuse=again)
    assert (other.width, other.height) == (64, 48)
