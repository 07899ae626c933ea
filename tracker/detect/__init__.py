"""Detection: frames in, boxes with score and class out.

A name is imported when it is first asked for: what only tracks again needs no engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.lazy import names_of

if TYPE_CHECKING:
    from tracker.detect.card import ModelCard, find_card, zoo
    from tracker.detect.detector import EngineDetector
    from tracker.detect.open import Opener, open_detector
    from tracker.detect.relay import RelayDetector
    from tracker.detect.sharing import Sharing, share_cores
    from tracker.detect.warm import open_relay

MODULES = {
    "card": ("ModelCard", "find_card", "zoo"),
    "detector": ("EngineDetector",),
    "open": ("Opener", "open_detector"),
    "relay": ("RelayDetector",),
    "sharing": ("Sharing", "share_cores"),
    "warm": ("open_relay",),
}

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

__getattr__ = names_of(__name__, MODULES)
