"""Detections to track: one that walks, crowds; trackers that have seen something before; whole videos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.fakes import detections
from tracker.config import SteadySettings
from tracker.structures import Detections, Tracks
from tracker.track import Steady
from tracker.track.tracklets import Path
from tracker.track.whole import link_whole

NOTHING = Detections.empty()
SETTINGS = SteadySettings()
Frames = list[tuple[Detections, float]]


def walk(x: float, y: float = 100, score: float = 0.9, label: int = 0, height: float = 100) -> Detections:
    return detections((x, y, x + 40, y + height, score, label))


ROUND = {
    "high_score": 0.5, "low_score": 0.24, "confirm": 1.5, "min_similarity": 0.18, "min_similarity_lost": 0.42,
    "min_similarity_low": 0.53, "max_lost_s": 1.12, "max_tentative_s": 0.05,
}  # fmt: skip
"""Settings that the tests count with; the defaults are tuned, and change."""


def plain(**changes: float) -> Steady:
    """A tracker that takes scores as they are."""
    return Steady(SteadySettings(learn_scores=False, **(ROUND | changes)))


def settled(frames: int = 10, score: float = 0.9, **changes: float) -> Steady:
    """One that has seen a standing object at 30 frames a second."""
    tracker = plain(**changes)
    for k in range(frames):
        tracker.update(walk(100, score=score), k / 30)
    return tracker


def awake(**changes: float) -> Steady:
    """One past its first moments, in which all counts at once."""
    tracker = plain(**changes)
    tracker.update(NOTHING, 0.0)
    tracker.update(NOTHING, 0.1)
    return tracker


def crowd(k: int, count: int = 40) -> Detections:
    """Objects of two classes that wander, are missed at times, and have scores of all kinds."""
    rng = np.random.default_rng(k)
    place = np.random.default_rng(1).uniform(0, 800, (count, 2))
    place += 2 * k * np.random.default_rng(2).normal(0, 1, (count, 2))
    corner = place + rng.normal(0, 2, (count, 2))
    boxes = np.concatenate((corner, corner + np.array([60, 120])), 1)
    keep = rng.random(count) < 0.9
    return Detections(
        boxes[keep].astype(np.float32), rng.random(count).astype(np.float32)[keep] ** 0.5, np.arange(count)[keep] % 2
    )


def waves(k: int) -> Detections:
    """Thirty objects in waves, of two classes."""
    rng = np.random.default_rng(k)
    place = np.random.default_rng(1).uniform(0, 1500, (30, 2)) + k * np.random.default_rng(2).normal(0, 1, (30, 2))
    corner = place + rng.normal(0, 2, (30, 2))
    keep = (rng.random(30) < 0.8) & ((k + 7 * np.arange(30)) % 100 < 70)
    boxes = np.concatenate((corner, corner + np.array([60, 120])), 1)[keep].astype(np.float32)
    return Detections(boxes, rng.uniform(0.4, 1, 30).astype(np.float32)[keep], np.arange(30)[keep] % 2)


def linked(frames: Frames, settings: SteadySettings = SETTINGS) -> list[Tracks]:
    tracks = list(link_whole(settings, frames))
    assert len(tracks) == len(frames)
    return tracks


def ids(tracks: Sequence[Tracks]) -> set[int]:
    return {identity for one in tracks for identity in one.ids.tolist()}


def behind_a_pole(hidden_s: float, rate: float = 30) -> Frames:
    """A walker at 60 pixels a second, 5 s long, unseen for a while from 2 s on."""
    shown = [not 2 <= k / rate < 2 + hidden_s for k in range(int(5 * rate))]
    return [(walk(100 + 60 * k / rate) if seen else NOTHING, k / rate) for k, seen in enumerate(shown)]


def path_of(lengths: Sequence[int], seed: int = 0, times: np.ndarray | None = None) -> Path:
    """Tracklets of these lengths, one after the other in time, with irregular steps."""
    rng, count = np.random.default_rng(seed), sum(lengths)
    times = np.cumsum(rng.choice([0.01, 1 / 30, 0.1, 0.5, 3.0], count)) if times is None else times
    boxes = np.cumsum(rng.normal(0, 3, (count, 4)), 0) + 100
    names = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    ones = np.ones(count)
    return Path(names, np.arange(count), times, boxes, ones, ones.astype(np.float32), np.zeros(count, np.int64))
