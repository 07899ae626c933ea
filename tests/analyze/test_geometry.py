from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracker.analyze.geometry import Polygons, Segments

NOTCHED = np.array([(100, 100), (500, 120), (480, 400), (300, 200), (120, 420)], np.float64)
TRIANGLE = np.array([(300, 50), (600, 300), (250, 350)], np.float64)


def test_inside_is_what_another_library_says() -> None:
    points = np.random.default_rng(1).uniform(0, 650, (2000, 2))
    inside = Polygons([NOTCHED, TRIANGLE]).inside(np.repeat(points[:, None], 2, 1))
    for column, corners in enumerate((NOTCHED, TRIANGLE)):
        contour = corners.astype(np.float32).reshape(-1, 1, 2)
        expected = [cv2.pointPolygonTest(contour, (float(x), float(y)), False) > 0 for x, y in points]
        np.testing.assert_array_equal(inside[:, column], expected)


def test_distances_are_what_another_library_says() -> None:
    points = np.random.default_rng(2).uniform(0, 650, (500, 2))
    contour = NOTCHED.astype(np.float32).reshape(-1, 1, 2)
    expected = [abs(cv2.pointPolygonTest(contour, (float(x), float(y)), True)) for x, y in points]
    polygons = Polygons([TRIANGLE, NOTCHED])
    np.testing.assert_allclose(polygons.distances(points, np.ones(500, np.int64)), expected, atol=1e-3)


coordinates = st.integers(0, 60).map(lambda step: 10.0 * step)  # a grid, so that corners and edges are often hit


@given(st.lists(st.tuples(coordinates, coordinates), min_size=2, max_size=30))
def test_borders_passed_and_being_inside_never_contradict_each_other(path: list[tuple[float, float]]) -> None:
    """Along any path, through corners and along edges too, each border passed turns inside into outside and back."""
    polygons = Polygons([NOTCHED, TRIANGLE, np.array([(100, 100), (400, 100), (400, 400), (100, 400)], np.float64)])
    points = np.repeat(np.array(path)[:, None], 3, 1)
    inside = polygons.inside(points)
    ends, crossings = polygons.trace(points[:-1], points[1:])
    np.testing.assert_array_equal(ends, inside[1:])
    odd = np.zeros_like(ends)
    for (step, zone), shares in crossings.items():
        odd[step, zone] = len(shares) % 2
        assert all(0 <= share <= 1 for share in shares)
    np.testing.assert_array_equal(odd, inside[1:] != inside[:-1])


def test_segments_tell_side_and_place() -> None:
    segments = Segments(np.array([[(100, 100), (300, 100)], [(100, 100), (100, 300)]], np.float64))
    right, along = segments.locate(np.array([[(150, 130), (150, 130)]], np.float64))
    np.testing.assert_allclose(
        right, [[30, -50]]
    )  # below what goes right is to its right; so is left of what goes down
    np.testing.assert_allclose(along, [[0.25, 0.15]])
