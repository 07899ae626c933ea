"""Solid things made of flat faces: built once in their own axes, projected, shaded and drawn far to near."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .camera import NEAR, Array, Camera, to_world
from .light import Colour, Light
from .paint import Sprite


@dataclass(frozen=True)
class _Faces:
    """A mesh as arrays: corners (P, 3), and for every face count, start, group, normal, colour and finish."""

    corners: Array
    counts: Array
    starts: Array
    groups: Array
    normals: Array
    colours: Array
    gloss: Array
    glow: Array


@dataclass
class Mesh:
    """Faces in local axes (right, up, ahead) in metres, in groups that are drawn far to near, each in its own order."""

    points: list[Array] = field(default_factory=list)
    colours: list[Array | Colour] = field(default_factory=list)
    outward: list[Array | None] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    bias: list[float] = field(default_factory=list)
    gloss: list[float] = field(default_factory=list)
    glow: list[float] = field(default_factory=list)
    centre: Array = field(default_factory=lambda: np.array([0.0, 0.7, 0.0]))
    _built: _Faces | None = None

    def group(self, bias: float = 0.0) -> None:
        """Begin a new group; a bias in metres makes it count as farther away."""
        self.bias.append(bias)

    def face(
        self,
        points: Array,
        colour: Array | Colour,
        gloss: float = 0.0,
        outward: Array | None = None,
        glow: float = 0.0,
    ) -> None:
        """Add a flat polygon (N, 3); its normal is turned to point outward (3,), by default away from the centre."""
        self.points.append(points)
        self.colours.append(colour)
        self.outward.append(outward)
        self.groups.append(len(self.bias) - 1)
        self.gloss.append(gloss)
        self.glow.append(glow)

    def box(self, low: Array, high: Array, colour: Array | Colour, gloss: float = 0.0) -> None:
        """Add a box between two corners (3,) as a group, without its underside."""
        self.group()
        corners = np.array([low, high], dtype=float)
        for axis, ends in ((0, (0, 1)), (2, (0, 1)), (1, (1,))):
            u, v = (axis + 1) % 3, (axis + 2) % 3
            for end in ends:
                quad = np.empty((4, 3))
                quad[:, axis] = corners[end, axis]
                quad[:, u], quad[:, v] = corners[[0, 1, 1, 0], u], corners[[0, 0, 1, 1], v]
                out = np.zeros(3)
                out[axis] = 1.0 if end else -1.0
                self.face(quad, colour, gloss, out)

    def _faces(self) -> _Faces:
        """The faces as arrays, worked out once."""
        if self._built is not None:
            return self._built
        counts = np.array([len(p) for p in self.points])
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        corners = np.concatenate(self.points)
        following = np.arange(1, len(corners) + 1)
        following[starts + counts - 1] = starts
        after = corners[following]
        normals = np.add.reduceat(np.cross(corners, after), starts, axis=0)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        away = np.add.reduceat(corners, starts, axis=0) / counts[:, None] - self.centre
        for index, given in enumerate(self.outward):
            if given is not None:
                away[index] = given
        normals *= np.where(np.einsum("ij,ij->i", normals, away) < 0, -1.0, 1.0)[:, None]
        self._built = _Faces(
            corners, counts, starts, np.array(self.groups), normals, np.array(self.colours, dtype=float),
            np.array(self.gloss)[:, None], np.array(self.glow)[:, None],
        )  # fmt: skip
        return self._built

    def place(
        self, camera: Camera, light: Light, position: Array, heading: float, sunlit: float = 1.0, detail: float = 0.0
    ) -> Sprite:
        """Project and shade the mesh at a place (3,); faces smaller than `detail` pixels are left out."""
        faces = self._faces()
        starts, counts = faces.starts, faces.counts
        world = to_world(faces.corners, position, heading)
        normals = to_world(faces.normals, np.zeros(3), heading)
        sight = np.add.reduceat(world, starts, axis=0) / counts[:, None] - camera.position
        distance = np.linalg.norm(sight, axis=1)
        colours = _shaded(faces, light, normals, sight / distance[:, None], sunlit)
        colours = np.clip(light.through_air(colours, distance), 0, 255)
        local = camera.to_camera(world)
        flat = camera.to_picture(np.maximum(local, [-np.inf, -np.inf, NEAR]))
        extent = (np.maximum.reduceat(flat, starts, axis=0) - np.minimum.reduceat(flat, starts, axis=0)).max(axis=1)
        behind = np.minimum.reduceat(local[:, 2], starts) < NEAR
        shown = (np.einsum("ij,ij->i", normals, sight) < 0) & (behind | (extent >= detail))
        sprite = Sprite(depth=float(distance.mean()))
        for index in self._order(faces.groups, distance):
            if not shown[index]:
                continue
            part = slice(starts[index], starts[index] + counts[index])
            sprite.fill(camera.outline(local[part]) if behind[index] else flat[part], colours[index])
        return sprite

    def _order(self, groups: Array, distance: Array) -> Array:
        """Faces (F,) in drawing order: groups from the farthest, and each group as it was built."""
        size = len(self.bias)
        far = np.bincount(groups, distance, size) / np.maximum(np.bincount(groups, None, size), 1) + np.array(self.bias)
        order: Array = np.lexsort((np.arange(len(groups)), -far[groups]))
        return order


def _shaded(faces: _Faces, light: Light, normals: Array, sight: Array, sunlit: float) -> Array:
    """Colours (F, 3) of all faces in the light; gloss mirrors the sky above and the ground below."""
    lit = light.shade(faces.colours, normals, sunlit)
    across = np.einsum("ij,ij->i", sight, normals)[:, None]
    mirrored = sight - 2 * across * normals
    fresnel = 0.25 + 0.75 * (1 - np.abs(across)) ** 3
    sky = np.clip(0.5 + 1.6 * mirrored[:, 1:2], 0.18, 1.0) * light.haze_colour
    spark = np.clip(mirrored @ light.direction, 0, 1)[:, None] ** 40 * 255 * light.sun * sunlit
    lit = lit + faces.gloss * fresnel * (sky - 0.35 * lit) + faces.gloss * spark
    return np.asarray(lit * (1 - faces.glow) + faces.colours * faces.glow)
