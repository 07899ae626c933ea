"""Detection: frames in, boxes with score and class out."""

from __future__ import annotations

from tracker.detect.card import ModelCard, find_card, zoo
from tracker.detect.detector import EngineDetector
from tracker.detect.open import Opener, Sharing, open_detector, share_cores
from tracker.detect.relay import RelayDetector
from tracker.detect.warm import open_relay

__all__ = [
    "EngineDetector",
    "ModelCard",
    "Opener",
    "RelayDetector",
    "Sharing",
    "find_card",
    "open_detector",
    "open_relay",
    "share_cores",
    "zoo",
]
