"""Drawing a person: joints to limbs, clothes, head and bags, from any side."""

from __future__ import annotations

import numpy as np

from .camera import Array
from .head import draw_head
from .paint import PROP, Sprite, capsule, ellipse, shifted
from .view import View
from .wardrobe import Looks


def _limb(sprite: Sprite, view: View, ends: tuple[str, str], radii: tuple[float, float], colour: Array) -> None:
    """A tapered limb with a darker rim, so that it stands out from what is behind it."""
    start, end = view.at[ends[0]], view.at[ends[1]]
    a, b = view.size(radii[0], 0.7), view.size(radii[1], 0.7)
    sprite.fill(capsule(start, end, a, b), colour * 0.86)
    sprite.fill(capsule(start, end, a * 0.86, b * 0.86), colour)


def draw_leg(sprite: Sprite, view: View, side: str, shade: float) -> None:
    """One leg with its shoe."""
    looks = view.looks
    bare = looks.legs_style in ("shorts", "skirt", "dress")
    cloth, skin = view.paint(looks.legs, shade), view.paint(looks.skin, 0.95 * shade)
    heel, toe = view.at["ankle" + side], view.at["toe" + side]
    drop = np.array([0.0, view.size(0.018)])
    sprite.fill(capsule(heel + drop, toe, view.size(0.025), view.size(0.019)), view.paint(looks.shoes, shade))
    loose = 1.0 if bare else 1.12
    lower = skin if bare else cloth
    _limb(sprite, view, ("knee" + side, "ankle" + side), (0.033 * loose, 0.022 * loose + 0.004 * (not bare)), lower)
    upper = cloth if looks.legs_style in ("trousers", "shorts") else skin
    _limb(sprite, view, ("hip" + side, "knee" + side), (0.054, 0.035 * loose), upper)
    if looks.legs_style == "trousers":
        sprite.fill(ellipse(view.at["knee" + side], view.size(0.028), view.size(0.03)), cloth)


def draw_arm(sprite: Sprite, view: View, side: str, shade: float) -> None:
    """One arm with its hand."""
    looks = view.looks
    cloth, skin = view.paint(looks.top, shade), view.paint(looks.skin, 0.97 * shade)
    bare = looks.top_style == "tee"
    thick = {"coat": 1.22, "jacket": 1.15, "hoodie": 1.18}.get(looks.top_style, 1.0)
    hand, elbow = view.at["hand" + side], view.at["elbow" + side]
    sprite.fill(ellipse(hand + (hand - elbow) * 0.08, view.size(0.018), view.size(0.022)), skin)
    lower = skin if bare else cloth
    _limb(sprite, view, ("elbow" + side, "hand" + side), (0.023 * thick, 0.0165 * thick), lower)
    _limb(
        sprite,
        view,
        ("shoulder" + side, "elbow" + side),
        (0.029 * (0.5 + 0.5 * thick), 0.024 * thick),
        skin if bare else cloth,
    )
    if bare:
        cuff = view.at["shoulder" + side] * 0.45 + elbow * 0.55
        sprite.fill(capsule(view.at["shoulder" + side], cuff, view.size(0.032, 0.7), view.size(0.03, 0.7)), cloth)
    inner = view.at["shoulder" + side] * 0.8 + view.at["chest"] * 0.2
    sprite.fill(ellipse(inner, view.size(0.028 * thick), view.size(0.026 * thick)), cloth)


def _trunk_outline(view: View, levels: list[tuple[float, float, float]]) -> Array:
    """Outline (2 N, 2) of the trunk; a level is (share of the way from hips to chest, half width, half depth)."""
    hips, chest = view.at["hips"], view.at["chest"]
    spine = chest - hips
    normal = np.array([-spine[1], spine[0]]) / max(float(np.hypot(*spine)), 1e-6)
    share = np.array([level[0] for level in levels])[:, None]
    half = np.array([view.turned(level[1], level[2]) for level in levels])[:, None]
    middle = hips + spine * share
    return np.concatenate([middle + normal * half, (middle - normal * half)[::-1]])


def _trunk_levels(looks: Looks) -> list[tuple[float, float, float]]:
    """Levels of the trunk for a build and its clothes, from the crotch to the neck."""
    extra = {"coat": 0.010, "jacket": 0.007, "hoodie": 0.008, "shirt": 0.002}.get(looks.top_style, 0.0)
    waist = (0.074, 0.062) if looks.female else (0.084, 0.068)
    chest = (0.090, 0.078) if looks.female else (0.099, 0.074)
    shoulder = 0.104 if looks.female else 0.116
    shape = [
        (-0.16, 0.074, 0.066), (-0.02, 0.092, 0.074), (0.2, 0.5 * (0.092 + waist[0]), 0.07), (0.4, *waist),
        (0.72, *chest), (0.86, shoulder * 0.97, 0.068), (0.96, shoulder, 0.062), (1.02, shoulder * 0.9, 0.054),
        (1.07, shoulder * 0.62, 0.046), (1.12, 0.04, 0.036),
    ]  # fmt: skip
    return [(share, wide + extra, deep + extra) for share, wide, deep in shape]


