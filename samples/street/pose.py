"""Where the joints of a body are: walking, running, standing, sitting and riding, in metres.

A body of height 1 stands in local axes (right, up, ahead) with the ground at up = 0. Joints carry the suffix
`_l` or `_r` for the body's own left (right < 0) and right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import Array

Joints = dict[str, Array]

THIGH, SHIN, SOLE = 0.245, 0.24, 0.045
UPPER_ARM, FOREARM = 0.165, 0.15
HIP_WIDTH, SHOULDER_WIDTH = 0.052, 0.106


@dataclass(frozen=True)
class Arms:
    """How the arms are held: both swing unless one is given an upper-arm angle ahead and an elbow bend, in radians."""

    left: tuple[float, float] | None = None
    right: tuple[float, float] | None = None
    spread: float = 0.12


def _down(angle: float, length: float, outward: float = 0.0) -> Array:
    """A bone (3,) hanging down, swung ahead by an angle and leaning to the right."""
    return length * np.array([outward, -np.cos(angle), np.sin(angle)])


def _leg(joints: Joints, side: str, hip: float, knee: float, foot: float = 0.0) -> None:
    """Add a leg: the hip swung ahead, the knee bent back, the toe lifted, in radians."""
    joints["knee" + side] = joints["hip" + side] + _down(hip, THIGH)
    joints["ankle" + side] = joints["knee" + side] + _down(hip - knee, SHIN)
    lift = foot - max(knee - hip, 0.0) * 0.7
    joints["toe" + side] = joints["ankle" + side] + 0.095 * np.array([0.0, np.sin(lift), np.cos(lift)])
    joints["toe" + side] -= np.array([0.0, 0.028, 0.0])


def _arm(joints: Joints, side: str, swing: float, bend: float, spread: float) -> None:
    """Add an arm: the shoulder swung ahead, the elbow bent up, in radians."""
    out = spread if side == "_r" else -spread
    joints["elbow" + side] = joints["shoulder" + side] + _down(swing, UPPER_ARM, out)
    inward = -out * 1.2 * min(bend, 1.2)
    joints["hand" + side] = joints["elbow" + side] + _down(swing + bend, FOREARM, inward)


def _trunk(hip_height: float, lean: float, twist: float) -> Joints:
    """Hips, shoulders, neck and head over a hip height, the back leaning ahead and the shoulders twisted, radians."""
    up = np.array([0.0, np.cos(lean), np.sin(lean)])
    hips = np.array([0.0, hip_height, 0.0])
    chest = hips + 0.295 * up
    head_up = np.array([0.0, np.cos(lean * 0.3), np.sin(lean * 0.3)])
    neck = chest + 0.035 * head_up
    joints = {"hips": hips, "chest": chest, "neck": neck, "head": neck + 0.082 * head_up + np.array([0, 0, 0.012])}
    across = np.array([np.cos(twist), 0.0, np.sin(twist)])
    for side, sign in (("_l", -1.0), ("_r", 1.0)):
        joints["hip" + side] = hips + np.array([sign * HIP_WIDTH, 0.0, 0.0])
        joints["shoulder" + side] = chest + sign * SHOULDER_WIDTH * across - 0.018 * up
    return joints


def _ground(joints: Joints) -> Joints:
    """Move the whole body up or down until its lower foot is on the ground."""
    low = min(float(joints["ankle" + s][1]) for s in ("_l", "_r")) - SOLE
    toes = min(float(joints["toe" + s][1]) for s in ("_l", "_r")) - 0.012
    lift = np.array([0.0, -min(low, toes), 0.0])
    return {name: point + lift for name, point in joints.items()}


def walking(phase: float, stride: float, arms: Arms, pace: float = 0.0) -> Joints:
    """A walking body: gait phase in radians, stride (two steps) over height, pace from 0 (walk) to 1 (run)."""
    reach = float(np.arcsin(min(stride / (4 * (THIGH + SHIN)), 0.8))) * 1.05
    joints = _trunk(0.52, 0.03 + 0.05 * reach + 0.16 * pace, 0.25 * reach * np.sin(phase))
    for side, offset in (("_l", 0.0), ("_r", np.pi)):
        turn = phase + offset
        hip = reach * np.sin(turn) + 0.10 * reach
        swing = max(0.0, float(np.cos(turn)))
        knee = 0.10 + (1.9 + 1.6 * pace) * reach * swing**1.3
        _leg(joints, side, hip, knee, 0.28 * max(0.0, float(np.sin(turn))))
        held = arms.left if side == "_l" else arms.right
        swung = (-0.85 * reach * float(np.sin(turn)) + 0.05, 0.28 + 0.25 * reach + 1.1 * pace)
        _arm(joints, side, *(held or swung), arms.spread)
    return _ground(joints)


def standing(shift: float, arms: Arms) -> Joints:
    """A standing body with its weight shifted to one side, -1 to 1."""
    joints = _trunk(0.53, 0.02, 0.05 * shift)
    for side, sign in (("_l", -1.0), ("_r", 1.0)):
        _leg(joints, side, 0.03 + 0.08 * sign * shift, 0.05 + 0.08 * max(0.0, sign * shift))
        held = arms.left if side == "_l" else arms.right
        _arm(joints, side, *(held or (0.03, 0.18)), arms.spread)
    return _ground(joints)


def sitting(seat: float, arms: Arms, lean: float = -0.05) -> Joints:
    """A sitting body; seat height over body height."""
    joints = _trunk(seat + 0.05, lean, 0.0)
    for side in ("_l", "_r"):
        _leg(joints, side, 1.48, 1.5, 0.1)
        held = arms.left if side == "_l" else arms.right
        _arm(joints, side, *(held or (0.5, 0.6)), arms.spread)
    return joints


def _bend(start: Array, target: Array, first: float, second: float, towards: Array) -> tuple[Array, Array]:
    """Joint and end of a limb of two bones that reaches for a target, its joint bent towards a direction (3,)."""
    span = target - start
    length = float(np.linalg.norm(span))
    reach = min(max(length, abs(first - second) + 0.002), (first + second) * 0.995)
    along = span / max(length, 1e-6)
    share = (first**2 - second**2 + reach**2) / (2 * reach)
    aside = towards - along * float(towards @ along)
    aside = aside / max(float(np.linalg.norm(aside)), 1e-6)
    joint = start + along * share + aside * np.sqrt(max(first**2 - share**2, 0.0))
    return joint, start + along * reach


def riding(height: float, saddle: float, phase: float, lean: float, pedals: bool) -> Joints:
    """A rider over the middle of a saddle: body and saddle height in metres, pedal phase and lean in radians."""
    joints = _trunk(saddle / height + 0.035, lean, 0.0)
    grip = np.array([0.0, 1.04, 0.56]) if pedals else np.array([0.0, 1.06, 0.56])
    for side, sign, offset in (("_l", -1.0, 0.0), ("_r", 1.0, np.pi)):
        if pedals:
            turn = phase + offset
            foot = np.array([sign * 0.11, 0.30 + 0.17 * np.cos(turn) + 0.08, 0.22 + 0.17 * np.sin(turn)])
        else:
            foot = np.array([sign * 0.2, 0.36, 0.26])
        knee, ankle = _bend(joints["hip" + side], foot / height, THIGH, SHIN, np.array([0.15 * sign, 0.3, 1.0]))
        joints["knee" + side], joints["ankle" + side] = knee, ankle
        joints["toe" + side] = ankle + np.array([0.0, -0.035, 0.09])
        hold = (grip + np.array([sign * (0.26 if pedals else 0.33), 0, 0])) / height
        elbow, hand = _bend(joints["shoulder" + side], hold, UPPER_ARM, FOREARM, np.array([0.6 * sign, -1.0, 0.0]))
        joints["elbow" + side], joints["hand" + side] = elbow, hand
    return joints
