"""Make scores mean something: Platt scaling of the logits, a class, on the val split.

`python -m training.calibrate --checkpoint last.pt --data DIR` prints the slopes and offsets that `training.export`
(with --two-stage: `training.export_two_stage`) takes, and the expected calibration error before and after. A rising map
of each class leaves its average precision as it is.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.data import IGNORE, Sample, load, names_of
from training.evaluate import CLASSES, Finder, detect
from training.metrics import inside, iou_matrix
from training.network import Network

FEWEST = 200  # a class with fewer hits takes the common map
Array = NDArray[np.float64]


def outcomes(find: Finder, samples: list[Sample], size: int) -> list[Array]:
    """Per class (K, 2): logit of each detection and whether it hit (IoU >= 0.5, one hit a box)."""
    rows: list[list[tuple[float, float]]] = [[] for _ in CLASSES]
    for sample in samples:
        unsure = sample.boxes[sample.boxes[:, 0] == IGNORE, 1:]
        for label, found in enumerate(find(sample, size)):
            truth = sample.boxes[sample.boxes[:, 0] == label, 1:]
            overlap, taken = iou_matrix(found[:, :4], truth), np.zeros(len(truth), bool)
            for k, row in enumerate(found):
                free = np.where(taken, -1.0, overlap[k])
                best = int(free.argmax()) if len(truth) else -1
                hit = best >= 0 and free[best] >= 0.5
                if hit:
                    taken[best] = True
                elif len(unsure) and inside(row[:4], unsure):
                    continue
                score = np.clip(row[4], 1e-6, 1 - 1e-6)
                rows[label].append((float(np.log(score / (1 - score))), float(hit)))
    return [np.array(part, np.float64).reshape(-1, 2) for part in rows]


def fit(pairs: Array) -> tuple[float, float]:
    """Slope and offset of the logistic regression of hits on logits; the slope stays positive."""
    logits, hits = torch.from_numpy(pairs[:, 0]), torch.from_numpy(pairs[:, 1])
    log_slope, offset = (
        torch.zeros((), dtype=torch.float64, requires_grad=True),
        torch.zeros((), dtype=torch.float64, requires_grad=True),
    )
    optimizer = torch.optim.LBFGS([log_slope, offset], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(log_slope.exp() * logits + offset, hits)
        value.backward()
        return value

    optimizer.step(loss)
    return float(log_slope.detach().exp()), float(offset.detach())


def error(pairs: Array, slope: float, offset: float, bins: int = 15) -> float:
    """Expected calibration error over detections of score 0.05 and more: mean gap between score and hit rate."""
    score = 1 / (1 + np.exp(-(slope * pairs[:, 0] + offset)))
    near = score >= 0.05
    score, hits = score[near], pairs[near, 1]
    place = np.minimum((score * bins).astype(int), bins - 1)
    gaps = [abs(score[place == b].mean() - hits[place == b].mean()) * (place == b).mean() for b in np.unique(place)]
    return float(sum(gaps))


def finder(checkpoint: Path, two_stage: bool) -> Finder:
    """What finds with a checkpoint's averaged network."""
    if two_stage:
        from training import export_two_stage, train_two_stage

        return partial(train_two_stage.detect, export_two_stage.read(checkpoint))
    network = Network()
    network.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["average"])
    return partial(detect, network.eval())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", type=int, default=416)
    parser.add_argument("--two-stage", action="store_true", help="a checkpoint of training.train_two_stage")
    args = parser.parse_args()
    parts = outcomes(finder(args.checkpoint, args.two_stage), load(args.data, names_of(args.data, "val")), args.size)
    common = fit(np.concatenate(parts))
    maps = [fit(part) if part[:, 1].sum() >= FEWEST else common for part in parts]
    for name, part, (slope, offset) in zip(CLASSES, parts, maps, strict=True):
        before, after, hits = error(part, 1, 0), error(part, slope, offset), int(part[:, 1].sum())
        print(f"{name:12} error {before:.3f} -> {after:.3f}  ({hits} hits)")
    print("--slope", *(f"{slope:.4f}" for slope, _ in maps), "--offset", *(f"{offset:.4f}" for _, offset in maps))
