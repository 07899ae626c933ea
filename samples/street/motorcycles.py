"""Motorcycles and scooters as solids: rounded slabs, tubes and thick wheels."""

from __future__ import annotations

import itertools

import numpy as np

from .camera import Array
from .light import Colour
from .mesh import Mesh
from .wheels import BLACK, disc

Outline = list[tuple[float, float]]
"""Corners of a side view as (up, ahead) in metres."""

METAL: Colour = (138, 140, 143)


def slab(
    mesh: Mesh, outline: Outline, half: float, colour: Array | Colour, gloss: float = 0.3, right: float = 0.0
) -> None:
    """A solid with a side view, drawn out to both sides by half a width in metres, rounded at its edges."""
    flat = np.array([[right, up, ahead] for up, ahead in outline])
    middle = flat.mean(axis=0)
    inner = middle + (flat - middle) * 0.84
    mesh.group()
    count = len(flat)
    rows = [(inner, -half), (flat, -half * 0.62), (flat, half * 0.62), (inner, half)]
    for (start, x0), (end, x1) in itertools.pairwise(rows):
        for i in range(count):
            j = (i + 1) % count
            quad = np.array([start[i] + [x0, 0, 0], start[j] + [x0, 0, 0], end[j] + [x1, 0, 0], end[i] + [x1, 0, 0]])
            mesh.face(quad, colour, gloss, outward=quad.mean(axis=0) - middle)
    for side in (-1.0, 1.0):
        mesh.face(inner + np.array([side * half, 0, 0]), colour, gloss, outward=np.array([side, 0.0, 0.0]))


def tube(mesh: Mesh, start: Array, end: Array, radius: float, colour: Array | Colour, gloss: float = 0.2) -> None:
    """A straight tube with five sides."""
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
    first = np.cross(along, [0.0, 1.0, 0.0] if abs(along[1]) < 0.9 else [1.0, 0.0, 0.0])
    first = first / np.linalg.norm(first)
    second = np.cross(along, first)
    angle = np.linspace(0, 2 * np.pi, 6)
    ring = radius * (np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second)
    mesh.group()
    for i in range(5):
        quad = np.array([start + ring[i], start + ring[i + 1], end + ring[i + 1], end + ring[i]])
        mesh.face(quad, colour, gloss, outward=ring[i] + ring[i + 1])


def _wheel(mesh: Mesh, z: float, radius: float, half: float) -> None:
    """A thick wheel in the middle of the vehicle."""
    angle = np.linspace(0, 2 * np.pi, 15)
    mesh.group(0.3)
    for i in range(14):
        points = [[x, radius + radius * np.cos(a), z + radius * np.sin(a)] for a, x in
                  ((angle[i], -half), (angle[i], half), (angle[i + 1], half), (angle[i + 1], -half))]  # fmt: skip
        middle = (angle[i] + angle[i + 1]) / 2
        mesh.face(np.array(points), (34, 33, 32), outward=np.array([0.0, np.cos(middle), np.sin(middle)]))
    for side in (-1.0, 1.0):
        out = np.array([side, 0.0, 0.0])
        mesh.face(disc(side * half, radius, z, radius), (30, 29, 28), outward=out)
        mesh.face(disc(side * half, radius, z, radius * 0.68), (66, 66, 68), 0.1, outward=out)
        mesh.face(disc(side * half, radius, z, radius * 0.60), (22, 22, 22), outward=out)
        for turn in np.arange(6) * (np.pi / 3):
            spread = np.array([turn - 0.12, turn + 0.12, turn + np.pi + 0.12, turn + np.pi - 0.12])
            spoke = np.stack(
                [np.full(4, side * half), radius + 0.6 * radius * np.cos(spread), z + 0.6 * radius * np.sin(spread)], 1
            )
            mesh.face(spoke, METAL, 0.2, outward=out)


def _scooter(mesh: Mesh, paint: Array) -> float:
    """Body of a scooter; returns where its handlebar is along it."""
    _wheel(mesh, -0.62, 0.24, 0.055)
    _wheel(mesh, 0.64, 0.24, 0.05)
    slab(
        mesh,
        [(0.38, -0.84), (0.28, -0.45), (0.28, -0.2), (0.6, -0.16), (0.74, -0.25), (0.75, -0.75), (0.6, -0.9)],
        0.18,
        paint,
    )
    slab(mesh, [(0.74, -0.76), (0.74, -0.16), (0.81, -0.2), (0.85, -0.74)], 0.14, BLACK, 0.15)
    slab(mesh, [(0.25, -0.3), (0.25, 0.32), (0.33, 0.34), (0.33, -0.3)], 0.17, paint * 0.6)
    slab(mesh, [(0.30, 0.27), (0.40, 0.42), (0.90, 0.37), (0.98, 0.28), (0.88, 0.24)], 0.21, paint)
    slab(mesh, [(0.40, 0.44), (0.53, 0.62), (0.40, 0.87), (0.36, 0.8)], 0.08, paint)
    slab(mesh, [(0.92, 0.2), (0.92, 0.42), (1.04, 0.38), (1.07, 0.22)], 0.13, paint)
    tube(mesh, np.array([0, 0.24, 0.64]), np.array([0, 0.7, 0.42]), 0.035, METAL)
    return 0.26


