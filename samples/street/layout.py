"""What a place is made of: strips of ground, markings, rows of buildings, and where things may stand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .camera import Array
from .light import Colour


@dataclass(frozen=True)
class Strip:
    """A band of ground along the street from x = low to x = high, in metres."""

    low: float
    high: float
    material: str
    colour: Array
    pitch: float = 0.0
    """Distance of the joints between its slabs in metres; 0 for none."""


@dataclass(frozen=True)
class Mark:
    """Paint or a patch on the ground: a polygon (N, 2) of x and z in metres."""

    outline: Array
    colour: Colour


@dataclass(frozen=True)
class Front:
    """One building's face: it begins at an origin (3,) and runs along a unit direction (3,) for a length in metres."""

    origin: Array
    along: Array
    normal: Array
    length: float
    height: float
    style: str
    seed: int


@dataclass
class Place:
    """A whole place without anything that moves; lanes are (x, heading) pairs, walks are (low, high) in x."""

    kind: str
    strips: list[Strip]
    marks: list[Mark] = field(default_factory=list)
    fronts: list[Front] = field(default_factory=list)
    lanes: list[tuple[float, float]] = field(default_factory=list)
    parking: list[tuple[float, float]] = field(default_factory=list)
    walks: list[tuple[float, float]] = field(default_factory=list)
    crossings: list[float] = field(default_factory=list)
    kerbs: list[float] = field(default_factory=list)
    left: float = -8.0
    right: float = 8.0
    indoor: bool = False
    clutter: float = 1.0
    trees: float = 0.3


def bar(x0: float, x1: float, z0: float, z1: float, colour: Colour) -> Mark:
    """A rectangle of paint on the ground."""
    return Mark(np.array([[x0, z0], [x1, z0], [x1, z1], [x0, z1]]), colour)


def material(rng: np.random.Generator, name: str, low: float, high: float) -> Strip:
    """A strip of a material in one of its colours."""
    if name == "asphalt":
        grey = rng.uniform(78, 128)
        return Strip(low, high, name, np.array([grey * 1.01, grey, grey * 0.985]))
    if name == "grass":
        return Strip(low, high, name, np.array([52, 112, 96]) * rng.uniform(0.7, 1.15))
    if name == "paving":
        grey = rng.uniform(125, 190)
        warm = rng.uniform(-4, 16)
        return Strip(low, high, name, np.array([grey - warm, grey, grey + warm * 0.7]), float(rng.uniform(0.3, 0.9)))
    if name == "cobbles":
        grey = rng.uniform(100, 150)
        return Strip(low, high, name, np.array([grey - 6, grey, grey + 4]), 0.16)
    if name == "tiles":
        grey = rng.uniform(150, 225)
        return Strip(
            low, high, name, np.array([grey - rng.uniform(0, 30), grey, grey + 5]), float(rng.uniform(0.4, 1.2))
        )
    grey = rng.uniform(130, 180)
    return Strip(low, high, "concrete", np.array([grey - 8, grey, grey + 2]), float(rng.uniform(2, 4)))


def _tufts(rng: np.random.Generator, place: Place, low: float, high: float, colour: Array) -> None:
    """Darker, lighter and bare spots in grass."""
    for _ in range(60):
        x, z = rng.uniform(max(low, -40), min(high, 40)), rng.uniform(-20, 60)
        angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        reach = rng.uniform(0.1, min(1.4, (high - low) * 0.25)) * rng.uniform(0.6, 1.3, 14)
        tone = (
            colour * rng.uniform(0.84, 1.14)
            if rng.random() < 0.85
            else np.array([80.0, 105, 125]) * rng.uniform(0.8, 1.1)
        )
        outline = np.stack([x + reach * np.cos(angle) * rng.uniform(1, 2), z + reach * np.sin(angle)], axis=1)
        place.marks.insert(0, Mark(outline, (float(tone[0]), float(tone[1]), float(tone[2]))))


