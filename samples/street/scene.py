"""A whole picture: background, shadows, and all objects from the farthest to the nearest."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .buildings import paint_buildings, paint_ceiling, paint_skyline
from .camera import Array, Camera
from .entities import Entity
from .footprint import paint_order
from .ground import FINE, Backdrop, light_ground, paint_ground, sky
from .layout import Place
from .light import Light
from .paint import Canvas, Patch, Seen, draw
from .textures import Textures


@dataclass
class Scene:
    """Everything a picture shows; the seed fixes the texture of its background."""

    place: Place
    light: Light
    entities: list[Entity]
    seed: int
    rough: float = 1.0
    wet: float = 0.0


def shade_by_buildings(scene: Scene, backdrop: Backdrop) -> None:
    """Draw the shadows of the buildings and take the sun from whatever stands in them."""
    direction = scene.light.direction
    fall = -direction[[0, 2]] / max(float(direction[1]), 0.2)
    spots = np.array([entity.position[[0, 2]] for entity in scene.entities]).reshape(-1, 2)
    shaded = np.zeros(len(spots), dtype=bool)
    for front in scene.place.fronts if not scene.place.indoor else []:
        if direction @ front.normal >= 0:
            continue
        start = front.origin[[0, 2]]
        along = front.along[[0, 2]] * front.length
        backdrop.shadow(
            np.array([start, start + along, start + along + fall * front.height, start + fall * front.height])
        )
        inverse = np.linalg.inv(np.stack([along, fall * front.height], axis=1))
        inside = (spots - start) @ inverse.T
        shaded |= ((inside > 0) & (inside < 1)).all(axis=1)
    for entity, dark in zip(scene.entities, shaded, strict=True):
        entity.sunlit = 0.0 if dark else 1.0


def _backdrop(scene: Scene, camera: Camera, textures: Textures) -> Array:
    """The picture (H, W, 3) uint8 without any object but with the shadows of all."""
    rng = np.random.default_rng(scene.seed)
    size = (camera.height, camera.width)
    fine = np.zeros((size[0] * FINE, size[1] * FINE, 3), dtype=np.uint8)
    backdrop = Backdrop(fine, np.zeros(size, np.uint8), np.zeros(size, np.uint8), camera, scene.light)
    above = np.zeros((*size, 3), np.float32)
    if not scene.place.indoor:
        above = sky(camera, scene.light, textures, rng)
    paint_ground(backdrop, scene.place)
    shade_by_buildings(scene, backdrop)
    for entity in scene.entities:
        entity.cast(backdrop)
    lit = light_ground(backdrop, above, textures, rng, scene.rough, scene.wet)
    backdrop.image = np.asarray(cv2.resize(lit, (fine.shape[1], fine.shape[0]), interpolation=cv2.INTER_NEAREST))
    if scene.place.indoor:
        paint_ceiling(backdrop, scene.place, 4.2)
    else:
        paint_skyline(backdrop, rng)
    paint_buildings(backdrop, scene.place, textures)
    return np.asarray(cv2.resize(backdrop.image, (camera.width, camera.height), interpolation=cv2.INTER_AREA))


def _sorted(entities: list[Entity], camera: Camera) -> list[Entity]:
    """Objects in front of the camera in painting order."""
    if not entities:
        return []
    positions = np.array([entity.position for entity in entities])
    _, depths = camera.project(positions)
    reach = np.array([max(entity.half) for entity in entities])
    kept = np.flatnonzero(depths + reach > 0.9)
    if not len(kept):
        return []
    chosen = [entities[int(i)] for i in kept]
    nudge = np.array([entity.nearer(camera) for entity in chosen])
    order = paint_order(
        positions[kept][:, [0, 2]],
        np.array([entity.heading for entity in chosen]),
        np.array([entity.half for entity in chosen]),
        depths[kept] - nudge,
        camera.position[[0, 2]],
    )
    return [chosen[i] for i in order]


def render(scene: Scene, camera: Camera, textures: Textures) -> tuple[Array, dict[int, Seen]]:
    """The picture (H, W, 3) uint8 before the lens and sensor, and what is seen of every object by its id."""
    canvas = Canvas(_backdrop(scene, camera, textures))
    for entity in _sorted(scene.entities, camera):
        weave = textures.weave[entity.ident % len(textures.weave)]
        for part in entity.draw(camera, scene.light, textures):
            patch = part if isinstance(part, Patch) else draw(part, (camera.width, camera.height), weave)
            if patch is not None:
                canvas.stamp(patch, entity.ident)
    return canvas.image, canvas.finish()
