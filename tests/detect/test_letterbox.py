"""Geometry, colour and resampling of the network's input."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.detect.letterbox import Letterbox, color_matrix, input_size, resize_420
from tracker.structures import Frame

sides = st.integers(2, 4000)


@given(sides, sides, st.sampled_from([(640, 640), (640, 384), (416, 416)]), st.sampled_from(["center", "top-left"]))
def test_there_and_back_is_identity_within_half_a_pixel(width, height, target, anchor) -> None:
    box = Letterbox.fit((width, height), target, anchor)
    source = np.array([[0, 0, width, height], [width * 0.3, height * 0.2, width * 0.6, height * 0.9]], np.float32)
    shift = np.array([box.left, box.top, box.left, box.top], np.float32)
    scaled = source * np.float32(box.scale_x) + shift
    assert np.abs(box.restore(scaled, width, height) - source).max() <= 0.5
    assert box.left >= 0 and box.left + box.inner_width <= box.width
    assert box.top >= 0 and box.top + box.inner_height <= box.height


@given(sides, sides, st.sampled_from([(300, 300), (512, 320)]))
def test_stretching_fills_the_input(width: int, height: int, target: tuple[int, int]) -> None:
    box = Letterbox.fit((width, height), target, "stretch")
    assert (box.inner_width, box.inner_height, box.left, box.top) == (*target, 0, 0)
    scaled = np.array([[0, 0, *target], [target[0] / 2, 0, target[0], target[1] / 4]], np.float32)
    wanted = [[0, 0, width, height], [width / 2, 0, width, height / 4]]
    assert box.restore(scaled, width, height) == pytest.approx(np.array(wanted), rel=1e-5)


def test_a_stretched_picture_is_resized_as_torchvision_does() -> None:
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (240, 400, 3), np.uint8), (0, 0), 3)
    given = Letterbox.fit((400, 240), (300, 300), "stretch").apply(Frame.from_bgr(0, 0.0, image), "rgb", 114)
    assert np.array_equal(given, cv2.resize(image, (300, 300), interpolation=cv2.INTER_LINEAR)[..., ::-1])


@pytest.mark.parametrize(
    ("source", "longer", "wanted", "reason"),
    [
        ((1920, 1080), 640, (640, 384), "16:9 needs 360 rows, rounded up to 32"),
        ((1080, 1920), 640, (384, 640), "portrait"),
        ((640, 480), 416, (416, 320), "4:3"),
        ((500, 500), 416, (416, 416), "square"),
        ((5000, 10), 640, (640, 32), "a ribbon keeps one row of cells"),
    ],
)
def test_input_follows_the_shape_of_the_source(source, longer, wanted, reason) -> None:
    assert input_size(source, longer, 32) == wanted, reason


def test_bgr_sources_are_resized_exactly_as_the_reference_does() -> None:
    """Ultralytics and YOLOX: cv2.resize bilinear on BGR, then pad with 114."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (480, 640, 3), np.uint8), (0, 0), 3)
    box = Letterbox.fit((640, 480), (416, 416), "top-left")
    wanted = np.full((416, 416, 3), 114, np.uint8)
    wanted[:312, :416] = cv2.resize(image, (416, 312), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(box.apply(Frame.from_bgr(0, 0.0, image), "bgr", 114), wanted)
    assert np.array_equal(box.apply(Frame.from_bgr(0, 0.0, image), "rgb", 114), wanted[..., ::-1])


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("standard", ["601", "709"])
def test_colour_matrix_maps_the_corners_of_the_standard(standard: str, full: bool) -> None:
    """Black, white and neutral gray do not depend on chroma weights; primaries come back."""
    matrix = color_matrix(standard, full, "rgb")
    low, high = (0, 255) if full else (16, 235)
    for luma, wanted in ((low, 0), (high, 255)):
        assert matrix @ [luma, 128, 128, 1] == pytest.approx([wanted] * 3, abs=1e-9)
    red, blue = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}[standard]
    span, chroma = (255, 255) if full else (219, 224)
    y, cb, cr = red, -red / (2 * (1 - blue)), 0.5  # pure red in the standard's own definition
    assert matrix @ [low + span * y, 128 + chroma * cb, 128 + chroma * cr, 1] == pytest.approx([255, 0, 0], abs=1e-9)


@pytest.mark.parametrize("kind", ["yuv420p", "yuvj420p", "nv12"])
def test_planes_give_the_same_picture_as_a_full_conversion(kind: str) -> None:
    """Resize first, convert then: within a few grey levels of convert first, resize then."""
    rng = np.random.default_rng(1)
    smooth = cv2.GaussianBlur(rng.integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 6)
    picture = av.VideoFrame.from_ndarray(smooth, format="bgr24").reformat(format=kind)
    small = resize_420(picture, 160, 120, "bgr")
    assert small is not None
    whole = cv2.resize(picture.to_ndarray(format="bgr24"), (160, 120), interpolation=cv2.INTER_LINEAR)
    assert np.abs(small.astype(int) - whole).mean() < 2.5


def test_odd_sizes_and_padding_of_lines() -> None:
    """35x29: chroma planes are 18x15, and decoders pad their lines."""
    picture = av.VideoFrame.from_ndarray(np.full((29, 35, 3), (200, 100, 50), np.uint8), format="bgr24").reformat(
        format="yuv420p"
    )
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    canvas = Letterbox.fit((35, 29), (64, 64), "center").apply(Frame(0, 0.0, picture), "bgr", 114)
    assert np.abs(canvas[32, 32].astype(int) - (200, 100, 50)).max() <= 4
    assert canvas[0, 0].tolist() == [114] * 3


def test_formats_without_a_short_way_go_through_bgr() -> None:
    for kind in ("gray", "yuv444p", "yuv420p10le", "rgb24"):
        picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 77, np.uint8), format="bgr24").reformat(format=kind)
        canvas = Letterbox.fit((32, 32), (32, 32), "center").apply(Frame(0, 0.0, picture), "rgb", 114)
        assert np.abs(canvas.astype(int) - 77).max() <= 2, kind
