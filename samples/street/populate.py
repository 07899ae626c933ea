"""Random scenes for single pictures: a camera, a place, and whoever and whatever is there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .camera import Array, Camera, heading_axes
from .cars import build_car
from .cycles import random_cycle
from .entities import (
    BICYCLE,
    BUS,
    CAR,
    MOTORCYCLE,
    PERSON,
    TRUCK,
    Cycle,
    Entity,
    Furniture,
    Person,
    Vehicle,
    furniture,
)
from .footprint import overlaps
from .layout import Place, random_place
from .light import Light, random_light
from .lorries import build_bus, build_truck
from .pose import Arms, Joints, sitting, standing, walking
from .riders import seated_rider
from .scene import Scene
from .wardrobe import random_looks, rider_looks

SIZES = [(416, 312), (416, 234), (416, 416), (312, 416), (240, 416), (416, 278), (416, 320), (400, 300)]


def random_camera(rng: np.random.Generator, place: Place) -> Camera:
    """A camera somewhere in a place, held, on a pole or at a window, with something to see in front of it."""
    width, height = SIZES[int(rng.choice(len(SIZES), p=[0.3, 0.17, 0.12, 0.1, 0.04, 0.13, 0.08, 0.06]))]
    field_of_view = np.radians(rng.uniform(32, 88))
    focal = max(width, height) / 2 / np.tan(field_of_view / 2)
    kind = rng.choice(["eye", "pole", "window"], p=[0.5, 0.3, 0.2])
    tall = {"eye": rng.uniform(1.1, 2.0), "pole": rng.uniform(2.2, 4.0), "window": rng.uniform(4.0, 9.0)}[str(kind)]
    if place.indoor:
        tall = min(tall, 3.6)
    x, yaw = 0.0, 0.0
    for _ in range(12):
        x = float(rng.uniform(place.left + 0.6, place.right - 0.6))
        yaw = float(rng.normal(0, 0.5) if rng.random() < 0.6 else rng.uniform(-1.6, 1.6))
        room = (place.right - x) if yaw > 0 else (x - place.left)
        if room / max(abs(np.sin(yaw)), 0.05) > 7:
            break
    aim = float(np.exp(rng.uniform(np.log(7), np.log(45)))) * (1 + tall * 0.15)
    pitch = float(np.arctan2(tall - 0.8, aim) + rng.normal(0, 0.03))
    roll = float(rng.normal(0, 0.025)) if rng.random() < 0.6 else 0.0
    return Camera(np.array([x, tall, 0.0]), yaw, pitch, roll, float(focal), width, height)


@dataclass
class Crowd:
    """A scene being filled: every new object gets an id and must not stand in another."""

    rng: np.random.Generator
    camera: Camera
    place: Place
    entities: list[Entity] = field(default_factory=list)
    outlines: list[Array] = field(default_factory=list)
    next_id: int = 1

    def free(self, entity: Entity, room: float = 0.0) -> bool:
        """Whether a place for an object is free, with some room in metres around it."""
        grown = replace(entity, half=(entity.half[0] + room, entity.half[1] + room))
        if not self.outlines:
            return True
        return not overlaps(grown.outline(), np.array(self.outlines))

    def add(self, entity: Entity) -> None:
        """Take an object in; labelled ones get the next id."""
        if entity.label >= 0:
            entity.ident = self.next_id
            self.next_id += 1
        self.entities.append(entity)
        self.outlines.append(entity.outline())

    def spot(self, depth: float, margin: float = 0.05) -> Array:
        """A ground point (3,) at a depth, anywhere across the picture."""
        column = self.rng.uniform(-margin, 1 + margin) * self.camera.width
        right, ahead = heading_axes(self.camera.yaw)
        side = depth * (column - self.camera.width / 2) / self.camera.focal
        point: Array = self.camera.position * [1, 0, 1] + ahead * depth + right * side
        return point

    def depth_for(self, metres: float, smallest: float, largest: float) -> float:
        """A depth at which something of a height has a random size between two numbers of pixels."""
        pixels = np.exp(self.rng.uniform(np.log(smallest), np.log(largest)))
        near = max(self.camera.position[1] * 0.9, 1.8)
        return float(np.clip(self.camera.focal * metres / pixels, near, 75))

    def inside(self, point: Array, margin: float = 0.4) -> bool:
        """Whether a ground point lies between the buildings."""
        return bool(self.place.left + margin < point[0] < self.place.right - margin)

    def on_walk(self, point: Array) -> bool:
        """Whether a ground point lies where people walk."""
        if any(low <= point[0] <= high for low, high in self.place.walks):
            return True
        return any(abs(point[2] - z) < 1.8 for z in self.place.crossings)


def _arms(rng: np.random.Generator) -> Arms:
    """Arms hanging, in pockets, holding a phone or a bag, or folded."""
    kind = rng.choice(
        ["swing", "phone", "pockets", "one", "folded", "ear", "wave"], p=[0.52, 0.12, 0.12, 0.1, 0.06, 0.06, 0.02]
    )
    held: dict[str, Arms] = {
        "swing": Arms(), "phone": Arms(right=(0.35, 1.75)), "pockets": Arms((-0.15, 0.55), (-0.15, 0.55), 0.2),
        "one": Arms(left=(0.1, 1.3)), "folded": Arms((0.4, 1.7), (0.4, 1.7), 0.1), "ear": Arms(right=(0.75, 2.45)),
        "wave": Arms(left=(2.6, 0.4)),
    }  # fmt: skip
    return held[str(kind)]


def _joints(rng: np.random.Generator, kind: str) -> Joints:
    """Joints of one way to be on foot."""
    if kind == "walk":
        return walking(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.5, 0.9)), _arms(rng))
    if kind == "run":
        return walking(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.9, 1.25)), Arms(), 1.0)
    if kind == "sit":
        return sitting(float(rng.uniform(0.24, 0.29)), _arms(rng), float(rng.uniform(-0.15, 0.25)))
    return standing(float(rng.uniform(-1, 1)), _arms(rng))


def _heading(crowd: Crowd, position: Array) -> float:
    """Where somebody is going: mostly along the street, sometimes anywhere."""
    rng = crowd.rng
    along = crowd.place.kind in ("street", "avenue")
    if rng.random() < (0.75 if along else 0.35):
        return float(rng.choice([0.0, np.pi]) + rng.normal(0, 0.2))
    return float(rng.uniform(-np.pi, np.pi))


def add_people(crowd: Crowd, count: int) -> None:
    """People alone, in pairs and in small groups."""
    rng = crowd.rng
    largest = crowd.camera.height * 0.95
    for _ in range(count):
        point = crowd.spot(crowd.depth_for(1.7, 13, largest))
        if not crowd.inside(point) or (not crowd.on_walk(point) and rng.random() < 0.7):
            continue
        heading = _heading(crowd, point)
        kind = str(rng.choice(["walk", "stand", "sit", "run"], p=[0.66, 0.26, 0.04, 0.04]))
        members = 1 if rng.random() < 0.7 else int(rng.integers(2, 5))
        right, ahead = heading_axes(heading)
        for member in range(members):
            offset = right * 0.62 * (member % 2) + ahead * (0.7 * (member // 2) + rng.normal(0, 0.1))
            turn = heading + float(rng.normal(0, 0.15) if kind != "stand" else rng.uniform(-1.5, 1.5))
            one = Person(
                0, PERSON, point + offset, turn, (0.22, 0.2), looks=random_looks(rng), joints=_joints(rng, kind)
            )
            if crowd.free(one, 0.02 if members > 1 else 0.12):
                if kind == "sit":
                    crowd.add(
                        furniture(
                            "cabinet" if rng.random() < 0.3 else "bench",
                            one.position - 0.001,
                            turn,
                            int(rng.integers(1 << 30)),
                        )
                    )
                    one.nudge = 0.5 if np.cos(crowd.camera.facing(one.position) - turn) > -0.2 else -0.5
                crowd.add(one)


def _road_spot(crowd: Crowd, lanes: list[tuple[float, float]], metres: float) -> tuple[Array, float] | None:
    """A place (3,) and heading in one of some lanes that the camera sees."""
    rng, camera = crowd.rng, crowd.camera
    for _ in range(14):
        depth = crowd.depth_for(metres, 14, camera.height * 0.7)
        point = crowd.spot(max(depth, 3.2))
        x, heading = lanes[int(rng.integers(len(lanes)))]
        _, ahead = heading_axes(camera.yaw)
        z = (depth - (x - camera.position[0]) * ahead[0]) / ahead[2] if abs(ahead[2]) > 0.25 else float(point[2])
        spot = np.array([x + rng.normal(0, 0.15), 0.0, z])
        flat, away = camera.project(spot[None])
        if away[0] > 2.5 and -0.2 * camera.width < flat[0, 0] < 1.2 * camera.width:
            return spot, float(heading + rng.normal(0, 0.03))
    return None


def _open_spot(crowd: Crowd, metres: float) -> tuple[Array, float] | None:
    """A place (3,) and any heading on open ground."""
    for _ in range(6):
        point = crowd.spot(max(crowd.depth_for(metres, 14, crowd.camera.height * 0.7), 3.2))
        if crowd.inside(point, 2.0):
            return point, float(crowd.rng.choice([0, np.pi / 2, np.pi, -np.pi / 2]) + crowd.rng.normal(0, 0.25))
    return None


def add_vehicles(crowd: Crowd, count: int, light: Light) -> None:
    """Cars, buses and trucks, driving and parked."""
    rng, place = crowd.rng, crowd.place
    for _ in range(count):
        label = int(rng.choice([CAR, BUS, TRUCK], p=[0.7, 0.14, 0.16]))
        parked = label == CAR and bool(place.parking) and rng.random() < 0.5
        lanes = place.parking if parked else place.lanes
        tall = 1.5 if label == CAR else 3.0
        found = _road_spot(crowd, lanes, tall) if lanes and place.kind != "parking" else _open_spot(crowd, tall)
        if found is None:
            continue
        lit = 1.0 if light.night > 0.3 and not parked else (0.6 if rng.random() < 0.15 else 0.0)
        mesh, half = {CAR: build_car, BUS: build_bus, TRUCK: build_truck}[label](rng, lit)
        vehicle = Vehicle(0, label, found[0], found[1], half, mesh=mesh, height=tall)
        away = np.linalg.norm((vehicle.position - crowd.camera.position)[[0, 2]])
        if away > half[1] + 1.2 and crowd.free(vehicle, 0.15):
            crowd.add(vehicle)


def add_cycles(crowd: Crowd, count: int, motor: bool) -> None:
    """Bicycles or motorcycles, most of them ridden."""
    rng, place = crowd.rng, crowd.place
    for _ in range(count):
        lanes = place.lanes + place.parking
        use_lane = bool(lanes) and rng.random() < 0.6
        found = _road_spot(crowd, lanes, 1.5) if use_lane else _open_spot(crowd, 1.5)
        if found is None:
            continue
        point, heading = found
        looks = random_cycle(rng, motor)
        cycle = Cycle(0, MOTORCYCLE if motor else BICYCLE, point, heading, (0.2, 0.85), looks=looks)
        if not crowd.free(cycle, 0.1):
            continue
        crowd.add(cycle)
        if rng.random() < 0.62:
            rider = rider_looks(rng, helmet=motor or rng.random() < 0.35)
            crowd.add(seated_rider(rider, point, heading, motor, float(rng.uniform(0, 2 * np.pi))))


def add_clutter(crowd: Crowd, count: int) -> None:
    """Street furniture that is no target, some of it in front."""
    rng, place = crowd.rng, crowd.place
    kinds = ["lamp", "sign", "bin", "bollard", "bench", "hydrant", "planter", "cone", "cabinet", "board", "flag",
             "column", "fence", "parasol", "boxes", "signal"]  # fmt: skip
    if place.indoor:
        kinds = ["bin", "planter", "bench", "column", "boxes", "board", "pillar", "pillar", "flag"]
    for _ in range(count):
        kind = "tree" if rng.random() < place.trees / (1 + place.trees) else str(rng.choice(kinds))
        if kind == "tree" and rng.random() < 0.25:
            kind = "bush"
        point = crowd.spot(crowd.depth_for(1.5 if kind != "tree" else 4.0, 10, crowd.camera.height * 0.8))
        if place.kind in ("street", "avenue") and not crowd.on_walk(point) and rng.random() < 0.8:
            low, high = place.walks[int(rng.integers(len(place.walks)))]
            point[0] = rng.choice([low + 0.4, high - 0.4])
        heading = float(rng.choice([0, np.pi / 2, np.pi, -np.pi / 2])) + float(rng.normal(0, 0.1))
        thing: Furniture = furniture(kind, point, heading, int(rng.integers(1 << 30)))
        away = float(np.linalg.norm((point - crowd.camera.position)[[0, 2]]))
        if away > 2.4 and crowd.inside(point, 0.2) and crowd.free(thing, 0.1):
            crowd.add(thing)


def random_scene(rng: np.random.Generator) -> tuple[Scene, Camera]:
    """Any scene; about one in five has no person and no vehicle."""
    place = random_place(rng)
    light = random_light(rng)
    if place.indoor:
        level = rng.uniform(0.7, 1.0)
        light = Light(np.array([0.0, 1.0, 0.0]), np.full(3, 0.1), np.array([0.93, 0.98, 1.0]) * level,
                      np.array([200.0, 205, 208]) * level, 0.001)  # fmt: skip
        place.fronts = [replace(front, height=4.2) for front in place.fronts]
    camera = random_camera(rng, place)
    crowd = Crowd(rng, camera, place)
    if rng.random() < 0.16:
        add_clutter(crowd, int(rng.integers(6, 26)))
    else:
        density = float(rng.choice([0.0, 1.0, 2.4, 5.0], p=[0.07, 0.40, 0.36, 0.17]))
        road = {"street": 6.0, "avenue": 5.5, "parking": 8.0, "square": 0.8, "park": 0.2, "hall": 0.0}[place.kind]
        add_vehicles(crowd, int(rng.poisson(road)), light)
        wheels = 1.0 if not place.indoor else 0.05
        add_cycles(crowd, int(rng.poisson(0.75 * wheels)), False)
        add_cycles(crowd, int(rng.poisson(0.6 * wheels)), True)
        add_people(crowd, int(rng.poisson(4.6 * density)))
        add_clutter(crowd, int(rng.integers(0, 10)))
    wet = float(rng.uniform(0.2, 0.5)) if rng.random() < 0.1 or place.indoor else 0.0
    scene = Scene(
        place,
        light,
        crowd.entities,
        int(rng.integers(1 << 30)),
        float(rng.uniform(0.5, 1.6)) * (0.15 if place.indoor else 1),
        wet,
    )
    return scene, camera
