"""One run of `yolo track` with saved video, in an environment of its own: `python peer_ultralytics.py CLIP MODEL`.

Prints one JSON line. Fifteen boxes are put in after the real NMS; nothing else is changed.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import ultralytics
from ultralytics import YOLO
from ultralytics.models.yolo.detect import DetectionPredictor
from ultralytics.utils import nms as nms_module

sys.path.insert(0, str(Path(__file__).parent))
from inject import boxes


def inject() -> dict[str, Any]:
    """Put the boxes in after the real NMS of every picture.

    Returns:
        What the patched functions share: `index` of the next picture, which may be set, and its `shape`.
    """
    seen: dict[str, Any] = {"index": 0}
    real = nms_module.non_max_suppression

    def injected(prediction: object, *args: object, **kwargs: object) -> object:
        result = real(prediction, *args, **kwargs)
        height, width = seen["shape"]
        rows = torch.from_numpy(boxes(seen["index"], width, height))
        seen["index"] += 1
        return [rows.to(result[0].device)] if isinstance(result, list) else result

    nms_module.non_max_suppression = injected
    preprocess = DetectionPredictor.preprocess

    def remember(self: DetectionPredictor, images: object) -> torch.Tensor:
        tensor = preprocess(self, images)
        seen["shape"] = tensor.shape[2:]
        return tensor

    DetectionPredictor.preprocess = remember
    return seen


def main(clip: str, model: str) -> None:
    """Track 20 frames of the clip to warm up, then all of it.

    The time is from the first frame asked for until the writer is closed.
    """
    seen = inject()
    network = YOLO(model, task="detect")
    options = {
        "imgsz": 640,
        "tracker": "bytetrack.yaml",
        "save": True,
        "verbose": False,
        "stream": True,
        "device": "cpu",
    }
    with tempfile.TemporaryDirectory() as folder:
        for k, _ in enumerate(network.track(clip, project=folder, name="warm", **options)):
            if k == 20:
                break
        network.predictor = None
        seen["index"] = frames = tracks = 0
        wall, cpu = time.perf_counter(), time.process_time()
        for result in network.track(clip, project=folder, name="run", **options):
            frames += 1
            tracks += 0 if result.boxes.id is None else len(result.boxes.id)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        video = next(path for path in Path(folder, "run").rglob("*") if path.suffix in (".avi", ".mp4"))
        figures = {
            "fps": frames / wall,
            "cpu_ms": 1e3 * cpu / frames,
            "frames": frames,
            "tracks_a_frame": tracks / frames,
            "encoder": f"MJPG {video.suffix}" if video.suffix == ".avi" else video.suffix,
            "kb_a_frame": video.stat().st_size / frames / 1e3,
            "version": ultralytics.__version__,
            "threads": torch.get_num_threads(),
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:3])