def _hem(sprite: Sprite, view: View, length: float, colour: Array, flare: float) -> None:
    """The lower part of a coat, skirt or dress: from the hips towards and past the knees."""
    left, right = view.at["knee_l"], view.at["knee_r"]
    hips = view.at["hips"]
    hem = hips + ((left + right) / 2 - hips) * length
    spread = abs(float(left[0] - right[0])) / 2 * min(length, 1.0)
    half_top, half = view.turned(0.098, 0.082), view.turned(0.098, 0.082) * flare
    half = max(half, spread + view.size(0.04))
    dip = np.array([0.0, view.size(0.015)])
    outline = [
        shifted(hips, -half_top * 0.9, -view.size(0.06)), shifted(hips, half_top * 0.9, -view.size(0.06)),
        shifted(hips, half_top, 0.0), shifted(hem, half, 0.0), hem + dip, hem - [half, 0.0], hips - [half_top, 0.0],
    ]  # fmt: skip
    sprite.fill(np.array(outline), colour)


def _front_of_trunk(sprite: Sprite, view: View, levels: list[tuple[float, float, float]]) -> None:
    """Opening of a jacket, stripes, prints and bands on the trunk."""
    looks = view.looks
    spine = view.at["chest"] - view.at["hips"]
    second = view.paint(looks.second)
    if looks.pattern in ("stripes", "band"):
        bounds = np.arange(0.02, 0.95, 0.12) if looks.pattern == "stripes" else np.array([0.45])
        wide = 0.055 if looks.pattern == "stripes" else 0.3
        for low in bounds:
            part = [(s, np.interp(s, [v[0] for v in levels], [v[1] for v in levels]) * 0.98,
                     np.interp(s, [v[0] for v in levels], [v[2] for v in levels]) * 0.98)
                    for s in (low, low + wide)]  # fmt: skip
            sprite.fill(_trunk_outline(view, part), second)
    if view.front < 0.15:
        return
    shift = -view.side * view.size(0.05) * np.array([1.0, 0.0])
    middle = view.at["hips"] + shift
    if looks.top_style in ("jacket", "coat"):
        half = view.size(0.024 + 0.02 * ((looks.seed >> 4) % 2)) * view.front
        top = view.at["chest"] + spine * 0.08 + shift * 0.6
        foot = middle - spine * 0.08
        sprite.fill(
            np.array([top - [half * 1.6, 0], shifted(top, half * 1.6, 0), shifted(foot, half, 0), foot - [half, 0]]),
            second,
        )
    elif looks.pattern == "print":
        sprite.fill(ellipse(middle + spine * 0.66, view.size(0.05) * view.front, view.size(0.045)), second)
    if looks.top_style in ("tee", "shirt", "hoodie"):
        collar = view.at["chest"] + spine * 0.09 + shift * 0.6
        tone = view.paint(looks.skin, 0.9)
        sprite.fill(ellipse(collar, view.size(0.03) * view.front, view.size(0.024)), tone)


def draw_trunk(sprite: Sprite, view: View) -> None:
    """The trunk with what covers it, and the neck."""
    looks = view.looks
    neck = capsule(view.at["chest"], view.at["head"], view.size(0.035), view.size(0.03))
    sprite.fill(neck, view.paint(looks.skin, 0.78))
    colour = view.paint(looks.top)
    levels = _trunk_levels(looks)
    if looks.legs_style in ("trousers", "shorts"):
        sprite.fill(_trunk_outline(view, levels[:3]), view.paint(looks.legs, 0.95))
    elif looks.legs_style == "skirt":
        _hem(sprite, view, 0.75 + 0.4 * (looks.seed % 5) / 5, view.paint(looks.legs), 1.3)
    if looks.legs_style == "dress":
        _hem(sprite, view, 0.8 + 0.6 * (looks.seed % 5) / 5, colour, 1.35)
    if looks.top_style == "coat":
        _hem(sprite, view, 0.7 + 0.4 * (looks.seed % 7) / 7, colour, 1.15)
    tucked = looks.top_style in ("shirt", "tee") and looks.seed % 3 == 0
    sprite.fill(_trunk_outline(view, levels[2:] if tucked else levels[1:]), colour)
    _front_of_trunk(sprite, view, levels[2:] if tucked else levels[1:])


