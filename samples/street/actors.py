"""Things that move: people who walk, stop and go, and vehicles that keep to lanes and stop for a crossing.

Everything is worked out once for all pictures of a clip, so that any picture can be drawn on its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .camera import Array
from .entities import PERSON, Cycle, Entity, Person, Vehicle
from .pose import Arms, Joints, standing, walking
from .riders import seated_rider
from .wardrobe import Looks


@dataclass
class Walker:
    """Somebody on foot along a way of points (N, 2) of x and z in metres."""

    ident: int
    looks: Looks
    way: Array
    speed: float
    start: float
    """Metres along the way at time 0; negative while still waiting to enter."""

    pauses: list[tuple[float, float]] = field(default_factory=list)
    """Places along the way and seconds to stand there."""

    weave: tuple[float, float] = (0.06, 0.0)
    """Half width in metres and phase in radians of the slight swing of the path."""

    arms: Arms = field(default_factory=Arms)
    phase: float = 0.0
    walked: Array = field(init=False)
    pace: Array = field(init=False)
    aside: Array = field(init=False)
    """Metres (frames,) by which the person gives way to the right."""

    def prepare(self, frames: int, rate: float) -> None:
        """Work out the metres walked (frames,) and the speed (frames,) in metres per second."""
        place, pace = self.start, self.speed
        waiting = [[at, seconds] for at, seconds in self.pauses]
        self.walked, self.pace, self.aside = np.zeros(frames), np.zeros(frames), np.zeros(frames)
        for frame in range(frames):
            stop = bool(waiting) and place >= waiting[0][0] - 0.25
            if stop:
                waiting[0][1] -= 1 / rate
                if waiting[0][1] <= 0:
                    waiting.pop(0)
            goal = 0.0 if stop else self.speed
            pace += float(np.clip(goal - pace, -2.2 / rate, 1.6 / rate))
            place += pace / rate
            self.walked[frame], self.pace[frame] = place, pace

    def _at(self, walked: float) -> Array:
        """Point (2,) of x and z after some metres, corners rounded."""
        steps = np.linalg.norm(np.diff(self.way, axis=0), axis=1)
        reached = np.concatenate([[0.0], np.cumsum(steps)])
        window = walked + np.linspace(-0.7, 0.7, 9)
        middle = np.array([np.interp(window, reached, self.way[:, axis]).mean() for axis in (0, 1)])
        overshoot = max(walked - reached[-1], 0.0) + min(walked, 0.0)
        last = self.way[-1] - self.way[-2] if walked > 0 else self.way[1] - self.way[0]
        point: Array = middle + last / max(float(np.linalg.norm(last)), 1e-6) * overshoot
        return point

    def course(self, frame: int) -> tuple[Array, float]:
        """Point (2,) on the way and heading in radians in one picture, before swing and giving way."""
        walked = float(self.walked[frame])
        here = self._at(walked)
        ahead = self._at(walked + 0.3) - here
        return here, float(np.arctan2(ahead[0], ahead[1]))

    def entity(self, frame: int) -> Entity:
        """The person in one picture."""
        walked, pace = float(self.walked[frame]), float(self.pace[frame])
        here, heading = self.course(frame)
        side = np.array([np.cos(heading), -np.sin(heading)])
        swing = self.weave[0] * np.sin(walked * 0.9 + self.weave[1]) + self.aside[frame]
        heading += float(self.weave[0] * 0.9 * np.cos(walked * 0.9 + self.weave[1]))
        flat = here + side * swing
        return Person(self.ident, PERSON, np.array([flat[0], 0.0, flat[1]]), heading, (0.22, 0.2),
                      looks=self.looks, joints=self._joints(walked, pace))  # fmt: skip

    def _joints(self, walked: float, pace: float) -> Joints:
        """The gait for a distance and speed, turning into standing as the speed falls."""
        stride = 0.42 + 0.27 * self.speed
        turn = self.phase + 2 * np.pi * walked / (stride * self.looks.height)
        moving = walking(turn, stride * min(1.0, 0.35 + 0.65 * pace / self.speed), self.arms)
        share = float(np.clip(pace / 0.45, 0.0, 1.0))
        if share >= 1:
            return moving
        still = standing(0.4, self.arms)
        return {name: moving[name] * share + still[name] * (1 - share) for name in moving}


def make_way(walkers: list[Walker], fixed: Array, rate: float) -> None:
    """Let people step aside for each other and for things (N, 2) in their way, smoothly."""
    frames = len(walkers[0].walked)
    count = len(walkers)
    aside, drift = np.zeros(count), np.zeros(count)
    for frame in range(frames):
        courses = [walker.course(frame) for walker in walkers]
        heading = np.array([turn for _, turn in courses])
        ahead = np.stack([np.sin(heading), np.cos(heading)], axis=1)
        side = np.stack([ahead[:, 1], -ahead[:, 0]], axis=1)
        place = np.array([point for point, _ in courses]) + side * aside[:, None]
        offset = np.concatenate([place, fixed])[None] - place[:, None]
        far = np.einsum("ijk,ik->ij", offset, ahead)
        off = np.einsum("ijk,ik->ij", offset, side)
        near = (np.hypot(far, off) > 1e-6) & (far > -0.5) & (far < 2.6)
        push = np.where(near, np.clip(0.72 - np.abs(off), 0, 0.72) * (1.3 - far / 2.6), 0.0)
        away = np.where(off > 0.02, -1.0, 1.0)
        moving = np.array([walker.pace[frame] > 0.2 for walker in walkers])
        goal = np.where(moving, np.clip((push * away).sum(axis=1) * 1.5, -1.1, 1.1), 0.0)
        drift += (np.clip(goal - 0.35 * aside, -0.7, 0.7) - drift) * min(1.0, 4.0 / rate)
        aside = aside + np.where(moving, drift, 0.0) / rate
        for index, walker in enumerate(walkers):
            walker.aside[frame] = aside[index]


@dataclass
class Driver:
    """A vehicle or two-wheeler in a lane: `ahead` is 1 along the street and -1 against it."""

    entity: Vehicle | Cycle
    x: float
    ahead: float
    start: float
    """Metres along its own direction at time 0, measured from z = 0."""

    speed: float
    stop: float | None = None
    """Metres along its own direction where it waits for the crossing."""

    hold: tuple[float, float] = (0.0, 0.0)
    """Seconds from and to which the crossing is closed to it."""

    rider: Person | None = None
    sway: float = 0.0
    place: Array = field(init=False)

    def prepare(self, frames: int, rate: float, leader: Array | None = None) -> None:
        """Work out the metres along (frames,), keeping behind a leader's (frames,)."""
        place, pace = self.start, self.speed
        self.place = np.zeros(frames)
        for frame in range(frames):
            limits = [] if leader is None else [float(leader[frame])]
            if self.stop is not None and place <= self.stop + 0.2 and self.hold[0] <= frame / rate < self.hold[1]:
                limits.append(self.stop)
            goal = self.speed
            if limits:
                goal = min(goal, float(np.sqrt(2 * 2.2 * max(min(limits) - place, 0.0))))
            pace += float(np.clip(goal - pace, -4.5 / rate, 1.9 / rate))
            place += max(pace, 0.0) / rate
            self.place[frame] = place

    def entities(self, frame: int) -> list[Entity]:
        """The vehicle, and its rider, in one picture."""
        along = float(self.place[frame])
        swing = self.sway * np.sin(along * 0.35)
        heading = (0.0 if self.ahead > 0 else np.pi) + 0.35 * self.sway * float(np.cos(along * 0.35)) * self.ahead
        self.entity.position = np.array([self.x + swing, 0.0, along * self.ahead])
        self.entity.heading = heading
        if self.rider is None or self.rider.looks is None:
            return [self.entity]
        motor = self.rider.mount == "motorcycle"
        seated = seated_rider(self.rider.looks, self.entity.position, heading, motor, along / 0.62)
        seated.ident = self.rider.ident
        return [self.entity, seated]
