"""What stands in a street besides people and vehicles: it hides them, and a detector must not take it for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from .blocks import BLOCKS, block_mesh
from .camera import Array, Camera
from .colours import tint
from .light import Light
from .paint import Patch, Sprite, ellipse, shifted
from .textures import Textures


@dataclass(frozen=True)
class Thing:
    """One piece of street furniture at a place (3,)."""

    kind: str
    position: Array
    heading: float
    seed: int


@dataclass
class Stand:
    """An upright thing being drawn: heights and offsets in metres go straight into the picture."""

    sprite: Sprite
    camera: Camera
    light: Light
    thing: Thing
    metre: float
    depth: float
    gain: Array

    def at(self, up: float, right: float = 0.0, ahead: float = 0.0) -> Array:
        """Picture point (2,) at a height, moved sideways and ahead in the thing's own axes."""
        sine, cosine = np.sin(self.thing.heading), np.cos(self.thing.heading)
        offset = np.array([right * cosine + ahead * sine, up, ahead * cosine - right * sine])
        flat, _ = self.camera.project((self.thing.position + offset)[None])
        point: Array = flat[0]
        return point

    def tone(self, colour: Array | tuple[float, float, float], factor: float = 1.0) -> Array:
        """A colour (3,) as lit and seen through the air."""
        lit = np.asarray(colour, dtype=float) * self.gain * factor
        return np.clip(self.light.through_air(lit, self.depth), 0, 255)

    def pole(self, low: float, high: float, radius: float, colour: Array | tuple[float, float, float]) -> None:
        """A round upright post between two heights."""
        wide = max(radius * self.metre, 0.3)
        a, b = self.at(low), self.at(high)
        side = np.array([wide, 0.0])
        for start, end, factor in ((-1.0, -0.4, 0.8), (-0.4, 0.3, 1.12), (0.3, 1.0, 0.68)):
            self.sprite.fill(
                np.array([a + side * start, b + side * start, b + side * end, a + side * end]),
                self.tone(colour, factor),
            )


def _lamp(stand: Stand, rng: np.random.Generator) -> None:
    """A street lamp with a globe or an arm."""
    high = rng.uniform(3.5, 7.5)
    tone = np.full(3, rng.uniform(40, 150))
    stand.pole(0, 0.9, 0.09, tone)
    stand.pole(0.8, high, 0.055, tone)
    lit = np.array([190.0, 235, 250]) if stand.light.night > 0.3 else tone * 1.2
    if rng.random() < 0.5:
        stand.sprite.line(stand.at(high), stand.at(high + 0.1, 1.1), 0.07 * stand.metre, stand.tone(tone))
        stand.sprite.line(stand.at(high + 0.08, 0.8), stand.at(high + 0.08, 1.4), 0.14 * stand.metre, lit)
    else:
        stand.sprite.fill(ellipse(stand.at(high + 0.2), 0.2 * stand.metre, 0.24 * stand.metre), lit)
        stand.sprite.fill(ellipse(stand.at(high + 0.42), 0.24 * stand.metre, 0.07 * stand.metre), stand.tone(tone))


def _sign(stand: Stand, rng: np.random.Generator) -> None:
    """A traffic sign."""
    stand.pole(0, 2.6, 0.035, (140, 142, 145))
    kind = rng.choice(["round", "triangle", "square", "arrow"])
    facing = abs(np.cos(stand.camera.facing(stand.thing.position) - stand.thing.heading))
    half = 0.32 * stand.metre
    centre = stand.at(2.35)
    wide = max(half * facing, 0.06 * stand.metre)
    red, white, blue = stand.tone((40, 36, 190)), stand.tone((228, 230, 232)), stand.tone((160, 84, 30))
    if kind == "round":
        stand.sprite.fill(ellipse(centre, wide, half), red if rng.random() < 0.6 else blue)
        stand.sprite.fill(ellipse(centre, wide * 0.72, half * 0.72), white)
        stand.sprite.fill(ellipse(centre, wide * 0.25, half * 0.4), stand.tone((40, 40, 40)))
    elif kind == "triangle":
        shape = np.array([[0, -1.0], [0.95, 0.7], [-0.95, 0.7]]) * [wide, half]
        stand.sprite.fill(centre + shape, red)
        stand.sprite.fill(centre + shape * 0.68 + [0, half * 0.05], white)
    else:
        shape = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) * [wide, half * (1.0 if kind == "square" else 0.4)]
        stand.sprite.fill(centre + shape, blue if rng.random() < 0.6 else stand.tone(tint(rng)))
        stand.sprite.fill(centre + shape * [0.5, 0.5], white)


