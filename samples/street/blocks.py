"""Street furniture made of boxes: benches, cabinets, boards, fences, poster columns, pillars and cartons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .camera import Array
from .colours import tint
from .mesh import Mesh


def _bench(mesh: Mesh, rng: np.random.Generator, tone: Array) -> None:
    """A bench with a backrest."""
    wood = np.array([62.0, 98, 140]) * rng.uniform(0.6, 1.2)
    for x in (-0.7, 0.7):
        mesh.box(np.array([x - 0.04, 0, -0.2]), np.array([x + 0.04, 0.42, 0.22]), (50, 50, 52))
    for z in (-0.2, -0.05, 0.1):
        mesh.box(np.array([-0.9, 0.41, z]), np.array([0.9, 0.45, z + 0.12]), wood)
    for y in (0.55, 0.7):
        mesh.box(np.array([-0.9, y, -0.26]), np.array([0.9, y + 0.11, -0.22]), wood)


def _cabinet(mesh: Mesh, rng: np.random.Generator, tone: Array) -> None:
    """A switch cabinet."""
    high = rng.uniform(0.9, 1.6)
    mesh.box(np.array([-0.4, 0, -0.2]), np.array([0.4, high, 0.2]), tone)
    for sign in (-1.0, 1.0):
        top = high - 0.08
        seam = np.array([[-0.01, 0.1, 0.202], [0.01, 0.1, 0.202], [0.01, top, 0.202], [-0.01, top, 0.202]])
        mesh.face(seam * [1, 1, sign], tone * 0.5, outward=np.array([0, 0, sign]))


def _board(mesh: Mesh, rng: np.random.Generator, tone: Array) -> None:
    """A standing board."""
    mesh.box(np.array([-0.35, 0, -0.2]), np.array([0.35, 1.1, 0.2]), (40, 40, 42))
    for sign in (-1.0, 1.0):
        sheet = np.array([[-0.3, 0.15, 0.21], [0.3, 0.15, 0.21], [0.3, 1.0, 0.21], [-0.3, 1.0, 0.21]])
        mesh.face(sheet * [1, 1, sign], tone, outward=np.array([0, 0, sign]))
        mesh.face(sheet * [0.7, 0.3, sign] + [0, 0.5, sign * 0.002], tint(rng), outward=np.array([0, 0, sign]))


def _fence(mesh: Mesh, rng: np.random.Generator, tone: Array) -> None:
    """A barrier of bars."""
    for x in np.linspace(-1.2, 1.2, 13):
        mesh.box(np.array([x - 0.015, 0.1, -0.015]), np.array([x + 0.015, 1.0, 0.015]), tone)
    mesh.box(np.array([-1.25, 1.0, -0.03]), np.array([1.25, 1.06, 0.03]), tone)
    mesh.box(np.array([-1.25, 0.1, -0.03]), np.array([1.25, 0.15, 0.03]), tone)


def _pillar(mesh: Mesh, rng: np.random.Generator, tone: Array) -> None:
    """A pillar up to the ceiling."""
    mesh.box(np.array([-0.3, 0, -0.3]), np.array([0.3, 4.2, 0.3]), np.array([190.0, 196, 200]))


def _column(mesh: Mesh, rng: np.random.Generator, tone: Array) -> None:
    """A lit poster on both sides."""
    mesh.box(np.array([-0.55, 0, -0.12]), np.array([0.55, 2.5, 0.12]), (60, 60, 62))
    for sign in (-1.0, 1.0):
        poster = np.array([[-0.48, 0.5, 0.125], [0.48, 0.5, 0.125], [0.48, 2.4, 0.125], [-0.48, 2.4, 0.125]])
        shape = np.array([[-0.3, 0.8, 0.13], [0.2, 0.8, 0.13], [0.3, 1.7, 0.13], [-0.2, 1.9, 0.13]])
        mesh.face(poster * [1, 1, sign], tint(rng), outward=np.array([0, 0, sign]))
        mesh.face(shape * [1, 1, sign], tint(rng), outward=np.array([0, 0, sign]))


def _boxes(mesh: Mesh, rng: np.random.Generator, tone: Array) -> None:
    """Cartons side by side."""
    card = np.array([96.0, 140, 176]) if rng.random() < 0.5 else tone
    for _ in range(int(rng.integers(1, 5))):
        x, z, y = rng.uniform(-0.4, 0.4), rng.uniform(-0.25, 0.25), rng.uniform(0.25, 0.8)
        shade = np.clip(card * rng.uniform(0.75, 1.1) + rng.normal(0, 6, 3), 10, 230)
        mesh.box(np.array([x - 0.3, 0, z - 0.25]), np.array([x + 0.3, y, z + 0.25]), shade)


_BUILDERS: dict[str, Callable[[Mesh, np.random.Generator, Array], None]] = {
    "bench": _bench,
    "cabinet": _cabinet,
    "board": _board,
    "fence": _fence,
    "pillar": _pillar,
    "column": _column,
    "boxes": _boxes,
}

BLOCKS = tuple(_BUILDERS)


def block_mesh(kind: str, rng: np.random.Generator) -> Mesh:
    """One piece of furniture of a kind, in a colour of its own."""
    mesh = Mesh(centre=np.array([0.0, 0.4, 0.0]))
    tone = np.clip(rng.uniform(40, 190) + rng.normal(0, 18, 3), 14, 230)
    _BUILDERS[kind](mesh, rng, tone)
    return mesh
