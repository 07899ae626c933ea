"""Our trackers and the peers over the sequences of `benchmarks.association_data`, their results in the cache folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.association_data import Sequence, place, sequences, write_inputs, write_text
from tracker.config import DEFAULT_TRACKER, TRACKERS, SparseSettings, TrackerSettings
from tracker.errors import ConfigError
from tracker.track import make_tracker
from tracker.track.whole import link_whole

HERE = Path(__file__).parent
PEERS = (
    "trackers sort", "trackers bytetrack", "trackers ocsort", "trackers botsort", "trackers cbiou",
    "supervision bytetrack", "ultralytics bytetrack", "ultralytics botsort", "ultralytics ocsort",
    "ultralytics fasttrack", "ultralytics tracktrack", "boxmot bytetrack", "boxmot ocsort",
    "boxmot botsort", "boxmot boosttrack", "boxmot sfsort", "norfair",
)  # fmt: skip
"""Peers at their defaults, but without pictures: no camera motion, no appearance. HybridSORT is left out: too slow."""
OURS = tuple(dict.fromkeys(("sort", "bytetrack", "ocsort", DEFAULT_TRACKER, *TRACKERS)))
Rows = NDArray[np.float64]


class Work:
    """The sequences at every step that is asked for, and where results go.

    Attributes:
        data: the folder of sequences.
        cache: inputs, results and scores.
        steps: every k-th frame, for each k.
        peers: the peers' Python, or None.
        found: step -> its sequences.
    """

    def __init__(self, data: Path, cache: Path, steps: Iterable[int], peers: str | None) -> None:
        """Read and cut the sequences."""
        self.data, self.cache, self.peers = data, cache.absolute(), peers
        self.found: dict[int, list[Sequence]] = {}
        for step in steps:
            self.found[step] = list(sequences(data, step))
            for sequence in self.found[step]:
                write_inputs(sequence, self.cache)

    def lengths(self, column: str, step: int) -> dict[str, int]:
        """Sequence -> frames, of one column."""
        return {one.name: len(one.frames) for one in self.found[step] if column in one.columns}

    def result(self, who: str, column: str, step: int, name: str) -> Path:
        """Where the result of a tracker, a column and a sequence lies."""
        return self.cache / "results" / who / place(column, step) / f"{name}.txt"


def folder_of(name: str) -> str:
    """A name as part of a path."""
    return name.replace(" ", "-").replace("/", "-")


def environment(**more: str) -> dict[str, str]:
    """This process's environment with one thread for every library."""
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    return os.environ | threads | {"PYTHONPATH": str(HERE.parent), "YOLO_AUTOINSTALL": "False"} | more


