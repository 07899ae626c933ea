"""What is on the face of a building: walls, windows, doors, shops, signs and awnings, as rectangles on a plane."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .camera import Array
from .colours import tint
from .layout import Front

WALLS = {
    "brick": [(58, 74, 128), (70, 92, 142), (98, 124, 160), (64, 70, 100), (120, 150, 178)],
    "plaster": [(196, 206, 212), (168, 196, 212), (150, 186, 214), (190, 190, 182), (140, 160, 190), (170, 200, 190),
                (205, 200, 190), (130, 150, 200), (120, 130, 140)],
    "stone": [(150, 166, 176), (172, 184, 190), (128, 138, 146), (186, 196, 200)],
    "modern": [(96, 90, 84), (150, 146, 140), (60, 58, 56), (190, 190, 188)],
    "panel": [(160, 164, 166), (186, 186, 184), (150, 150, 160), (176, 188, 196)],
    "hall": [(214, 218, 220), (190, 200, 206), (228, 228, 226), (160, 170, 180)],
}  # fmt: skip


@dataclass
class Face:
    """Rectangles (left, bottom, right, top, out) on a building's face in metres, each with a colour and a glow.

    `out` is how far the bottom edge stands out of the wall; the top edge stays on it, as an awning does.
    """

    wall: Array
    rectangles: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    colours: list[Array] = field(default_factory=list)
    glow: list[float] = field(default_factory=list)

    def add(self, left: float, bottom: float, right: float, top: float, colour: Array, glow: float = 0.0) -> None:
        """Add one rectangle in front of those before it."""
        self.rectangles.append((left, bottom, right, top, 0.0))
        self.colours.append(np.asarray(colour, dtype=float))
        self.glow.append(glow)

    def lean(self, out: float) -> None:
        """Let the lower edge of the last rectangle stand out of the wall by some metres."""
        left, bottom, right, top, _ = self.rectangles[-1]
        self.rectangles[-1] = (left, bottom, right, top, out)


def _glass(rng: np.random.Generator, night: float) -> tuple[Array, float]:
    """Colour of a window pane and how much it shines of itself."""
    if night > 0.3 and rng.random() < 0.45:
        return np.array([70.0, 125, 165]) * rng.uniform(0.35, 1.0), 0.9
    sky = rng.uniform(0, 1) ** 2
    return np.array([64.0, 58, 52]) * (1 - sky) + np.array([190.0, 180, 165]) * sky, 0.0


def _window(
    face: Face, rng: np.random.Generator, at: tuple[float, float], size: tuple[float, float], trim: Array, night: float
) -> None:
    """A window with its frame, panes, curtain and sill; `at` is its lower left corner."""
    (left, low), (wide, tall) = at, size
    glass, glow = _glass(rng, night)
    face.add(left - 0.09, low - 0.05, left + wide + 0.09, low + tall + 0.12, trim)
    face.add(left, low, left + wide, low + tall, trim * 0.62)
    face.add(left + 0.05, low + 0.05, left + wide - 0.05, low + tall - 0.04, glass, glow)
    face.add(left + 0.05, low + tall * 0.86, left + wide - 0.05, low + tall - 0.04, glass * 0.55, glow)
    if rng.random() < 0.3:
        share = rng.uniform(0.2, 0.9)
        face.add(
            left + 0.05, low + tall * (1 - share), left + wide - 0.05, low + tall - 0.04, glass * 0.4 + 120, glow * 0.8
        )
    face.add(left + wide / 2 - 0.03, low, left + wide / 2 + 0.03, low + tall, trim * 0.8)
    face.add(left - 0.12, low - 0.14, left + wide + 0.12, low - 0.04, trim * 1.04)


def _lettering(
    face: Face, rng: np.random.Generator, at: tuple[float, float], size: tuple[float, float], ink: Array, glow: float
) -> None:
    """Something that looks like letters, from the lower left corner."""
    (left, low), (wide, tall) = at, size
    x = left
    while x < left + wide:
        step = tall * rng.uniform(0.35, 0.8)
        if rng.random() < 0.88:
            face.add(x, low + (0 if rng.random() < 0.7 else tall * 0.3), x + step * 0.78, low + tall, ink, glow)
            if rng.random() < 0.6:
                face.add(x + step * 0.22, low + tall * 0.3, x + step * 0.6, low + tall * 0.62, ink * 0.4 + 50)
        x += step


def _shop(face: Face, rng: np.random.Generator, left: float, wide: float, tall: float, night: float) -> None:
    """A shop: its window with goods, door, sign and perhaps an awning."""
    frame = rng.uniform(20, 140) + rng.normal(0, 14, 3)
    face.add(left, 0.0, left + wide, tall, np.clip(frame, 10, 230))
    light = 0.8 if night > 0.3 and rng.random() < 0.6 else 0.0
    glass = (
        np.array([70.0, 66, 62]) * rng.uniform(0.6, 1.7)
        if not light
        else np.array([74.0, 110, 130]) * rng.uniform(0.5, 1.0)
    )
    door = left + wide * rng.choice([0.06, 0.42, 0.78])
    face.add(left + 0.15, 0.45, left + wide - 0.15, tall - 0.75, glass, light)
    for _ in range(int(rng.integers(4, 14))):
        x, w, h = rng.uniform(left + 0.2, left + wide - 0.6), rng.uniform(0.1, 0.5), rng.uniform(0.2, 1.3)
        face.add(x, 0.5, x + w, 0.5 + h, glass * 0.4 + tint(rng) * 0.45, light * 0.6)
    face.add(left + 0.15, tall * 0.55, left + wide - 0.15, tall - 0.75, glass * 1.25 + 10, light)
    face.add(door, 0.02, door + 1.0, 2.2, np.clip(frame * 0.7, 8, 220))
    face.add(door + 0.12, 0.25, door + 0.88, 2.05, glass * 0.8, light)
    sign = tint(rng)
    face.add(left, tall - 0.7, left + wide, tall, sign, light * 0.6)
    ink = np.full(3, 238.0) if sign.mean() < 130 else np.full(3, 30.0)
    _lettering(face, rng, (left + wide * 0.15, tall - 0.55), (wide * rng.uniform(0.3, 0.6), 0.36), ink, light * 0.6)
    if rng.random() < 0.35:
        cloth = tint(rng)
        stripes = max(int(wide / 0.4), 1) if rng.random() < 0.5 else 1
        for i in range(stripes):
            tone = cloth if i % 2 == 0 else np.array([225.0, 228, 230])
            start, end = left + wide * i / stripes, left + wide * (i + 1) / stripes
            face.add(start, tall - 1.25, end, tall - 0.72, tone)
            face.lean(1.2)


def _ground_floor(face: Face, rng: np.random.Generator, front: Front, tall: float, trim: Array, night: float) -> None:
    """Shops, or windows with a door, or garages."""
    kind = rng.choice(["shops", "flats", "garage"], p=[0.55, 0.36, 0.09])
    if kind == "shops":
        count = max(int(front.length / rng.uniform(4, 7)), 1)
        wide = front.length / count
        for i in range(count):
            _shop(face, rng, i * wide + 0.2, wide - 0.4, tall - 0.2, night)
        return
    count = max(int(front.length / 3.2), 1)
    pitch = front.length / count
    door = int(rng.integers(count))
    for i in range(count):
        left = (i + 0.5) * pitch
        if kind == "garage" and i % 2:
            face.add(left - 1.2, 0, left + 1.2, 2.4, trim * 0.7)
            for y in np.arange(0.3, 2.3, 0.4):
                face.add(left - 1.2, y, left + 1.2, y + 0.04, trim * 0.45)
        elif i == door:
            face.add(left - 0.75, 0, left + 0.75, 2.7, trim)
            face.add(left - 0.55, 0, left + 0.55, 2.3, np.clip(rng.uniform(15, 110) + rng.normal(0, 22, 3), 8, 200))
            face.add(left - 0.55, 2.35, left + 0.55, 2.62, np.array([70.0, 66, 62]))
        else:
            _window(face, rng, (left - 0.55, 1.0), (1.1, 1.5), trim, night)


def _upper_floors(face: Face, rng: np.random.Generator, front: Front, base: float, trim: Array, night: float) -> None:
    """Rows of windows, with balconies on some."""
    storey = float(rng.uniform(2.8, 3.6))
    pitch = float(rng.uniform(1.9, 3.4))
    wide, tall = pitch * float(rng.uniform(0.36, 0.62)), storey * float(rng.uniform(0.45, 0.66))
    count = max(int(front.length / pitch), 1)
    pitch = front.length / count
    balcony = rng.random() < 0.25
    for floor in range(int((front.height - base - 0.4) / storey)):
        low = base + floor * storey + storey * 0.25
        for i in range(count):
            left = (i + 0.5) * pitch - wide / 2
            _window(face, rng, (left, low), (wide, tall), trim, night)
            if balcony and (i + floor) % 3 == 1:
                face.add(left - 0.4, low - 0.25, left + wide + 0.4, low + 0.75, trim * 0.55)
                for bar in np.arange(left - 0.36, left + wide + 0.36, 0.16):
                    face.add(bar, low - 0.12, bar + 0.09, low + 0.66, face.wall * 0.8)
                face.add(left - 0.4, low - 0.3, left + wide + 0.4, low - 0.12, trim * 0.9)
        if rng.random() < 0.25:
            face.add(0, low - storey * 0.27, front.length, low - storey * 0.27 + 0.14, trim * 0.92)


def _curtain_wall(face: Face, rng: np.random.Generator, front: Front, base: float, night: float) -> None:
    """A modern front: bands of glass between mullions."""
    storey, pitch = float(rng.uniform(3.2, 3.9)), float(rng.uniform(1.2, 2.2))
    pane = np.array([rng.uniform(95, 160), rng.uniform(90, 135), rng.uniform(75, 115)])
    for low in np.arange(base, front.height - 1.0, storey):
        for left in np.arange(0.0, front.length - 0.1, pitch):
            right = min(left + pitch, front.length) - 0.08
            lit = night > 0.3 and rng.random() < 0.4
            tone = np.array([80.0, 118, 138]) * rng.uniform(0.4, 1.1) if lit else pane * rng.uniform(0.75, 1.2)
            face.add(left + 0.05, low + 0.7, right, low + storey - 0.1, tone, 0.8 if lit else 0.0)


def _hall(face: Face, rng: np.random.Generator, front: Front) -> None:
    """An indoor wall: shop fronts, pictures, pillars."""
    face.add(0, 0, front.length, 0.15, face.wall * 0.5)
    x = 0.5
    while x < front.length - 3:
        wide = float(rng.uniform(2, 6))
        kind = rng.random()
        if kind < 0.5:
            _shop(face, rng, x, min(wide, front.length - x - 0.3), 3.1, 1.0 if rng.random() < 0.8 else 0.0)
        elif kind < 0.7:
            tone = tint(rng)
            face.add(x, 0.9, x + 1.4, 2.7, tone)
            face.add(x + 0.1, 1.2, x + 1.3, 2.4, tint(rng))
        elif kind < 0.85:
            face.add(x, 0, x + 1.7, 2.2, face.wall * 0.55)
            face.add(x + 0.84, 0, x + 0.86, 2.2, face.wall * 0.3)
        x += wide + 0.4


def build_face(front: Front, night: float) -> Face:
    """Everything on one building's face; the same front always looks the same."""
    rng = np.random.default_rng(front.seed)
    choices = WALLS[front.style]
    wall = np.array(choices[int(rng.integers(len(choices)))], dtype=float) * rng.uniform(0.85, 1.1)
    face = Face(np.clip(wall + rng.normal(0, 5, 3), 15, 240))
    if front.style == "hall":
        _hall(face, rng, front)
        return face
    trim = np.clip(wall * 0.4 + 150, 0, 240) if rng.random() < 0.7 else wall * rng.uniform(0.5, 0.9)
    base = float(rng.uniform(3.2, 4.3))
    face.add(0, 0, front.length, 0.4, wall * 0.7)
    _ground_floor(face, rng, front, base, trim, night)
    if front.style == "modern":
        _curtain_wall(face, rng, front, base, night)
    else:
        _upper_floors(face, rng, front, base, trim, night)
    face.add(0, base - 0.2, front.length, base - 0.05, trim)
    face.add(-0.05, front.height - 0.4, front.length + 0.05, front.height, trim * 0.95)
    face.lean(0.15)
    if rng.random() < 0.5:
        face.add(front.length - 0.28, 0.2, front.length - 0.18, front.height - 0.4, wall * 0.55)
    return face