def _motorbike(mesh: Mesh, paint: Array) -> float:
    """Body of a motorcycle; returns where its handlebar is along it."""
    _wheel(mesh, -0.70, 0.31, 0.075)
    _wheel(mesh, 0.74, 0.31, 0.06)
    slab(mesh, [(0.24, -0.2), (0.24, 0.3), (0.6, 0.36), (0.62, -0.2)], 0.15, (58, 58, 60), 0.2)
    slab(mesh, [(0.36, -0.02), (0.34, 0.24), (0.5, 0.26), (0.5, 0.0)], 0.2, METAL, 0.3)
    slab(mesh, [(0.64, -0.12), (0.66, 0.4), (0.84, 0.44), (0.95, 0.25), (0.92, 0.05), (0.80, -0.14)], 0.15, paint, 0.5)
    slab(mesh, [(0.68, -0.85), (0.66, -0.14), (0.80, -0.12), (0.78, -0.45), (0.90, -0.88)], 0.12, BLACK, 0.15)
    slab(mesh, [(0.6, -0.7), (0.6, -0.3), (0.72, -0.3), (0.86, -0.96), (0.78, -0.96)], 0.1, paint)
    slab(mesh, [(0.56, 0.56), (0.68, 0.68), (0.62, 0.94), (0.56, 0.98), (0.62, 0.74)], 0.065, paint)
    slab(mesh, [(0.78, 0.44), (0.82, 0.62), (1.02, 0.54), (1.04, 0.4)], 0.11, paint)
    for side in (-1.0, 1.0):
        tube(mesh, np.array([side * 0.1, 0.31, 0.74]), np.array([side * 0.1, 0.98, 0.42]), 0.03, METAL)
        tube(mesh, np.array([side * 0.09, 0.31, -0.7]), np.array([side * 0.09, 0.4, -0.1]), 0.03, (70, 70, 72))
    tube(mesh, np.array([0.16, 0.28, 0.05]), np.array([0.19, 0.4, -0.82]), 0.055, METAL, 0.4)
    return 0.36


def build_motorcycle(paint: Array, scooter: bool, lit: float) -> Mesh:
    """A motorcycle or scooter; lit is how much its lamps shine."""
    mesh = Mesh(centre=np.array([0.0, 0.6, 0.0]))
    bar = _scooter(mesh, paint) if scooter else _motorbike(mesh, paint)
    grip = 1.06
    tube(mesh, np.array([-0.36, grip, bar - 0.04]), np.array([0.36, grip, bar - 0.04]), 0.022, (30, 30, 32))
    for side in (-1.0, 1.0):
        stalk, glass = np.array([side * 0.2, grip, bar]), np.array([side * 0.3, grip + 0.17, bar])
        tube(mesh, stalk, glass, 0.01, (40, 40, 42))
        low, high, back, front = grip + 0.12, grip + 0.22, bar - 0.02, bar + 0.02
        slab(mesh, [(low, back), (low, front), (high, front), (high, back)],
             0.06, BLACK, 0.2, side * 0.3)  # fmt: skip
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(12)], axis=1)
    front, high = (0.425, 0.99) if scooter else (0.63, 0.88)
    mesh.group(-0.4)
    mesh.face(ring * 0.085 + [0, high, front], (222, 230, 232), 0.4, np.array([0, 0, 1.0]), lit)
    mesh.group(-0.4)
    mesh.face(
        ring * [0.09, 0.045, 1] + [0, 0.68 if scooter else 0.8, -0.98],
        (42, 38, 185),
        0.3,
        np.array([0, 0, -1.0]),
        lit * 0.7,
    )
    plate = np.array([[-0.1, 0.45, -0.97], [0.1, 0.45, -0.97], [0.1, 0.6, -0.97], [-0.1, 0.6, -0.97]])
    mesh.face(plate, (200, 206, 210),
              outward=np.array([0, 0, -1.0]))  # fmt: skip
    return mesh
