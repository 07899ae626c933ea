"""`yolo track` over a folder in an environment of its own, text out: `python peer_archive.py FOLDER MODEL`.

Prints one JSON line. What it cannot read is left out beforehand: it would end the run.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import cv2
from ultralytics import YOLO


def readable(path: Path) -> bool:
    """Whether OpenCV reads a frame of it."""
    video = cv2.VideoCapture(str(path))
    good, _ = video.read()
    video.release()
    return bool(good)


def main(folder: str, model: str) -> None:
    """Track every video, one after the other, with one loaded model."""
    network, frames = YOLO(model, task="detect"), 0
    with tempfile.TemporaryDirectory() as target:
        for path in sorted(Path(folder).rglob("*.mp4")):
            if not readable(path):
                continue
            network.predictor = None if not frames else network.predictor
            results = network.track(
                str(path), imgsz=640, tracker="bytetrack.yaml", save=False, save_txt=True, verbose=False, stream=True,
                device="cpu", project=target, name=path.stem, persist=False,
            )  # fmt: skip
            frames += sum(1 for _ in results)
    print(json.dumps({"frames": frames}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
