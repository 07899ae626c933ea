"""Box maths: a table with a reason a row, and properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tracker.boxes import cxcywh_to_xyxy, iou_matrix, xyxy_to_cxcywh

some_boxes = arrays(np.float64, st.tuples(st.integers(0, 6), st.just(4)), elements=st.floats(-100, 100, width=16))


@pytest.mark.parametrize(
    ("a", "b", "iou", "reason"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0, "the same box"),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0, "touching edges share no area"),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3, "half of each"),
        ((0, 0, 10, 10), (2, 2, 4, 4), 0.04, "inside"),
        ((0, 0, 0, 10), (0, 0, 0, 10), 0.0, "no area is 0, not NaN"),
        ((5, 5, 1, 1), (0, 0, 10, 10), 0.0, "corners swapped"),
    ],
)
def test_iou(a, b, iou, reason) -> None:
    assert iou_matrix(np.array([a], float), np.array([b], float))[0, 0] == pytest.approx(iou), reason


@given(some_boxes, some_boxes)
def test_iou_is_symmetric_and_within_0_and_1(a, b) -> None:
    forward, backward = iou_matrix(a, b), iou_matrix(b, a)
    assert np.array_equal(forward, backward.T)
    assert ((forward >= 0) & (forward <= 1 + 1e-9)).all()


@given(some_boxes)
def test_forms_convert_back(boxes) -> None:
    assert np.allclose(cxcywh_to_xyxy(xyxy_to_cxcywh(boxes)), boxes, atol=1e-9)
