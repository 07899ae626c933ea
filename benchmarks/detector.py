"""AP50 a class (pycocotools) and milliseconds an image of detectors, through our whole detection stage.

python -m benchmarks.detector --data DIR --model street6 --model yolox_nano.onnx [--json out.json]

DIR is a folder with `detect/` (val.txt, images, labels, ignore) and `coco128/`. Unsure boxes are crowd regions: what is
found on them counts neither way. Milliseconds are of letterbox, inference and suppression of a video frame of 768x432,
batch 1, all cores on one picture.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from tracker.config import DetectSettings
from tracker.detect import EngineDetector, open_detector
from tracker.structures import Frame

CLASSES = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
COCO_IDS = {0: 0, 1: 1, 2: 2, 3: 3, 5: 4, 7: 5}
Rows = list[tuple[int, list[float], bool]]  # class, xywh pixels, crowd


def read(folder: Path, stem: str, size: tuple[int, int], ids: dict[int, int]) -> Rows:
    """True boxes and crowd regions of one picture of (width, height)."""
    rows: Rows = []
    for kind in ("labels", "ignore"):
        path = folder / kind / f"{stem}.txt"
        for line in path.read_text().splitlines() if path.exists() else ():
            label, cx, cy, w, h = (float(word) for word in line.split()[:5])
            if int(label) in ids:
                box = [(cx - w / 2) * size[0], (cy - h / 2) * size[1], w * size[0], h * size[1]]
                rows.append((ids[int(label)], box, kind == "ignore"))
    return rows


def pictures(data: Path, part: str) -> tuple[Path, list[Path], dict[int, int]]:
    """Folder, picture files and class map of "coco128", or of "street": detect's val without its coco_val2017 part."""
    if part == "coco128":
        return data / part, sorted((data / part / "images").glob("*.jpg")), COCO_IDS
    names = [Path(line).name for line in (data / "detect" / "val.txt").read_text().split()]
    files = [data / "detect" / "images" / name for name in names if not name.startswith("coco_")]
    return data / "detect", files, {k: k for k in range(len(CLASSES))}


def average_precision(detector: EngineDetector, data: Path, part: str) -> dict[str, float]:
    """AP at IoU 0.5 a class, as COCOeval computes it (up to 300 detections a picture)."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    folder, files, ids = pictures(data, part)
    known = {k: CLASSES.index(name) for k, name in enumerate(detector.class_names) if name in CLASSES}
    images, truth, found = [], [], []
    for k, file in enumerate(files):
        picture = cv2.imread(str(file))
        height, width = picture.shape[:2]
        images.append({"id": k, "width": width, "height": height})
        for label, box, crowd in read(folder, file.stem, (width, height), ids):
            truth.append({"id": len(truth) + 1, "image_id": k, "category_id": label, "bbox": box,
                          "area": box[2] * box[3], "iscrowd": int(crowd)})  # fmt: skip
        detections = detector.detect([Frame.from_bgr(k, 0.0, np.asarray(picture, np.uint8))])[0]
        for label, score, (x1, y1, x2, y2) in zip(
            detections.class_ids.tolist(), detections.scores.tolist(), detections.boxes.tolist(), strict=True
        ):
            if label in known:
                box = [x1, y1, x2 - x1, y2 - y1]
                found.append({"image_id": k, "category_id": known[label], "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        base = COCO()
        base.dataset = {"images": images, "annotations": truth,
                        "categories": [{"id": k, "name": name} for k, name in enumerate(CLASSES)]}  # fmt: skip
        base.createIndex()
        evaluation = COCOeval(base, base.loadRes(found), "bbox")
        evaluation.params.maxDets = [1, 10, 300]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, :, 0, 2]
    return {name: round(float(precision[:, k].mean()), 4) for k, name in enumerate(CLASSES)}


def frames_of(clip: Path, count: int) -> list[Frame]:
    """The first frames of a clip, as the decoder gives them."""
    with av.open(str(clip)) as container:
        decoded: Iterable[Any] = container.decode(video=0)
        return [Frame(k, k / 25, picture) for k, picture in zip(range(count), decoded, strict=False)]


def milliseconds(detector: EngineDetector, frames: list[Frame]) -> float:
    """Median of the whole detection of one frame."""
    durations = []
    for frame in frames:
        began = time.perf_counter()
        detector.detect([frame])
        durations.append(time.perf_counter() - began)
    return 1e3 * statistics.median(durations[len(durations) // 10 :])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--clip", type=Path, default=Path("samples/street.mp4"), help="for the milliseconds")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result: dict[str, Any] = {}
    for model in args.model:
        common = {"model": model, "runtime": args.runtime, "precision": args.precision, "score": 0.01}
        square, _ = open_detector(DetectSettings(**common), None)
        row: dict[str, Any] = {part: average_precision(square, args.data, part) for part in ("street", "coco128")}
        frames = frames_of(args.clip, 200)
        wide, _ = open_detector(DetectSettings(**common, workers=1), (frames[0].width, frames[0].height))
        row["ms"] = round(milliseconds(wide, frames), 2)
        row["runtime"] = f"{wide.engine.runtime} {wide.engine.precision}"
        result[Path(model).stem] = row
        for part in ("street", "coco128"):
            shown = "  ".join(f"{name} {value:.3f}" for name, value in row[part].items())
            print(f"{Path(model).stem:20} {part:8} {shown}", flush=True)
        print(f"{'':20} {row['ms']} ms an image of {frames[0].width}x{frames[0].height}, {row['runtime']}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
