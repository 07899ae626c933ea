"""Whether an exported graph finds what the network that it was made from finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.base import Array, EngineError

MOST_PX, MOST_SCORE = 0.5, 0.005
"""Differences of one box that still count as the same."""
LEAST_SHARE = 0.99
FLOOR = 0.05
"""Weaker boxes are not looked at: torchvision's two-stage detectors leave them out."""
BOXES = 300
"""Of the best boxes so many a picture are looked at."""

Found = tuple[Array, Array, Array]
"""Boxes (K, 4) xyxy pixels, scores (K,), class ids (K,) of one picture."""


class ExportError(EngineError):
    """The network cannot be exported."""


class DisagreementError(ExportError):
    """The graph does not find what the network finds."""


@dataclass(frozen=True)
class Agreement:
    """How far a graph and its network agree.

    Attributes:
        pictures, boxes: looked at. share: of the boxes that both found.
        px, score: largest differences of a box that both found, pixels and 0..1.
    """

    pictures: int
    boxes: int
    share: float
    px: float
    score: float

    def __str__(self) -> str:
        """As a line of a log or a card has it."""
        if not self.boxes:
            return f"torch and ONNX Runtime both find nothing on {self.pictures} pictures, so boxes were not compared"
        return (
            f"torch and ONNX Runtime agree on {100 * self.share:.1f} % of {self.boxes} boxes on {self.pictures} "
            f"pictures, within {self.px:.2g} pixels and {self.score:.2g} of score"
        )


def compare(references: Sequence[Found], others: Sequence[Found], *, most: int = 0) -> Agreement:
    """How far the graph (`others`) finds what the network (`references`) finds, picture by picture, and the reverse.

    Args:
        references, others: of the same pictures.
        most: boxes a picture that either gives at most; 0: no limit. Which box comes last of a full list is chance.
    """
    pairs = [(a, b) for a, b in zip(references, others, strict=True)]
    rows = [_differences(a, b, most) for a, b in pairs] + [_differences(b, a, most) for a, b in pairs]
    every = np.concatenate(rows) if rows else np.zeros((0, 2))
    same = np.isfinite(every).all(1)
    px, score = every[same].max(0, initial=0.0)
    boxes = sum(len(row) for row in rows[: len(pairs)])
    return Agreement(len(pairs), boxes, float(same.mean()) if len(every) else 1.0, float(px), float(score))


def _differences(wanted: Found, found: Found, most: int) -> Array:
    """(K, 2): by how many pixels and how much score each wanted box differs from the one most like it; inf: none is."""
    least = FLOOR + MOST_SCORE
    if most and len(found[1]) >= most:
        least = max(least, float(found[1].min()) + MOST_SCORE)
    boxes, scores, labels = (part[np.argsort(-wanted[1], kind="stable")][:BOXES] for part in wanted)
    boxes, scores, labels = (part[scores >= least] for part in (boxes, scores, labels))
    if not len(found[1]):
        return np.full((len(boxes), 2), np.inf)
    px = np.abs(boxes[:, None].astype(np.float64) - found[0][None]).max(2)
    score = np.abs(scores[:, None].astype(np.float64) - found[1][None])
    px[(labels[:, None] != found[2][None]) | (score > MOST_SCORE) | (px > MOST_PX)] = np.inf
    best = px.argmin(1)
    each = np.arange(len(boxes))
    return np.stack((px[each, best], np.where(np.isfinite(px[each, best]), score[each, best], np.inf)), 1)


def accept(agreement: Agreement, what: str) -> Agreement:
    """The agreement, if it will do.

    Raises:
        DisagreementError: it falls short.
    """
    if agreement.share < LEAST_SHARE:
        raise DisagreementError(
            f"the exported graph of {what} is wrong: {agreement}; wanted is {100 * LEAST_SHARE:.0f} % within "
            f"{MOST_PX} pixels and {MOST_SCORE} of score; nothing was written"
        )
    return agreement
