"""Other people's trackers, in an environment of their own: `python peer_trackers.py JOB.json`.

The job names a tracker and its options, and sequences as .npz with boxes (N, 4) xyxy, scores (N,), offsets (F + 1,) and
frame_rate. "track": [[input, output]...] writes MOTChallenge results; "speed": [input...] prints the CPU milliseconds
of an update as one JSON line. A job without a tracker prints the versions of the libraries. Only the libraries' public
interfaces are used, each with its own kind of input, made outside of the timed part. BoxMOT stops at a box without
area; our reader has left those out of the .npz (one in KITTI's 0000), so nobody gets them.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
WARM = 20  # updates that are not timed
LIMIT_S = 6.0  # CPU time after which a slow one has shown enough
BLIND = ("botsort", "boosttrack", "hybridsort", "occluboost", "sfsort")  # of BoxMOT: they want a picture


@dataclass(frozen=True)
class Peer:
    """One tracker object of a library.

    Attributes:
        prepare: boxes (N, 4) and scores (N,) -> the library's own input.
        update: that input and the time in seconds -> the library's own output.
        rows: that output -> (M, 6) id, x1, y1, x2, y2, score.
    """

    prepare: Callable[[Array, Array], Any]
    update: Callable[[Any, float], Any]
    rows: Callable[[Any], Array]


def make_trackers(kind: str, rate: float, options: dict[str, Any]) -> Peer:
    """Roboflow's `trackers`; its buffer of 30 frames means 1 s at any rate that it is told."""
    import trackers

    names = {"sort": "SORTTracker", "bytetrack": "ByteTrackTracker", "ocsort": "OCSORTTracker",
             "botsort": "BoTSORTTracker", "cbiou": "CBIoUTracker"}  # fmt: skip
    own: dict[str, Any] = {"enable_cmc": False} if kind == "botsort" else {}
    if "state" in options:
        from trackers.utils import state_representations

        own["state_estimator_class"] = getattr(state_representations, options["state"])
    own |= {key: value for key, value in options.items() if key != "state"}
    tracker = getattr(trackers, names[kind])(frame_rate=rate, **own)
    return Peer(sv_detections, lambda found, _: tracker.update(found), sv_rows)


def make_supervision(_: str, rate: float, options: dict[str, Any]) -> Peer:
    """`supervision.ByteTrack`."""
    import supervision

    tracker = supervision.ByteTrack(frame_rate=round(rate) or 1, **options)
    return Peer(sv_detections, lambda found, _: tracker.update_with_detections(found), sv_rows)


def sv_detections(boxes: Array, scores: Array) -> Any:
    """As `supervision.Detections`."""
    import supervision

    labels = np.zeros(len(boxes), int)
    return supervision.Detections(xyxy=boxes.astype(np.float32), confidence=scores.astype(np.float32), class_id=labels)


def sv_rows(found: Any) -> Array:
    """Of `supervision.Detections`; -1 is no track."""
    if found.tracker_id is None or not len(found):
        return np.zeros((0, 6))
    kept = found.tracker_id >= 0
    return np.column_stack((found.tracker_id[kept], found.xyxy[kept], found.confidence[kept]))


def make_ultralytics(kind: str, _: float, options: dict[str, Any]) -> Peer:
    """The trackers behind `yolo track`, with their YAML files; they are not told the frame rate."""
    from ultralytics import trackers
    from ultralytics.engine.results import Boxes
    from ultralytics.utils import YAML, IterableSimpleNamespace
    from ultralytics.utils.checks import check_yaml

    names = {"bytetrack": "BYTETracker", "botsort": "BOTSORT", "ocsort": "OCSORT", "fasttrack": "FASTTracker",
             "tracktrack": "TRACKTRACK"}  # fmt: skip
    frameless = {"gmc_method": "none"} if kind in ("botsort", "tracktrack") else {}
    settings = YAML.load(check_yaml(f"{kind}.yaml")) | frameless | options
    tracker = getattr(trackers, names[kind])(IterableSimpleNamespace(**settings))

    def prepare(boxes: Array, scores: Array) -> Any:
        return Boxes(np.column_stack((boxes, scores, np.zeros(len(boxes)))).astype(np.float32), (1080, 1920))

    return Peer(prepare, lambda found, _: tracker.update(found), lambda out: track_rows(np.asarray(out)))


def track_rows(out: Array) -> Array:
    """Of x1, y1, x2, y2, id, score, ...."""
    return out[:, [4, 0, 1, 2, 3, 5]] if len(out) else np.zeros((0, 6))


