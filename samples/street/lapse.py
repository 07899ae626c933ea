"""A street at a picture a minute: a folder of pictures with EXIF times, and MOTChallenge ground truth."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from .camera import Array, Camera
from .clip import truth_lines
from .entities import BICYCLE, BUS, CAR, MOTORCYCLE, SCENERY, TRUCK, Entity, furniture
from .layout import Place, end_wall, row_of_buildings, street
from .light import Light, daylight
from .scene import Scene, render
from .sensor import Sensor, develop
from .textures import make_textures
from .visits import (
    HOUR,
    MINUTE,
    WAY,
    Maker,
    Times,
    Visit,
    about,
    arrivals,
    driving,
    on_stand,
    one_after_another,
    parked,
    passing,
    seated,
    step_apart,
    waiting,
)

SUNSET = datetime(2026, 4, 18, 19, 52)
"""By the clock of the camera, which is two hours ahead of UTC."""

ZONE = "+02:00"
AFTER = 14 * MINUTE
"""Seconds past sunset of the last picture."""

LATITUDE, DECLINATION = np.radians(48.0), np.radians(10.8)
JPEG_QUALITY = 90


@dataclass(frozen=True)
class Shots:
    """How the pictures are taken."""

    pictures: int = 60
    interval_s: float = 60.0
    size: tuple[int, int] = (768, 432)
    bump: int | None = None
    """Picture, counted from 1, from which on the camera looks a degree or two elsewhere."""

    gap: tuple[int, int] | None = None
    """Picture after which some are missing, and how many."""

    @property
    def taken(self) -> list[int]:
        """Numbers of the pictures that there are, from 1."""
        missing = range(self.gap[0] + 1, self.gap[0] + 1 + self.gap[1]) if self.gap else range(0)
        return [number for number in range(1, self.pictures + 1) if number not in missing]

    def time_s(self, number: int) -> float:
        """Seconds of a picture since the first."""
        return (number - 1) * self.interval_s

    def moment(self, number: int) -> datetime:
        """When a picture is taken, by the clock of the camera."""
        last = SUNSET + timedelta(seconds=AFTER)
        return last - timedelta(seconds=self.time_s(self.pictures) - self.time_s(number))


def _high_camera(width: int, height: int) -> Camera:
    """A camera at a window on the second floor."""
    focal = width / 2 / np.tan(np.radians(25.5))
    return Camera(np.array([-10.6, 6.2, -4.0]), 0.36, 0.23, 0.0, float(focal), width, height)


def _furnish(rng: np.random.Generator) -> list[Entity]:
    """Trees, posts, benches, a market's boxes, and the fences of a building site."""
    plan = [
        ("lamp", -5.4, 11.0), ("sign", -5.35, 17.2), ("tree", -5.5, 22.6), ("tree", -5.5, 36.0), ("bin", -5.6, 19.2),
        ("lamp", -5.4, 29.0), ("bench", -10.8, 20.6), ("bench", -10.8, 23.4), ("boxes", -10.6, 8.4),
        ("boxes", -10.6, 10.2), ("boxes", -10.5, 12.6), ("planter", -10.8, 25.6),
        ("tree", 5.6, 11.0), ("lamp", 5.5, 15.6), ("sign", 5.4, 18.0), ("bench", 10.6, 20.0), ("tree", 5.6, 35.0),
        ("fence", 6.0, 23.4), ("fence", 6.0, 30.6), ("cone", 5.6, 25.0), ("cone", 5.6, 27.0), ("cone", 5.6, 29.0),
        ("cone", 8.0, 24.0), ("cone", 8.0, 30.0), ("boxes", 7.4, 29.4), ("column", 10.2, 15.4), ("tree", -5.5, 48.0),
        ("tree", 5.6, 47.0), ("lamp", 5.5, 41.0), ("bollard", -5.3, 17.9), ("bollard", -5.3, 10.2),
    ]  # fmt: skip
    things: list[Entity] = []
    for kind, x, z in plan:
        heading = 0.0 if kind == "fence" else np.pi / 2 if x < 0 else -np.pi / 2
        things.append(furniture(kind, np.array([x, 0.0, z]), heading, int(rng.integers(1 << 30))))
    return things


