"""Drawing a head: skull, face, hair, hats and helmets, from any side."""

from __future__ import annotations

import numpy as np

from .camera import Array
from .paint import Sprite, capsule, ellipse, shifted
from .view import View

WIDE, DEEP, TALL = 0.046, 0.054, 0.066
"""Half width, half depth and half height of a head over body height."""


def _hair_behind(sprite: Sprite, view: View, centre: Array, half: float, tone: Array) -> None:
    """Long hair, a bob or a bun hanging behind the face."""
    style = view.looks.hair_style
    back = -view.ahead * view.size(0.03)
    if style in ("long", "bob"):
        down = view.size(0.13 if style == "long" else 0.06)
        sprite.fill(capsule(centre + back, centre + back * 1.2 + [0, down], half * 1.12, half * 0.95), tone * 0.85)
    if style == "bun":
        sprite.fill(ellipse(centre + back * 2.2 - [0, view.size(0.03)], half * 0.5, half * 0.5), tone * 0.9)


def _face(sprite: Sprite, view: View, centre: Array, half: float, tone: Array) -> None:
    """Eyes, brows, nose, mouth and perhaps glasses or a beard, when the face is turned to the camera."""
    looks = view.looks
    tall = view.size(TALL)
    middle = centre + view.ahead * view.size(0.034)
    reach = half * 0.42 * max(view.front, 0.0)
    eye = max(tall * 0.07, 0.4)
    dark = view.paint((40, 42, 50), 0.8)
    for sign in (-1.0, 1.0):
        at = shifted(middle, sign * reach, -tall * 0.05)
        if abs(at[0] - centre[0]) > half * 0.95:
            continue
        sprite.fill(ellipse(at, half * 0.22, eye * 1.1), tone * 0.72)
        sprite.fill(ellipse(at, half * 0.13, eye * 0.7), dark)
        sprite.line(
            shifted(at, -half * 0.2, -tall * 0.15), shifted(at, half * 0.2, -tall * 0.15), eye * 0.7, tone * 0.6
        )
    sprite.line(shifted(middle, 0, tall * 0.0), shifted(middle, 0, tall * 0.25), half * 0.16, tone * 0.86)
    sprite.line(
        shifted(middle, -half * 0.28, tall * 0.48),
        shifted(middle, half * 0.28, tall * 0.48),
        eye * 0.8,
        tone * [0.75, 0.68, 0.8],
    )
    if not looks.female and looks.seed % 4 == 0:
        sprite.fill(ellipse(shifted(middle, 0, tall * 0.68), half * 0.66, tall * 0.36), view.paint(looks.hair, 0.9))
    if looks.seed % 13 == 0:
        for sign in (-1.0, 1.0):
            sprite.fill(ellipse(shifted(middle, sign * reach, -tall * 0.04), half * 0.3, eye * 1.6), dark * 0.7)


def _cap(sprite: Sprite, view: View, centre: Array, half: float, tall: float, tone: Array) -> None:
    """Hair on top, a cap, a hat, a helmet, a scarf or a hood over the skull."""
    style = view.looks.hair_style
    back = -view.ahead * view.size(0.016)
    if style == "helmet":
        sprite.fill(ellipse(centre + back - [0, tall * 0.3], half * 1.3, tall * 0.86), tone * 0.8)
        sprite.fill(ellipse(centre + back - [0, tall * 0.4], half * 1.1, tall * 0.7), tone)
        return
    if style in ("cap", "hat"):
        crown = ellipse(centre + back * 0.5 - [0, tall * 0.42], half * 1.1, tall * 0.66)
        sprite.fill(crown[crown[:, 1] < centre[1] - tall * 0.2], tone)
        rim = centre - [0, tall * 0.32]
        reach = view.ahead * view.size(0.075)
        if style == "cap":
            sprite.fill(capsule(rim, rim + reach, half * 0.75, half * 0.5) * [1, 1], tone * 0.75)
        else:
            sprite.fill(ellipse(rim, half * 1.75, tall * 0.2), tone * 0.85)
        return
    lift = {"crop": 0.32, "short": 0.26, "bun": 0.28}.get(style, 0.24)
    crown = ellipse(centre + back - [0, tall * lift], half * 1.08, tall * 0.84)
    low = centre[1] - tall * (0.42 if view.front > 0 else 0.05)
    sprite.fill(crown[crown[:, 1] <= low + 0.3], tone)


def _back_of_head(sprite: Sprite, view: View, centre: Array, half: float, tall: float, tone: Array) -> None:
    """Hair as seen from behind and from the side: it covers the skull away from the face."""
    style = view.looks.hair_style
    if style == "bald":
        return
    middle = centre - view.ahead * view.size(0.026) - [0, tall * 0.12]
    wide = half * (0.62 + 0.42 * max(0.0, -view.front))
    long = style in ("long", "bob", "scarf", "hood")
    sprite.fill(ellipse(middle, wide, tall * (0.95 if long else 0.86)), tone * 0.94)
    if long and view.front < 0.35:
        down = view.size({"long": 0.15, "bob": 0.05}.get(style, 0.07))
        sprite.fill(capsule(middle, shifted(middle, 0, down), wide * 1.02, wide * 0.9), tone * 0.9)


def draw_head(sprite: Sprite, view: View) -> None:
    """The head on top of everything drawn so far."""
    looks = view.looks
    centre = view.at["head"]
    stout = 1 + 0.25 * (looks.build - 1)
    small = max(0.0, 1.5 - looks.height) * 0.5
    grow = stout * (1 + small)
    half = view.size(float(np.hypot(WIDE * view.front, DEEP * view.side))) * grow
    tall = view.size(TALL) * grow
    covered = looks.hair_style in ("hood", "scarf", "helmet", "cap", "hat")
    tone = view.paint(looks.second if looks.hair_style != "hood" else looks.top) if covered else view.paint(looks.hair)
    skin = view.paint(looks.skin)
    _hair_behind(sprite, view, centre, half, tone)
    sprite.fill(ellipse(centre, half, tall), skin * 0.86)
    if looks.hair_style not in ("bald", "helmet"):
        hair = view.paint(looks.hair) if looks.hair_style in ("cap", "hat") else tone
        sprite.fill(ellipse(centre - [0, tall * 0.16], half * 1.07, tall * 0.9), hair * 0.92)
    jaw = centre + view.ahead * view.size(0.012) + [0, tall * 0.06]
    sprite.fill(ellipse(jaw, half * 0.87, tall * 0.92), skin)
    if view.size(1.0) > 34 and view.front > -0.1:
        _face(sprite, view, centre, half, skin)
    if view.front < 0.75:
        hair = view.paint(looks.hair) if looks.hair_style in ("cap", "hat", "helmet") else tone
        _back_of_head(sprite, view, centre, half, tall, hair)
    if looks.hair_style != "bald":
        _cap(sprite, view, centre, half, tall, tone)