def make_boxmot(kind: str, rate: float, options: dict[str, Any]) -> Peer:
    """BoxMOT with its configuration's defaults; `ocsort/cpp` is the native build of `ocsort`.

    Some want a picture by all means: they get a black one and are told to look for nothing in it.
    """
    from boxmot.trackers import TrackerSpec, create_tracker

    logging.disable(logging.INFO)
    name, _, backend = kind.partition("/")
    own = {"frame_rate": round(rate) or 1} if name in ("bytetrack", "botsort") else {}
    if name in BLIND and name != "sfsort":
        own |= {"use_embeddings": False} if name == "hybridsort" else {"use_cmc": False, "use_embeddings": False}
    picture = np.zeros((1080, 1920, 3), np.uint8) if name in BLIND else None
    chosen = tuple(sorted((own | options).items()))
    tracker = create_tracker(TrackerSpec(name, backend=backend or "python", options=chosen))

    def prepare(boxes: Array, scores: Array) -> Array:
        return np.column_stack((boxes, scores, np.zeros(len(boxes)))).astype(np.float32)

    return Peer(prepare, lambda found, _: tracker.update(found, picture), lambda out: track_rows(np.asarray(out)))


def make_norfair(_: str, _rate: float, options: dict[str, Any]) -> Peer:
    """Norfair has no default for distance and threshold; these are of its own demo for boxes."""
    import norfair

    tracker = norfair.Tracker(**{"distance_function": "iou", "distance_threshold": 0.7} | options)

    def prepare(boxes: Array, scores: Array) -> list[Any]:
        pairs = zip(boxes.reshape(-1, 2, 2), scores, strict=True)
        return [norfair.Detection(points, np.array([score, score])) for points, score in pairs]

    def rows(tracks: list[Any]) -> Array:
        lines = [(track.id, *track.estimate.ravel(), track.last_detection.scores[0]) for track in tracks]
        return np.array(lines).reshape(-1, 6)

    return Peer(prepare, lambda found, _: tracker.update(found), rows)


MAKERS = {"trackers": make_trackers, "supervision": make_supervision, "ultralytics": make_ultralytics,
          "boxmot": make_boxmot, "norfair": make_norfair}  # fmt: skip


def make(name: str, rate: float, options: dict[str, Any]) -> Peer:
    """A fresh tracker by "library method"; an option "30 frames at any rate" is written as a plain number."""
    library, _, kind = name.partition(" ")
    return MAKERS[library](kind, rate, options)


def frames_of(data: dict[str, Array]) -> list[tuple[Array, Array]]:
    """Boxes and scores of each frame."""
    cuts = data["offsets"][1:-1]
    return list(zip(np.split(data["boxes"], cuts), np.split(data["scores"], cuts), strict=True))


def track(name: str, options: dict[str, Any], source: Path, target: Path) -> None:
    """Track one sequence; the result appears whole or not at all."""
    data = dict(np.load(source))
    rate = float(data["frame_rate"])
    peer = make(name, rate, in_frames(options, rate))
    lines = []
    for number, (boxes, scores) in enumerate(frames_of(data), 1):
        for label, x1, y1, x2, y2, score in peer.rows(peer.update(peer.prepare(boxes, scores), number / rate)):
            lines.append(f"{number},{label:.0f},{x1:.3f},{y1:.3f},{x2 - x1:.3f},{y2 - y1:.3f},{score:.4f},1,-1\n")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_text("".join(lines))
    partial.replace(target)


def in_frames(options: dict[str, Any], rate: float) -> dict[str, Any]:
    """Options given as {"seconds": 1.0} become whole frames at this rate, at least one."""
    return {
        key: max(1, round(value["seconds"] * rate)) if isinstance(value, dict) else value
        for key, value in options.items()
    }


def speed(name: str, options: dict[str, Any], source: Path) -> float:
    """CPU milliseconds of an update, the mean over the frames that are done within the limit."""
    data = dict(np.load(source))
    rate = float(data["frame_rate"])
    peer = make(name, rate, in_frames(options, rate))
    frames = [peer.prepare(boxes, scores) for boxes, scores in frames_of(data)]
    for k, found in enumerate(frames[:WARM]):
        peer.update(found, k / rate)
    gc.collect()
    start, done = time.process_time(), WARM
    while done < len(frames) and time.process_time() - start < LIMIT_S:
        peer.update(frames[done], done / rate)
        done += 1
    return 1e3 * (time.process_time() - start) / (done - WARM)


def versions() -> dict[str, str]:
    """Of the libraries that are there."""
    found = {}
    for name in (*MAKERS, "numpy", "scipy", "lapx", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main(job_file: str) -> None:
    """Do the job."""
    warnings.simplefilter("ignore")
    job = json.loads(Path(job_file).read_text())
    if "tracker" not in job:
        print(json.dumps(versions()))
        return
    name, options = job["tracker"], job.get("options", {})
    for source, target in job.get("track", []):
        track(name, options, Path(source), Path(target))
    timed = {source: speed(name, options, Path(source)) for source in job.get("speed", [])}
    print(json.dumps(timed))


if __name__ == "__main__":
    main(sys.argv[1])
