"""Buses and trucks: boxes with windows, doors, signs, cabs and loads."""

from __future__ import annotations

import itertools

import numpy as np

from .camera import Array
from .colours import tint
from .light import Colour
from .mesh import Mesh
from .wheels import BLACK, GLASS, PAINTS, tyres, wheel

Extent = tuple[float, float]


def _paint(rng: np.random.Generator) -> Array:
    """A colour of a large vehicle: often white, else anything."""
    if rng.random() < 0.35:
        return np.array([225.0, 228.0, 230.0]) * rng.uniform(0.85, 1.0)
    paint = np.array(PAINTS[int(rng.integers(len(PAINTS)))], dtype=float)
    return np.clip(paint + rng.normal(0, 14, 3), 12, 240)


def _side_panel(mesh: Mesh, x: float, y: Extent, z: Extent, colour: Array | Colour, gloss: float = 0.0) -> None:
    """A rectangle on a side at x, facing away from the middle."""
    side = np.sign(x)
    quad = np.array([[x, y[0], z[0]], [x, y[0], z[1]], [x, y[1], z[1]], [x, y[1], z[0]]])
    mesh.face(quad, colour, gloss, np.array([side, 0.0, 0.0]))


def _end_panel(
    mesh: Mesh, z: float, x: Extent, y: Extent, colour: Array | Colour, finish: tuple[float, float] = (0.0, 0.0)
) -> None:
    """A rectangle on the front or rear at z, facing away from the middle; its finish is gloss and glow."""
    quad = np.array([[x[0], y[0], z], [x[1], y[0], z], [x[1], y[1], z], [x[0], y[1], z]])
    mesh.face(quad, colour, finish[0], np.array([0.0, 0.0, np.sign(z)]), finish[1])


def _chamfer_roof(mesh: Mesh, width: float, z: Extent, y: Extent, paint: Array) -> None:
    """A roof with sloping edges between two heights."""
    mesh.group()
    top = width * 0.86
    for side in (-1.0, 1.0):
        mesh.face(np.array([[side * width, y[0], z[0]], [side * width, y[0], z[1]], [side * top, y[1], z[1] - 0.1],
                            [side * top, y[1], z[0] + 0.1]]), paint, 0.3, np.array([side, 1.0, 0.0]))  # fmt: skip
    for place, inner, sign in ((z[0], z[0] + 0.1, -1.0), (z[1], z[1] - 0.1, 1.0)):
        mesh.face(np.array([[-width, y[0], place], [width, y[0], place], [top, y[1], inner], [-top, y[1], inner]]),
                  paint, 0.3, np.array([0.0, 1.0, sign]))  # fmt: skip
    mesh.face(np.array([[-top, y[1], z[0] + 0.1], [top, y[1], z[0] + 0.1], [top, y[1], z[1] - 0.1],
                        [-top, y[1], z[1] - 0.1]]), paint * 0.95, 0.15, np.array([0.0, 1.0, 0.0]))  # fmt: skip


def _bus_side(mesh: Mesh, rng: np.random.Generator, side: float, size: tuple[float, float, float],
              paints: tuple[Array, Array], inside: float) -> None:  # fmt: skip
    """One side of a bus: skirt, window row, posts, doors on the right, wheels and often an advertisement."""
    width, half, height = size
    x = side * width
    mesh.group()
    _side_panel(mesh, x, (0.28, 1.2), (-half, half), paints[0], 0.3)
    _side_panel(mesh, x, (1.2, height - 0.25), (-half, half), paints[1], 0.3)
    x = side * (width + 0.004)
    count = max(int(half * 2 / 1.5), 4)
    posts = np.linspace(-half + 0.25, half - 0.3, count + 1)
    for a, b in itertools.pairwise(posts):
        _side_panel(mesh, x, (1.28, height - 0.62), (a + 0.04, b - 0.04), np.asarray(GLASS) * (1 + inside), 0.75)
        _side_panel(
            mesh,
            x,
            ((height + 0.66) / 2, height - 0.62),
            (a + 0.04, b - 0.04),
            np.asarray(GLASS) * (1.4 + inside),
            0.85,
        )
    _side_panel(mesh, x, (0.30, 0.42), (-half, half), np.array(BLACK, dtype=float) + 14)
    if rng.random() < 0.5:
        advert = tint(rng)
        _side_panel(mesh, x, (0.5, 1.12), (-half * 0.4, half * 0.3), advert, 0.1)
        _side_panel(mesh, x, (0.62, 0.98), (-half * 0.3, half * 0.05), tint(rng), 0.1)
    x = side * (width + 0.008)
    if side > 0:
        for place in (half - 1.5, -half * 0.15):
            _side_panel(mesh, x, (0.34, height - 0.5), (place - 0.02, place + 1.18), (26, 26, 26))
            _side_panel(mesh, x, (0.44, height - 0.6), (place + 0.05, place + 0.55), GLASS, 0.7)
            _side_panel(mesh, x, (0.44, height - 0.6), (place + 0.62, place + 1.12), GLASS, 0.7)
    for place in (half - 2.4, -half + 2.6):
        wheel(mesh, (side * (width + 0.01), place), 0.48, (150, 150, 150), 1.15)


