"""Single training pictures with labels, every one another scene."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .camera import Array
from .entities import SCENERY
from .paint import Seen
from .populate import random_scene
from .scene import render
from .sensor import develop, random_sensor
from .textures import Textures, make_textures

MINIMUM_HEIGHT = 8.0
"""Smallest height of a labelled box in pixels."""

CLEAR = 0.35
"""Least visible share of what lies inside the picture of a labelled object; those seen less are to be ignored."""

PART = 0.12
"""Least share inside the picture and visible of a labelled object: the edge may cut it, but not leave a scrap."""

GLIMPSE = 0.02
"""Share below which an object counts as hidden altogether."""


def yolo_lines(seen: dict[int, Seen], labels: dict[int, int], width: int, height: int) -> tuple[list[str], list[str]]:
    """Lines of objects to learn and of objects to ignore, boxes normalised to the picture."""
    learn: list[str] = []
    ignore: list[str] = []
    for ident, one in seen.items():
        left, top = max(one.box[0], 0.0), max(one.box[1], 0.0)
        right, bottom = min(one.box[2], float(width)), min(one.box[3], float(height))
        share = one.visible / max(one.pixels, 1)
        if right - left < 2 or bottom - top < 3 or share < GLIMPSE or one.visible < 6:
            continue
        numbers = (
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        )
        line = f"{labels[ident]} " + " ".join(f"{number:.6f}" for number in numbers)
        clear = one.visible / max(one.inside, 1)
        if clear >= CLEAR and share >= PART and bottom - top >= MINIMUM_HEIGHT:
            learn.append(line)
        else:
            ignore.append(line + " 0.3")
    return learn, ignore


def picture(seed: int, number: int, textures: Textures) -> tuple[Array, list[str], list[str], int]:
    """One picture (H, W, 3) uint8 with its label lines, lines to ignore and JPEG quality; the numbers fix all of it."""
    rng = np.random.default_rng([seed, number])
    scene, camera = random_scene(rng)
    clean, seen = render(scene, camera, textures)
    sensor = random_sensor(rng, float(clean.mean()), scene.light.night)
    labels = {entity.ident: entity.label for entity in scene.entities if entity.label != SCENERY}
    learn, ignore = yolo_lines(seen, labels, camera.width, camera.height)
    return develop(clean, sensor, rng), learn, ignore, int(rng.integers(45, 97))


def write_images(output: Path, count: int, seed: int, first: int = 0) -> None:
    """Write pictures first to first + count - 1 into images/, their labels into labels/ and ignore/."""
    for name in ("images", "labels", "ignore"):
        (output / name).mkdir(parents=True, exist_ok=True)
    textures = make_textures(seed)
    for number in range(first, first + count):
        image, learn, ignore, quality = picture(seed, number, textures)
        name = f"street_{seed}_{number:05d}"
        cv2.imwrite(str(output / "images" / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        (output / "labels" / f"{name}.txt").write_text("".join(f"{line}\n" for line in learn), encoding="ascii")
        (output / "ignore" / f"{name}.txt").write_text("".join(f"{line}\n" for line in ignore), encoding="ascii")