def _backpack(sprite: Sprite, view: View, colour: Array) -> None:
    """A backpack with its front pocket."""
    hips = view.at["hips"]
    spine = view.at["chest"] - hips
    middle = hips + spine * 0.62 - view.ahead * view.size(0.085)
    half = view.turned(0.082, 0.05)
    sprite.fill(capsule(middle - spine * 0.28, middle + spine * 0.22, half * 1.04, half), colour * 0.8)
    sprite.fill(capsule(middle - spine * 0.26, middle + spine * 0.2, half * 0.86, half * 0.8), colour)
    sprite.fill(capsule(middle - spine * 0.25, middle - spine * 0.12, half * 0.62, half * 0.6), colour * 0.88)


def _shoulder_bag(sprite: Sprite, view: View, colour: Array) -> None:
    """A bag at the hip on a strap from the same or the other shoulder."""
    looks = view.looks
    spine = view.at["chest"] - view.at["hips"]
    near = "_r" if view.side > 0 else "_l"
    far = ("_l" if near == "_r" else "_r") if looks.bag == "cross" else near
    hang = view.at["hip" + near] * 0.8 + view.at["hand" + near] * 0.2
    sprite.line(view.at["shoulder" + far] - spine * 0.05, hang, max(view.size(0.012), 0.6), colour * 0.7)
    wide, tall = view.size(0.045 + 0.02 * (looks.seed % 3)), view.size(0.09 + 0.02 * (looks.seed % 4))
    wide *= 0.45 + 0.55 * abs(view.side)
    low = [[wide * 1.1, tall * 0.9], [wide * 0.8, tall], [-wide * 0.8, tall], [-wide * 1.1, tall * 0.9]]
    sprite.fill(hang + np.array([[-wide, 0], [wide, 0], *low]), colour)
    flap = np.array([[-wide, 0], [wide, 0], [wide * 0.9, tall * 0.45], [-wide * 0.9, tall * 0.45]])
    sprite.fill(hang + flap, colour * 0.84)


def _hand_bag(sprite: Sprite, view: View, colour: Array) -> None:
    """A bag carried in a hand; it is no part of the person."""
    hand = view.at["hand" + ("_r" if view.looks.seed % 2 else "_l")]
    wide, tall = view.size(0.075), view.size(0.15)
    top = shifted(hand, 0, view.size(0.05))
    sprite.line(hand, top, max(view.size(0.01), 0.5), colour * 0.6, PROP)
    sprite.fill(top + np.array([[-wide * 0.8, 0], [wide * 0.8, 0], [wide, tall], [-wide, tall]]), colour, PROP)


def draw_bag(sprite: Sprite, view: View, behind: bool) -> None:
    """Whatever bag is carried, if it lies on this side of the trunk."""
    colour = view.paint(view.looks.bag_colour)
    if view.looks.bag == "backpack" and behind == (view.front > 0):
        _backpack(sprite, view, colour)
    elif view.looks.bag in ("shoulder", "cross") and not behind:
        _shoulder_bag(sprite, view, colour)
    elif view.looks.bag == "hand" and not behind:
        _hand_bag(sprite, view, colour)


def draw_person(view: View, hidden: tuple[str, ...] = ()) -> Sprite:
    """A whole person; `hidden` names parts (such as "leg_l") that something else covers."""
    sprite = Sprite(depth=view.depth)
    tall = view.size(1.0)
    sprite.softness = 0.008 * tall
    sprite.volume = 0.075 * tall
    sprite.cloth = 0.30
    shoulder = view.away["chest"]
    near_arm = "_r" if view.away["shoulder_r"] < view.away["shoulder_l"] else "_l"
    far_arm = "_l" if near_arm == "_r" else "_r"
    ahead_arm = view.away["hand" + far_arm] < shoulder - 0.06
    if not ahead_arm:
        draw_arm(sprite, view, far_arm, 0.84)
    draw_bag(sprite, view, behind=True)
    near_leg = "_r" if view.away["knee_r"] < view.away["knee_l"] else "_l"
    for side, shade in (("_l" if near_leg == "_r" else "_r", 0.84), (near_leg, 1.0)):
        if "leg" + side not in hidden:
            draw_leg(sprite, view, side, shade)
    behind_back = view.front < -0.4 and view.away["hand" + near_arm] > shoulder + 0.12
    if behind_back:
        draw_arm(sprite, view, near_arm, 0.92)
    draw_trunk(sprite, view)
    if ahead_arm:
        draw_arm(sprite, view, far_arm, 0.9)
    draw_bag(sprite, view, behind=False)
    if not behind_back:
        draw_arm(sprite, view, near_arm, 1.0)
    draw_head(sprite, view)
    return sprite