def build_bus(rng: np.random.Generator, lit: float = 0.0) -> tuple[Mesh, tuple[float, float]]:
    """A town bus or coach, and its half width and half length in metres."""
    width, half = 1.25, float(rng.uniform(4.4, 6.1))
    height = float(rng.uniform(2.85, 3.3))
    first = _paint(rng)
    second = first if rng.random() < 0.5 else _paint(rng)
    mesh = Mesh(centre=np.array([0.0, 1.5, 0.0]))
    tyres(mesh, width, [half - 2.4, -half + 2.6], 0.48)
    for side in (-1.0, 1.0):
        _bus_side(mesh, rng, side, (width, half, height), (first, second), lit * 2.5)
    for sign in (-1.0, 1.0):
        mesh.group()
        z = sign * half
        _end_panel(mesh, z, (-width, width), (0.28, 1.2), first, (0.3, 0.0))
        _end_panel(mesh, z, (-width, width), (1.2, height - 0.25), second, (0.3, 0.0))
        z += sign * 0.004
        glass_low = 1.05 if sign > 0 else 1.5
        _end_panel(mesh, z, (-width + 0.1, width - 0.1), (glass_low, height - 0.7), GLASS, (0.75, 0.0))
        _end_panel(mesh, z, (-width + 0.25, width - 0.25), (height - 0.65, height - 0.32), (18, 18, 20), (0.1, 0.0))
        if sign > 0 or rng.random() < 0.4:
            for mark in np.linspace(-0.7, 0.5, int(rng.integers(5, 11))):
                row = (height - 0.57, height - 0.40)
                _end_panel(mesh, z + sign * 0.002, (mark, mark + 0.07), row, (40, 170, 245), (0.0, 0.7))
        lamp: Colour = (238, 242, 242) if sign > 0 else (36, 34, 190)
        for one in (-1.0, 1.0):
            x = (min(one * 0.75, one * 1.14), max(one * 0.75, one * 1.14))
            _end_panel(mesh, z, x, (0.62, 0.82), lamp, (0.3, lit))
        _end_panel(mesh, z, (-width, width), (0.28, 0.45), BLACK)
        _end_panel(mesh, z + sign * 0.002, (-0.28, 0.28), (0.48, 0.6), (200, 208, 212))
    _chamfer_roof(mesh, width, (-half, half), (height - 0.25, height), second)
    if rng.random() < 0.5:
        mesh.box(np.array([-0.8, height, -half * 0.5]), np.array([0.8, height + 0.22, half * 0.1]), second * 0.85)
    return mesh, (width, half)


CAB_FLOOR = 0.45
"""Height in metres of the lower edge of a cab."""

CAB_SLOPE = 0.28
"""How far in metres the top of a windscreen lies behind its foot."""


def _cab_front(mesh: Mesh, paint: Array, size: tuple[float, float], tip: float, lit: float) -> None:
    """The front of a cab: panel, windscreen, grille, bumper, lamps and plate."""
    width, height = size
    low, slope = CAB_FLOOR, CAB_SLOPE
    mesh.group()
    _end_panel(mesh, tip, (-width, width), (low, height * 0.55), paint, (0.35, 0.0))
    pane = np.array([[-width, height * 0.55, tip], [width, height * 0.55, tip], [width, height - 0.1, tip - slope],
                     [-width, height - 0.1, tip - slope]])  # fmt: skip
    out = np.array([0.0, 0.2, 1.0])
    mesh.face(pane, paint, 0.3, out)
    inset = (pane - pane.mean(axis=0)) * [0.9, 0.84, 0.84] + pane.mean(axis=0) + [0, 0, 0.006]
    mesh.face(inset, GLASS, 0.8, out)
    front = tip + 0.005
    _end_panel(mesh, front, (-width * 0.7, width * 0.7), (low + 0.25, height * 0.47), (28, 28, 28))
    _end_panel(mesh, front, (-width, width), (low, low + 0.2), (40, 40, 40))
    for one in (-1.0, 1.0):
        lamps = (min(one * width * 0.74, one * width * 0.96), max(one * width * 0.74, one * width * 0.96))
        _end_panel(mesh, front, lamps, (low + 0.22, low + 0.42), (238, 242, 242), (0.3, lit))
    _end_panel(mesh, front + 0.002, (-0.26, 0.26), (low + 0.04, low + 0.16), (205, 212, 214))


