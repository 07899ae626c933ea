"""HOTA, IDF1, MOTA of MOTChallenge results, through TrackEval (extra `eval`)."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tracker.boxes import iou_matrix
from tracker.errors import RequirementError, UsageError

MATCH = 0.5  # least IoU at which a result box is taken for a box of the truth that does not count
FRAME, ID, FLAG, CLASS = 0, 1, 6, 7  # columns
ABSENT = (1.0, -1.0, 1.0)  # what columns 7 to 9 hold where a line ends before them: flag, class (none), visibility
LARGEST = 2**53  # beyond it a float no longer tells whole numbers apart
Rows = NDArray[np.float64]


def read_mot(path: Path, *, truth: bool = False) -> Rows:
    """A MOTChallenge text file as (N, 9) float: frame, id, left, top, width, height, score or flag, class, visibility.

    `truth`: boxes with flag 0 do not count, so their ids may repeat.

    Raises:
        UsageError: the file can't be read, a line is not finite numbers, or an id comes twice in a frame; the line is
            named.
    """
    rows = []
    seen: dict[tuple[float, float], int] = {}
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            row = _row(line, f"{path}, line {number}")
            rows.append(row)
            if truth and row[FLAG] == 0:
                continue
            first = seen.setdefault((row[FRAME], row[ID]), number)
            if first != number:
                hint = "; these are detections, track them first" if row[ID] < 0 and not truth else ""
                raise UsageError(
                    f"{path}, line {number}: wanted each id once a frame, got id {row[ID]:.0f} in frame "
                    f"{row[FRAME]:.0f} again, as in line {first}{hint}"
                )
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    return np.array(rows, np.float64).reshape(-1, 9)


def _row(line: str, where: str) -> list[float]:
    """Nine numbers of one line; raises UsageError."""
    try:
        words = [float(word) for word in line.split(",")]
    except ValueError:
        raise UsageError(f"{where}: wanted numbers 'frame,id,left,top,width,height,...', got '{line[:60]}'") from None
    if len(words) < 6:
        raise UsageError(f"{where}: wanted at least 6 numbers, got {len(words)}")
    if not all(map(math.isfinite, words)):
        raise UsageError(f"{where}: wanted finite numbers, got '{line[:60]}'")
    if not all(word.is_integer() and abs(word) < LARGEST for word in (words[FRAME], words[ID])):
        raise UsageError(f"{where}: wanted whole numbers for frame and id, got '{line[:60]}'")
    return [*words, *ABSENT[max(len(words) - 6, 0) :]][:9]


def sequences(gt: Path, results: Path) -> list[tuple[str, Path, Path]]:
    """(name, truth, result) of a truth and a result file, of one sequence's folder, or of a folder of sequences.

    A folder holds the truth of a sequence as NAME.txt, NAME/gt.txt or NAME/gt/gt.txt; its result is NAME.txt.

    Raises:
        UsageError: nothing there, a sequence without its result, or one result file for several sequences.
    """
    if gt.is_file():
        return [(results.stem if results.is_file() else _name_of(gt), gt, _result_of(results, _name_of(gt)))]
    own = _truth_in(gt)
    if own:
        name = _name_of(own)
        return [(results.stem if results.is_file() else name, own, _result_of(results, name))]
    found: dict[str, Path] = {}
    for path in sorted(gt.glob("[!.]*")):
        truth = path if path.is_file() and path.suffix == ".txt" else _truth_in(path)
        if truth and found.setdefault(_name_of(truth), truth) != truth:
            raise UsageError(
                f"{gt} holds the truth of {_name_of(truth)} twice, {found[_name_of(truth)]} and {truth}; remove one"
            )
    if not found:
        raise UsageError(
            f"{gt} holds no ground truth; wanted is a file, or a folder with NAME.txt, NAME/gt.txt or NAME/gt/gt.txt"
        )
    if len(found) > 1 and results.is_file():
        raise UsageError(
            f"{gt} holds {len(found)} sequences, and {results} is one file; give a folder of NAME.txt as results"
        )
    return [(name, path, _result_of(results, name)) for name, path in sorted(found.items())]


def _truth_in(folder: Path) -> Path | None:
    """The truth of the one sequence whose folder this is."""
    return next((path for path in (folder / "gt" / "gt.txt", folder / "gt.txt") if path.is_file()), None)


def _name_of(truth: Path) -> str:
    """The sequence's name: NAME.txt, NAME/gt.txt, NAME/gt/gt.txt."""
    path = truth.absolute()
    if path.name != "gt.txt":
        return path.stem
    return path.parents[1].name if path.parent.name == "gt" else path.parent.name


