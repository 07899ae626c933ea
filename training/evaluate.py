"""AP50 of a network in training on the val split: street and traffic pictures, and general photographs, apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.data import FILL, IGNORE, Sample, load, names_of
from training.metrics import average_precision, iou_matrix
from training.network import Network, cells, decode

CLASSES = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
Array = NDArray[np.float32]
Finder = Callable[[Sample, int], list[Array]]
"""A sample and the longer side to look at it -> per class (D, 5) box in its pixels, score."""


def suppress(boxes: Array, scores: Array, limit: float = 0.6) -> NDArray[np.intp]:
    """Greedy NMS of one class, boxes (N, 4), scores (N,): the kept indices, best first."""
    order = np.argsort(-scores, kind="stable")[:300]
    overlap = iou_matrix(boxes[order], boxes[order])
    keep = np.ones(len(order), bool)
    for k in range(len(order)):
        if keep[k]:
            keep[k + 1 :] &= overlap[k, k + 1 :] <= limit
    return order[keep]


def letterbox(sample: Sample, size: int) -> tuple[torch.Tensor, float]:
    """Picture (1, 3, H, W) in 0..1, its longer side `size`, padded to multiples of 32; factor from its own pixels."""
    height, width = sample.picture.shape[:2]
    scale = size / max(height, width)
    inner = (round(width * scale), round(height * scale))
    shape = tuple(-(-side // 32) * 32 for side in (inner[1], inner[0]))
    canvas = np.full((*shape, 3), FILL, np.uint8)
    canvas[: inner[1], : inner[0]] = cv2.resize(sample.picture, inner, interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(canvas).permute(2, 0, 1)[None].float() / 255, scale


@torch.no_grad()
def detect(model: Network, sample: Sample, size: int) -> list[Array]:
    """Per class (D, 5) box in pixels of the sample and score, after letterbox, network and NMS."""
    images, scale = letterbox(sample, size)
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        logits, sides = model(images.to(device))
    boxes = (decode(sides[0].float().cpu(), cells(*images.shape[2:])) / scale).numpy()
    scores = logits[0].float().sigmoid().cpu().numpy()
    found = []
    for label in range(model.classes):
        near = scores[:, label] > 0.01
        kept = suppress(boxes[near], scores[near, label])
        found.append(np.column_stack((boxes[near], scores[near, label]))[kept].astype(np.float32))
    return found


def evaluate(find: Finder, data: Path, size: int) -> dict[str, dict[str, float]]:
    """AP50 a class, for the street and traffic part of the val split and for its general photographs (coco_)."""
    samples = load(data, names_of(data, "val"))
    found = [find(sample, size) for sample in samples]
    parts = {
        "street": [not s.name.startswith("coco_") for s in samples],
        "coco": [s.name.startswith("coco_") for s in samples],
    }
    result: dict[str, dict[str, float]] = {}
    for part, member in parts.items():
        chosen = [k for k, wanted in enumerate(member) if wanted]
        unsure = [samples[k].boxes[samples[k].boxes[:, 0] == IGNORE, 1:] for k in chosen]
        result[part] = {
            label: round(
                average_precision(
                    [found[k][c] for k in chosen],
                    [samples[k].boxes[samples[k].boxes[:, 0] == c, 1:] for k in chosen],
                    unsure,
                ),
                4,
            )
            for c, label in enumerate(CLASSES)
        }
    return result
