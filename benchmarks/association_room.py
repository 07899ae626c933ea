"""How much of what is possible is taken: the ceiling of perfect ids on the same detections, and the room below it.

With pictures seconds apart no tracker can come near the figures of whole videos; so the room is what counts, from the
best peer of the methods that users know to what a tracker with perfect ids would reach. Two ceilings: with the false
detections left out (the highest that is possible), and with each of them as a track of its own (ids alone are perfect).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from benchmarks.association_data import COLUMNS, score
from benchmarks.association_runs import Work, write_results
from tracker.boxes import iou_matrix

if TYPE_CHECKING:
    from benchmarks.association import Report

Rows = NDArray[np.float64]
CEILINGS = {"perfect ids": False, "perfect ids, false ones kept": True}
KNOWN = ("bytetrack", "ocsort")  # the peers whose best counts
ROOM_METRICS = ("IDF1", "AssA", "HOTA")
FALSE = 100_000  # times the frame: from there on ids are of false detections


def ceiling_results(work: Work, who: str, *, keep_false: bool) -> None:
    """Every detection that overlaps an object by half gets its id, one a frame each, the best total overlap."""
    for step, found in work.found.items():
        for one in found:
            parts = [np.zeros((0, 8))]
            for label in one.columns.values():
                truth = one.truth[one.truth[:, 6] > 0]
                truth = truth if label is None else truth[truth[:, 7] == label]
                for k, detections in enumerate(one.of_class(label), 1):
                    ids = _true_ids(truth[truth[:, 0] == k], detections.boxes.astype(np.float64))
                    if keep_false:
                        ids[ids < 0] = FALSE * k + np.arange((ids < 0).sum())
                    number, classes = np.full(len(ids), k), detections.class_ids + 1
                    rows = np.column_stack((number, ids, detections.boxes, detections.scores, classes))
                    parts.append(rows[ids >= 0])
            write_results(work, who, step, one, np.concatenate(parts))


def _true_ids(truth: Rows, boxes: Rows) -> NDArray[np.int64]:
    """Ids (N,) of the objects that boxes (N, 4) show, -1 for none."""
    corners = np.column_stack((truth[:, 2:4], truth[:, 2:4] + truth[:, 4:6]))
    overlap = iou_matrix(corners, boxes)
    objects, found = linear_sum_assignment(np.where(overlap >= 0.5, 1 + overlap, 0.0), maximize=True)
    good = overlap[objects, found] >= 0.5
    ids = np.full(len(boxes), -1)
    ids[found[good]] = truth[objects[good], 1]
    return ids


def room(work: Work, report: Report, found: dict[str, str], step: int) -> None:
    """IDF1, AssA and HOTA of all, and what share of the room ours take, bench by bench and of the means."""
    report.say(f"#### Every {step}th frame: the room below perfect ids (IDF1 / AssA / HOTA)\n")
    table: dict[str, dict[str, dict[str, float]]] = {}
    for name, who in found.items():
        lengths = {column: work.lengths(column, step) for column in COLUMNS}
        table[name] = {c: score(work.cache, who, c, step, lengths[c], ROOM_METRICS) for c in COLUMNS}
    rows = [[name, *(_cell(values[c]) for c in COLUMNS), _cell(_mean(values))] for name, values in table.items()]
    report.table(["tracker", *COLUMNS, "mean"], rows)
    peers = [name for name in table if not name.startswith("ours") and any(word in name for word in KNOWN)]
    if peers:
        report.table(["share of the room, IDF1", *COLUMNS, "mean"], _shares(table, peers))
    report.data.setdefault("room", {})[str(step)] = table


def _shares(table: dict[str, dict[str, dict[str, float]]], peers: list[str]) -> list[list[str]]:
    """Of each of ours, from the best of the peers at each bench up to each ceiling, per cent; IDF1."""
    best = {c: max(table[name][c]["IDF1"] for name in peers) for c in COLUMNS}
    best["mean"] = float(np.mean(list(best.values())))
    rows = [["best of ByteTrack and OC-SORT", *(f"{value:.1f}" for value in best.values())]]
    for name, values in table.items():
        if name.startswith("ours") and any(word in name for word in ("steady", "sparse")):
            for ceiling in CEILINGS:
                line = []
                for column, least in best.items():
                    mine = _mean(values) if column == "mean" else values[column]
                    top = _mean(table[ceiling]) if column == "mean" else table[ceiling][column]
                    line.append(f"{100 * (mine['IDF1'] - least) / (top['IDF1'] - least):.0f} %")
                rows.append([f"{name}, to {ceiling}", *line])
    return rows


def _mean(values: dict[str, dict[str, float]]) -> dict[str, float]:
    """Over the columns."""
    return {metric: float(np.mean([values[c][metric] for c in COLUMNS])) for metric in ROOM_METRICS}


def _cell(values: dict[str, Any]) -> str:
    """IDF1 / AssA / HOTA."""
    return " / ".join(f"{values[metric]:.1f}" for metric in ROOM_METRICS)
