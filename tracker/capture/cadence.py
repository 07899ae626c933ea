"""Ordinary video, or sparse footage (time-lapse)? Decided from a sample of pictures and their times, with reasons.

The file's own word is not enough: most time-lapse files claim 25 or 30 frames a second.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tracker.boxes import iou_matrix
from tracker.capture.change import WIDTH, Pair, compare, decorrelation, same
from tracker.structures import Boxes, Frame, Image

if TYPE_CHECKING:
    from tracker.interfaces import Detector

SPARSE_GAP_S, DENSE_GAP_S = 2.0, 0.2
"""Seconds between pictures from which footage is sparse whatever is in it; up to which, if true, it never is."""

RUN = 8
"""Neighbouring pictures that are measured together."""

PICTURES, MOST_SEEN = 32, 120
"""Different pictures that decide; pictures looked at, repeated ones among them, after which it is decided anyhow."""

DISORDER, LEAST_LOST = 0.81, 0.2
"""Decorrelation + a third of the share of lost corners, from which footage is sparse; share of lost corners it takes.

A trembling hand and a flickering lamp decorrelate neighbours too, but all in them can be followed.
"""

LOST_SMALL = 0.13
"""Usual share of lost corners in small regions before a standing camera, from which footage is sparse."""

STANDING = 0.45
"""Share of the corners that stand where the camera does."""

FEWEST_PAIRS, FEWEST_BOXES = 3, 8
"""Pairs with changes, boxes that moved: fewer prove nothing."""

FEWEST_SMALL_PAIRS, FEWEST_SMALL, FEWEST_SMALL_IN_ALL = 5, 4, 50
"""Pairs with small regions, corners in those of one pair and of all: fewer prove nothing."""

PLAIN_PAIRS, PLAIN_VIDEO, PLAIN_SPARSE = 10, 0.7, 1.3
"""Before a moving camera so many pairs with changes decide where the score is plain."""

LEAP_IOU, STAND_IOU, LEAPT = 0.1, 0.9, 0.5
"""Best IoU of a box that leapt, of one that stands; share of leaps among the others from which footage is sparse."""

Mode = Literal["video", "timelapse"]


@dataclass(frozen=True)
class Cadence:
    """What the footage is, and why.

    Attributes:
        mode: "video" or "timelapse".
        evidence: sentences for people, the decisive one first.
        figures: what was measured: `score` (1.0 is the border, above it is sparse), `gap_s`, `decorrelation`, `lost`,
            `disorder`, `lost_small`, `jump` (gray levels), `leapt`, `pictures`, `repeated`. None: not to be measured.
    """

    mode: Mode
    evidence: tuple[str, ...]
    figures: dict[str, float | int | None]

    @property
    def line(self) -> str:
        """For the banner."""
        name = "sparse footage (time-lapse)" if self.mode == "timelapse" else "ordinary video"
        return f"{name}: {self.evidence[0]}"

    def summary(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"mode": self.mode, "mode_evidence": list(self.evidence), "mode_figures": dict(self.figures)}


class Probe:
    """Fed with pictures as they come, until it is `decided`; `decision` may be asked for at any time.

    Not safe for several threads.
    """

    def __init__(self, *, true_times: bool = False, detector: Detector | None = None) -> None:
        """`true_times`: the frames' times are those of the world (EXIF, a live sender), not a player's.

        `detector`: is asked about every picture of the sample; that costs as much as tracking them.
        """
        self._true_times, self._detector = true_times, detector
        self._run: list[Image] = []
        self._pairs: list[Pair] = []
        self._decorrelations: list[float] = []
        self._gaps_s: list[float] = []
        self._boxes: Boxes | None = None
        self._leaps: list[bool] = []
        self._last_s: float | None = None
        self._plain = False
        self.seen = self.repeated = self._different = 0

    @property
    def run_length(self) -> int:
        """Different pictures of the run that is being gathered; 0 just after a full one."""
        return len(self._run)

    @property
    def decided(self) -> bool:
        """Whether more pictures would change nothing."""
        if self._plain or self._different >= PICTURES or self.seen >= MOST_SEEN:
            return True
        gap_s = self._gap_s()
        return gap_s is not None and len(self._gaps_s) >= RUN - 1 and self._by_times(gap_s) is not None

    def add(self, frame: Frame) -> None:
        """The next picture, in the order of time."""
        height = max(8, round(WIDTH * frame.height / frame.width))
        self.seen += 1
        if self._last_s is not None:
            self._gaps_s.append(frame.time_s - self._last_s)
        self._last_s = frame.time_s
        luma = frame.luma(WIDTH, height)
        if self._run and self._run[-1].shape != luma.shape:
            self._end_run()
        if self._run and same(self._run[-1], luma):
            self.repeated += 1
            return
        self._different += 1
        if self._run:
            self._pairs.append(compare(self._run[-1], luma))
        self._run.append(luma)
        if self._detector is not None:
            self._compare_boxes(self._detector.detect([frame])[0].boxes)
        if len(self._run) == RUN:
            self._end_run()

    def jump(self) -> None:
        """What comes next is from another place of the source."""
        self._end_run()
        self._last_s = None

    def decision(self) -> Cadence:
        """From all that has come."""
        self._end_run()
        gap_s = self._gap_s()
        figures = self._figures(gap_s)
        by_times = None if gap_s is None else self._by_times(gap_s)
        if by_times is not None:
            figures["score"] = (gap_s or 0.0) / SPARSE_GAP_S
            return Cadence(by_times, (f"a picture every {gap_s:.3g} s by their times",), _rounded(figures))
        reasons = _reasons(figures)
        score = figures["score"] = max((ratio for ratio, _ in reasons), default=0.0)
        mode: Mode = "timelapse" if score >= 1 else "video"
        texts = tuple(text for _, text in sorted(reasons, reverse=True)) or (
            f"too little changes in the {self._different} pictures looked at to tell; --mode timelapse overrides",
        )
        if self.repeated:
            texts += (f"{self.repeated} of {self.seen} pictures repeat the one before and were left out",)
        return Cadence(mode, texts, _rounded(figures))

    def _by_times(self, gap_s: float) -> Mode | None:
        """What the times alone say."""
        if gap_s >= SPARSE_GAP_S:
            return "timelapse"
        return "video" if self._true_times and 0 < gap_s <= DENSE_GAP_S else None

    def _gap_s(self) -> float | None:
        """Usual seconds between pictures; by true times, also of a camera that pauses after every few."""
        return float(np.quantile(self._gaps_s, 0.8 if self._true_times else 0.5)) if self._gaps_s else None

    def _end_run(self) -> None:
        """Measure the run as a whole."""
        if len(self._run) >= 3:
            found = decorrelation(self._run)
            self._decorrelations += [] if found is None else [found]
        self._run, self._boxes = [], None
        self._plain = self._plain or self._is_plain()

    def _is_plain(self) -> bool:
        """Whether a moving camera has shown enough; before a standing one, the next place may be busier."""
        if sum(pair.corners > 0 for pair in self._pairs) < PLAIN_PAIRS or self._detector is not None:
            return False
        if statistics.median(pair.still for pair in self._pairs) >= STANDING:
            return False
        score = max((ratio for ratio, _ in _reasons(self._figures(None))), default=0.0)
        return not PLAIN_VIDEO < score < PLAIN_SPARSE

    def _compare_boxes(self, boxes: Boxes) -> None:
        """Do boxes leap where their count stays?"""
        before, self._boxes = self._boxes, boxes
        if before is not None and len(before) == len(boxes) > 0:
            best = iou_matrix(before, boxes).max(axis=1)
            self._leaps += [bool(value < LEAP_IOU) for value in best if value < STAND_IOU]

    def _figures(self, gap_s: float | None) -> dict[str, float | int | None]:
        """See Cadence."""
        changed = [pair for pair in self._pairs if pair.corners]
        small = [pair for pair in changed if pair.still >= STANDING and pair.small_corners >= FEWEST_SMALL]
        figures: dict[str, float | int | None] = {
            "score": 0.0,
            "gap_s": gap_s,
            "decorrelation": statistics.median(self._decorrelations) if self._decorrelations else None,
            "lost": _lost(changed) if len(changed) >= FEWEST_PAIRS else None,
            "disorder": None,
            "lost_small": statistics.median(p.small_lost / p.small_corners for p in small)
            if len(small) >= FEWEST_SMALL_PAIRS and sum(p.small_corners for p in small) >= FEWEST_SMALL_IN_ALL
            else None,
            "jump": statistics.median(abs(pair.jump) for pair in self._pairs) if self._pairs else None,
            "leapt": float(np.mean(self._leaps)) if len(self._leaps) >= FEWEST_BOXES else None,
            "pictures": self._different,
            "repeated": self.repeated,
        }
        if figures["decorrelation"] is not None and figures["lost"] is not None:
            figures["disorder"] = figures["decorrelation"] + figures["lost"] / 3
        return figures


def probe(frames: Iterable[Frame], detector: Detector | None = None, *, true_times: bool = False) -> Cadence:
    """Decide from the first frames of a source, as many as it takes."""
    sample = Probe(true_times=true_times, detector=detector)
    for frame in frames:
        sample.add(frame)
        if sample.decided:
            break
    return sample.decision()


def _reasons(figures: dict[str, float | int | None]) -> list[tuple[float, str]]:
    """Each figure by its border, with its sentence."""
    disorder, small, leapt = figures["disorder"], figures["lost_small"], figures["leapt"]
    reasons = []
    if disorder is not None:
        said = (
            f"{figures['lost']:.0%} of what changes cannot be followed from picture to picture, neighbours differ by "
            f"{figures['decorrelation']:.0%} of what next neighbours do "
            f"(disorder {disorder:.2f}, sparse from {DISORDER:g})"
        )
        reasons.append((min(disorder / DISORDER, (figures["lost"] or 0) / LEAST_LOST), said))
    if small is not None:
        said = (
            f"{small:.0%} of the small moving things before the standing camera cannot be followed to the next picture"
        )
        reasons.append((small / LOST_SMALL, f"{said} (sparse from {LOST_SMALL:.0%})"))
    if leapt is not None:
        said = f"{leapt:.0%} of the detected objects that move leap clear of where they were"
        reasons.append((leapt / LEAPT, f"{said} (sparse from {LEAPT:.0%})"))
    return reasons


def _lost(pairs: list[Pair]) -> float:
    """Root mean square of the pairs' shares of lost corners, each pair as heavy as it has corners.

    Squared, because sparse footage loses all of something at once, and fast sports a part of it all the time.
    """
    return float(np.sqrt(sum(p.lost**2 / p.corners for p in pairs) / sum(p.corners for p in pairs)))


def _rounded(figures: dict[str, float | int | None]) -> dict[str, float | int | None]:
    """Four digits are all that mean something."""
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}
