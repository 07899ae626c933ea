"""HOTA, IDF1, MOTA of MOTChallenge results, through TrackEval (extra `eval`)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tracker.boxes import iou_matrix
from tracker.errors import RequirementError, UsageError

MATCH = 0.5  # least IoU at which a result box is taken for a box of the truth that does not count
Rows = NDArray[np.float64]


def read_mot(path: Path) -> Rows:
    """A MOTChallenge text file as (N, 9) float: frame, id, left, top, width, height, score or flag, class, visibility.

    Raises:
        UsageError: the file can't be read, or a line is not numbers; the line is named.
    """
    rows = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                words = [float(word) for word in line.split(",")]
            except ValueError:
                raise UsageError(
                    f"{path}, line {number}: wanted numbers 'frame,id,left,top,width,height,...', got '{line[:60]}'"
                ) from None
            if len(words) < 6:
                raise UsageError(f"{path}, line {number}: wanted at least 6 numbers, got {len(words)}")
            rows.append([*words, *[1.0] * (9 - len(words))][:9])
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    return np.array(rows, np.float64).reshape(-1, 9)


def sequences(gt: Path, results: Path) -> list[tuple[str, Path, Path]]:
    """(name, truth, result) of a pair of files or of two folders; a truth is NAME.txt, NAME/gt.txt or NAME/gt/gt.txt.

    Raises:
        UsageError: nothing there, or a sequence without its result.
    """
    if gt.is_file():
        return [(results.stem, gt, results)]
    if (gt / "gt" / "gt.txt").is_file():
        return [(results.stem if results.is_file() else gt.name, gt / "gt" / "gt.txt", _result_of(results, gt.name))]
    found = {path.name: path / "gt" / "gt.txt" for path in gt.glob("*") if (path / "gt" / "gt.txt").is_file()}
    if not found:
        raise UsageError(
            f"{gt} holds no ground truth; wanted is a file, SEQUENCE/gt/gt.txt or a folder of such sequences"
        )
    return [(name, path, _result_of(results, name)) for name, path in sorted(found.items())]


def _result_of(results: Path, name: str) -> Path:
    """The result file of a sequence."""
    path = results if results.is_file() else results / f"{name}.txt"
    if not path.is_file():
        raise UsageError(f"no result {path} for the sequence {name}")
    return path


def _boxes(rows: Rows) -> Rows:
    """Left, top, width, height -> xyxy."""
    return np.concatenate((rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]), 1)


def _pair(truth: Rows, result: Rows) -> dict[str, Any]:
    """One sequence and class in the form that TrackEval's metrics take.

    Truth with flag 0 counts neither way: results that match it (IoU >= 0.5) better than counted truth are left out.
    """
    data: dict[str, Any] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for frame in np.union1d(truth[:, 0], result[:, 0]):
        gt, found = truth[truth[:, 0] == frame], result[result[:, 0] == frame]
        overlap = iou_matrix(_boxes(gt), _boxes(found))
        counted = gt[:, 6] != 0
        rows, columns = linear_sum_assignment(np.where(overlap >= MATCH, overlap, 0), maximize=True)
        matched = overlap[rows, columns] >= MATCH
        keep = np.ones(len(found), bool)
        keep[columns[matched & ~counted[rows]]] = False
        data["gt_ids"].append(gt[counted, 1].astype(int))
        data["tracker_ids"].append(found[keep, 1].astype(int))
        data["similarity_scores"].append(overlap[counted][:, keep])
    for kind, name in (("gt", "gt"), ("tracker", "tracker")):
        ids = data[f"{kind}_ids"]
        known = np.unique(np.concatenate([*ids, np.zeros(0, int)]))
        data[f"{kind}_ids"] = [np.searchsorted(known, row) for row in ids]
        data[f"num_{name}_ids"], data[f"num_{name}_dets"] = len(known), sum(len(row) for row in ids)
    data["num_timesteps"] = len(data["gt_ids"])
    return data


def evaluate(pairs: list[tuple[str, Path, Path]]) -> dict[str, dict[str, float]]:
    """Figures of each sequence and of all together ("COMBINED"), classes apart: a box of another class is no match.

    Returns:
        name -> {HOTA, DetA, AssA, IDF1, MOTA in per cent, IDSW, FP, FN, gt_boxes counts}.

    Raises:
        RequirementError: TrackEval is not installed.
        UsageError: a file that can't be read, or no ground truth.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from trackeval.metrics import CLEAR, HOTA, Identity
    except ImportError as error:
        raise RequirementError(f"evaluation needs TrackEval ({error}); pip install 'tracker[eval]'") from None
    metrics = {"HOTA": HOTA(), "CLEAR": CLEAR({"PRINT_CONFIG": False}), "Identity": Identity({"PRINT_CONFIG": False})}
    parts: dict[str, dict[str, dict[str, Any]]] = {}
    for name, gt, results in pairs:
        truth, found = read_mot(gt), read_mot(results)
        if (truth[:, 7] < 1).all():  # no classes in this truth: everything is one
            truth[:, 7] = found[:, 7] = 1
        for label in np.unique(truth[truth[:, 6] != 0, 7]):
            data = _pair(truth[truth[:, 7] == label], found[found[:, 7] == label])
            parts.setdefault(name, {})[f"{label:g}"] = {
                key: metric.eval_sequence(data) for key, metric in metrics.items()
            }
    if not parts:
        raise UsageError("the ground truth holds no box that counts (flag 1)")
    every = {f"{name} {label}": values for name, labels in parts.items() for label, values in labels.items()}
    table = {name: _summary(metrics, labels) for name, labels in parts.items()}
    return table | {"COMBINED": _summary(metrics, every)}


def _summary(metrics: dict[str, Any], parts: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Combine parts as TrackEval combines sequences: counts add up, then the ratios."""
    total = {
        key: metric.combine_sequences({name: part[key] for name, part in parts.items()})
        for key, metric in metrics.items()
    }
    hota, clear = total["HOTA"], total["CLEAR"]
    shares = {"HOTA": hota["HOTA"].mean(), "DetA": hota["DetA"].mean(), "AssA": hota["AssA"].mean(),
              "IDF1": total["Identity"]["IDF1"], "MOTA": clear["MOTA"]}  # fmt: skip
    counts = {
        "IDSW": clear["IDSW"],
        "FP": clear["CLR_FP"],
        "FN": clear["CLR_FN"],
        "gt_boxes": clear["CLR_TP"] + clear["CLR_FN"],
    }
    return {key: round(100 * float(value), 2) for key, value in shares.items()} | {
        key: int(value) for key, value in counts.items()
    }