def _spots() -> list[tuple[Maker, Times, Times]]:
    """What parks, sits, waits, shops and works: how, how long, and how long its place is free then, in seconds."""
    park, load, lock = (4 * MINUTE, 2 * HOUR), (5 * MINUTE, 35 * MINUTE), (5 * MINUTE, 2 * HOUR)
    sit, wait, shop = (3 * MINUTE, 25 * MINUTE), (2 * MINUTE, 14 * MINUTE), (2 * MINUTE, 15 * MINUTE)
    soon, later = (MINUTE, 14 * MINUTE), (2 * MINUTE, 22 * MINUTE)
    kerbs = ((-4.05, np.pi, (5.6, 20.6, 26.6, 40.5), 33.0), (4.05, 0.0, (9.6, 20.5, 26.5, 42.0), 34.0))
    cars = [(parked(CAR, (x, z), heading), park, soon) for x, heading, places, _ in kerbs for z in places]
    trucks = [(parked(TRUCK, (x, z), heading), load, soon) for x, heading, _, z in kerbs]
    stands = [(-10.2, 15.8, 1.35), (-10.2, 16.9, 1.35), (-10.2, 18.0, 1.4), (-6.1, 25.0, 0.3), (-6.1, 27.2, 0.3)]
    cycles = [(on_stand((x, z), heading, False), lock, later) for x, z, heading in stands]
    cycles.append((on_stand((-6.1, 20.6), 0.1, True), lock, later))
    seats = [(-10.7, 20.2, 1.57), (-10.7, 21.0, 1.57), (-10.7, 23.5, 1.57), (10.5, 19.7, -1.57), (10.5, 20.4, -1.57)]
    sitters = [(seated((x, z), heading), sit, later) for x, z, heading in seats]
    posts = [(-8.9, 18.2, 0.9), (-8.3, 18.8, -2.3), (6.1, 16.8, -1.6), (6.3, 18.6, -1.6), (-10.6, 28.0, 1.6),
             (9.9, 33.0, -1.6)]  # fmt: skip
    standing = [(waiting((x, z), heading), wait, later) for x, z, heading in posts]
    shoppers = [(about((-9.9, -7.9, 6.5, 14.5), False), shop, soon)] * 4
    workers = [(about((6.2, 7.7, 24.0, 30.0), True), (20 * MINUTE, 2 * HOUR), later)] * 3
    return [*cars, *trucks, *cycles, *sitters, *standing, *shoppers, *workers]


def _passing(rng: np.random.Generator, end: float, dark: float) -> Iterator[tuple[Times, Maker]]:
    """Those who walk, ride or drive by; `dark` is when vehicles have their lamps on."""
    for low, high, ahead in ((-7.2, -6.6, 1.0), (-6.5, -6.1, -1.0), (8.5, 8.9, 1.0), (9.1, 9.5, -1.0)):
        for begin in arrivals(rng, end, 30.0, 1.0):
            speed = float(rng.normal(1.35, 0.15))
            yield (begin, begin + WAY / speed), passing(float(rng.uniform(low, high)), ahead, speed)
    for lane in ((1.25, 1.0), (-1.45, -1.0)):
        for begin in arrivals(rng, end, 14.0, 3.5):
            label = int(rng.choice([CAR, BUS, TRUCK, MOTORCYCLE], p=[0.78, 0.07, 0.08, 0.07]))
            yield (begin, begin + WAY / 8.0), driving(label, lane, 8.0, begin > dark)
    for lane in ((2.75, 1.0), (-2.8, -1.0)):
        for begin in arrivals(rng, end, 70.0, 4.0):
            yield (begin, begin + WAY / 4.4), driving(BICYCLE, lane, 4.4, False)


def _visits(seed: int, end: float, dark: float) -> list[Visit]:
    """Everybody of the whole time, numbered."""
    rng = np.random.default_rng([seed, 21])
    found = [(times, make) for make, stay, free in _spots() for times in one_after_another(rng, end, stay, free)]
    found += _passing(np.random.default_rng([seed, 22]), end, dark)
    return [Visit(1 + 2 * place, *visit) for place, visit in enumerate(found)]


def _elevation(moment: datetime) -> tuple[float, float]:
    """Azimuth in the street's axes and elevation of the sun, radians; the street ends where it has gone down."""
    turn = float(np.arccos(-np.tan(LATITUDE) * np.tan(DECLINATION)))
    turn += (moment - SUNSET).total_seconds() / HOUR * np.pi / 12
    sine = np.sin(LATITUDE) * np.sin(DECLINATION) + np.cos(LATITUDE) * np.cos(DECLINATION) * np.cos(turn)
    return 2.85 + (moment - SUNSET).total_seconds() / HOUR * 0.26, float(np.arcsin(sine))


def _light(moment: datetime, phases: Array) -> Light:
    """Of the sun, as clouds let it through, until after it has set."""
    azimuth, elevation = _elevation(moment)
    seconds = (moment - SUNSET).total_seconds()
    waves = np.sin(2 * np.pi * seconds / (np.array([7.3, 17.0, 41.0]) * MINUTE) + phases)
    cloud = float(np.clip(0.35 + 0.3 * waves.sum(), 0, 0.9)) * (1 if elevation > 0 else 0)
    day = float(np.clip((elevation + 0.12) / 0.24, 0, 1))
    up = float(np.clip(elevation / 0.08, 0, 1))
    light = daylight(azimuth, max(elevation, 0.05), 0.0025)
    glow = np.array([0.92, 0.96, 1.08]) if 0 < day < 0.8 else np.ones(3)
    sky = light.sky * (0.28 + 0.72 * day) * (1 + 0.25 * cloud) * glow
    return replace(
        light, sun=light.sun * up * (1 - cloud), sky=sky, haze_colour=light.haze_colour * (0.25 + 0.75 * day)
    )


