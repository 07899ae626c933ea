"""Wheels of all vehicles, and colours they share."""

from __future__ import annotations

import numpy as np

from .camera import Array
from .light import Colour
from .mesh import Mesh

GLASS: Colour = (46, 42, 38)
RUBBER: Colour = (30, 29, 28)
BLACK: Colour = (24, 23, 22)
PAINTS = [
    (235, 235, 235), (212, 214, 216), (168, 170, 172), (120, 120, 122), (70, 70, 72), (34, 34, 36), (28, 26, 26),
    (120, 66, 34), (150, 96, 48), (40, 34, 140), (36, 40, 178), (70, 90, 60), (110, 150, 180), (60, 140, 210),
    (180, 190, 196), (86, 60, 48), (60, 66, 92),
]  # fmt: skip


def disc(x: float, y: float, z: float, radius: float, count: int = 18) -> Array:
    """A circle (count, 3) standing upright along the vehicle."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.full(count, x), y + radius * np.cos(angle), z + radius * np.sin(angle)], axis=1)


def wheel(mesh: Mesh, at: tuple[float, float], radius: float, rim: Colour, arch: float = 1.22) -> None:
    """Add a wheel with its arch to the current group, at a place (right, ahead) in metres."""
    x, z = at
    out = np.array([np.sign(x), 0.0, 0.0])
    lifted = disc(x, radius * 1.04, z, radius * arch)
    lifted[:, 1] = np.maximum(lifted[:, 1], radius * 0.62)
    mesh.face(lifted, (16, 15, 15), outward=out)
    mesh.face(disc(x, radius, z, radius), RUBBER, outward=out)
    mesh.face(disc(x, radius, z, radius * 0.66), (20, 20, 20), outward=out)
    for turn in np.arange(5) * (2 * np.pi / 5):
        spread = np.array([turn - 0.42, turn + 0.42])
        outer = np.stack([np.full(2, x), radius + radius * 0.64 * np.cos(spread),
                          z + radius * 0.64 * np.sin(spread)], axis=1)  # fmt: skip
        inner = np.array([[x, radius + radius * 0.12 * np.cos(turn), z + radius * 0.12 * np.sin(turn)]])
        mesh.face(np.concatenate([outer, inner]), rim, 0.2, outward=out)
    mesh.face(disc(x, radius, z, radius * 0.16, 8), rim, 0.2, outward=out)


def tyres(mesh: Mesh, width: float, places: list[float], radius: float) -> None:
    """Add the treads as seen from the front, the rear and below the body, behind everything else."""
    angle = np.linspace(0, 2 * np.pi, 11)
    for place in places:
        for side in (-1.0, 1.0):
            inner, outer = side * (width - 0.21), side * (width - 0.01)
            mesh.group(6.0)
            y, z = radius + radius * np.cos(angle), place + radius * np.sin(angle)
            for i in range(len(angle) - 1):
                strip = np.array([[inner, y[i], z[i]], [outer, y[i], z[i]], [outer, y[i + 1], z[i + 1]],
                                  [inner, y[i + 1], z[i + 1]]])  # fmt: skip
                middle = (angle[i] + angle[i + 1]) / 2
                mesh.face(strip, RUBBER, outward=np.array([0.0, np.cos(middle), np.sin(middle)]))
            mesh.face(disc(inner, radius, place, radius), (20, 19, 19), outward=np.array([-side, 0.0, 0.0]))
