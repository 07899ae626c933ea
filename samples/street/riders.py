"""People on two wheels."""

from __future__ import annotations

from .camera import Array, heading_axes
from .cycles import MOTOR_SADDLE, SADDLE
from .entities import PERSON, Person
from .pose import riding
from .wardrobe import Looks


def seated_rider(looks: Looks, point: Array, heading: float, motor: bool, phase: float) -> Person:
    """Somebody on the saddle of a two-wheeler at a place (3,)."""
    _, ahead = heading_axes(heading)
    joints = riding(looks.height, MOTOR_SADDLE if motor else SADDLE, phase, 0.15 if motor else 0.32, not motor)
    return Person(0, PERSON, point - ahead * 0.27, heading, (0.2, 0.2), looks=looks, joints=joints,
                  mount="motorcycle" if motor else "bicycle")  # fmt: skip
