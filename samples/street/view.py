"""A body as one camera sees it: where its joints fall in the picture, how it is turned and lit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import Array, Camera, heading_axes, to_world
from .light import Colour, Light
from .pose import Joints
from .wardrobe import Looks


@dataclass
class View:
    """A body as the camera sees it: joints in the picture, pixels per metre, and how it is turned."""

    at: dict[str, Array]
    away: dict[str, float]
    metre: float
    front: float
    side: float
    ahead: Array
    gain: Array
    depth: float
    light: Light
    looks: Looks

    def paint(self, colour: Array | Colour, factor: float = 1.0) -> Array:
        """A colour (3,) as lit and seen through the air."""
        return np.clip(self.light.through_air(np.asarray(colour) * self.gain * factor, self.depth), 0, 255)

    def size(self, share: float, stout: float = 0.0) -> float:
        """A length given over body height, in pixels; stout from 0 to 1 says how much the build changes it."""
        return share * self.looks.height * self.metre * (1 + stout * (self.looks.build - 1))

    def turned(self, wide: float, deep: float) -> float:
        """Half width in pixels of a part of the trunk that is `wide` across and `deep` from front to back."""
        return self.size(float(np.hypot(wide * self.front, deep * self.side)), 1.0)


@dataclass(frozen=True)
class Stance:
    """Where somebody is: a place (3,), a heading in radians, and the share of sun there."""

    position: Array
    heading: float
    sunlit: float = 1.0


def look_at(joints: Joints, looks: Looks, camera: Camera, light: Light, stance: Stance) -> View:
    """Project the joints (over body height) of somebody."""
    position, heading, sunlit = stance.position, stance.heading, stance.sunlit
    names = list(joints)
    local = np.array([joints[name] for name in names]) * looks.height
    world = to_world(local, position, heading)
    flat, depth = camera.project(world)
    right, ahead = heading_axes(heading)
    middle = int(names.index("hips"))
    to_eye = camera.position - world[middle]
    flat_eye = to_eye[[0, 2]] / max(float(np.hypot(to_eye[0], to_eye[2])), 1e-6)
    front, side = float(flat_eye @ ahead[[0, 2]]), float(flat_eye @ right[[0, 2]])
    towards = np.array([flat_eye[0], 0.25, flat_eye[1]]) / np.hypot(1, 0.25)
    facing = max(0.0, float(towards @ light.direction)) * 0.75 + 0.22
    gain = (light.sky * 0.86 + light.sun * facing * sunlit) * 1.08
    away = np.linalg.norm(world - camera.position, axis=1)
    return View(
        at=dict(zip(names, flat, strict=True)),
        away={name: float(value) for name, value in zip(names, away, strict=True)},
        metre=camera.focal / max(float(depth[middle]), 0.5),
        front=front,
        side=side,
        ahead=camera.axes[:2] @ ahead,
        gain=gain,
        depth=float(depth[middle]),
        light=light,
        looks=looks,
    )
