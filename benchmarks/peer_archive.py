"""`yolo track` over a folder in an environment of its own, text out: `python peer_archive.py FOLDER MODEL SIZE`.

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


def precision_of(network: YOLO) -> str:
    """What the runtime computes in: OpenVINO says it, ONNX Runtime takes the model as it is."""
    compiled = getattr(network.predictor.model.backend, "ov_compiled_model", None)
    return str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()) if compiled else "as the model"


def main(folder: str, model: str, size: str) -> None:
    """Track every video, one after the other, with one loaded model."""
    network, frames = YOLO(model, task="detect"), 0
    with tempfile.TemporaryDirectory() as target:
        for path in sorted(Path(folder).rglob("*.mp4")):
            if not readable(path):
                continue
            network.predictor = None if not frames else network.predictor
            results = network.track(
                str(path), imgsz=int(size), tracker="bytetrack.yaml", save=False, save_txt=True, verbose=False,
                stream=True, device="cpu", project=target, name=path.stem, persist=False,
            )  # fmt: skip
            frames += sum(1 for _ in results)
    print(json.dumps({"frames": frames, "precision": precision_of(network)}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
