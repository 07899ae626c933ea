"""What a person looks like: build, skin, hair, clothes and what they carry."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .camera import Array

SKIN = [(180, 205, 240), (150, 185, 228), (130, 165, 212), (105, 140, 190), (80, 110, 160), (55, 78, 118), (40, 55, 85)]
HAIR = [(22, 24, 28), (26, 29, 36), (30, 36, 48), (34, 46, 66), (38, 55, 82), (50, 78, 118), (62, 92, 128),
        (90, 140, 178), (150, 160, 166), (188, 190, 192), (28, 50, 110)]  # fmt: skip
CLOTH = [
    (30, 30, 32), (48, 46, 46), (72, 56, 44), (96, 68, 38), (138, 98, 58), (128, 128, 130), (192, 192, 192),
    (232, 234, 236), (206, 216, 226), (52, 62, 88), (60, 82, 112), (110, 150, 184), (46, 46, 150), (40, 60, 196),
    (74, 110, 60), (58, 84, 50), (120, 90, 150), (172, 150, 216), (60, 170, 216), (36, 120, 210), (176, 132, 80),
    (200, 170, 120), (90, 70, 96), (84, 40, 60),
]  # fmt: skip
TROUSERS = [
    (34, 32, 32), (50, 44, 40), (86, 62, 44), (112, 84, 58), (140, 116, 92), (66, 66, 68), (112, 112, 114),
    (92, 122, 146), (122, 156, 178), (54, 72, 90), (188, 196, 200), (60, 50, 44),
]  # fmt: skip
SHIRTS = [
    (226, 228, 230),
    (200, 206, 210),
    (150, 152, 156),
    (40, 40, 42),
    (70, 56, 46),
    (190, 170, 150),
    (110, 120, 136),
]
SHOES = [(26, 26, 28), (40, 50, 66), (60, 84, 110), (226, 228, 230), (196, 196, 200), (60, 60, 170), (90, 90, 92)]


@dataclass(frozen=True)
class Looks:
    """One person's looks; colours are blue, green, red from 0 to 255, height in metres."""

    height: float
    build: float
    female: bool
    skin: Array
    hair: Array
    hair_style: str
    top: Array
    second: Array
    top_style: str
    pattern: str
    legs: Array
    legs_style: str
    shoes: Array
    bag: str
    bag_colour: Array
    seed: int


def _colour(rng: np.random.Generator, choices: list[tuple[int, int, int]], spread: float = 12.0) -> Array:
    """One of some colours, a little off."""
    base = np.array(choices[int(rng.integers(len(choices)))], dtype=float)
    return np.clip(base * rng.uniform(0.85, 1.12) + rng.normal(0, spread * 0.5, 3), 8, 246)


def _cloth(rng: np.random.Generator) -> Array:
    """A colour of cloth: mostly from the list, sometimes any at all."""
    if rng.random() < 0.2:
        grey = rng.uniform(25, 220)
        return np.clip(grey + rng.normal(0, 30, 3), 10, 245)
    return _colour(rng, CLOTH)


def _leather(rng: np.random.Generator) -> Array:
    """A colour of a bag: mostly black, brown or navy."""
    if rng.random() < 0.25:
        return _cloth(rng)
    return _colour(
        rng, [(28, 28, 30), (44, 62, 92), (60, 92, 130), (70, 52, 40), (40, 46, 60), (90, 96, 100), (30, 34, 90)]
    )


def random_looks(rng: np.random.Generator, child: bool | None = None) -> Looks:
    """Somebody from the street."""
    female = bool(rng.random() < 0.5)
    small = bool(rng.random() < 0.06) if child is None else child
    height = rng.normal(1.66 if female else 1.77, 0.065) if not small else rng.uniform(1.0, 1.45)
    hair_styles = ["long", "bun", "short", "bob", "cap", "hat", "scarf", "hood"] if female else [
        "short", "bald", "crop", "cap", "hat", "hood", "long",
    ]  # fmt: skip
    odds = [0.42, 0.16, 0.08, 0.18, 0.04, 0.05, 0.04, 0.03] if female else [0.48, 0.08, 0.22, 0.1, 0.04, 0.05, 0.03]
    top_style = rng.choice(["shirt", "tee", "jacket", "coat", "hoodie"], p=[0.2, 0.27, 0.27, 0.14, 0.12])
    legs_style = rng.choice(["trousers", "shorts", "skirt", "dress"], p=[0.66, 0.1, 0.13, 0.11])
    if not female and legs_style in ("skirt", "dress"):
        legs_style = "trousers"
    return Looks(
        height=float(np.clip(height, 1.0, 1.98)),
        build=float(np.clip(rng.normal(1.0, 0.1), 0.84, 1.35)),
        female=female,
        skin=_colour(rng, SKIN, 6),
        hair=_colour(rng, HAIR, 6),
        hair_style=str(rng.choice(hair_styles, p=odds)),
        top=_cloth(rng),
        second=_colour(rng, SHIRTS) if rng.random() < 0.75 else _cloth(rng),
        top_style=str(top_style),
        pattern=str(rng.choice(["plain", "stripes", "print", "band"], p=[0.7, 0.1, 0.13, 0.07])),
        legs=_colour(rng, TROUSERS) if rng.random() < 0.85 else _cloth(rng),
        legs_style=str(legs_style),
        shoes=_colour(rng, SHOES),
        bag=str(rng.choice(["none", "backpack", "shoulder", "hand", "cross"], p=[0.5, 0.17, 0.13, 0.11, 0.09])),
        bag_colour=_leather(rng),
        seed=int(rng.integers(1 << 30)),
    )


def rider_looks(rng: np.random.Generator, helmet: bool) -> Looks:
    """Somebody on two wheels: no skirt, hands free, a helmet or not."""
    looks = random_looks(rng, child=False)
    style = "helmet" if helmet else looks.hair_style
    bag = "backpack" if looks.bag == "backpack" else "none"
    legs = "trousers" if looks.legs_style in ("skirt", "dress") else looks.legs_style
    return replace(looks, hair_style=style, bag=bag, legs_style=legs)
