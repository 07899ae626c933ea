"""Painting building faces, their ends and a ceiling onto the background."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .camera import NEAR, Array, Camera, heading_axes
from .facades import Face, build_face
from .ground import FINE, Backdrop, warp_tile
from .layout import Front, Place
from .paint import fixed
from .textures import Textures


@lru_cache(maxsize=256)
def _face(seed: int, length: float, height: float, style: str, night: float) -> Face:
    """The face of a front, kept for the next picture of the same place."""
    zero = np.zeros(3)
    return build_face(Front(zero, zero, zero, length, height, style, seed), night)


def _corners(front: Front, rectangles: Array) -> Array:
    """World corners (N, 4, 3) of rectangles (N, 5) on a front."""
    left, low, right, high, out = (rectangles[:, i, None] for i in range(5))
    up = np.array([0.0, 1.0, 0.0])
    first = front.origin + left * front.along + low * up + out * front.normal
    second = front.origin + right * front.along + low * up + out * front.normal
    third = front.origin + right * front.along + high * up
    fourth = front.origin + left * front.along + high * up
    return np.stack([first, second, third, fourth], axis=1)


def _fill_all(backdrop: Backdrop, corners: Array, colours: Array) -> None:
    """Fill world quads (N, 4, 3) in order, leaving out those outside the picture or too small to see."""
    camera = backdrop.camera
    local = camera.to_camera(corners)
    whole = local[:, :, 2].min(axis=1) >= NEAR
    partly = local[:, :, 2].max(axis=1) >= NEAR
    flat = camera.to_picture(np.maximum(local, [-np.inf, -np.inf, NEAR]))
    low, high = flat.min(axis=1), flat.max(axis=1)
    inside = (high > 0).all(axis=1) & (low[:, 0] < camera.width) & (low[:, 1] < camera.height)
    visible = inside & ((high - low).min(axis=1) > 0.35)
    outlines = fixed(flat.reshape(-1, 2), FINE).reshape(-1, 4, 2)
    tones = np.clip(colours, 0, 255).tolist()
    for i in range(len(corners)):
        if whole[i]:
            if visible[i]:
                cv2.fillConvexPoly(backdrop.image, outlines[i], tones[i], shift=4)
        elif partly[i]:
            backdrop.fill(camera.polygon(corners[i]), colours[i])


def _grain(backdrop: Backdrop, front: Front, outline: Array, textures: Textures, distance: float) -> None:
    """Put bricks, blocks or dirt on a drawn front."""
    camera = backdrop.camera
    x, y, wide, tall = cv2.boundingRect(
        np.clip(outline * FINE, 0, [camera.width * FINE - 1, camera.height * FINE - 1]).astype(np.int32)
    )
    if wide < 8 or tall < 8:
        return
    per_metre = 512 / (32 * 0.075)
    tile = {"brick": textures.bricks, "stone": textures.blocks}.get(front.style, textures.fine)
    if front.style == "stone":
        per_metre = 512 / (16 * 0.3)
    elif front.style != "brick":
        per_metre = 40.0
    shift = np.array([[1.0, 0, -x], [0, 1, -y], [0, 0, 1]]) @ np.diag([FINE, FINE, 1.0])
    plane = shift @ camera.plane_to_picture(front.origin, front.along, np.array([0, 1.0, 0]))
    close = camera.focal * FINE / max(distance, 1.0) / per_metre
    clear = np.exp(-backdrop.light.haze * distance)
    area = backdrop.image[y : y + tall, x : x + wide]
    gain = np.full(area.shape[:2], 1.0, dtype=np.float32)
    if close > 0.35:
        gain += warp_tile(tile, plane, per_metre, (wide, tall)) * np.float32(0.045 * min(close, 1.0) * clear)
    gain += warp_tile(textures.blotch, plane, 18.0, (wide, tall)) * np.float32(0.05 * clear)
    mask = np.zeros(area.shape[:2], dtype=np.uint8)
    cv2.fillPoly(mask, [fixed(outline - np.array([x, y]) / FINE, FINE)], 255, shift=4)
    textured = np.clip(area * gain[:, :, None], 0, 255).astype(np.uint8)
    cv2.copyTo(textured, mask, area)


def _sunlit(camera_light_direction: Array, front: Front) -> float:
    """Share of sun that reaches a front: none from behind, and streets shade a low sun."""
    return 1.0 if camera_light_direction @ front.normal > 0.05 else 0.0


def paint_front(backdrop: Backdrop, front: Front, textures: Textures) -> None:
    """One building face with the end wall that may show beside it."""
    camera, light = backdrop.camera, backdrop.light
    if front.normal @ (camera.position - front.origin) <= 0:
        return
    face = _face(front.seed, front.length, front.height, front.style, light.night)
    wall = front.origin + np.array(
        [[0, 0], [front.length, 0], [front.length, front.height], [0, front.height]]
    ) @ np.stack([front.along, np.array([0, 1.0, 0])])
    outline = camera.polygon(wall)
    if not len(outline):
        return
    low, high = outline.min(axis=0), outline.max(axis=0)
    off = low[0] > camera.width or low[1] > camera.height or high[0] < 0 or high[1] < 0
    middle = wall.mean(axis=0)
    _end_wall(backdrop, front, face, wall, textures)
    if off:
        return
    distance = float(np.linalg.norm(middle - camera.position))
    lit = light.shade(np.stack([face.wall, *face.colours]), front.normal[None], _sunlit(light.direction, front))
    glow = np.array([0.0, *face.glow])[:, None]
    lit = lit * (1 - glow) + np.stack([face.wall, *face.colours]) * glow
    rectangles = np.array([(0.0, 0.0, front.length, front.height, 0.0), *face.rectangles])
    corners = _corners(front, rectangles)
    depth = np.linalg.norm(corners.mean(axis=1) - camera.position, axis=1)
    seen = light.through_air(lit, depth)
    seen[0] = light.through_air(lit[0], distance)
    _fill_all(backdrop, corners, seen)
    nearest = float(np.linalg.norm(wall - camera.position, axis=1).min())
    _grain(backdrop, front, outline, textures, min(distance, nearest * 2))


def _end_wall(backdrop: Backdrop, front: Front, face: Face, wall: Array, textures: Textures) -> None:
    """The blank wall at the end of a building that turns towards the camera."""
    camera, light = backdrop.camera, backdrop.light
    toward = camera.position - wall[0]
    base, outward = (wall[0], -front.along) if toward @ -front.along > 0 else (wall[1], front.along)
    if (camera.position - base) @ outward <= 0:
        return
    back = -front.normal * 9.0
    up = np.array([0, front.height, 0.0])
    quad = np.array([base, base + back, base + back + up, base + up])
    rng = np.random.default_rng(front.seed + 5)
    holes = [(0.0, 0.0, 9.0, front.height, 0.0)]
    tones = [face.wall * 0.92]
    if rng.random() < 0.5:
        for low in np.arange(4.2, front.height - 2.2, 3.2):
            for left in (2.0, 5.6):
                holes += [(left - 0.1, low - 0.1, left + 1.1, low + 1.5, 0.0), (left, low, left + 1.0, low + 1.4, 0.0)]
                tones += [face.wall * 0.7 + 40, np.array([70.0, 64, 58]) * rng.uniform(0.6, 1.4)]
    else:
        drop = rng.uniform(0.3, 0.9) * front.height
        holes += [(0.0, 0.0, 9.0, 0.8, 0.0), (rng.uniform(1, 8), drop, 9.0, front.height, 0.0)]
        tones += [face.wall * 0.75, face.wall * 0.86]
    side = Front(base, -front.normal, outward, 9.0, front.height, front.style, front.seed)
    lit = light.shade(np.array(tones), outward[None], 1.0 if light.direction @ outward > 0 else 0.0)
    distance = float(np.linalg.norm(quad.mean(axis=0) - camera.position))
    _fill_all(backdrop, _corners(side, np.array(holes)), light.through_air(lit, np.full(len(lit), distance)))
    outline = camera.polygon(quad)
    if len(outline):
        _grain(backdrop, side, outline, textures, distance)


def paint_skyline(backdrop: Backdrop, rng: np.random.Generator) -> None:
    """Far houses and trees all around, so that the ground does not end in nothing."""
    camera, light = backdrop.camera, backdrop.light
    veil = light.haze_colour
    town = rng.random() < 0.6
    for away in np.sort(rng.uniform(150, 320, 60))[::-1]:
        heading = camera.yaw + rng.uniform(-1.1, 1.1)
        right, ahead = heading_axes(heading)
        foot = camera.position * [1, 0, 1] + ahead * away
        half = rng.uniform(6, 20)
        share = 0.3 + 0.55 * (away - 150) / 170
        if rng.random() < (0.6 if town else 0.15):
            high = rng.uniform(7, 22)
            tone = np.full(3, rng.uniform(70, 180)) + rng.normal(0, 5, 3)
            _far_house(backdrop, foot, right, (half, high), tone * light.sky * (1 - share) + veil * share)
            continue
        tone = np.array([52.0, 84, 66]) * rng.uniform(0.6, 1.1) * light.sky * (1 - share) + veil * share
        tall = np.array([0.0, rng.uniform(5, 9), 0.0])
        for _ in range(5):
            middle = foot + right * half * rng.uniform(-1, 1)
            angle = np.linspace(0, np.pi, 14)[:, None]
            bump = (
                middle + np.cos(angle) * right * rng.uniform(3, 6) + np.sin(angle) ** 0.7 * tall * rng.uniform(0.5, 1.0)
            )
            backdrop.fill(camera.polygon(bump), tone * rng.uniform(0.94, 1.05))


def _far_house(backdrop: Backdrop, foot: Array, right: Array, size: tuple[float, float], tone: Array) -> None:
    """A house so far away that only its outline and rows of windows are seen."""
    half, high = size
    x, low = np.meshgrid(np.arange(-half + 1.2, half - 1.5, 3.4), np.arange(2.0, high - 1.5, 3.2))
    panes = np.stack([x.ravel(), low.ravel(), x.ravel() + 1.5, low.ravel() + 1.5, 0 * x.ravel()], axis=1)
    rectangles = np.concatenate([[[-half, 0.0, half, high, 0.0]], panes])
    front = Front(foot, right, np.cross(right, [0.0, 1.0, 0.0]), 2 * half, high, "far", 0)
    tones = np.concatenate([tone[None], np.repeat(tone[None] * 0.86, len(panes), axis=0)])
    _fill_all(backdrop, _corners(front, rectangles), tones)


def paint_buildings(backdrop: Backdrop, place: Place, textures: Textures) -> None:
    """All fronts, the far ones first."""
    camera: Camera = backdrop.camera

    def distance(front: Front) -> float:
        middle = front.origin + front.along * front.length / 2
        return float(np.linalg.norm((middle - camera.position)[[0, 2]]))

    for front in sorted(place.fronts, key=distance, reverse=True):
        paint_front(backdrop, front, textures)


def paint_ceiling(backdrop: Backdrop, place: Place, height: float) -> None:
    """A ceiling with rows of lamps for indoor places."""
    light = backdrop.light
    grey = np.array([206.0, 210, 212]) * (0.55 + 0.3 * light.sky.mean())
    corners = np.array([[place.left, -60], [place.right, -60], [place.right, 120], [place.left, 120.0]])

    def lifted(outline: Array) -> Array:
        return np.stack([outline[:, 0], np.full(len(outline), height), outline[:, 1]], axis=1)

    backdrop.fill(backdrop.camera.polygon(lifted(corners)), grey * 0.8)
    for z in np.arange(-20, 60, 3.0):
        for x in np.arange(place.left + 1.5, place.right - 1, 3.0):
            lamp = np.array([[x - 0.6, z - 0.12], [x + 0.6, z - 0.12], [x + 0.6, z + 0.12], [x - 0.6, z + 0.12]])
            backdrop.fill(backdrop.camera.polygon(lifted(lamp)), (250, 250, 250))