def row_of_buildings(
    rng: np.random.Generator, x: float, span: tuple[float, float], gaps: float, styles: list[str]
) -> list[Front]:
    """Fronts along the street at x, from and to places along it, facing its middle."""
    side = float(np.sign(x))
    fronts = []
    z = span[0]
    while z < span[1]:
        length = float(rng.uniform(7, 22))
        if rng.random() > gaps:
            height = float(rng.uniform(5, 9) if rng.random() < 0.3 else rng.uniform(9, 24))
            origin = np.array([x, 0.0, z + (length if side < 0 else 0)])
            along = np.array([0.0, 0.0, -1.0 if side < 0 else 1.0])
            fronts.append(Front(origin, along, np.array([-side, 0.0, 0.0]), length, height,
                                str(rng.choice(styles)), int(rng.integers(1 << 30))))  # fmt: skip
        z += length
    return fronts


def end_wall(rng: np.random.Generator, z: float, left: float, right: float, styles: list[str]) -> list[Front]:
    """Fronts across the far end, facing back."""
    fronts = []
    x = left
    while x < right:
        length = float(rng.uniform(9, 26))
        origin = np.array([x, 0.0, z + rng.uniform(0, 6)])
        fronts.append(Front(origin, np.array([1.0, 0, 0]), np.array([0, 0, -1.0]), length, float(rng.uniform(6, 26)),
                            str(rng.choice(styles)), int(rng.integers(1 << 30))))  # fmt: skip
        x += length
    return fronts


def _road(rng: np.random.Generator, place: Place, half: float) -> None:
    """Lane marks, crossings, kerbs, stains and lanes of a road between -half and half."""
    white: Colour = (215.0, 218.0, 220.0)
    tint: Colour = white if rng.random() < 0.8 else (60.0, 190.0, 225.0)
    two_way = rng.random() < 0.85
    if rng.random() < 0.85:
        dash, gap = (3.0, 3.0 + 3 * rng.random()) if rng.random() < 0.7 else (300.0, 0.0)
        for z in np.arange(-60, 150, dash + gap):
            place.marks.append(bar(-0.07, 0.07, z, min(z + dash, 150), tint))
    if rng.random() < 0.4:
        for x in (-half + 2.1, half - 2.1):
            place.marks.append(bar(x - 0.05, x + 0.05, -60, 150, white))
    for z in place.crossings:
        place.marks.append(bar(-half, half, z - 1.9, z + 1.9, tuple(place.strips[1].colour)))
        for x in np.arange(-half + 0.3, half - 0.3, 1.0):
            place.marks.append(bar(x, x + 0.5, z - 1.6, z + 1.6, white))
        place.marks.append(bar(0.1, half - 0.2, z - 2.9, z - 2.6, white))
        place.marks.append(bar(-half + 0.2, -0.1, z + 2.6, z + 2.9, white))
    inner = half - 2.2 if half > 4.5 else half
    place.lanes = [(inner * 0.5, 0.0), (-inner * 0.5, np.pi if two_way else 0.0)]
    place.parking = [(half - 1.1, 0.0), (-half + 1.1, np.pi if two_way else 0.0)]
    for _ in range(int(rng.integers(3, 14))):
        _stain(rng, place, half)
    place.kerbs = [-half, half]


def _stain(rng: np.random.Generator, place: Place, half: float) -> None:
    """A repair, a manhole or an oil stain on the road."""
    x, z = rng.uniform(-half + 0.5, half - 0.5), rng.uniform(-25, 40)
    base = place.strips[1].colour if len(place.strips) > 1 else place.strips[0].colour
    kind = rng.random()
    tone = base * (rng.uniform(0.72, 1.12) if kind < 0.4 else 0.6 if kind < 0.7 else 0.82)
    colour: Colour = (float(tone[0]), float(tone[1]), float(tone[2]))
    if kind < 0.4:
        place.marks.append(bar(x, x + rng.uniform(0.5, 2.5), z, z + rng.uniform(1, 7), colour))
        return
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    radius = 0.32 if kind < 0.7 else rng.uniform(0.2, 0.8) * (1 + 0.25 * np.sin(3 * angle + z))
    outline = np.stack([x + radius * np.cos(angle), z + radius * np.sin(angle)], axis=1)
    place.marks.append(Mark(outline, colour))


