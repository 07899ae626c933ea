"""Cars and vans: a side profile drawn out across the width, with glass, wheels, lights and plates."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from .bodies import Body, random_body
from .camera import Array
from .light import Colour
from .mesh import Mesh
from .wheels import BLACK, GLASS, PAINTS, tyres, wheel

CORNER = 0.17
"""How far in metres the corners of a car lie behind the middle of its front and rear."""


def _rear_glass(body: Body) -> float:
    """Place of the foot of the rear window: never behind the rounded corners."""
    return max(body.rear_glass, -body.length / 2 + CORNER + 0.03)


def _taper(body: Body, z: Array) -> Array:
    """Share of the half width at places along the body: narrower towards the ends."""
    past = np.maximum(np.abs(z) / (body.length / 2) - 0.55, 0) / 0.45
    return np.asarray(1 - 0.12 * past**2.0)


def _crown(body: Body, z: Array) -> Array:
    """Height of the edge between the side and the bonnet, the windows or the boot at places (N,) along the body."""
    half = body.length / 2
    places = np.array(
        [-half, -half + 0.10, _rear_glass(body), body.front_glass, (half + body.front_glass) / 2, half - 0.25, half]
    )
    heights = [body.belt - 0.16, body.belt - 0.05, body.belt + 0.02, body.belt, (body.belt + body.nose) / 2 + 0.05,
               body.nose, body.nose - 0.12]  # fmt: skip
    return np.asarray(np.interp(z, np.maximum.accumulate(places), heights))


def _flank(mesh: Mesh, body: Body, side: float, paint: Array) -> None:
    """One side below the windows, curved along and across, with doors and wheels."""
    half, width = body.length / 2, body.width / 2
    out = np.array([side, 0.0, 0.0])
    z = np.concatenate([[-half + CORNER], np.linspace(-half + 0.45, half - 0.5, 5), [half - CORNER]])
    top, taper = _crown(body, z), _taper(body, z) * width
    mesh.group()
    levels = [0, 0.13, 0.34, 0.56, 0.74, 0.88, 0.96, 1.0]
    bulge = [0.955, 0.985, 0.998, 1.0, 0.992, 0.978, 0.955, 0.915]
    for band in range(len(levels) - 1):
        y_low, y_high = body.sill + (top - body.sill) * levels[band], body.sill + (top - body.sill) * levels[band + 1]
        low, high = side * taper * bulge[band], side * taper * bulge[band + 1]
        for i in range(len(z) - 1):
            j = i + 1
            quad = np.array([[low[i], y_low[i], z[i]], [low[j], y_low[j], z[j]], [high[j], y_high[j], z[j]],
                             [high[i], y_high[i], z[i]]])  # fmt: skip
            mesh.face(quad, paint if band else paint * 0.4 + 8, 0.45 if band else 0.1, outward=out)
    _doors(mesh, body, side, paint)
    rim: Colour = (176, 176, 178)
    for place in (half - 0.2 * body.length, -half + 0.19 * body.length):
        wheel(mesh, (side * width * 0.99, place), body.wheel, rim)


def _doors(mesh: Mesh, body: Body, side: float, paint: Array) -> None:
    """Seams and handles of the doors."""
    out = np.array([side, 0.0, 0.0])
    x = side * (body.width / 2 + 0.003)
    seams = [body.front_glass - 0.15, (body.front_glass + body.rear_glass) / 2 - 0.02, body.rear_glass + 0.65]
    low, high = body.sill + 0.14, body.belt - 0.04
    for place in seams if not body.blind else seams[:2]:
        line = [[x, low, place], [x, high, place], [x, high, place - 0.014], [x, low, place - 0.014]]
        mesh.face(np.array(line), paint * 0.35, outward=out)
    y = low + 0.02
    mesh.face(np.array([[x, low, seams[-1]], [x, low, seams[0]], [x, y, seams[0]], [x, y, seams[-1]]]),
              paint * 0.5, outward=out)  # fmt: skip
    for place in seams[1:]:
        y = body.belt - 0.14
        grip = [[x, y, place + 0.07], [x, y, place + 0.25], [x, y - 0.032, place + 0.25], [x, y - 0.032, place + 0.07]]
        mesh.face(np.array(grip), paint * 0.55 + 25, 0.3, outward=out)


def _deck(mesh: Mesh, body: Body, sign: float, paint: Array) -> Array:
    """The bonnet (sign 1) or boot lid (sign -1), arched across; returns its outer edge (5, 3)."""
    half, width = body.length / 2, body.width / 2
    inner = body.front_glass if sign > 0 else _rear_glass(body)
    outer = sign * (half - 0.04)
    z = np.linspace(inner, outer, 5)
    wide = _taper(body, z) * width * 0.915
    across, rise = np.array([-1.0, -0.7, 0.0, 0.7, 1.0]), np.array([0.0, 0.035, 0.05, 0.035, 0.0])
    back = np.array([1.0, 0.3, 0.0, 0.3, 1.0]) * CORNER
    mesh.group()
    share = (z - inner) / (outer - inner)
    place = z[:, None] - sign * back * share[:, None]
    grid = np.stack([wide[:, None] * across, _crown(body, place) + rise, place], axis=2)
    for i in range(4):
        for j in range(4):
            quad = grid[[i, i, i + 1, i + 1], [j, j + 1, j + 1, j]]
            mesh.face(quad, paint, 0.5, outward=np.array([0.0, 1.0, sign * 0.4]))
    return np.asarray(grid[-1])


@dataclass
class _End:
    """The front (sign 1) or rear (sign -1) of a car, on which panels are put."""

    mesh: Mesh
    sign: float
    tip: float
    wide: float
    low: float
    high: float
    corner: float

    def at(self, across: float, y: float, lift: float) -> list[float]:
        """A point on the surface: share of the half width, height and distance off the surface in metres."""
        bend = max(abs(across) - 0.55, 0.0) / 0.45
        share = (y - self.low) / (self.high - self.low)
        lean = 0.10 * max(share - 0.55, 0.0) + 0.06 * max(0.2 - share, 0.0)
        y = y + (self.corner - self.high) * bend * max(share, 0.0) ** 3
        return [across * self.wide, y, self.sign * (self.tip - CORNER * bend - lean + lift)]

    def panel(self, x: tuple[float, float], y: tuple[float, float], colour: Array | Colour, gloss: float = 0.0,
              glow: float = 0.0, lift: float = 0.006) -> None:  # fmt: skip
        """A rectangle given by shares of the half width and heights, bent around the corners."""
        stops = [x[0], *[s for s in (-0.55, 0.55) if x[0] < s < x[1]], x[1]]
        for a, b in itertools.pairwise(stops):
            quad = [self.at(a, y[0], lift), self.at(b, y[0], lift), self.at(b, y[1], lift), self.at(a, y[1], lift)]
            self.mesh.face(np.array(quad), colour, gloss, np.array([(a + b) * 0.3, 0.0, self.sign]), glow)


def _ends(mesh: Mesh, body: Body, paint: Array, lit: float) -> None:
    """Front and rear with lights, grille, bumpers and plates."""
    half = body.length / 2
    for sign in (1.0, -1.0):
        rim = _deck(mesh, body, sign, paint)
        edge = float(_crown(body, np.array([sign * half]))[0])
        wide = float(_taper(body, np.array([half - CORNER]))[0]) * body.width / 2
        corner = float(_crown(body, np.array([sign * (half - CORNER)]))[0])
        end = _End(mesh, sign, half, wide, body.sill, edge, corner)
        mesh.group()
        stops = np.linspace(body.sill, edge + 0.02, 6)
        for low, high in itertools.pairwise(stops):
            end.panel((-1, 1), (float(low), float(high)), paint, 0.4, lift=0.0)
        lip = np.array([end.at(across, edge - 0.04, 0.0) for across in (-1.0, -0.7, 0.0, 0.7, 1.0)])
        for i in range(4):
            mesh.face(np.array([lip[i], lip[i + 1], rim[i + 1], rim[i]]), paint, 0.4, np.array([0.0, 0.5, sign]))
        end.panel((-0.97, 0.97), (body.sill, body.sill + 0.12), BLACK)
        lamp: Colour = (232, 238, 238) if sign > 0 else (44, 40, 185)
        glow = lit if sign > 0 else lit * 0.8
        for a, b in ((-0.99, -0.52), (0.52, 0.99)):
            end.panel((a, b), (edge - 0.17, edge - 0.03), lamp, 0.5, glow)
            end.panel((a * 0.94, b * 0.94), (edge - 0.15, edge - 0.11), np.array(lamp) * 0.75, 0.5, glow)
        if sign > 0:
            end.panel((-0.46, 0.46), (edge - 0.18, edge - 0.05), BLACK, 0.1)
            end.panel((-0.6, 0.6), (body.sill + 0.05, body.sill + 0.19), (16, 16, 16))
        plate = edge - 0.34 if sign < 0 else body.sill + 0.20
        end.panel((-0.3, 0.3), (plate, plate + 0.11), (205, 212, 214))
        for mark in range(6):
            left = -0.23 + mark * 0.078
            end.panel((left, left + 0.045), (plate + 0.03, plate + 0.085), (40, 40, 40), lift=0.008)


def _pane(corners: Array, start: float, end: float, bottom: float, top: float) -> Array:
    """Part of a quad (4, 3) between shares along and up; its corners run low start, low end, high end, high start."""

    def at(s: float, t: float) -> Array:
        low, high = corners[0] + (corners[1] - corners[0]) * s, corners[3] + (corners[2] - corners[3]) * s
        return np.asarray(low + (high - low) * t)

    return np.array([at(start, bottom), at(end, bottom), at(end, top), at(start, top)])


def _side_windows(mesh: Mesh, body: Body, side: float, wall: Array, paint: Array) -> None:
    """One side above the belt: pillars, panes and the mirror."""
    out = np.array([side, 0.3, 0.0])
    off = np.array([side * 0.003, 0.0, 0.0])
    mesh.group()
    mesh.face(wall, paint, 0.4, outward=out)
    split = 0.53
    if not body.blind:
        mesh.face(_pane(wall, 0.05, 0.95, 0.05, 0.88) + off, BLACK, 0.3, outward=out)
    panes = [(split + 0.02, 0.93)] if body.blind else [(0.07, 0.25), (0.27, split - 0.015), (split + 0.015, 0.93)]
    for start, end in panes:
        mesh.face(_pane(wall, start, end, 0.07, 0.86) + off * 2, GLASS, 0.75, outward=out)
        mesh.face(_pane(wall, start, end, 0.48, 0.86) + off * 3, np.array(GLASS) * 1.35, 0.85, outward=out)
    z, x = body.front_glass - 0.34, float(wall[0][0]) + side * 0.03
    mirror = np.array([[x, body.belt + 0.03, z], [x + side * 0.16, body.belt + 0.04, z],
                       [x + side * 0.17, body.belt + 0.14, z], [x, body.belt + 0.15, z]])  # fmt: skip
    mesh.group(-0.3)
    mesh.face(mirror, paint * 0.8, 0.2, outward=np.array([0, 0, 1.0]))
    mesh.face(mirror, BLACK, 0.5, outward=np.array([0, 0, -1.0]))
    mesh.face(mirror + np.array([side * 0.01, 0, 0]), paint * 0.7, 0.2, outward=out)


def _roof(mesh: Mesh, body: Body, high: float, eave: float, paint: Array) -> None:
    """A roof arched along and across."""
    z = np.linspace(body.roof_rear, body.roof_front, 6)
    middle, reach = (body.roof_rear + body.roof_front) / 2, (body.roof_front - body.roof_rear) / 2
    arch = eave + (body.height - eave) * (1 - 0.55 * np.abs((z - middle) / reach) ** 2.5)
    across = np.array([-1.0, -0.88, -0.5, 0.5, 0.88, 1.0])
    share = np.array([0.0, 0.62, 0.95, 0.95, 0.62, 0.0])
    mesh.group()
    for i in range(len(z) - 1):
        for j in range(len(across) - 1):
            quad = np.array([[high * across[k], eave + (arch[n] - eave) * share[k], z[n]]
                             for n, k in ((i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j))])  # fmt: skip
            mesh.face(quad, paint, 0.45, outward=np.array([0.0, 1.0, 0.0]))


def _cabin(mesh: Mesh, body: Body, paint: Array) -> None:
    """Roof, pillars and glass."""
    width = body.width / 2
    low, high = width * 0.915, width * (0.74 if body.height < 1.9 else 0.85)
    eave = body.height - 0.07
    rear_foot, front_foot = (_rear_glass(body), body.belt + 0.02), (body.front_glass, body.belt)
    for side in (-1.0, 1.0):
        wall = np.array([[side * low, rear_foot[1], rear_foot[0]], [side * low, front_foot[1], front_foot[0]],
                         [side * high, eave, body.roof_front], [side * high, eave, body.roof_rear]])  # fmt: skip
        _side_windows(mesh, body, side, wall, paint)
    for sign, foot, rim in ((1.0, front_foot, body.roof_front), (-1.0, rear_foot, body.roof_rear)):
        sheet = np.array([[-low, foot[1], foot[0]], [low, foot[1], foot[0]], [high, eave, rim], [-high, eave, rim]])
        out = np.array([0.0, 0.3, sign])
        top = sheet[2:] + np.array([0.0, 0.03, -sign * 0.06])
        mesh.group()
        mesh.face(np.array([sheet[3], sheet[2], top[0] * [0.9, 1, 1], top[1] * [0.9, 1, 1]]), paint, 0.45, outward=out)
        mesh.face(sheet, paint if sign < 0 else paint * 0.85, 0.4, outward=out)
        if sign < 0 and body.blind:
            continue
        off = np.array([0.0, 0.0, sign * 0.004])
        mesh.face(_pane(sheet, 0.035, 0.965, 0.02, 0.95) + off, BLACK, 0.5, outward=out)
        mesh.face(_pane(sheet, 0.055, 0.945, 0.05, 0.92) + off * 2, GLASS, 0.8, outward=out)
        mesh.face(_pane(sheet, 0.055, 0.945, 0.5, 0.92) + off * 3, np.array(GLASS) * 1.4, 0.9, outward=out)
        for seat in (0.2, 0.66):
            mesh.face(_pane(sheet, seat, seat + 0.14, 0.06, 0.45) + off * 4, BLACK, 0.55, outward=out)
    _roof(mesh, body, high, eave, paint)


def build_car(rng: np.random.Generator, lit: float = 0.0) -> tuple[Mesh, tuple[float, float]]:
    """A car of any body and colour, and its half width and half length in metres; lit is how much its lamps shine."""
    body = random_body(rng)
    paint = np.array(PAINTS[int(rng.integers(len(PAINTS)))], dtype=float) * rng.uniform(0.85, 1.05)
    paint = np.clip(paint + rng.normal(0, 6, 3), 10, 240)
    mesh = Mesh(centre=np.array([0.0, 0.7, 0.0]))
    half = body.length / 2
    tyres(mesh, body.width / 2, [half - 0.2 * body.length, -half + 0.19 * body.length], body.wheel)
    mesh.group(5.0)
    under = np.array(
        [[-0.8, 0.2, half - 0.2], [0.8, 0.2, half - 0.2], [0.8, 0.34, half - 0.2], [-0.8, 0.34, half - 0.2]]
    )
    mesh.face(under, BLACK, outward=np.array([0, 0, 1.0]))
    mesh.face(under * [1, 1, -1], BLACK, outward=np.array([0, 0, -1.0]))
    for side in (-1.0, 1.0):
        _flank(mesh, body, side, paint)
    _ends(mesh, body, paint, lit)
    _cabin(mesh, body, paint)
    return mesh, (body.width / 2, half)