def _cab(mesh: Mesh, paint: Array, size: tuple[float, float], z: Extent, lit: float) -> None:
    """The cab of a truck between two places along it."""
    width, height = size
    low, slope = CAB_FLOOR, CAB_SLOPE
    mesh.group()
    for side in (-1.0, 1.0):
        out = np.array([side, 0.0, 0.0])
        x = side * width
        wall = np.array([[x, low, z[0]], [x, low, z[1]], [x, height * 0.55, z[1]], [x, height - 0.1, z[1] - slope],
                         [x, height - 0.1, z[0]]])  # fmt: skip
        mesh.face(wall, paint, 0.35, out)
        x = side * (width + 0.004)
        pane = np.array([[x, height * 0.56, z[0] + 0.45], [x, height * 0.56, z[1] - 0.12],
                         [x, height - 0.3, z[1] - slope - 0.08], [x, height - 0.3, z[0] + 0.45]])  # fmt: skip
        mesh.face(pane, GLASS, 0.7, out)
        _side_panel(mesh, x, (low + 0.1, height * 0.55), (z[0] + 0.36, z[0] + 0.38), paint * 0.3)
        _side_panel(mesh, x, (low, low + 0.18), z, paint * 0.4)
        wheel(mesh, (side * (width + 0.01), z[1] - 0.75), 0.46, (160, 160, 160), 1.2)
    _cab_front(mesh, paint, size, z[1], lit)
    mesh.group()
    mesh.face(np.array([[-width, height - 0.1, z[0]], [width, height - 0.1, z[0]], [width, height, z[1] - slope - 0.1],
                        [-width, height, z[1] - slope - 0.1]]), paint, 0.3, np.array([0.0, 1.0, 0.0]))  # fmt: skip
    for side in (-1.0, 1.0):
        mesh.box(np.array([side * (width + 0.12) - 0.1, height * 0.55, z[1] - 0.12]),
                 np.array([side * (width + 0.12) + 0.1, height * 0.85, z[1] - 0.02]), BLACK)  # fmt: skip


def _cargo(mesh: Mesh, rng: np.random.Generator, paint: Array, size: tuple[float, float], z: Extent) -> None:
    """A closed box, a tarpaulin or an open bed behind the cab."""
    width, height = size
    kind = rng.choice(["box", "tarp", "bed"], p=[0.6, 0.2, 0.2])
    floor, top = 1.0, height if kind != "bed" else 1.7
    mesh.box(np.array([-width, floor, z[0]]), np.array([width, top, z[1]]), paint, 0.15)
    mesh.bias[-1] = -1.0
    for side in (-1.0, 1.0):
        x = side * (width + 0.004)
        if kind == "tarp":
            for place in np.arange(z[0] + 0.3, z[1] - 0.2, 0.6):
                _side_panel(mesh, x, (floor + 0.1, top - 0.1), (place, place + 0.12), paint * 0.86)
        elif kind == "bed":
            for place in np.arange(z[0] + 0.5, z[1] - 0.2, 1.1):
                _side_panel(mesh, x, (floor, top), (place, place + 0.06), paint * 0.5)
        elif rng.random() < 0.6:
            mark = tint(rng)
            middle = (z[0] + z[1]) / 2
            _side_panel(mesh, x, (floor + 0.5, top - 0.6), (middle - 1.4, middle + 1.2), mark)
            _side_panel(mesh, x + side * 0.002, (floor + 0.7, floor + 1.0), (middle - 1.1, middle + 0.9), tint(rng))
        _side_panel(mesh, x, (floor, floor + 0.08), z, paint * 0.4)
    rear = z[0] - 0.004
    _end_panel(mesh, rear, (-0.012, 0.012), (floor, top), paint * 0.35)
    for one in (-1.0, 1.0):
        _end_panel(mesh, rear, (one * width * 0.55 - 0.02, one * width * 0.55 + 0.02), (floor, top), paint * 0.6)
    mesh.group(0.5)
    _end_panel(mesh, z[0], (-width, width), (0.6, floor), (36, 36, 38))
    for one in (-1.0, 1.0):
        lamps = (min(one * 0.7, one * 1.05), max(one * 0.7, one * 1.05))
        _end_panel(mesh, z[0] - 0.004, lamps, (0.72, 0.88), (36, 34, 180))
    _end_panel(mesh, z[0] - 0.004, (-0.26, 0.26), (0.7, 0.82), (205, 212, 214))


def build_truck(rng: np.random.Generator, lit: float = 0.0) -> tuple[Mesh, tuple[float, float]]:
    """A delivery truck or lorry, and its half width and half length in metres."""
    width = 1.1 + 0.12 * float(rng.random())
    half = float(rng.uniform(2.9, 4.6))
    tall = float(rng.uniform(2.2, 2.75))
    split = half - float(rng.uniform(1.7, 2.1))
    mesh = Mesh(centre=np.array([0.0, 1.2, 0.0]))
    axles = [half - 0.75, -half + 1.3] + ([-half + 2.35] if half > 4 else [])
    tyres(mesh, width, axles, 0.46)
    mesh.box(np.array([-width * 0.8, 0.5, -half + 0.05]), np.array([width * 0.8, 1.0, half - 0.6]), (34, 34, 36))
    mesh.bias[-1] = 4.0
    paint = _paint(rng)
    cargo = _paint(rng) if rng.random() < 0.6 else paint
    mesh.group(0.8)
    for side in (-1.0, 1.0):
        for place in axles[1:]:
            wheel(mesh, (side * (width - 0.02), place), 0.46, (150, 150, 150), 1.0)
    _cargo(mesh, rng, cargo, (width, tall + float(rng.uniform(0.1, 0.9))), (-half, split - 0.08))
    _cab(mesh, paint, (width * 0.96, tall), (split, half), lit)
    return mesh, (width, half)
