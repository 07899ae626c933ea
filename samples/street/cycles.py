"""Bicycles and motorcycles, seen from any side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import Array, Camera, to_world
from .light import Light
from .paint import Sprite, capsule
from .wheels import PAINTS

SADDLE = 0.94
"""Height of a bicycle saddle in metres."""

MOTOR_SADDLE = 0.78
"""Height of a motorcycle seat in metres."""


@dataclass(frozen=True)
class CycleLooks:
    """Colours and kind of a two-wheeler; colours are blue, green, red from 0 to 255."""

    paint: Array
    second: Array
    motor: bool
    step_through: bool
    basket: bool
    scooter: bool


def random_cycle(rng: np.random.Generator, motor: bool) -> CycleLooks:
    """Any bicycle or motorcycle."""
    base = np.array(PAINTS[int(rng.integers(len(PAINTS)))], dtype=float)
    paint = np.clip(base * rng.uniform(0.8, 1.1) + rng.normal(0, 16, 3), 18, 235)
    return CycleLooks(paint, rng.uniform(20, 90, 3), motor, bool(rng.random() < 0.4), bool(rng.random() < 0.35),
                      bool(rng.random() < 0.45))  # fmt: skip


@dataclass
class Side:
    """A two-wheeler being drawn: places in its own axes go straight into the picture."""

    sprite: Sprite
    camera: Camera
    position: Array
    heading: float
    gain: Array
    light: Light
    metre: float
    depth: float

    def at(self, x: float, y: float, z: float) -> Array:
        """Picture point (2,) of a local point in metres."""
        point: Array = self.points(np.array([[x, y, z]]))[0]
        return point

    def points(self, local: Array) -> Array:
        """Picture points (N, 2) of local points (N, 3) in metres."""
        return self.camera.project(to_world(local, self.position, self.heading))[0]

    def tone(self, colour: Array, factor: float = 1.0) -> Array:
        """A colour (3,) as lit and seen through the air."""
        return np.clip(self.light.through_air(np.asarray(colour, dtype=float) * self.gain * factor, self.depth), 0, 255)

    def tube(
        self, start: tuple[float, float, float], end: tuple[float, float, float], width: float, colour: Array
    ) -> None:
        """A tube of a width in metres."""
        thick = max(width * self.metre, 0.55)
        self.sprite.line(self.at(*start), self.at(*end), thick, colour)

    def tyre(self, z: float, radius: float, width: float, rim: Array) -> None:
        """A wheel standing at z, with a thin or thick tyre."""
        angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        circle = np.stack([np.zeros(28), radius + radius * np.cos(angle), z + radius * np.sin(angle)], axis=1)
        inner = (circle - [0, radius, z]) * (1 - width / radius) + [0, radius, z]
        dark = self.tone(np.array([28.0, 27, 27]))
        flat, hole = self.points(circle), self.points(inner)
        if np.ptp(flat[:, 0]) < 2.2 * width * self.metre:
            low, high = self.at(0, 0.02, z), self.at(0, 2 * radius - 0.02, z)
            self.sprite.fill(capsule(low, high, width * 0.55 * self.metre, width * 0.55 * self.metre), dark)
            return
        for turn in np.arange(0, np.pi, np.pi / 7):
            a = (0.0, radius + radius * 0.95 * np.cos(turn), z + radius * 0.95 * np.sin(turn))
            b = (0.0, radius - radius * 0.95 * np.cos(turn), z - radius * 0.95 * np.sin(turn))
            if self.metre > 90:
                self.tube(a, b, 0.004, self.tone(np.array([150.0, 150, 150])))
        self.sprite.ring(flat, hole, dark)
        if width > 0.06:
            self.sprite.ring(hole, self.points((circle - [0, radius, z]) * 0.62 + [0, radius, z]), rim)


def _bicycle(side: Side, looks: CycleLooks) -> None:
    """Frame, wheels, saddle and handlebar."""
    paint, dark = side.tone(looks.paint), side.tone(np.array([32.0, 32, 34]))
    metal = side.tone(np.array([150.0, 150, 152]))
    rear, front = (0.0, 0.34, -0.52), (0.0, 0.34, 0.56)
    crank, seat, head = (0.0, 0.29, -0.06), (0.0, 0.82, -0.26), (0.0, 0.82, 0.36)
    low_head = (0.0, 0.66, 0.42)
    side.tyre(-0.52, 0.34, 0.036, metal)
    side.tyre(0.56, 0.34, 0.036, metal)
    for start, end, width in ((rear, crank, 0.022), (rear, seat, 0.02), (crank, seat, 0.032), (head, low_head, 0.036),
                              (low_head, front, 0.028)):  # fmt: skip
        side.tube(start, end, width, paint)
    top = (0.0, 0.50, -0.14) if looks.step_through else seat
    side.tube(top, low_head if looks.step_through else head, 0.032, paint)
    side.tube(crank, low_head, 0.034, paint)
    side.tube(seat, (0.0, SADDLE - 0.03, -0.29), 0.028, metal)
    side.tube((0.0, SADDLE, -0.42), (0.0, SADDLE, -0.16), 0.06, dark)
    side.tube(head, (0.0, 1.0, 0.33), 0.03, metal)
    side.tube((-0.29, 1.02, 0.28), (0.29, 1.02, 0.28), 0.028, dark)
    side.tube((0.0, 0.16, -0.02), (0.0, 0.42, -0.1), 0.022, dark)
    side.tube((-0.12, 0.16, -0.02), (0.12, 0.16, -0.02), 0.03, dark)
    if looks.step_through:
        side.tube((0.0, 0.70, -0.58), (0.0, 0.70, -0.28), 0.03, dark)
    if looks.basket:
        corners = np.array([[-0.17, 0.75, 0.5], [0.17, 0.75, 0.5], [0.2, 1.0, 0.62], [-0.2, 1.0, 0.62]])
        side.sprite.fill(side.points(corners), side.tone(looks.second))
        edge = np.array([[0.0, 0.75, 0.38], [0.0, 0.75, 0.56], [0.0, 1.0, 0.66], [0.0, 1.0, 0.34]])
        side.sprite.fill(side.points(edge), side.tone(looks.second, 1.2))


def draw_bicycle(
    looks: CycleLooks, camera: Camera, light: Light, position: Array, heading: float, sunlit: float
) -> Sprite:
    """A bicycle at a place (3,) with a heading, without its rider."""
    _, depth = camera.project(position[None] + [0, 0.5, 0])
    away = max(float(depth[0]), 0.5)
    sprite = Sprite(depth=away)
    metre = camera.focal / away
    sprite.volume, sprite.softness = 0.08 * metre, 0.004 * metre
    gain = light.sky * 0.85 + light.sun * 0.45 * sunlit
    _bicycle(Side(sprite, camera, position, heading, gain, light, metre, away), looks)
    return sprite
