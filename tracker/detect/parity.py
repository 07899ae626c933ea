"""The parity gate: a compiled plan must find the boxes that its ONNX finds, frame by frame.

Boxes of one class are matched in order of the reference's score, each to the free one that overlaps it most, as COCO
matches detections to ground truth (Lin et al. 2014).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.boxes import iou_matrix
from tracker.detect.rendered import rendered_frames
from tracker.interfaces import Detector
from tracker.structures import Detections, Frame

SCORE = 0.25
"""Boxes from this score on must be found on both sides; where these are few, the strongest FEW, LEAST at least."""
LEAST = 0.05
KEPT = 0.6
"""A box counts as found again down to this share of the score: what it lost is drift of the score, not a lost box."""
OPENED = LEAST * KEPT
"""Least score that the two detectors must give."""
IOU = 0.5
"""Least overlap of a box that is found again."""
TOO_FEW, FEW, ENOUGH = 20, 100, 400
"""Boxes below which nothing is judged, below which rendered frames are looked at too, and that are enough."""
MOST = 64
"""Frames of the user's at most."""


@dataclass(frozen=True)
class Limits:
    """What a plan of some precision must hold."""

    recall: float
    precision: float
    mean_iou: float


FLOATS = Limits(0.99, 0.95, 0.98)
LIMITS = {"fp32": FLOATS, "fp16": FLOATS, "bf16": FLOATS, "int8": Limits(0.8, 0.8, 0.85)}
"""INT8 is asked for by name and reports what it loses; below these it is broken rather than quantised."""
LOWER = {"int8": "fp16", "fp16": "fp32", "bf16": "fp32"}
"""The precision that takes the place of one that is refused."""


@dataclass(frozen=True)
class Parity:
    """How well the boxes of a plan agree with those of its ONNX.

    Attributes:
        frames: compared. boxes: the reference's of score `score` and more; the next two are shares.
        recall: of the reference's boxes, those that the plan finds again (with KEPT of `score` and more).
        precision: of the plan's boxes of `score` and more, those that the reference has too (likewise).
        mean_iou: of the boxes found again. score_drift, worst_drift: mean and largest absolute difference of theirs.
    """

    frames: int
    boxes: int
    score: float
    recall: float
    precision: float
    mean_iou: float
    score_drift: float
    worst_drift: float

    def shortfall(self, precision: str) -> str:
        """What the plan fails to hold for its precision, "recall 0.91 (wanted 0.99)"; empty: nothing."""
        limits = LIMITS[precision]
        return ", ".join(
            f"{name.replace('_', ' ')} {value:.3f} (wanted {wanted})"
            for name, wanted in asdict(limits).items()
            if (value := getattr(self, name)) < wanted
        )

    def notes(self, precision: str) -> dict[str, Any]:
        """What is stored beside the plan."""
        figures = {name: round(value, 6) for name, value in asdict(self).items()}
        return {"measured": True, "passed": not self.shortfall(precision), **figures}


def unmeasured(reason: str) -> dict[str, Any]:
    """What is stored beside a plan that could not be compared."""
    return {"measured": False, "reason": reason}


def told(notes: Mapping[str, Any]) -> str:
    """The line for a person, from what is stored beside a plan; of a plan without it that nothing was measured."""
    if not notes.get("measured"):
        return f"parity not measured: {notes.get('reason', 'no run yet')}"
    figures = ", ".join(f"{name.replace('_', ' ')} {notes[name]:.3f}" for name in ("recall", "precision", "mean_iou"))
    drift = f"score drift {notes['score_drift']:.3f}, {notes['worst_drift']:.3f} at worst"
    verdict = "" if notes["passed"] else "; refused"
    return f"parity with the ONNX, {notes['boxes']} boxes on {notes['frames']} frames: {figures}, {drift}{verdict}"


def measure(reference: Detector, candidate: Detector, frames: Iterable[Frame], batch: int = 1) -> Parity | None:
    """Compare two detectors, both opened with the score OPENED, on frames; rendered ones follow where boxes are few.

    Args:
        reference: on the ONNX. candidate: on the plan.
        frames: of the user's; at most MOST are taken. batch: frames that the candidate is given at once.

    Returns:
        The figures; None where neither finds boxes enough to judge by.

    Raises:
        TrackerError: a detector failed, or the frames cannot be read.
    """
    pairs: list[tuple[Detections, Detections]] = []
    boxes = 0
    for source in (islice(frames, MOST), rendered_frames()):
        if boxes >= FEW:
            break
        for group in _groups(source, batch):
            found = reference.detect(group)
            pairs += zip(found, candidate.detect(group), strict=True)
            boxes += sum(int((one.scores >= SCORE).sum()) for one in found)
            if boxes >= ENOUGH:
                break
    score = _threshold(np.concatenate([one.scores for one, _ in pairs]))
    strong = [sum(int((one.scores >= score).sum()) for one in side) for side in zip(*pairs, strict=True)]
    return None if max(strong) < TOO_FEW else _figures(pairs, score)


def _threshold(scores: NDArray[np.float32]) -> float:
    """The score from which on boxes are compared."""
    return float(np.clip(np.sort(scores)[::-1][:FEW].min(initial=SCORE), LEAST, SCORE))


def _groups(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """Frames in groups of one size; the last ones stand several times where they are too few."""
    given = iter(frames)
    while group := list(islice(given, size)):
        yield group + group[-1:] * (size - len(group))


def _figures(pairs: Sequence[tuple[Detections, Detections]], score: float) -> Parity:
    """Both sides of each frame compared; shares of nothing are 1."""
    boxes = again = new = known = 0
    overlaps, drifts = [np.empty(0)], [np.empty(0)]
    for reference, candidate in pairs:
        strong, weak = (reference[reference.scores >= limit] for limit in (score, score * KEPT))
        theirs, others = (candidate[candidate.scores >= limit] for limit in (score, score * KEPT))
        wanted, found, shared = matched(strong, others)
        overlaps.append(shared)
        drifts.append(np.abs(strong.scores[wanted].astype(np.float64) - others.scores[found]))
        boxes, again = boxes + len(strong), again + len(wanted)
        new, known = new + len(theirs), known + len(matched(theirs, weak)[0])
    overlap, drift = np.concatenate(overlaps), np.concatenate(drifts)
    return Parity(
        frames=len(pairs), boxes=boxes, score=score,
        recall=again / boxes if boxes else 1.0, precision=known / new if new else 1.0,
        mean_iou=float(overlap.mean()) if len(overlap) else 0.0,
        score_drift=float(drift.mean()) if len(drift) else 0.0, worst_drift=float(drift.max(initial=0.0)),
    )  # fmt: skip


def matched(wanted: Detections, among: Detections) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Places of the boxes of `wanted` that are found again, places of theirs in `among`, and the overlaps, (K,) each.

    Greedy in order of the scores of `wanted`: the free box of the same class that overlaps most, IOU at least.
    """
    overlaps = iou_matrix(wanted.boxes.astype(np.float64), among.boxes.astype(np.float64))
    overlaps[wanted.class_ids[:, None] != among.class_ids[None, :]] = 0
    pairs: list[tuple[int, int, float]] = []
    for row in np.argsort(-wanted.scores, kind="stable"):
        column = int(overlaps[row].argmax()) if len(among) else 0
        if len(among) and overlaps[row, column] >= IOU:
            pairs.append((int(row), column, float(overlaps[row, column])))
            overlaps[:, column] = 0
    rows, columns, values = zip(*pairs, strict=True) if pairs else ((), (), ())
    return np.array(rows, np.int64), np.array(columns, np.int64), np.array(values, np.float64)
