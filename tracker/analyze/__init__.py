"""What tracks do in a place: zones entered and left, time spent in them, how many are in, lines crossed."""

from __future__ import annotations

from tracker.analyze.analyzer import Analyzer
from tracker.analyze.events import Event
from tracker.analyze.settings import LineSettings, ZoneSettings
from tracker.analyze.shapes import Shape

__all__ = ["Analyzer", "Event", "LineSettings", "Shape", "ZoneSettings"]
