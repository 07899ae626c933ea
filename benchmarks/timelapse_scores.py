"""What `benchmarks.timelapse` holds results against: who is who, perfect ids, arrivals, departures, what is detected.

Truth and results are rows (N, 9) of MOTChallenge files, truth without what does not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from benchmarks.association_room import FALSE
from tracker.boxes import iou_matrix
from tracker.structures import Detections, Tracks

Rows = NDArray[np.float64]
LEAST, SLACK = 3, 1  # pictures of a stay that counts, and by which its ends may be off
STAYS = ("arrived", "departed", "both", "rows right")
CLASSES = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
HEIGHTS = (12, 20, 32, 50, 80, 10_000)


def true_ids(truth: Rows, boxes: Rows, classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ids (N,) of the objects that boxes (N, 4) of classes (N,), from 1, show in one picture; -1 for none."""
    overlap = iou_matrix(_corners(truth), boxes)
    overlap[(overlap < 0.5) | (truth[:, None, 7] != classes[None])] = 0.0
    objects, found = linear_sum_assignment(np.where(overlap > 0, 1 + overlap, 0.0), maximize=True)
    ids, good = np.full(len(boxes), -1), overlap[objects, found] > 0
    ids[found[good]] = truth[objects[good], 1]
    return ids


def _corners(rows: Rows) -> Rows:
    """Rows as corners (N, 4), left, top, right, bottom."""
    return np.column_stack((rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]))


def rows_of(number: int, ids: NDArray[Any], found: Detections | Tracks) -> Rows:
    """Rows (N, 9) of one picture, numbered from 1."""
    size, ones = found.boxes[:, 2:] - found.boxes[:, :2], np.ones(len(ids))
    return np.column_stack((number * ones, ids, found.boxes[:, :2], size, found.scores, found.class_ids + 1, ones))


def perfect(truth: Rows, pictures: Iterable[Detections], *, keep_false: bool) -> Rows:
    """Every detection of an object under its id; false ones left out, or each a track of its own."""
    parts = [np.zeros((0, 9))]
    for number, found in enumerate(pictures, 1):
        ids = true_ids(truth[truth[:, 0] == number], found.boxes.astype(np.float64), found.class_ids + 1)
        if keep_false:
            ids[ids < 0] = FALSE * number + np.arange((ids < 0).sum())
        parts.append(rows_of(number, ids, found)[ids >= 0])
    return np.concatenate(parts)


def stays(truth: Rows, rows: Rows) -> dict[str, float]:
    """Per cent of the objects in three pictures or more whose arrival, departure and both are right to a picture.

    And per cent of the tracks in so many pictures that are right in both. A track is of the object that it is most on.
    """
    spans = _spans(truth)
    votes: dict[int, list[int]] = defaultdict(list)
    for number in np.unique(rows[:, 0]):
        mine = rows[rows[:, 0] == number]
        ids = true_ids(truth[truth[:, 0] == number], _corners(mine), mine[:, 7].astype(np.int64))
        for track, ident in zip(mine[:, 1], ids, strict=True):
            votes[int(track)].append(int(ident))
    ends: dict[int, list[tuple[bool, bool]]] = defaultdict(list)
    long = right = 0
    for track, (first, last, sights) in _spans(rows).items():
        ident = max(sorted(set(votes[track])), key=votes[track].count)
        begin, end, _ = spans.get(ident, (-9, -9, 0))
        good = (abs(first - begin) <= SLACK, abs(last - end) <= SLACK)
        ends[ident].append(good)
        long += sights >= LEAST
        right += sights >= LEAST and all(good)
    wanted = [ends[ident] for ident, (_, _, sights) in spans.items() if sights >= LEAST]
    share = [[any(one[0] for one in mine), any(one[1] for one in mine), any(map(all, mine))] for mine in wanted]
    figures = [100 * float(value) for value in np.mean(share, axis=0)]
    return dict(zip(STAYS, [*figures, 100 * right / max(long, 1)], strict=True))


def _spans(rows: Rows) -> dict[int, tuple[int, int, int]]:
    """Id -> first picture, last picture, number of pictures."""
    numbers = {int(one): rows[rows[:, 1] == one, 0] for one in np.unique(rows[:, 1])}
    return {ident: (int(mine.min()), int(mine.max()), len(mine)) for ident, mine in numbers.items()}


def detected(scenes: Sequence[tuple[Rows, Sequence[Detections]]]) -> str:
    """Share of the truth of some scenes that their detections find at all, by height in pixels and by class."""
    rows = []
    for truth, pictures in scenes:
        for number, found in enumerate(pictures, 1):
            mine = truth[truth[:, 0] == number]
            ids = true_ids(mine, found.boxes.astype(np.float64), found.class_ids + 1)
            rows += [(row[5], int(row[7]), row[1] in ids) for row in mine]
    height, label, hit = (np.array(column) for column in zip(*rows, strict=True))
    parts = [(f"from {low} px", (height >= low) & (height < high)) for low, high in pairwise(HEIGHTS)]
    parts += [(name, label == number) for number, name in enumerate(CLASSES, 1)]
    return ", ".join(f"{name} {100 * hit[mask].mean():.0f} % of {mask.sum()}" for name, mask in parts if mask.any())
