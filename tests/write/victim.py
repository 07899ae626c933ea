"""Writes a video and its records, one frame after the other, until somebody kills it. Prints each index when done."""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from pathlib import Path

from tests.write.scenes import gray_frame, info, tracks
from tracker.write import JsonLinesWriter, MotWriter, Overlay, VideoSink


def main(folder: Path, rate: Fraction, told: bool, pause_s: float) -> None:
    """Frames at `rate` of the stream; `told`: each says how long it stands."""
    overlay = Overlay(("person",), labels=False, trails=False)  # all below the cells of the number
    video = VideoSink(folder / "out.mp4", info(rate if told else None), overlay)
    mot, lines = MotWriter(folder / "out.txt"), JsonLinesWriter(folder / "out.jsonl", ("person",))
    for index in range(10**6):
        frame = gray_frame(index, float(index / rate), float(1 / rate) if told else 0.0)
        found = tracks((20 + index % 50, 20, 60 + index % 50, 60, 0.9, 0), (5, 30, 40, 50, 0.5, 0))
        for sink in (video, mot, lines):
            sink.write(frame, found)
        print(index, flush=True)
        time.sleep(pause_s)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Fraction(sys.argv[2]), sys.argv[3] == "told", float(sys.argv[4]))
