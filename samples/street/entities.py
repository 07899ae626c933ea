"""Everything that stands on the ground, with a common face: draw it, and cast its shadow."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .camera import Array, Camera, heading_axes, to_world
from .cycles import CycleLooks, draw_bicycle
from .footprint import corners
from .furniture import SIZES, Thing, draw_thing
from .ground import Backdrop
from .light import Light
from .mesh import Mesh
from .motorcycles import build_motorcycle
from .paint import Patch, Sprite
from .person import draw_person
from .pose import Joints
from .textures import Textures
from .view import Stance, look_at
from .wardrobe import Looks

PERSON, BICYCLE, CAR, MOTORCYCLE, BUS, TRUCK = range(6)
SCENERY = -1


@dataclass
class Entity:
    """An object on the ground at a place (3,) with a heading; half is its half width and half length in metres."""

    ident: int
    label: int
    position: Array
    heading: float
    half: tuple[float, float] = (0.25, 0.25)
    nudge: float = 0.0
    """Metres by which it is painted as if nearer, for somebody on a bench."""
    sunlit: float = 1.0

    def nearer(self, camera: Camera) -> float:
        """Metres by which it is painted as if nearer to a camera."""
        return self.nudge

    def draw(self, camera: Camera, light: Light, textures: Textures) -> list[Sprite | Patch]:
        """Sprites and patches, back to front."""
        raise NotImplementedError

    def cast(self, backdrop: Backdrop) -> None:
        """Put the shadow on the ground."""
        raise NotImplementedError

    def outline(self) -> Array:
        """Corners (4, 2) of the footprint in x and z."""
        flat = self.position[None, [0, 2]]
        return np.asarray(corners(flat, np.array([self.heading]), np.array([self.half]))[0])


def _fall(light: Light) -> Array:
    """How far a shadow moves in x and z (2,) for every metre of height."""
    direction = light.direction
    fall: Array = -direction[[0, 2]] / max(float(direction[1]), 0.2)
    return fall


def _ground_capsule(start: Array, end: Array, radius: float) -> Array:
    """Outline (16, 2) of a thick stroke on the ground between two points (2,) of x and z."""
    angle = np.arctan2(end[1] - start[1], end[0] - start[0])
    back = angle + np.linspace(np.pi / 2, 3 * np.pi / 2, 8)
    front = angle + np.linspace(-np.pi / 2, np.pi / 2, 8)
    return np.concatenate(
        [
            start + radius * np.stack([np.cos(back), np.sin(back)], axis=1),
            end + radius * np.stack([np.cos(front), np.sin(front)], axis=1),
        ]
    )


def _hull(points: Array) -> Array:
    """Convex hull (M, 2) of points (N, 2)."""
    import cv2

    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], dtype=float)


@dataclass
class Person(Entity):
    """Somebody, on foot or on a saddle."""

    looks: Looks | None = None
    joints: Joints = field(default_factory=dict)
    mount: str = ""
    """What is between the legs: "bicycle", "motorcycle" or nothing."""

    def nearer(self, camera: Camera) -> float:
        """A rider comes after the saddle, but behind the handlebar when riding towards the camera."""
        if not self.mount:
            return self.nudge
        return -0.9 if np.cos(camera.facing(self.position) - self.heading) > 0.75 else 0.9

    def draw(self, camera: Camera, light: Light, textures: Textures) -> list[Sprite | Patch]:
        """One sprite."""
        assert self.looks is not None
        view = look_at(self.joints, self.looks, camera, light, Stance(self.position, self.heading, self.sunlit))
        far = "leg_l" if view.away["knee_l"] > view.away["knee_r"] else "leg_r"
        hide = self.mount == "motorcycle" and abs(view.side) > 0.35
        return [draw_person(view, (far,) if hide else ())]

    def cast(self, backdrop: Backdrop) -> None:
        """Shadows of the legs, the trunk and the head."""
        assert self.looks is not None
        tall = self.looks.height
        fall = _fall(backdrop.light)
        names = list(self.joints)
        world = to_world(np.array([self.joints[n] for n in names]) * tall, self.position, self.heading)
        spots = dict(zip(names, world[:, [0, 2]] + world[:, 1:2] * fall, strict=True))
        for start, end, radius in (("ankle_l", "knee_l", 0.05), ("ankle_r", "knee_r", 0.05), ("knee_l", "hip_l", 0.08),
                                   ("knee_r", "hip_r", 0.08), ("hips", "chest", 0.19), ("neck", "head", 0.1),
                                   ("shoulder_l", "hand_l", 0.05), ("shoulder_r", "hand_r", 0.05)):  # fmt: skip
            backdrop.shadow(_ground_capsule(spots[start], spots[end], radius))
        for side in ("_l", "_r"):
            foot = world[names.index("ankle" + side)]
            if foot[1] < 0.25:
                backdrop.touch(_ground_capsule(foot[[0, 2]], foot[[0, 2]] + 0.01, 0.15))


@dataclass
class Vehicle(Entity):
    """A car, a bus or a truck."""

    mesh: Mesh = field(default_factory=Mesh)
    height: float = 1.5

    def draw(self, camera: Camera, light: Light, textures: Textures) -> list[Sprite | Patch]:
        """One sprite, its facets smoothed a little."""
        sprite = self.mesh.place(camera, light, self.position, self.heading, self.sunlit, 0.6)
        near = max(float(camera.project(self.position[None])[1][0]), 2.0)
        sprite.softness = 0.018 * camera.focal / near
        sprite.cloth, sprite.falloff = 0.14, 0.22
        return [sprite]

    def cast(self, backdrop: Backdrop) -> None:
        """The footprint drawn out along the sun, and the dark below the body."""
        base = self.outline()
        middle = base.mean(axis=0)
        fall = _fall(backdrop.light)
        low = middle + (base - middle) * 0.97 + fall * self.height * 0.6
        high = middle + (base - middle) * [0.8, 0.8] + fall * self.height * 0.95
        backdrop.shadow(_hull(np.concatenate([base, low, high])))
        backdrop.touch(middle + (base - middle) * 0.98)


@dataclass
class Cycle(Entity):
    """A bicycle or motorcycle without its rider."""

    looks: CycleLooks | None = None
    mesh: Mesh | None = None

    def draw(self, camera: Camera, light: Light, textures: Textures) -> list[Sprite | Patch]:
        """One sprite."""
        assert self.looks is not None
        if not self.looks.motor:
            return [draw_bicycle(self.looks, camera, light, self.position, self.heading, self.sunlit)]
        if self.mesh is None:
            self.mesh = build_motorcycle(self.looks.paint, self.looks.scooter, 1.0 if light.night > 0.3 else 0.0)
        sprite = self.mesh.place(camera, light, self.position, self.heading, self.sunlit, 0.4)
        sprite.softness = 0.012 * camera.focal / max(sprite.depth, 2.0)
        return [sprite]

    def cast(self, backdrop: Backdrop) -> None:
        """A thin shadow for the frame and a darker one under the wheels."""
        _, ahead = heading_axes(self.heading)
        flat, middle = ahead[[0, 2]], self.position[[0, 2]]
        fall = _fall(backdrop.light)
        for spot in (-0.55, 0.58):
            centre = middle + flat * spot
            backdrop.touch(_ground_capsule(centre - flat * 0.1, centre + flat * 0.1, 0.07))
            angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
            ring = centre + 0.33 * np.cos(angle)[:, None] * flat + (0.34 + 0.33 * np.sin(angle))[:, None] * fall
            backdrop.shadow(ring, 150)
        backdrop.shadow(_ground_capsule(middle - flat * 0.3 + fall * 0.8, middle + flat * 0.35 + fall * 0.85, 0.06))


@dataclass
class Furniture(Entity):
    """A lamp post, a tree, a bench and so on."""

    thing: Thing | None = None

    def draw(self, camera: Camera, light: Light, textures: Textures) -> list[Sprite | Patch]:
        """Its parts."""
        assert self.thing is not None
        return draw_thing(self.thing, camera, light, textures, self.sunlit)

    def cast(self, backdrop: Backdrop) -> None:
        """A stroke for a post, a blot for a tree."""
        assert self.thing is not None
        fall = _fall(backdrop.light)
        foot = self.position[[0, 2]]
        kind = self.thing.kind
        if kind in ("tree", "bush"):
            rng = np.random.default_rng(self.thing.seed)
            tall = float(rng.uniform(3.5, 9)) if kind == "tree" else 1.0
            for _ in range(26):
                spot = foot + fall * tall * rng.uniform(0.42, 0.95) + rng.normal(0, tall * 0.12, 2)
                backdrop.shadow(
                    _ground_capsule(spot, spot + rng.normal(0, 0.1, 2), tall * rng.uniform(0.03, 0.09)), 230
                )
        high = HEIGHTS.get(kind, 2.6)
        base = self.outline()
        if max(self.half) > 0.3 and kind != "tree":
            backdrop.shadow(_hull(np.concatenate([base, base + fall * high])))
            backdrop.touch(base, 130)
            return
        backdrop.shadow(_ground_capsule(foot, foot + fall * high, self.half[0] * 0.6))
        backdrop.touch(_ground_capsule(foot - 0.01, foot + 0.01, self.half[0] * 1.1))


HEIGHTS = {"bin": 0.9, "hydrant": 0.6, "bollard": 0.8, "cone": 0.6, "bench": 0.6, "fence": 0.5, "cabinet": 1.2,
           "boxes": 0.6, "board": 1.1, "planter": 0.8}  # fmt: skip
"""Heights in metres of furniture that is not as tall as a post."""


def furniture(kind: str, position: Array, heading: float, seed: int) -> Furniture:
    """A piece of furniture with the footprint of its kind."""
    return Furniture(
        0, SCENERY, position, heading, SIZES.get(kind, (0.22, 0.22)), thing=Thing(kind, position, heading, seed)
    )