def random_place(rng: np.random.Generator) -> Place:
    """A street, an avenue, a square, a park, a car park or a hall."""
    kind = str(
        rng.choice(["street", "avenue", "square", "park", "parking", "hall"], p=[0.44, 0.18, 0.13, 0.09, 0.09, 0.07])
    )
    town = ["brick", "plaster", "plaster", "stone", "modern", "panel"]
    if kind in ("street", "avenue"):
        return street(rng, kind, town)
    size = float(rng.uniform(9, 30)) if kind != "hall" else float(rng.uniform(5, 14))
    floor = {"square": ["paving", "cobbles", "concrete"], "park": ["grass"], "parking": ["asphalt", "concrete"],
             "hall": ["tiles", "concrete"]}[kind]  # fmt: skip
    place = Place(
        kind,
        [material(rng, str(rng.choice(floor)), -120 if kind != "hall" else -size, 120 if kind != "hall" else size)],
    )
    place.left, place.right = -size, size
    place.indoor = kind == "hall"
    place.walks = [(-size, size)]
    place.trees = {"square": 0.25, "park": 1.2, "parking": 0.2, "hall": 0.0}[kind]
    if kind == "park":
        _tufts(rng, place, -size, size, place.strips[0].colour)
        half = float(rng.uniform(1, 3))
        place.strips.append(material(rng, str(rng.choice(["asphalt", "paving", "concrete"])), -half, half))
    if kind == "parking":
        for x in (-size * 0.4, size * 0.4):
            place.marks += [bar(x - 2.5, x + 2.5, z - 0.05, z + 0.05, (210, 214, 216)) for z in np.arange(-30, 60, 2.5)]
        place.lanes = [(0.0, 0.0)]
    styles = ["hall"] if place.indoor else town
    gaps = {"square": 0.05, "park": 0.7, "parking": 0.3, "hall": 0.0}[kind]
    end = float(rng.uniform(18, 60)) if kind != "street" else 120.0
    for x in (-size, size):
        place.fronts += row_of_buildings(rng, x, (-40.0, end), gaps, styles)
    if rng.random() < 0.85 or place.indoor:
        place.fronts += end_wall(rng, end, -size, size, styles)
    return place


def street(
    rng: np.random.Generator,
    kind: str,
    styles: list[str],
    half: float | None = None,
    fixed: tuple[float, float] | None = None,
) -> Place:
    """A road with pavements and buildings on both sides; `fixed` gives width of pavement and place of crossing."""
    half = float(rng.uniform(3.0, 6.5)) if half is None else half
    walk = float(rng.uniform(2.0, 5.5)) if fixed is None else fixed[0]
    green = float(rng.uniform(1.5, 6)) if kind == "avenue" else 0.0
    outer = half + walk + green
    side = material(
        rng, str(rng.choice(["paving", "concrete", "asphalt", "cobbles"], p=[0.6, 0.18, 0.14, 0.08])), -300, 300
    )
    road = material(rng, "cobbles" if rng.random() < 0.06 else "asphalt", -half, half)
    place = Place(kind, [side, road])
    if green:
        grass = material(rng, "grass", 0, 0)
        place.strips += [Strip(s * (half + walk) if s > 0 else -outer - 40, outer + 40 if s > 0 else -half - walk,
                               "grass", grass.colour) for s in (-1, 1)]  # fmt: skip
        _tufts(rng, place, -outer, -half - walk - 0.7, grass.colour)
        _tufts(rng, place, half + walk + 0.7, outer, grass.colour)
    place.crossings = [float(rng.uniform(4, 22))] if rng.random() < 0.35 else []
    if fixed is not None:
        place.crossings = [fixed[1]]
    _road(rng, place, half)
    place.walks = [(-half - walk, -half - 0.3), (half + 0.3, half + walk)]
    place.left, place.right = -outer, outer
    place.trees = float(rng.choice([0.0, 0.3, 0.8])) if not green else 1.0
    gaps = 0.45 if green else float(rng.choice([0.0, 0.08, 0.25]))
    for x in (-outer, outer):
        place.fronts += row_of_buildings(rng, x, (-60.0, float(rng.uniform(50, 130))), gaps, styles)
    if rng.random() < 0.6:
        place.fronts += end_wall(rng, 130, -outer - 10, outer + 10, styles)
    return place