def _traffic_light(stand: Stand, rng: np.random.Generator) -> None:
    """A traffic light."""
    stand.pole(0, 2.4, 0.06, (80, 84, 84))
    low, high, half = stand.at(2.3), stand.at(3.25), 0.16 * stand.metre
    stand.sprite.fill(
        np.array([low - [half, 0], shifted(low, half, 0), shifted(high, half, 0), high - [half, 0]]),
        stand.tone((32, 34, 34)),
    )
    lit = int(rng.integers(3))
    for i, colour in enumerate([(60, 190, 60), (50, 190, 240), (50, 50, 235)]):
        tone = np.array(colour, dtype=float) if i == lit else stand.tone(colour, 0.25)
        stand.sprite.fill(ellipse(stand.at(2.46 + 0.31 * i), half * 0.72, half * 0.72), tone)


def _hydrant(stand: Stand, rng: np.random.Generator) -> None:
    """A fire hydrant."""
    tone = rng.choice(np.array([[40.0, 40, 190], [50, 190, 220], [190, 190, 190]]))
    stand.pole(0, 0.08, 0.15, tone * 0.8)
    stand.pole(0.05, 0.62, 0.11, tone)
    stand.sprite.fill(ellipse(stand.at(0.64), 0.13 * stand.metre, 0.11 * stand.metre), stand.tone(tone))
    stand.sprite.line(stand.at(0.45, -0.19), stand.at(0.45, 0.19), 0.11 * stand.metre, stand.tone(tone, 0.85))


def _bollard(stand: Stand, rng: np.random.Generator) -> None:
    """A bollard, perhaps with a white band."""
    tone = np.full(3, rng.uniform(30, 160)) + rng.normal(0, 6, 3)
    high = rng.uniform(0.6, 1.15)
    stand.pole(0, high, rng.uniform(0.05, 0.11), tone)
    stand.sprite.fill(ellipse(stand.at(high), 0.1 * stand.metre, 0.06 * stand.metre), stand.tone(tone, 1.2))
    if rng.random() < 0.5:
        stand.pole(high * 0.78, high * 0.9, 0.085, (225, 228, 230))


def _bin(stand: Stand, rng: np.random.Generator) -> None:
    """A round litter bin."""
    tone = np.clip(rng.uniform(30, 140) + rng.normal(0, 24, 3), 14, 220)
    high, wide = rng.uniform(0.75, 1.15), rng.uniform(0.2, 0.32)
    stand.pole(0.05, high, wide, tone)
    top = stand.at(high)
    stand.sprite.fill(ellipse(top, wide * stand.metre * 1.05, wide * stand.metre * 0.35), stand.tone(tone, 0.6))
    stand.sprite.fill(
        ellipse(top - [0, 0.08 * stand.metre], wide * stand.metre * 1.08, wide * stand.metre * 0.4),
        stand.tone(tone, 1.15),
    )


def _cone(stand: Stand, rng: np.random.Generator) -> None:
    """A traffic cone."""
    for low, high, a, b, tone in ((0.04, 0.28, 0.15, 0.11, (30, 90, 235)), (0.28, 0.42, 0.11, 0.085, (230, 230, 232)),
                                  (0.42, 0.7, 0.085, 0.03, (30, 90, 235))):  # fmt: skip
        p, q = stand.at(low), stand.at(high)
        m = stand.metre
        stand.sprite.fill(
            np.array([p - [a * m, 0], shifted(p, a * m, 0), shifted(q, b * m, 0), q - [b * m, 0]]), stand.tone(tone)
        )
    stand.sprite.line(stand.at(0.02, -0.2), stand.at(0.02, 0.2), 0.05 * stand.metre, stand.tone((30, 30, 30)))


