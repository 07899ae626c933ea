"""A pinhole camera above a ground plane.

World axes: x to the right of the street, y up, z along the street, all in metres; the ground is y = 0.
An angle of heading is measured from +z towards +x, in radians. Picture points are (column, row) in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

NEAR = 0.3
"""Distance in metres of the plane that everything is clipped against."""


def heading_axes(heading: float) -> tuple[Array, Array]:
    """Unit vectors (3,) to the right of and along a heading."""
    sine, cosine = np.sin(heading), np.cos(heading)
    return np.array([cosine, 0.0, -sine]), np.array([sine, 0.0, cosine])


def to_world(points: Array, position: Array, heading: float) -> Array:
    """Move local points (N, 3) (right, up, ahead) to a place (3,) in the world, turned to a heading."""
    right, ahead = heading_axes(heading)
    turn = np.stack([right, np.array([0.0, 1.0, 0.0]), ahead])
    moved: Array = points @ turn + position
    return moved


def _clip(points: Array, inside: Array) -> Array:
    """Cut a polygon (N, 3) where its signed distances inside (N,) turn negative."""
    if len(points) == 0 or inside.min() >= 0:
        return points
    if inside.max() < 0:
        return points[:0]
    kept: list[Array] = []
    for i in range(len(points)):
        j = (i + 1) % len(points)
        if inside[i] >= 0:
            kept.append(points[i])
        if (inside[i] >= 0) != (inside[j] >= 0):
            kept.append(points[i] + inside[i] / (inside[i] - inside[j]) * (points[j] - points[i]))
    return np.array(kept) if len(kept) >= 3 else points[:0]


def clip_near(points: Array) -> Array:
    """Cut a polygon (N, 3) in camera axes at the near plane; the result has 0 or at least 3 points."""
    return _clip(points, points[:, 2] - NEAR)


@dataclass(frozen=True)
class Camera:
    """Where the camera stands and how it looks."""

    position: Array
    yaw: float
    pitch: float
    roll: float
    focal: float
    width: int
    height: int
    axes: Array = field(init=False)

    def __post_init__(self) -> None:
        """Work out the rotation, rows (right, down, forward)."""
        sine, cosine = np.sin(self.pitch), np.cos(self.pitch)
        flat_right, flat_ahead = heading_axes(self.yaw)
        forward = flat_ahead * cosine - np.array([0.0, sine, 0.0])
        down = -flat_ahead * sine - np.array([0.0, cosine, 0.0])
        turn_cos, turn_sin = np.cos(self.roll), np.sin(self.roll)
        right = flat_right * turn_cos + down * turn_sin
        object.__setattr__(self, "axes", np.stack([right, down * turn_cos - flat_right * turn_sin, forward]))

    def to_camera(self, points: Array) -> Array:
        """World points (..., 3) in camera axes (right, down, forward)."""
        turned: Array = (points - self.position) @ self.axes.T
        return turned

    def to_picture(self, points: Array) -> Array:
        """Points (..., 3) in camera axes as picture points (..., 2); the depth must be positive."""
        centre = np.array([self.width / 2, self.height / 2])
        flat: Array = self.focal * points[..., :2] / points[..., 2:3] + centre
        return flat

    def project(self, points: Array) -> tuple[Array, Array]:
        """World points (..., 3) as picture points (..., 2) and depths (...), depths held above the near plane."""
        local = self.to_camera(points)
        depth = np.maximum(local[..., 2], NEAR)
        held = np.concatenate([local[..., :2], depth[..., None]], axis=-1)
        return self.to_picture(held), local[..., 2]

    def polygon(self, points: Array) -> Array:
        """The visible part of a world polygon (N, 3) as picture points (M, 2); M is 0 when it lies behind."""
        return self.outline(self.to_camera(points))

    def outline(self, local: Array) -> Array:
        """The same for a polygon (N, 3) in camera axes; what reaches far outside the picture is cut off."""
        clipped = clip_near(local)
        if not len(clipped):
            return np.zeros((0, 2))
        flat = self.to_picture(clipped)
        reach = 4.0 * max(self.width, self.height)
        if np.abs(flat).max() < reach:
            return flat
        slope = reach / self.focal
        for axis in (0, 1):
            for sign in (-1.0, 1.0):
                if len(clipped):
                    clipped = _clip(clipped, slope * clipped[:, 2] + sign * clipped[:, axis])
        return self.to_picture(clipped) if len(clipped) else np.zeros((0, 2))

    def ray(self, column: float, row: float) -> Array:
        """Unit direction (3,) in the world through a picture point."""
        local = np.array([(column - self.width / 2) / self.focal, (row - self.height / 2) / self.focal, 1.0])
        world = local @ self.axes
        unit: Array = world / np.linalg.norm(world)
        return unit

    def plane_to_picture(self, origin: Array, along: Array, across: Array) -> Array:
        """Homography (3, 3) from plane coordinates (metres along, metres across) to picture points."""
        columns = np.stack([self.axes @ along, self.axes @ across, self.axes @ (origin - self.position)], axis=1)
        lens = np.array([[self.focal, 0, self.width / 2], [0, self.focal, self.height / 2], [0, 0, 1.0]])
        homography: Array = lens @ columns
        return homography

    def horizon(self, column: float) -> float:
        """Row of the horizon at a column, in pixels."""
        right, down, forward = self.axes[:, 1]
        across = (column - self.width / 2) / self.focal
        return float(self.height / 2 - self.focal * (right * across + forward) / down)

    def facing(self, position: Array) -> float:
        """Heading in radians of somebody at a place (3,) who looks straight at the camera."""
        offset = self.position - position
        return float(np.arctan2(offset[0], offset[2]))
