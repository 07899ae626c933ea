"""Suppression equals a brute-force version."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.boxes import iou_matrix
from tracker.detect.nms import nms


def brute_force(boxes, scores, class_ids, iou) -> list[int]:
    kept: list[int] = []
    for k in np.argsort(-scores, kind="stable"):
        if all(class_ids[j] != class_ids[k] or iou_matrix(boxes[[j]], boxes[[k]])[0, 0] <= iou for j in kept):
            kept.append(int(k))
    return kept


@pytest.mark.parametrize("seed", range(40))
def test_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 120))
    corner = rng.uniform(0, 200, (count, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(5, 80, (count, 2))), 1).astype(np.float32)
    scores = rng.permutation(np.linspace(0.01, 1, max(count, 1))[:count]).astype(np.float32)
    class_ids = rng.integers(0, 3, count)
    assert nms(boxes, scores, class_ids, 0.5).tolist() == brute_force(boxes, scores, class_ids, 0.5)


def test_classes_do_not_suppress_each_other() -> None:
    box = np.array([[0, 0, 10, 10]] * 2, np.float32)
    assert len(nms(box, np.array([0.9, 0.8], np.float32), np.array([0, 1]), 0.5)) == 2


def test_a_flood_is_cut_to_the_best() -> None:
    boxes = np.arange(5000, dtype=np.float32)[:, None] * 20 + np.array([0, 0, 10, 10], np.float32)
    kept = nms(boxes, np.linspace(0, 1, 5000, dtype=np.float32), np.zeros(5000, np.int64), 0.5, 100)
    assert kept.tolist() == list(range(4999, 4899, -1))
