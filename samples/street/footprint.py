"""Footprints on the ground: which overlap, and which of two objects hides the other."""

from __future__ import annotations

import numpy as np

from .camera import Array


def corners(centres: Array, headings: Array, halves: Array) -> Array:
    """Corners (N, 4, 2) in x and z of boxes: centres (N, 2), headings (N,), half widths and half lengths (N, 2)."""
    right = np.stack([np.cos(headings), -np.sin(headings)], axis=1)
    ahead = np.stack([np.sin(headings), np.cos(headings)], axis=1)
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    offset = (
        signs[None, :, :1] * (halves[:, :1] * right)[:, None] + signs[None, :, 1:] * (halves[:, 1:] * ahead)[:, None]
    )
    spread: Array = centres[:, None] + offset
    return spread


def _beyond(centres: Array, headings: Array, halves: Array, eye: Array) -> Array:
    """Matrix (N, N) bool: the sides of box i tell that box j is in front of it for an eye (2,)."""
    points = corners(centres, headings, halves)
    ahead_of = np.zeros((len(centres), len(centres)), dtype=bool)
    for which in range(2):
        angle = headings + (np.pi / 2 if which == 0 else 0.0)
        axis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
        middle = np.einsum("ij,ij->i", centres, axis)
        half = halves[:, which]
        along = np.einsum("jkc,ic->ijk", points, axis) - middle[:, None, None]
        view = axis @ eye - middle
        above = (along.min(axis=2) >= half[:, None] - 0.02) & (view[:, None] >= along.min(axis=2))
        below = (along.max(axis=2) <= -half[:, None] + 0.02) & (view[:, None] <= along.max(axis=2))
        ahead_of |= above | below
    return ahead_of


def paint_order(centres: Array, headings: Array, halves: Array, depths: Array, eye: Array) -> list[int]:
    """Indices of boxes from the one to paint first to the one in front; depths (N,) settle what shapes leave open."""
    count = len(centres)
    if count == 0:
        return []
    in_front = _beyond(centres, headings, halves, eye)
    conflict = in_front & in_front.T
    in_front &= ~conflict
    waiting = in_front.T.copy()
    left = np.ones(count, dtype=bool)
    order: list[int] = []
    while left.any():
        free = left & ~(waiting & left[None]).any(axis=1)
        pool = free if free.any() else left
        pick = int(np.argmax(np.where(pool, depths, -np.inf)))
        order.append(pick)
        left[pick] = False
    return order


def overlaps(box: Array, others: Array) -> bool:
    """Whether a box (4, 2) overlaps any of others (N, 4, 2)."""
    if len(others) == 0:
        return False
    apart = np.zeros(len(others), dtype=bool)
    for first, second in ((0, 1), (1, 2)):
        edge = box[second] - box[first]
        normal = np.array([-edge[1], edge[0]])
        mine, theirs = box @ normal, others @ normal
        apart |= (theirs.min(axis=1) > mine.max()) | (theirs.max(axis=1) < mine.min())
        edges = others[:, second] - others[:, first]
        normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1)
        theirs = np.einsum("nkc,nc->nk", others, normals)
        mine_each = np.einsum("kc,nc->nk", box, normals)
        apart |= (theirs.min(axis=1) > mine_each.max(axis=1)) | (theirs.max(axis=1) < mine_each.min(axis=1))
    return bool((~apart).any())