def _sensor(mean: float, rng: np.random.Generator) -> Sensor:
    """The camera at its own exposure, now and then a wrong one, with more noise in the dark."""
    wrong = float(rng.choice([1.0, 0.75, 1.3], p=[0.88, 0.06, 0.06])) * float(np.exp(rng.normal(0, 0.04)))
    exposure = float(np.clip((110 / max(mean, 1.0)) ** 0.65, 0.7, 2.6))
    balance = (1 + float(rng.normal(0, 0.015)), 1.0, 1 + float(rng.normal(0, 0.015)))
    return Sensor(exposure * wrong, 1.1, 0.95, balance, blur=0.45, noise=1.3 * exposure, grain=0.4)


def _aimed(camera: Camera, shots: Shots, number: int, rng: np.random.Generator) -> Camera:
    """The camera, moved a little by the wind, and for good by a knock."""
    yaw, pitch, roll = np.radians(rng.normal(0, (0.02, 0.02, 0.01)))
    if shots.bump is not None and number >= shots.bump:
        yaw, pitch, roll = yaw + np.radians(1.5), pitch - np.radians(0.8), roll + np.radians(0.6)
    return replace(camera, yaw=camera.yaw + yaw, pitch=camera.pitch + pitch, roll=camera.roll + roll)


def exif(moment: datetime, offset: str) -> bytes:
    """An APP1 segment with DateTimeOriginal, OffsetTimeOriginal and, of parts of a second, SubSecTimeOriginal."""
    texts = {0x9003: moment.strftime("%Y:%m:%d %H:%M:%S"), 0x9011: offset}
    if moment.microsecond:
        texts[0x9291] = f"{moment.microsecond:06d}"
    first, directory = 8, 8 + 2 + 12 + 4
    values, entries = b"", b""
    for tag, text in sorted(texts.items()):
        data = text.encode("ascii") + b"\0"
        entries += struct.pack("<HHII", tag, 2, len(data), directory + 2 + 12 * len(texts) + 4 + len(values))
        values += data
    tiff = b"II*\0" + struct.pack("<IHHHIII", first, 1, 0x8769, 4, 1, directory, 0)
    tiff += struct.pack("<H", len(texts)) + entries + struct.pack("<I", 0) + values
    return b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff


def _place(seed: int) -> tuple[Place, list[Entity]]:
    """The street and what stands there for ever."""
    rng = np.random.default_rng([seed, 20])
    styles = ["brick", "plaster", "plaster", "stone"]
    place = street(rng, "street", styles, 5.0, (6.4, 14.0))
    rows = [row_of_buildings(rng, x, (-30.0, 125.0), 0.0, styles) for x in (place.left, place.right)]
    place.fronts = [*rows[0], *rows[1], *end_wall(rng, 130, place.left - 10, place.right + 10, styles)]
    return place, _furnish(rng)


def write_lapse(output: Path, truth: Path, seed: int, shots: Shots) -> None:
    """Render the pictures IMG_0001.jpg and on into a folder and their ground truth into another."""
    place, still = _place(seed)
    textures, camera = make_textures(seed), _high_camera(*shots.size)
    phases = np.random.default_rng([seed, 23]).uniform(0, 2 * np.pi, 3)
    end = shots.time_s(shots.pictures)
    visits = _visits(seed, end + 1, end - AFTER)
    lines: list[str] = []
    output.mkdir(parents=True, exist_ok=True)
    for frame, number in enumerate(shots.taken, 1):
        time, moment, rng = shots.time_s(number), shots.moment(number), np.random.default_rng([seed, 24, number])
        coming = [entity for visit in visits for entity in visit.entities(time, seed)]
        step_apart(coming)
        scene = Scene(place, _light(moment, phases), [*still, *coming], seed)
        clean, seen = render(scene, _aimed(camera, shots, number, rng), textures)
        labels = {entity.ident: entity.label for entity in coming if entity.label != SCENERY}
        lines += truth_lines(frame, seen, labels, *shots.size)
        picture = develop(clean, _sensor(float(clean.mean()), rng), rng)
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        jpeg = data.tobytes()
        (output / f"IMG_{number:04d}.jpg").write_bytes(jpeg[:2] + exif(moment, ZONE) + jpeg[2:])
    _write_truth(truth, output.name, lines, shots)


def _write_truth(folder: Path, name: str, lines: list[str], shots: Shots) -> None:
    """Lay the truth out as a MOTChallenge sequence; a gap is in no frame number."""
    (folder / "gt").mkdir(parents=True, exist_ok=True)
    (folder / "gt" / "gt.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    rate = 1 / Fraction(shots.interval_s).limit_denominator(1000)
    info = {"name": name, "imDir": "img1", "frameRate": rate, "seqLength": len(shots.taken), "imWidth": shots.size[0],
            "imHeight": shots.size[1], "imExt": ".jpg"}  # fmt: skip
    text = "[Sequence]\n" + "".join(f"{key}={value}\n" for key, value in info.items())
    (folder / "seqinfo.ini").write_text(text, encoding="ascii")
