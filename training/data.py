"""Pictures in memory and their augmentation: mosaic, flip, crop, scale, aspect, colour, blur, noise.

A data folder holds `images/NAME.jpg`, `labels/NAME.txt` (`class cx cy w h`, normalised) and, where boxes are unsure,
`ignore/NAME.txt` (the same, with a score behind).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

IGNORE = -1
FILL = 114
Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """One labelled picture: RGB (H, W, 3); boxes (N, 5) class (-1: unsure, left out of the loss), xyxy pixels."""

    name: str
    picture: Picture
    boxes: Boxes


def read_boxes(folder: Path, stem: str, width: int, height: int) -> Boxes:
    """True and unsure boxes of one picture, (N, 5): class or -1, xyxy pixels."""
    rows: list[list[float]] = []
    for kind in ("labels", "ignore"):
        path = folder / kind / f"{stem}.txt"
        for line in path.read_text().splitlines() if path.exists() else ():
            label, *box = (float(word) for word in line.split()[:5])
            rows.append([label if kind == "labels" else IGNORE, *box])
    boxes = np.array(rows, np.float32).reshape(-1, 5)
    centre, half = boxes[:, 1:3].copy(), boxes[:, 3:5] / 2
    scale = np.array([width, height], np.float32)
    boxes[:, 1:3], boxes[:, 3:5] = (centre - half) * scale, (centre + half) * scale
    return boxes


def load(folder: Path, names: list[str]) -> list[Sample]:
    """Read pictures (RGB) and boxes of the named files under `folder/images`."""
    samples = []
    for name in names:
        picture = cv2.cvtColor(cv2.imread(str(folder / "images" / name)), cv2.COLOR_BGR2RGB)
        height, width = picture.shape[:2]
        samples.append(Sample(name, picture, read_boxes(folder, Path(name).stem, width, height)))
    return samples


def names_of(folder: Path, split: str | None = None) -> list[str]:
    """File names of a split (`folder/SPLIT.txt`), or of all pictures, sorted."""
    if split is None:
        return sorted(path.name for path in (folder / "images").iterdir())
    return [Path(line).name for line in (folder / f"{split}.txt").read_text().split()]


def digest(folder: Path, names: list[str]) -> str:
    """SHA-256 over names and bytes of pictures and labels, in order: the data's identity in the card."""
    total = hashlib.sha256()
    for name in names:
        total.update(name.encode())
        for path in (
            folder / "images" / name,
            *(folder / kind / f"{Path(name).stem}.txt" for kind in ("labels", "ignore")),
        ):
            if path.exists():
                total.update(path.read_bytes())
    return total.hexdigest()


