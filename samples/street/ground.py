"""Painting the sky and the ground: strips, joints, marks, texture, shadows and haze."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .camera import Array, Camera
from .layout import Place, Strip
from .light import Light
from .paint import SHIFT, fixed
from .textures import Textures

FINE = 2
"""The background is drawn this many times finer than the picture."""

FAR = 320.0


@dataclass
class Backdrop:
    """A background (H, W, 3) uint8 drawn finely, and the shadow and the contact darkness (H, W) uint8 on its ground."""

    image: Array
    shade: Array
    contact: Array
    camera: Camera
    light: Light

    def fill(self, outline: Array, colour: Array | tuple[float, float, float]) -> None:
        """Draw a polygon (N, 2) of picture points."""
        if len(outline) >= 3:
            tone = (float(colour[0]), float(colour[1]), float(colour[2]))
            cv2.fillPoly(self.image, [fixed(outline, FINE)], tone, shift=SHIFT)

    def ground(self, outline: Array, colour: Array | tuple[float, float, float]) -> None:
        """Draw a polygon (N, 2) of x and z on the ground."""
        self.fill(self.camera.polygon(flat_to_world(outline)), colour)

    def shadow(self, outline: Array, depth: int = 255) -> None:
        """Darken a polygon (N, 2) of x and z on the ground."""
        points = self.camera.polygon(flat_to_world(outline))
        if len(points) >= 3:
            cv2.fillPoly(self.shade, [fixed(points)], depth, shift=SHIFT)

    def touch(self, outline: Array, depth: int = 255) -> None:
        """Darken a polygon (N, 2) of x and z on the ground that lies below something, whatever the sun does."""
        points = self.camera.polygon(flat_to_world(outline))
        if len(points) >= 3:
            cv2.fillPoly(self.contact, [fixed(points)], depth, shift=SHIFT)


def flat_to_world(outline: Array) -> Array:
    """Points (N, 2) of x and z as points (N, 3) on the ground."""
    return np.stack([outline[:, 0], np.zeros(len(outline)), outline[:, 1]], axis=1)


def ground_depth(camera: Camera, step: int) -> Array:
    """Depth in metres of the ground, one value (H / step, W / step) per block of pixels; far away above the horizon."""
    rows = np.arange(0, camera.height + step, step) - camera.height / 2
    columns = np.arange(0, camera.width + step, step) - camera.width / 2
    fall = (
        camera.axes[0, 1] * columns[None] / camera.focal
        + camera.axes[1, 1] * rows[:, None] / camera.focal
        + camera.axes[2, 1]
    )
    depth: Array = np.where(fall < -1e-4, camera.position[1] / np.maximum(-fall, 1e-4), FAR * 4)
    return np.minimum(depth, FAR * 4)


def _spread(values: Array, camera: Camera, step: int) -> Array:
    """Blocks of values enlarged to the size of the picture (H, W) float32."""
    rows, columns = values.shape
    size = (columns * step, rows * step)
    large = cv2.resize(values.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    half = step // 2
    return np.asarray(large[half : half + camera.height, half : half + camera.width])


def warp_tile(tile: Array, homography: Array, per_metre: float, size: tuple[int, int]) -> Array:
    """A periodic tile laid on a plane: the homography goes from metres to fine pixels of a picture (width, height)."""
    scaled = homography @ np.diag([1 / per_metre, 1 / per_metre, 1.0])
    inverse = np.linalg.inv(scaled)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(tile, inverse, size, flags=flags, borderMode=cv2.BORDER_WRAP))


def sky(camera: Camera, light: Light, textures: Textures, rng: np.random.Generator) -> Array:
    """A picture (H, W, 3) float32 of nothing but sky: a gradient from the horizon up, with clouds on a plane above."""
    height, width = camera.height, camera.width
    horizon = camera.horizon(width / 2)
    up = np.clip((horizon - np.arange(height)) / camera.focal, 0, 1.2)[:, None]
    clear = light.shadow
    veil = light.haze_colour
    zenith = veil * (np.array([0.88, 0.60, 0.38]) * clear + np.array([0.88, 0.88, 0.88]) * (1 - clear))
    share = 1 - np.exp(-up * 2.6)
    picture = np.repeat((veil * (1 - share) + zenith * share)[:, None].astype(np.float32), width, axis=1)
    if horizon > 4:
        plane = camera.plane_to_picture(
            camera.position + np.array([0, 60.0, 0]), np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
        )
        clouds = warp_tile(
            np.roll(textures.clouds, tuple(rng.integers(0, 512, 2)), (0, 1)), plane, 1.2, (width, height)
        )
        cover = np.clip((clouds + rng.uniform(-1.4, 0.9)) * 0.5, 0, 0.85) * np.clip(up * 4 - 0.3, 0, 1).astype(
            np.float32
        )
        white = np.minimum(veil * 1.06, 250) if clear > 0.3 else veil * 0.80
        picture += cover[:, :, None] * (white.astype(np.float32) - picture)
    return picture


def _joints(backdrop: Backdrop, strip: Strip, near: tuple[float, float]) -> None:
    """Lines between the slabs of a strip, as far as they can be told apart."""
    camera = backdrop.camera
    reach = float(np.sqrt(strip.pitch * camera.position[1] * camera.focal / 3.0))
    reach = min(reach, 45.0)
    x0, z0 = near
    low, high = max(strip.low, x0 - reach), min(strip.high, x0 + reach)
    tone = strip.colour * 0.80
    half = 0.009 if strip.pitch > 0.2 else 0.012
    outlines = []
    along = strip.pitch * (1.0 if strip.material != "cobbles" else 1.6)
    for z in np.arange(np.floor((z0 - reach) / along) * along, z0 + reach, along):
        outlines.append([[low, z - half], [high, z - half], [high, z + half], [low, z + half]])
    for x in np.arange(np.ceil(low / strip.pitch) * strip.pitch, high, strip.pitch):
        outlines.append(
            [[x - half, z0 - reach], [x + half, z0 - reach], [x + half, z0 + reach], [x - half, z0 + reach]]
        )
    for outline in outlines:
        backdrop.ground(np.array(outline), tone)


def paint_ground(backdrop: Backdrop, place: Place) -> None:
    """Strips, joints, kerbs and marks with their texture, before light and haze."""
    camera = backdrop.camera
    base = place.strips[0].colour
    backdrop.ground(np.array([[-400, -200], [400, -200], [400, 900], [-400, 900.0]]), base)
    near = (float(camera.position[0]), float(camera.position[2]))
    for strip in place.strips:
        outline = np.array([[strip.low, -150], [strip.high, -150], [strip.high, FAR], [strip.low, FAR]])
        backdrop.ground(outline, strip.colour)
        if strip.pitch:
            _joints(backdrop, strip, near)
    for mark in place.marks:
        backdrop.ground(mark.outline, mark.colour)
    for kerb in place.kerbs:
        side = np.sign(kerb)
        tone = np.array([150.0, 152, 154])
        for inner, outer, factor in ((0.0, 0.16, 1.1), (-0.05, 0.0, 0.5), (-0.28, -0.05, 0.62)):
            low, high = sorted((kerb + side * inner, kerb + side * outer))
            backdrop.ground(np.array([[low, -150], [high, -150], [high, FAR], [low, FAR]]), tone * factor)


def light_ground(
    backdrop: Backdrop, above: Array, textures: Textures, rng: np.random.Generator, rough: float, wet: float
) -> Array:
    """The drawn ground with its grain, light, shadows and haze below what is above (H, W, 3), as (H, W, 3) uint8."""
    camera, light = backdrop.camera, backdrop.light
    height, width = camera.height, camera.width
    base = cv2.resize(backdrop.image, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    plane = camera.plane_to_picture(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 0, 1.0]))
    depth = ground_depth(camera, 8)
    fade = _spread(np.clip(7.0 / depth, 0.04, 1.0) * rough, camera, 8)
    fine = warp_tile(np.roll(textures.fine, tuple(rng.integers(0, 512, 2)), (0, 1)), plane, 42.0, (width, height))
    blotch = warp_tile(textures.blotch, plane, 12.0, (width, height))
    gain = 1.0 + 0.075 * fine * fade + 0.06 * np.clip(blotch, -2.5, 2.5)
    gain *= 1.0 - cv2.blur(backdrop.shade, (3, 3)).astype(np.float32) * np.float32(light.shadow / 255)
    reach = max(height // 60, 3) | 1
    gain *= 1.0 - cv2.blur(backdrop.contact, (reach, reach)).astype(np.float32) * np.float32(0.62 / 255)
    air = _spread(np.exp(-light.haze * depth), camera, 8)[:, :, None]
    flat = (light.sky + light.sun * max(light.direction[1], 0.0)).astype(np.float32)
    veil = light.haze_colour.astype(np.float32)
    area = base * gain[:, :, None] * flat
    area = area * air + veil * (1 - air)
    if wet:
        mirror = _spread(np.clip(depth / 60, 0, 1), camera, 8)[:, :, None] * np.float32(min(wet, 0.6))
        area = area * (1 - mirror) + veil * 0.8 * mirror
    below = _spread((depth < FAR * 3.5).astype(np.float32), camera, 8)[:, :, None] > 0.5
    return np.clip(np.where(below, area, above), 0, 255).astype(np.uint8)
