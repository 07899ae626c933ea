"""Who and what takes part in the clip: one street with a crossing, and everybody's way through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .actors import Driver, Walker, make_way
from .camera import Camera
from .cars import build_car
from .cycles import random_cycle
from .entities import BICYCLE, BUS, CAR, MOTORCYCLE, PERSON, TRUCK, Cycle, Entity, Person, Vehicle, furniture
from .layout import Place, street
from .light import Light, daylight
from .lorries import build_bus, build_truck
from .pose import Arms, sitting
from .riders import seated_rider
from .wardrobe import Looks, random_looks, rider_looks

HALF_ROAD = 5.0
CROSSING = 14.0
"""Metres along the street of the middle of the zebra crossing."""

CLOSED = (1.6, 8.2)
"""Seconds between which people use the crossing and vehicles wait."""


@dataclass
class Cast:
    """A place with all that stands and moves in it."""

    place: Place
    light: Light
    still: list[Entity]
    walkers: list[Walker]
    drivers: list[Driver]

    def entities(self, frame: int) -> list[Entity]:
        """Everything in one picture."""
        moving: list[Entity] = [walker.entity(frame) for walker in self.walkers]
        for driver in self.drivers:
            moving += driver.entities(frame)
        return self.still + moving


class _Numbers:
    """Hands out ids from 1."""

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        """The next id."""
        self.last += 1
        return self.last


def fixed_camera(width: int, height: int) -> Camera:
    """The camera of the clip before it shakes: on a low balcony over the left pavement."""
    focal = width / 2 / np.tan(np.radians(25.5))
    return Camera(np.array([-10.4, 3.3, -2.2]), 0.31, 0.135, 0.0, float(focal), width, height)


def _furnish(rng: np.random.Generator) -> list[Entity]:
    """Trees, posts, benches and bins on both pavements."""
    plan = [
        ("tree", -5.5, 8.6), ("lamp", -5.4, 12.0), ("sign", -5.35, 16.2), ("tree", -5.5, 20.0),
        ("bin", -5.6, 10.4), ("lamp", -5.4, 27.0), ("tree", -5.5, 31.0), ("bench", -10.7, 17.5),
        ("planter", -10.8, 13.2), ("bollard", -5.3, 17.4), ("bollard", -5.3, 18.4), ("tree", 5.6, 11.0),
        ("lamp", 5.5, 17.5), ("tree", 5.6, 22.0), ("bin", 5.7, 16.4), ("sign", 5.4, 11.4),
        ("bench", 10.6, 20.0), ("tree", 5.6, 33.0), ("hydrant", 5.5, 19.4), ("column", 10.2, 15.4),
        ("lamp", 5.5, 30.0), ("cabinet", 10.8, 25.0), ("planter", 10.8, 12.2), ("tree", -5.5, 44.0),
        ("tree", 5.6, 46.0), ("board", -9.8, 24.0), ("bollard", 5.3, 24.0),
    ]  # fmt: skip
    things: list[Entity] = []
    for kind, x, z in plan:
        heading = np.pi / 2 if x < 0 else -np.pi / 2
        things.append(furniture(kind, np.array([x, 0.0, z]), heading, int(rng.integers(1 << 30))))
    return things


Plan = tuple[list[tuple[float, float]], float, float, list[tuple[float, float]], Arms]
"""A way of (x, z) points, a speed, the metres walked at time 0, pauses, and how the arms are held."""


def _plans() -> list[Plan]:
    """The ways of everybody on foot."""
    phone, pockets, folded = (
        Arms(right=(0.35, 1.75)),
        Arms((-0.12, 0.5), (-0.12, 0.5), 0.2),
        Arms((0.4, 1.7), (0.4, 1.7)),
    )
    left_in, left_out = -6.5, -7.6
    return [
        # Along the left pavement, away from the camera and towards it.
        ([(left_in, -6), (left_in, 60)], 1.35, 10.0, [], Arms()),
        ([(left_in - 0.62, -6), (left_in - 0.62, 60)], 1.33, 10.15, [], Arms()),
        ([(left_out, 60), (left_out, -6)], 1.45, 44.0, [], Arms()),
        ([(left_out + 0.2, 60), (left_out - 0.2, -6)], 1.15, 37.5, [], phone),
        ([(-6.9, 60), (-6.9, -6)], 1.6, 29.0, [], Arms()),
        ([(-8.7, -6), (-8.6, 60)], 1.0, 16.0, [(19.5, 3.2)], phone),
        ([(left_in + 0.2, -6), (left_in + 0.2, 60)], 1.55, -0.5, [], Arms()),
        ([(-8.3, 60), (-8.3, -6)], 1.25, 26.5, [], pockets),
        # Over the crossing.
        ([(-6.6, 2), (-6.2, 12.4), (-5.2, 13.6), (6.0, 13.8), (7.0, 15), (7.2, 60)], 1.4, 11.0, [], Arms()),
        ([(-7.0, 30), (-6.2, 16), (-5.0, 14.6), (6.0, 14.4), (7.4, 12), (7.5, -6)], 1.25, 16.4, [], Arms()),
        ([(8.0, 40), (7.2, 15.6), (5.4, 14.1), (-5.6, 14.0), (-6.8, 12.6), (-7.0, -6)], 1.35, 25.6, [], pockets),
        ([(8.4, 2), (6.8, 12.2), (5.4, 13.2), (-5.4, 13.2), (-7.2, 15.4), (-7.4, 60)], 1.5, 9.0, [], Arms()),
        # Along the right pavement.
        ([(6.6, -6), (6.6, 60)], 1.3, 15.0, [], Arms()),
        ([(6.6, -6), (6.6, 60)], 1.42, 8.0, [], Arms()),
        ([(7.9, 60), (7.9, -6)], 1.35, 38.0, [], Arms()),
        ([(8.5, 60), (8.5, -6)], 1.35, 38.2, [], Arms()),
        ([(7.4, 60), (7.4, -6)], 0.95, 41.0, [(43.0, 2.5)], phone),
        ([(7.2, -6), (7.2, 60)], 1.75, 2.0, [], Arms()),
        # Two who stand and talk.
        ([(8.6, 23.0), (8.6, 23.6)], 0.8, 0.0, [(0.0, 99.0)], folded),
        ([(8.5, 24.6), (8.5, 24.0)], 0.8, 0.0, [(0.0, 99.0)], Arms()),
    ]  # fmt: skip


def _walkers(rng: np.random.Generator, numbers: _Numbers) -> list[Walker]:
    """Everybody on foot."""
    walkers = []
    for points, speed, start, pauses, arms in _plans():
        way = np.array(points, dtype=float)
        weave = (float(rng.uniform(0.03, 0.09)), float(rng.uniform(0, 6.28)))
        looks: Looks = random_looks(rng, child=False)
        walkers.append(
            Walker(numbers.next(), looks, way, speed, start, pauses, weave, arms, float(rng.uniform(0, 6.28)))
        )
    return walkers


def _parked(rng: np.random.Generator, numbers: _Numbers) -> list[Entity]:
    """Cars at the kerbs, a truck, and a bicycle on its stand."""
    parked: list[Entity] = []
    for x, z, heading in ((-4.1, 23.5, np.pi), (-4.1, 29.5, np.pi), (4.1, 24.5, 0.0)):
        mesh, half = build_car(rng)
        place = np.array([x, 0.0, z])
        parked.append(Vehicle(numbers.next(), CAR, place, heading, half, mesh=mesh, height=1.5))
    mesh, half = build_truck(rng)
    parked.append(Vehicle(numbers.next(), TRUCK, np.array([3.9, 0.0, 36.0]), 0.0, half, mesh=mesh, height=3.0))
    stand = np.array([-10.2, 0.0, 10.4])
    parked.append(Cycle(numbers.next(), BICYCLE, stand, 1.35, (0.2, 0.85), looks=random_cycle(rng, False)))
    return parked


def _vehicle(rng: np.random.Generator, ident: int, label: int) -> Vehicle:
    """A car or bus that is to drive."""
    build = {CAR: build_car, BUS: build_bus}[label]
    mesh, half = build(rng, 0.0)
    return Vehicle(ident, label, np.zeros(3), 0.0, half, mesh=mesh, height=1.5 if label == CAR else 3.0)


def _drivers(rng: np.random.Generator, numbers: _Numbers) -> list[Driver]:
    """Cars, a bus, a motorcycle and two bicycles on the road."""
    drivers: list[Driver] = []
    line_away, line_back = CROSSING - 3.2, -(CROSSING + 3.2)
    for label, x, ahead, start, speed in ((CAR, 1.25, 1.0, -4.0, 7.5), (BUS, 1.25, 1.0, -26.0, 7.0),
                                          (CAR, -1.45, -1.0, -48.0, 8.5), (CAR, -1.45, -1.0, -66.0, 8.5)):  # fmt: skip
        vehicle = _vehicle(rng, numbers.next(), label)
        stop = (line_away if ahead > 0 else line_back) - vehicle.half[1]
        drivers.append(Driver(vehicle, x, ahead, start, speed, stop, CLOSED))
    for motor, x, ahead, start, speed in ((False, 2.82, 1.0, -3.0, 4.2), (False, -2.75, -1.0, -44.0, 4.6),
                                          (True, -1.0, -1.0, -84.0, 9.0)):  # fmt: skip
        looks = random_cycle(rng, motor)
        cycle = Cycle(numbers.next(), MOTORCYCLE if motor else BICYCLE, np.zeros(3), 0.0, (0.2, 0.9), looks=looks)
        rider = seated_rider(rider_looks(rng, motor), np.zeros(3), 0.0, motor, 0.0)
        rider.ident = numbers.next()
        stop = line_away - 0.9 if ahead > 0 else line_back - 0.9
        drivers.append(Driver(cycle, x, ahead, start, speed, stop, CLOSED, rider, 0.06))
    return drivers


def make_cast(seed: int, frames: int, rate: float) -> Cast:
    """The whole clip for a seed."""
    rng = np.random.default_rng([seed, 77])
    place = street(rng, "street", ["brick", "plaster", "plaster", "stone"], HALF_ROAD, (6.4, CROSSING))
    numbers = _Numbers()
    walkers = _walkers(rng, numbers)
    sitter = Person(numbers.next(), PERSON, np.array([-10.6, 0.0, 17.2]), np.pi / 2, (0.22, 0.2), 0.5,
                    looks=random_looks(rng, child=False), joints=sitting(0.27, Arms(right=(0.5, 1.5))))  # fmt: skip
    still = [*_furnish(rng), sitter, *_parked(rng, numbers)]
    drivers = _drivers(rng, numbers)
    for walker in walkers:
        walker.prepare(frames, rate)
    seats = [entity.position[[0, 2]] for entity in still if entity.ident != sitter.ident]
    make_way(walkers, np.array(seats), rate)
    followed = {1: 0, 3: 2, 6: 3}
    for index, driver in enumerate(drivers):
        if index not in followed:
            driver.prepare(frames, rate)
            continue
        leader = drivers[followed[index]]
        driver.prepare(frames, rate, leader.place - leader.entity.half[1] - driver.entity.half[1] - 1.8)
    return Cast(place, daylight(2.72, 0.92, 0.0022), still, walkers, drivers)