class Augment:
    """Makes square training pictures. One generator, seeded by the caller: the same seed gives the same pictures."""

    def __init__(self, samples: list[Sample], extra: list[list[Sample]], size: int, rng: np.random.Generator) -> None:
        """`extra`: pools (rendered scenes, general photographs, ...) that mosaic tiles are drawn from more often."""
        self.samples, self.extra, self.size, self.rng = samples, [pool for pool in extra if pool], size, rng

    def make(self, index: int, mosaic: float) -> tuple[Picture, Boxes]:
        """Picture (size, size, 3) RGB and boxes (N, 5) for sample `index`; `mosaic`: probability of four tiles."""
        rng, size = self.rng, self.size
        canvas = np.full((size, size, 3), FILL, np.uint8)
        if rng.random() >= mosaic:
            zoom = float(np.exp(rng.uniform(np.log(0.55), np.log(1.4)))) if mosaic > 0 else rng.uniform(0.55, 0.9)
            boxes = self._place(canvas, self.samples[index], (0, 0, size, size), zoom)
        else:
            cx, cy = (int(value) for value in rng.uniform(0.3, 0.7, 2) * size)
            areas = ((0, 0, cx, cy), (cx, 0, size, cy), (0, cy, cx, size), (cx, cy, size, size))
            tiles = [self.samples[index], *(self._draw() for _ in range(3))]
            order = rng.permutation(4)
            zooms = np.exp(rng.uniform(np.log(0.6), np.log(1.5), 4))
            placed = [self._place(canvas, tiles[order[k]], areas[k], float(zooms[k])) for k in range(4)]
            boxes = np.concatenate(placed)
        return self._colour(canvas), boxes

    def _draw(self) -> Sample:
        """One more tile: from an extra pool with probability 0.2 each, else from the samples."""
        choice = int(self.rng.random() / 0.2)
        pool = self.extra[choice] if choice < len(self.extra) else self.samples
        return pool[self.rng.integers(len(pool))]

    def _place(self, canvas: Picture, sample: Sample, area: tuple[int, int, int, int], zoom: float) -> Boxes:
        """Warp a sample into `area` of the canvas (zoom 1: just covers it) and return its boxes there, clipped."""
        rng, (x1, y1, x2, y2) = self.rng, area
        height, width = sample.picture.shape[:2]
        scale = max((x2 - x1) / width, (y2 - y1) / height) * zoom
        aspect = float(np.exp(rng.uniform(-0.15, 0.15)))
        sx, sy = scale * aspect, scale / aspect
        spare = np.array([x2 - x1 - width * sx, y2 - y1 - height * sy])
        left, top = rng.uniform(np.minimum(spare, 0), np.maximum(spare, 0))
        flip = rng.random() < 0.5
        matrix = np.array([[-sx, 0, left + width * sx], [0, sy, top]] if flip else [[sx, 0, left], [0, sy, top]])
        how = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
        # Boxes measure from a pixel's edge, warpAffine from its centre: half a pixel, and a whole one when flipped.
        centred = matrix + np.array([[0, 0, (matrix[0, 0] - 1) / 2], [0, 0, (matrix[1, 1] - 1) / 2]])
        canvas[y1:y2, x1:x2] = cv2.warpAffine(
            sample.picture,
            centred,
            (x2 - x1, y2 - y1),
            flags=how,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(FILL,) * 3,
        )
        boxes = sample.boxes.copy()
        boxes[:, [1, 3]] = boxes[:, [1, 3]] * matrix[0, 0] + matrix[0, 2]
        boxes[:, [2, 4]] = boxes[:, [2, 4]] * matrix[1, 1] + matrix[1, 2]
        if flip:
            boxes[:, [1, 3]] = boxes[:, [3, 1]]
        return self._clip(boxes, (x2 - x1, y2 - y1), (x1, y1))

    @staticmethod
    def _clip(boxes: Boxes, size: tuple[int, int], origin: tuple[int, int]) -> Boxes:
        """Clip to the tile; what is mostly cut off or tiny is unsure from then on, what is outside is gone."""
        area = (boxes[:, 3] - boxes[:, 1]) * (boxes[:, 4] - boxes[:, 2])
        limits = np.array([*size, *size], np.float32)
        boxes[:, 1:] = np.clip(boxes[:, 1:], 0, limits)
        sides = boxes[:, 3:5] - boxes[:, 1:3]
        unsure = (sides.prod(1) < 0.3 * area) | (sides.min(1) < 3)
        boxes[unsure, 0] = IGNORE
        boxes[:, 1:] += np.array([*origin, *origin], np.float32)
        return boxes[sides.min(1) > 1]

    def _colour(self, picture: Picture) -> Picture:
        """Contrast, brightness, saturation, tint, gamma, gray, blur, noise; each within what cameras do."""
        rng = self.rng
        luma = np.array([0.299, 0.587, 0.114])
        saturation = 0.0 if rng.random() < 0.04 else rng.uniform(0.5, 1.5)
        mix = saturation * np.eye(3) + (1 - saturation) * luma
        mix *= (rng.uniform(0.65, 1.35) * rng.uniform(0.92, 1.08, 3))[:, None]
        offset = rng.uniform(-30, 30)
        picture = cv2.transform(picture, np.column_stack((mix, np.full(3, offset))))
        if rng.random() < 0.25:
            table = (np.linspace(0, 1, 256) ** float(np.exp(rng.uniform(-0.5, 0.5))) * 255).astype(np.uint8)
            picture = cv2.LUT(picture, table)
        if rng.random() < 0.08:
            picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.5))
        if rng.random() < 0.08:
            noise = rng.integers(-12, 13, picture.shape[:2], np.int16)[..., None]
            picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
        return picture