def _parasol(stand: Stand, rng: np.random.Generator) -> None:
    """A parasol over a table and chairs."""
    stand.pole(0, 2.3, 0.03, (150, 150, 150))
    tone = tint(rng)
    wide, top = rng.uniform(1.0, 1.5), stand.at(2.65)
    edge = [stand.at(2.1, wide * np.sin(a), wide * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 9)]
    for i in range(8):
        stand.sprite.fill(np.array([top, edge[i], edge[i + 1]]), stand.tone(tone, 0.75 + 0.3 * (i % 2)))
    for x in (-0.6, 0.6):
        stand.sprite.line(
            stand.at(0.74, x - 0.35), stand.at(0.74, x + 0.35), 0.05 * stand.metre, stand.tone((110, 130, 150))
        )
        stand.sprite.line(stand.at(0, x), stand.at(0.74, x), 0.04 * stand.metre, stand.tone((50, 50, 50)))
        stand.sprite.line(
            stand.at(0.45, x + 0.5), stand.at(0.45, x + 0.85), 0.04 * stand.metre, stand.tone((70, 90, 120))
        )
        stand.sprite.line(
            stand.at(0.0, x + 0.85), stand.at(0.9, x + 0.85), 0.03 * stand.metre, stand.tone((60, 60, 60))
        )


def _flag(stand: Stand, rng: np.random.Generator) -> None:
    """A beach flag."""
    stand.pole(0, 2.9, 0.02, (160, 160, 162))
    tone = tint(rng)
    outline = [stand.at(2.9), stand.at(2.8, 0.5), stand.at(2.2, 0.62), stand.at(0.7, 0.48), stand.at(0.6)]
    stand.sprite.fill(np.array(outline), stand.tone(tone))
    stand.sprite.fill(ellipse(stand.at(2.0, 0.3), 0.2 * stand.metre, 0.3 * stand.metre), stand.tone(tint(rng)))
    stand.sprite.line(stand.at(0.04, -0.3), stand.at(0.04, 0.3), 0.06 * stand.metre, stand.tone((40, 40, 40)))


def _planter(stand: Stand, rng: np.random.Generator) -> None:
    """A tub with a plant."""
    tone = np.clip(rng.uniform(60, 170) + rng.normal(0, 14, 3), 20, 220)
    wide, high = rng.uniform(0.25, 0.5), rng.uniform(0.4, 0.75)
    a, b, m = stand.at(0), stand.at(high), stand.metre
    for _ in range(60):
        up = abs(rng.normal(0.12, 0.16))
        at = stand.at(high + up, rng.normal(0, wide * 0.55))
        leaf = stand.tone(np.array([46.0, 100, 78]) * (0.55 + 1.6 * up) * rng.uniform(0.7, 1.25))
        stand.sprite.fill(ellipse(at, 0.07 * m * rng.uniform(0.5, 1.2), 0.04 * m, rng.uniform(0, 3.1)), leaf)
    stand.sprite.fill(
        np.array([a - [wide * 0.8 * m, 0], shifted(a, wide * 0.8 * m, 0), shifted(b, wide * m, 0), b - [wide * m, 0]]),
        stand.tone(tone),
    )


POSTS: dict[str, Callable[[Stand, np.random.Generator], None]] = {
    "lamp": _lamp, "sign": _sign, "signal": _traffic_light, "hydrant": _hydrant, "bollard": _bollard, "bin": _bin,
    "cone": _cone, "parasol": _parasol, "flag": _flag, "planter": _planter,
}  # fmt: skip


SIZES = {"bench": (0.9, 0.3), "boxes": (0.7, 0.5), "cabinet": (0.4, 0.2), "board": (0.35, 0.2), "pillar": (0.3, 0.3),
         "fence": (1.25, 0.1), "column": (0.55, 0.15), "parasol": (1.3, 1.3), "tree": (0.25, 0.25)}  # fmt: skip
