"""Detection: frames in, boxes with score and class out."""

from __future__ import annotations

from tracker.detect.card import ModelCard, find_card, zoo
from tracker.detect.detector import EngineDetector
from tracker.detect.open import Sharing, open_detector, share_cores

__all__ = ["EngineDetector", "ModelCard", "Sharing", "find_card", "open_detector", "share_cores", "zoo"]
