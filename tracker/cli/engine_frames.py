"""Frames of the user's: for INT8's ranges, and to compare the boxes of a plan with those of its ONNX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import engines
from tracker.detect import EngineDetector
from tracker.detect.gate import Frames, nothing
from tracker.structures import Frame

MOST = 64
EVERY = 5


def frames_of(source: str, first: int = 0) -> Iterator[Frame]:
    """At most MOST frames of a source: of a file or stream each EVERY-th from `first` on, of a folder every picture.

    Raises:
        SourceError: it cannot be opened.
    """
    from tracker.capture import open_source

    opened = open_source(source)
    try:
        taken = 0
        for number, frame in enumerate(opened):
            if frame.file or number % EVERY == first:
                yield frame
                taken += 1
            if taken == MOST:
                return
    finally:
        opened.close()


def again(source: str) -> Frames:
    """Opens a source once more for its first frames; nothing of what cannot be read twice, such as a camera."""
    path = Path(source)
    if path.is_file() or path.is_dir():
        return lambda: frames_of(source)
    return nothing


def beside(source: str) -> Frames:
    """Other frames of a source than those that INT8 took its ranges from, where it is a video."""
    return lambda: frames_of(source, EVERY // 2)


class _Recorder:
    """An engine that keeps what it is fed."""

    def __init__(self, engine: engines.Engine) -> None:
        self._engine = engine
        self.fed: list[dict[str, engines.Array]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def infer(self, feeds: Mapping[str, engines.Array]) -> dict[str, engines.Array]:
        self.fed.append(dict(feeds))
        return self._engine.infer(feeds)


def feeds_of(detector: EngineDetector, frames: Iterator[Frame]) -> list[dict[str, engines.Array]]:
    """The inputs that the detector makes of these frames: letterboxed, in its order of colours and its scale."""
    usual, recorder = detector.engine, _Recorder(detector.engine)
    detector.engine = recorder
    try:
        for frame in frames:
            detector.detect([frame])
    finally:
        detector.engine = usual
    return recorder.fed
