"""Who and what is on one street, from when to when: cars that park, people who sit, work, shop or only pass.

A picture now and then sees what stays again and what passes once. Everything is worked out from a seed and the time
alone, so that pictures may be any time apart and any may be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .camera import Array, heading_axes
from .cars import build_car
from .cycles import random_cycle
from .entities import BICYCLE, BUS, CAR, MOTORCYCLE, PERSON, TRUCK, Cycle, Entity, Person, Vehicle
from .lorries import build_bus, build_truck
from .pose import Arms, sitting, standing, walking
from .riders import seated_rider
from .wardrobe import Looks, random_looks, rider_looks

Pose = Callable[[float, np.random.Generator], list[Entity]]
"""What of a visit is there at a time in seconds, with the shifts and turns of one picture."""

Times = tuple[float, float]
Maker = Callable[[np.random.Generator, Times], Pose]

MINUTE, HOUR = 60.0, 3600.0
ENDS = (-16.0, 86.0)
"""Metres along the street between which somebody passes."""

WAY = ENDS[1] - ENDS[0]

ARMS = (
    Arms(), Arms(), Arms(right=(0.35, 1.75)), Arms((-0.15, 0.55), (-0.15, 0.55), 0.2),
    Arms((0.4, 1.7), (0.4, 1.7), 0.1), Arms(left=(0.1, 1.3)), Arms(right=(0.75, 2.45)),
)  # fmt: skip
"""Hanging, with a phone, in the pockets, folded, with a bag, at the ear."""


@dataclass
class Visit:
    """One that is there from a time to another, in seconds; two on a saddle are numbered on from its own id."""

    ident: int
    times: Times
    make: Maker
    pose: Pose | None = None

    def entities(self, time: float, seed: int) -> list[Entity]:
        """What there is of it at a time: nothing before and after."""
        if not self.times[0] <= time < self.times[1]:
            return []
        if self.pose is None:
            self.pose = self.make(np.random.default_rng([seed, 11, self.ident]), self.times)
        moment = np.random.default_rng([seed, 12, self.ident, round(time * 1000)])
        there = self.pose(time, moment)
        for place, entity in enumerate(there):
            entity.ident = self.ident + place
        return there


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def one_after_another(rng: np.random.Generator, end: float, stay: Times, free: Times) -> Iterator[Times]:
    """Times of the visits to one spot: least and longest seconds that it is taken and free."""
    time = -2 * stay[1] * float(rng.random())
    while time < end:
        until = time + _log_uniform(rng, *stay)
        if until > 0:
            yield time, until
        time = until + _log_uniform(rng, *free)


def arrivals(rng: np.random.Generator, end: float, every: float, least: float) -> Iterator[float]:
    """Times at which somebody begins to pass: seconds between them on the average and at the least."""
    time = -2 * MINUTE
    while time < end:
        yield time
        time += least + float(rng.exponential(every - least))


def parked(label: int, spot: tuple[float, float], heading: float) -> Maker:
    """A car or truck at a place (x, z)."""

    def make(rng: np.random.Generator, times: Times) -> Pose:
        mesh, half = {CAR: build_car, TRUCK: build_truck}[label](rng)
        place = np.array([spot[0] + rng.normal(0, 0.08), 0.0, spot[1] + rng.normal(0, 0.25)])
        tall = 1.5 if label == CAR else 3.0
        turn = heading + float(rng.normal(0, 0.02))
        return lambda time, moment: [Vehicle(0, label, place, turn, half, mesh=mesh, height=tall)]

    return make


def on_stand(spot: tuple[float, float], heading: float, motor: bool) -> Maker:
    """A bicycle or motorcycle on its stand."""

    def make(rng: np.random.Generator, times: Times) -> Pose:
        looks, turn = random_cycle(rng, motor), heading + float(rng.normal(0, 0.1))
        place = np.array([spot[0] + rng.normal(0, 0.08), 0.0, spot[1] + rng.normal(0, 0.06)])
        label = MOTORCYCLE if motor else BICYCLE
        return lambda time, moment: [Cycle(0, label, place, turn, (0.2, 0.85), looks=looks)]

    return make


def seated(spot: tuple[float, float], heading: float) -> Maker:
    """Somebody on a bench, who shifts and turns from picture to picture."""

    def make(rng: np.random.Generator, times: Times) -> Pose:
        looks, held = random_looks(rng, child=False), ARMS[int(rng.integers(len(ARMS)))]

        def pose(time: float, moment: np.random.Generator) -> list[Entity]:
            arms = held if moment.random() < 0.5 else Arms((0.5, 0.7), (0.5, 0.7))
            place = np.array([spot[0], 0.0, spot[1] + moment.normal(0, 0.05)])
            joints = sitting(0.27, arms, float(moment.uniform(-0.12, 0.25)))
            turn = heading + float(np.clip(moment.normal(0, 0.2), -0.5, 0.5))
            return [Person(0, PERSON, place, turn, (0.22, 0.2), 0.5, looks=looks, joints=joints)]

        return pose

    return make


def waiting(spot: tuple[float, float], heading: float) -> Maker:
    """Somebody who stands, steps about a little and turns."""

    def make(rng: np.random.Generator, times: Times) -> Pose:
        looks, held = random_looks(rng, child=False), ARMS[int(rng.integers(len(ARMS)))]

        def pose(time: float, moment: np.random.Generator) -> list[Entity]:
            place = np.array([spot[0] + moment.normal(0, 0.1), 0.0, spot[1] + moment.normal(0, 0.12)])
            arms = held if moment.random() < 0.7 else ARMS[int(moment.integers(len(ARMS)))]
            turn = heading + float(moment.normal(0, 0.6))
            joints = standing(float(moment.uniform(-1, 1)), arms)
            return [Person(0, PERSON, place, turn, (0.22, 0.2), looks=looks, joints=joints)]

        return pose

    return make


def about(area: tuple[float, float, float, float], worker: bool) -> Maker:
    """Somebody who stands and walks in an area (x0, x1, z0, z1): a customer, or a worker in orange."""

    def make(rng: np.random.Generator, times: Times) -> Pose:
        looks = random_looks(rng, child=False)
        if worker:
            looks = _in_orange(rng)
        count = int((times[1] - times[0]) / 15) + 4
        starts = times[0] + np.cumsum(rng.uniform(15, 90, count)) - 15
        stops = np.stack([rng.uniform(area[0], area[1], count), rng.uniform(area[2], area[3], count)], axis=1)
        turns = rng.uniform(-np.pi, np.pi, count)

        def pose(time: float, moment: np.random.Generator) -> list[Entity]:
            last = int(np.clip(np.searchsorted(starts, time) - 1, 0, count - 2))
            way, left = stops[last + 1] - stops[last], max(float(starts[last + 1] - time), 0.0)
            far = float(np.hypot(*way))
            if left * 1.1 < far:
                flat, turn = stops[last + 1] - way * (left * 1.1 / far), float(np.arctan2(way[0], way[1]))
                joints = walking(float(moment.uniform(0, 6.28)), 0.62, Arms())
            else:
                flat, turn = stops[last], float(turns[last] + moment.normal(0, 0.3))
                joints = standing(float(moment.uniform(-1, 1)), ARMS[int(moment.integers(len(ARMS)))])
            place = np.array([flat[0], 0.0, flat[1]])
            return [Person(0, PERSON, place, turn, (0.22, 0.2), looks=looks, joints=joints)]

        return pose

    return make


def _in_orange(rng: np.random.Generator) -> Looks:
    """Working clothes."""
    orange = np.array([40.0, 120, 235]) * rng.uniform(0.85, 1.05)
    return replace(rider_looks(rng, helmet=True), top=orange, top_style="jacket", pattern="band",
                   legs=orange * 0.9 if rng.random() < 0.5 else np.array([90.0, 60, 45]), bag="none")  # fmt: skip


def passing(x: float, ahead: float, speed: float) -> Maker:
    """Somebody who walks by along the street at x, in a direction of 1 or -1."""

    def make(rng: np.random.Generator, times: Times) -> Pose:
        looks, arms = random_looks(rng), ARMS[int(rng.integers(4))]
        stride, swing = 0.42 + 0.27 * speed, float(rng.uniform(0, 6.28))

        def pose(time: float, moment: np.random.Generator) -> list[Entity]:
            walked = speed * (time - times[0])
            z = ENDS[0] + walked if ahead > 0 else ENDS[1] - walked
            place = np.array([x + 0.12 * np.sin(walked * 0.3 + swing), 0.0, z])
            joints = walking(swing + 2 * np.pi * walked / (stride * looks.height), stride, arms)
            turn = 0.0 if ahead > 0 else np.pi
            return [Person(0, PERSON, place, turn, (0.22, 0.2), looks=looks, joints=joints)]

        return pose

    return make


def driving(label: int, lane: tuple[float, float], speed: float, dark: bool) -> Maker:
    """A vehicle or two-wheeler with its rider that drives by in a lane (x, direction)."""
    x, ahead = lane
    turn = 0.0 if ahead > 0 else np.pi

    def make(rng: np.random.Generator, times: Times) -> Pose:
        def place(time: float) -> Array:
            along = speed * (time - times[0])
            return np.array([x, 0.0, ENDS[0] + along if ahead > 0 else ENDS[1] - along])

        if label in (BICYCLE, MOTORCYCLE):
            motor = label == MOTORCYCLE
            looks, rider = random_cycle(rng, motor), rider_looks(rng, motor or rng.random() < 0.4)

            def ride(time: float, moment: np.random.Generator) -> list[Entity]:
                cycle = Cycle(0, label, place(time), turn, (0.2, 0.9), looks=looks)
                return [cycle, seated_rider(rider, place(time), turn, motor, float(moment.uniform(0, 6.28)))]

            return ride
        mesh, half = {CAR: build_car, BUS: build_bus, TRUCK: build_truck}[label](rng, 1.0 if dark else 0.0)
        tall = 1.5 if label == CAR else 3.0
        return lambda time, moment: [Vehicle(0, label, place(time), turn, half, mesh=mesh, height=tall)]

    return make


def step_apart(entities: list[Entity]) -> None:
    """Move people on foot who would stand in one another aside."""
    feet = [one for one in entities if isinstance(one, Person) and not one.mount and not one.nudge]
    for index, one in enumerate(feet):
        for _ in range(3):
            near = [two for two in feet[:index] if np.hypot(*(two.position - one.position)[[0, 2]]) < 0.5]
            if not near:
                break
            right, _ = heading_axes(near[0].heading)
            one.position = near[0].position + right * 0.65