"""Half width and half depth in metres of what is not small."""


def _crown(thing: Thing, camera: Camera, light: Light, textures: Textures, depth: float, tall: float) -> Patch | None:
    """The leaves of a tree, a bush or a hedge as a patch."""
    rng = np.random.default_rng(thing.seed + 1)
    bush = thing.kind == "bush"
    high = rng.uniform(0.7, 1.6) if bush else tall * rng.uniform(0.6, 0.74)
    wide = high * rng.uniform(0.9, 1.5) if bush else high * rng.uniform(0.8, 1.2)
    metre = camera.focal / depth
    centre, _ = camera.project((thing.position + np.array([0, high * 0.46 if bush else tall - high * 0.45, 0]))[None])
    columns, rows = max(int(wide * metre), 3), max(int(high * metre), 3)
    left, top = round(centre[0, 0] - columns / 2), round(centre[0, 1] - rows / 2)
    if columns > 3 * camera.width or left > camera.width or top > camera.height or left + columns < 0 or top + rows < 0:
        return None
    crown = textures.crowns[int(rng.integers(len(textures.crowns)))]
    if rng.random() < 0.5:
        crown = crown[:, ::-1]
    way = cv2.INTER_AREA if columns < crown.shape[1] else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(crown), (columns, rows), interpolation=way)
    hue = rng.choice(np.array([[40.0, 105, 82], [52, 120, 108], [44, 90, 60], [50, 120, 150], [36, 84, 70]]))
    gain = light.sky * 0.9 + light.sun * 0.55
    cover = resized[:, :, 3]
    level = resized[:, :, :1].astype(np.float32) / np.maximum(cover[:, :, None].astype(np.float32), 1) * 255 / 130
    colour = light.through_air(np.clip(level * hue * gain, 0, 255), np.full(cover.shape, depth))
    shown = colour * (cover[:, :, None] / 255.0)
    return Patch(left, top, shown.astype(np.uint8), cover, cover)


def draw_thing(
    thing: Thing, camera: Camera, light: Light, textures: Textures, sunlit: float = 1.0
) -> list[Sprite | Patch]:
    """The sprites and patches of a thing, back to front; none when it is behind the camera."""
    _, depths = camera.project(thing.position[None])
    depth = float(depths[0])
    if depth < 1.0:
        return []
    metre = camera.focal / depth
    rng = np.random.default_rng(thing.seed)
    if thing.kind in BLOCKS:
        return [block_mesh(thing.kind, rng).place(camera, light, thing.position, thing.heading, sunlit, 0.3)]
    sprite = Sprite(depth=depth, softness=0.003 * metre)
    stand = Stand(sprite, camera, light, thing, metre, depth, light.sky * 0.85 + light.sun * 0.4 * sunlit)
    if thing.kind in ("tree", "bush"):
        parts: list[Sprite | Patch] = []
        tall = float(rng.uniform(3.5, 9))
        if thing.kind == "tree":
            bark = np.array([52.0, 66, 78]) * rng.uniform(0.6, 1.2)
            wide = tall * 0.022 + 0.03
            outline = []
            for up, share in ((0.0, 1.9), (0.12, 1.35), (0.5, 1.1), (tall * 0.55, 0.8)):
                outline.append(shifted(stand.at(up), wide * share * metre, 0))
                outline.insert(0, stand.at(up) - [wide * share * metre, 0])
            sprite.fill(np.array(outline), stand.tone(bark))
            for side in (-1.0, 1.0):
                sprite.line(
                    stand.at(tall * 0.4), stand.at(tall * 0.75, side * tall * 0.14), wide * metre, stand.tone(bark)
                )
            sprite.volume = wide * 3 * metre
            sprite.cloth = 0.6
            parts.append(sprite)
        crown = _crown(thing, camera, light, textures, depth, tall)
        return [*parts, crown] if crown is not None else parts
    POSTS[thing.kind](stand, rng)
    return [sprite]