def run_peer(python: str, job: dict[str, Any]) -> Any:
    """Hand a job to `peer_trackers.py` in the peers' environment; its last line's JSON, or a text that says why not."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "job.json")
        file.write_text(json.dumps(job))
        bare = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
        command = [python, str(HERE / "peer_trackers.py"), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=bare)
    lines = done.stdout.strip().splitlines()
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no word"])[-1][:200]
    return json.loads(lines[-1])


def peer_results(work: Work, name: str, who: str, options: dict[str, Any] | None = None) -> str | None:
    """Have a peer track what the cache lacks; KITTI class by class. Returns why it could not, or None."""
    jobs = [
        (work.cache / "inputs" / place(column, step) / f"{one.name}.npz", work.result(who, column, step, one.name))
        for step, found in work.found.items()
        for one in found
        for column in one.columns
    ]
    missing = [(str(source), str(target)) for source, target in jobs if not target.exists()]
    if not missing:
        return None
    if not work.peers:
        return "no --peers"
    answer = run_peer(work.peers, {"tracker": name, "options": options or {}, "track": missing})
    return answer if isinstance(answer, str) else None


def settings_of(name: str, values: dict[str, Any] | None = None, rate: float = 30.0) -> TrackerSettings:
    """Settings of one of ours; a value {"frames": 3} is that many frames in seconds. Raises ConfigError."""
    plain = {key: value["frames"] / rate if isinstance(value, dict) else value for key, value in (values or {}).items()}
    settings = TRACKERS[name](**plain)
    make_tracker(settings)
    return settings


def our_results(work: Work, name: str, who: str, values: dict[str, Any] | None = None) -> str | None:
    """Track everything with one of ours, all classes at once. Returns why it could not, or None."""
    try:
        settings_of(name, values)
    except (ConfigError, ValueError) as error:
        return str(error).splitlines()[0]
    for step, found in work.found.items():
        for one in found:
            tracker = make_tracker(settings_of(name, values, float(one.rate)))
            rows = []
            for k, detections in enumerate(one.frames):
                tracks = tracker.update(detections, float(k / one.rate))
                number = np.full(len(tracks), k + 1)
                rows.append(np.column_stack((number, tracks.ids, tracks.boxes, tracks.scores, tracks.class_ids + 1)))
            write_results(work, who, step, one, np.concatenate(rows))
    return None


def sparse_results(work: Work, who: str) -> None:
    """Track everything with our offline association for large gaps."""
    for step, found in work.found.items():
        for one in found:
            frames = [(detections, float(k / one.rate)) for k, detections in enumerate(one.frames)]
            rows = [np.zeros((0, 8))]
            for k, tracks in enumerate(link_whole(SparseSettings(), frames), 1):
                number = np.full(len(tracks), k)
                rows.append(np.column_stack((number, tracks.ids, tracks.boxes, tracks.scores, tracks.class_ids + 1)))
            write_results(work, who, step, one, np.concatenate(rows))


def write_results(work: Work, who: str, step: int, sequence: Sequence, rows: Rows) -> None:
    """Rows (N, 8) frame, id, x1, y1, x2, y2, score, class, as one file a column, class 1 throughout."""
    for column, label in sequence.columns.items():
        lines = [
            f"{row[0]:.0f},{row[1]:.0f},{row[2]:.3f},{row[3]:.3f},{row[4] - row[2]:.3f},{row[5] - row[3]:.3f},"
            f"{row[6]:.4f},1,-1\n"
            for row in (rows if label is None else rows[rows[:, 7] == label])
        ]
        write_text(work.result(who, column, step, sequence.name), "".join(lines))


def offline_results(work: Work, who: str) -> str | None:
    """Track everything with `tracker track --offline`. Returns why it could not, or None."""
    for step, found in work.found.items():
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in"), Path(folder, "out")
            for one in found:
                write_folder(one, source / one.bench / one.name)
            failed = track_command(source, target, "--offline")
            if failed:
                return failed
            for one in found:
                write_results(work, who, step, one, read_results(target / f"{one.name}.txt"))
    return None


def write_folder(sequence: Sequence, folder: Path) -> None:
    """A sequence's detections as `tracker track` reads them."""
    lines = [
        f"{k},-1,{box[0]},{box[1]},{box[2] - box[0]},{box[3] - box[1]},{score},{label + 1}\n"
        for k, found in enumerate(sequence.frames, 1)
        for box, score, label in zip(found.boxes, found.scores, found.class_ids, strict=True)
    ]
    write_text(folder / "det" / "det.txt", "".join(lines))
    rate, length = sequence.rate, len(sequence.frames)
    write_text(folder / "seqinfo.ini", f"[Sequence]\nframeRate={rate}\nseqLength={length}\n")


def read_results(path: Path) -> Rows:
    """A MOT file as rows (N, 8) frame, id, x1, y1, x2, y2, score, class."""
    lines = [line.split(",")[:8] for line in path.read_text().splitlines()]
    rows = np.array(lines, np.float64).reshape(-1, 8)
    rows[:, 4:6] += rows[:, 2:4]
    return rows


def track_command(source: Path, target: Path, *options: str) -> str | None:
    """Run `tracker track`. Returns its last line where it failed, or None."""
    command = [sys.executable, "-m", "tracker", "track", "--detections", str(source), "--mot", str(target), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    return (done.stderr.strip().splitlines() or ["no word"])[-1][:200] if done.returncode else None