def _result_of(results: Path, name: str) -> Path:
    """The result file of a sequence."""
    path = results if results.is_file() else results / f"{name}.txt"
    if not path.is_file():
        raise UsageError(f"no result {path} for the sequence {name}")
    return path


def _boxes(rows: Rows) -> Rows:
    """Left, top, width, height -> xyxy."""
    return np.concatenate((rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]), 1)


def _read_pair(gt: Path, results: Path) -> tuple[Rows, Rows]:
    """Counted truth, and the results that are to be held against it; all of class 1 where classes aren't told apart.

    They are where every counted truth box and every result box has one: a whole number from 1.
    """
    truth, found = read_mot(gt, truth=True), read_mot(results)
    classes = np.concatenate((truth[truth[:, FLAG] != 0, CLASS], found[:, CLASS]))
    if ((classes < 1) | (classes % 1 != 0)).any():
        truth[:, CLASS] = found[:, CLASS] = 1
    return truth[truth[:, FLAG] != 0], _without_excused(truth, found)


def _without_excused(truth: Rows, found: Rows) -> Rows:
    """The results less those that match truth with flag 0, whatever its class, rather than counted truth of their own.

    As in TrackEval's MOTChallenge: one to one, IoU >= 0.5, the largest sum of IoU.
    """
    keep = np.ones(len(found), bool)
    for frame in np.unique(truth[truth[:, FLAG] == 0, FRAME]):
        gt, places = truth[truth[:, FRAME] == frame], np.flatnonzero(found[:, FRAME] == frame)
        counted = gt[:, FLAG] != 0
        overlap = iou_matrix(_boxes(gt), _boxes(found[places]))
        other = counted[:, None] & (gt[:, None, CLASS] != found[None, places, CLASS])
        overlap[other | (overlap < MATCH - np.finfo(float).eps)] = 0
        rows, columns = linear_sum_assignment(overlap, maximize=True)
        excused = (overlap[rows, columns] > 0) & ~counted[rows]
        keep[places[columns[excused]]] = False
    return found[keep]


def _pair(truth: Rows, found: Rows) -> dict[str, Any]:
    """One sequence and class in the form that TrackEval's metrics take."""
    data: dict[str, Any] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for frame in np.union1d(truth[:, FRAME], found[:, FRAME]):
        gt, boxes = truth[truth[:, FRAME] == frame], found[found[:, FRAME] == frame]
        data["gt_ids"].append(gt[:, ID].astype(int))
        data["tracker_ids"].append(boxes[:, ID].astype(int))
        data["similarity_scores"].append(iou_matrix(_boxes(gt), _boxes(boxes)))
    for name in ("gt", "tracker"):
        ids = data[f"{name}_ids"]
        known = np.unique(np.concatenate([*ids, np.zeros(0, int)]))
        data[f"{name}_ids"] = [np.searchsorted(known, row) for row in ids]
        data[f"num_{name}_ids"], data[f"num_{name}_dets"] = len(known), sum(len(row) for row in ids)
    data["num_timesteps"] = len(data["gt_ids"])
    return data


def evaluate(pairs: list[tuple[str, Path, Path]]) -> dict[str, dict[str, float]]:
    """Figures of each sequence and of all together ("COMBINED"), classes apart: a box of another class is no match.

    Where a class is missing or below 1, on either side, a sequence's classes are not told apart. A class that only the
    results know counts as false positives.

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
    read = {name: _read_pair(gt, results) for name, gt, results in pairs}
    if not any(len(truth) for truth, _ in read.values()):
        raise UsageError("the ground truth holds no box that counts (flag 1)")
    labels = np.unique(np.concatenate([rows[:, CLASS] for pair in read.values() for rows in pair]))
    parts: dict[str, dict[str, dict[str, Any]]] = {}
    for name, (truth, found) in read.items():
        for label in labels:
            data = _pair(truth[truth[:, CLASS] == label], found[found[:, CLASS] == label])
            parts.setdefault(name, {})[f"{label:g}"] = {
                key: metric.eval_sequence(data) for key, metric in metrics.items()
            }
    every = {f"{name} {label}": values for name, apart in parts.items() for label, values in apart.items()}
    table = {name: _summary(metrics, apart) for name, apart in parts.items()}
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
