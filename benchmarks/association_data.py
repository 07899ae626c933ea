"""Sequences with public detections for `benchmarks.association`, at every frame or every k-th, and their scores.

Nothing of the data is kept in the project: inputs and truth are cut into a cache folder, as TrackEval reads them.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import io
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.detections import read_detections
from tracker.structures import Detections

BENCHES = {"MOT15": "MOT15", "MOT17-generated": "MOT17", "KITTI": "MOT15"}
"""Folder -> TrackEval's BENCHMARK: with MOT17 the distractor classes are taken out, with MOT15 nothing is."""
KITTI_CLASSES = {"KITTI car": 3, "KITTI pedestrian": 1}
COLUMNS = ("MOT15", "MOT17-generated", *KITTI_CLASSES)
"""Columns of the tables; KITTI's classes are scored one by one."""
METRICS = ("HOTA", "IDF1", "MOTA")
Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Sequence:
    """One sequence as it is at every k-th frame: frames 1, 1 + k, ... renumbered from 1.

    Attributes:
        bench: its folder.
        name: of the sequence.
        step: k.
        rate: frames a second after that.
        frames: detections frame by frame, all classes.
        truth: ground truth, rows of MOTChallenge's nine columns.
    """

    bench: str
    name: str
    step: int
    rate: Fraction
    frames: list[Detections]
    truth: Rows

    @property
    def columns(self) -> dict[str, int | None]:
        """Column of the tables -> the class that counts there, None where classes are not told apart."""
        return dict(KITTI_CLASSES) if self.bench == "KITTI" else {self.bench: None}

    def of_class(self, label: int | None) -> list[Detections]:
        """The frames with the detections of a class, or all."""
        if label is None:
            return self.frames
        return [found[found.class_ids == label - 1] for found in self.frames]


def sequences(data: Path, step: int) -> Iterator[Sequence]:
    """All sequences at every `step`-th frame."""
    for bench in BENCHES:
        for folder in sorted((data / bench).iterdir()):
            ini = configparser.ConfigParser()
            ini.read(folder / "seqinfo.ini")
            info = ini["Sequence"]
            found = read_detections(folder / "det" / "det.txt")
            kept = range(1, int(info["seqLength"]) + 1, step)
            truth = np.genfromtxt(folder / "gt" / "gt.txt", delimiter=",", usecols=range(8), ndmin=2)
            truth = truth[(truth[:, 0] - 1) % step == 0]
            truth[:, 0] = (truth[:, 0] - 1) // step + 1
            rate = Fraction(info["frameRate"]) / step
            yield Sequence(bench, folder.name, step, rate, [found.frame(k) for k in kept], truth)


def place(column: str, step: int) -> str:
    """Name of the folder of a column's files."""
    return f"{column.replace(' ', '-')}-{step}"


def write_inputs(sequence: Sequence, cache: Path) -> None:
    """What the peers read (.npz, class by class), and the truth."""
    for column, label in sequence.columns.items():
        where = place(column, sequence.step)
        save_frames(cache / "inputs" / where / f"{sequence.name}.npz", sequence.of_class(label), float(sequence.rate))
        truth = sequence.truth if label is None else sequence.truth[sequence.truth[:, 7] == label]
        labels = truth[:, 7] if BENCHES[sequence.bench] == "MOT17" else np.ones(len(truth))
        lines = [
            f"{row[0]:.0f},{row[1]:.0f},{row[2]:g},{row[3]:g},{row[4]:g},{row[5]:g},{row[6]:.0f},{cls:.0f},1\n"
            for row, cls in zip(truth, labels, strict=True)
        ]
        write_text(cache / "truth" / where / f"{sequence.name}.txt", "".join(lines))


def save_frames(path: Path, frames: list[Detections], rate: float) -> None:
    """Boxes, scores, offsets and frame rate, as `peer_trackers.py` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        boxes=np.concatenate([found.boxes for found in frames]).astype(np.float64),
        scores=np.concatenate([found.scores for found in frames]).astype(np.float64),
        offsets=np.cumsum([0, *map(len, frames)]),
        frame_rate=rate,
    )


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)


def score(cache: Path, who: str, column: str, step: int, lengths: dict[str, int],
          metrics: tuple[str, ...] = METRICS) -> dict[str, float]:  # fmt: skip
    """The metrics in per cent of the results in `cache/results/who`, all sequences of the column together.

    By TrackEval's own MotChallenge2DBox; the scores of unchanged files are kept in the cache. Metrics: HOTA, IDF1,
    MOTA, AssA.
    """
    where = place(column, step)
    results, truth = cache / "results" / who / where, cache / "truth" / where
    digest = hashlib.sha256(version("trackeval").encode())
    for name in lengths:
        digest.update((truth / f"{name}.txt").read_bytes() + b"|" + (results / f"{name}.txt").read_bytes())
    kept = cache / "scores" / f"{digest.hexdigest()[:32]}.json"
    if not kept.exists() or not set(metrics) <= set(json.loads(kept.read_text())):
        bench = "MOT17" if column.startswith("MOT17") else "MOT15"
        write_text(kept, json.dumps(_trackeval(results.parent, truth, where, bench, lengths)))
    values: dict[str, float] = json.loads(kept.read_text())
    return values


def _trackeval(results: Path, truth: Path, where: str, bench: str, lengths: dict[str, int]) -> dict[str, float]:
    """TrackEval's COMBINED_SEQ."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from trackeval.datasets import MotChallenge2DBox
        from trackeval.metrics import CLEAR, HOTA, Identity

        config: dict[str, Any] = {
            "GT_FOLDER": str(truth), "TRACKERS_FOLDER": str(results), "TRACKERS_TO_EVAL": [where], "BENCHMARK": bench,
            "TRACKER_SUB_FOLDER": "", "SKIP_SPLIT_FOL": True, "SEQ_INFO": lengths, "PRINT_CONFIG": False,
            "GT_LOC_FORMAT": "{gt_folder}/{seq}.txt",
        }  # fmt: skip
        dataset = MotChallenge2DBox(config)
        quiet = {"PRINT_CONFIG": False}
        metrics = {"HOTA": HOTA(), "MOTA": CLEAR(quiet), "IDF1": Identity(quiet)}
        parts: dict[str, dict[str, Any]] = {name: {} for name in metrics}
        for name in lengths:
            data = dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data(where, name), "pedestrian")
            for key, metric in metrics.items():
                parts[key][name] = metric.eval_sequence(data)
        total = {key: metric.combine_sequences(parts[key]) for key, metric in metrics.items()}
    found = {key: total[key][key] for key in METRICS} | {"AssA": total["HOTA"]["AssA"]}
    return {key: 100 * float(np.mean(value)) for key, value in found.items()}
