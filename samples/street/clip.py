"""A short clip of a street with MOTChallenge ground truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from .camera import Array, Camera
from .cast import fixed_camera, make_cast
from .paint import Seen
from .scene import Scene, render
from .sensor import Sensor, develop
from .textures import make_textures

COUNTED = 0.15
"""Visible share from which an object counts in an evaluation."""

SMALLEST = 12.0
"""Height in pixels of the smallest box that counts."""


@dataclass(frozen=True)
class Hand:
    """How the camera is held."""

    pan: float = 0.0
    """Degrees by which it turns to the left and to the right, back and forth."""

    shake: float = 1.0
    """How much the hand trembles; 1 is a few tenths of a degree."""


PAN_S = 7.0
"""Seconds of one pan back and forth."""


def held(camera: Camera, frames: int, rate: float, rng: np.random.Generator, hand: Hand) -> list[Camera]:
    """The camera of every frame: it turns by a few tenths of a degree, slowly, and pans if it is to."""
    time = np.arange(frames) / rate
    turns = np.zeros((frames, 3))
    for axis, strength in enumerate((0.22, 0.17, 0.13)):
        for frequency in (0.17, 0.43, 0.9, 1.7):
            gain = strength / (1 + 2.2 * frequency) * rng.uniform(0.6, 1.2)
            turns[:, axis] += gain * np.sin(2 * np.pi * (frequency * rng.uniform(0.85, 1.15) * time + rng.random()))
    turns *= hand.shake
    turns[:, 0] += hand.pan * np.sin(2 * np.pi * time / PAN_S)
    radians = np.radians(turns)
    return [replace(camera, yaw=camera.yaw + y, pitch=camera.pitch + p, roll=camera.roll + r) for y, p, r in radians]


def truth_lines(frame: int, seen: dict[int, Seen], labels: dict[int, int], width: int, height: int) -> list[str]:
    """Lines `frame,id,left,top,width,height,flag,class,visibility` of one picture, boxes cut at its edges."""
    lines = []
    for ident in sorted(seen):
        one = seen[ident]
        left, top = max(one.box[0], 0.0), max(one.box[1], 0.0)
        right, bottom = min(one.box[2], float(width)), min(one.box[3], float(height))
        if right - left < 2 or bottom - top < 4:
            continue
        share = one.visible / max(one.pixels, 1)
        flag = int(share >= COUNTED and bottom - top >= SMALLEST)
        box = f"{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f}"
        lines.append(f"{frame},{ident},{box},{flag},{labels[ident] + 1},{share:.3f}")
    return lines


def _write_truth(folder: Path, name: str, lines: list[str], frames: int, size: tuple[int, int], rate: int) -> None:
    """Lay the truth out as a MOTChallenge sequence."""
    (folder / "gt").mkdir(parents=True, exist_ok=True)
    (folder / "gt" / "gt.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    info = {"name": name, "imDir": "img1", "frameRate": rate, "seqLength": frames, "imWidth": size[0],
            "imHeight": size[1], "imExt": ".jpg"}  # fmt: skip
    text = "[Sequence]\n" + "".join(f"{key}={value}\n" for key, value in info.items())
    (folder / "seqinfo.ini").write_text(text, encoding="ascii")


def _encode(stream: av.VideoStream, container: av.container.OutputContainer, image: Array | None) -> None:
    """Add one picture (H, W, 3) uint8 to the video, or finish it."""
    frame = None if image is None else av.VideoFrame.from_ndarray(image, format="bgr24")
    for packet in stream.encode(frame):
        container.mux(packet)


def write_clip(
    output: Path, truth: Path, seed: int, seconds: float, size: tuple[int, int], rate: int, hand: Hand | None = None
) -> None:
    """Render the clip into a video file and its ground truth into a folder."""
    frames = round(seconds * rate)
    rng = np.random.default_rng([seed, 5])
    textures = make_textures(seed)
    cast = make_cast(seed, frames, float(rate))
    cameras = held(fixed_camera(*size), frames, float(rate), rng, hand or Hand())
    sensor = Sensor(
        exposure=1.12, contrast=1.12, saturation=0.95, balance=(0.98, 1.0, 1.02), blur=0.45, noise=1.6, grain=0.4
    )
    lines: list[str] = []
    output.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(output), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(rate), options={"crf": "25", "preset": "slow"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
        for index in range(frames):
            entities = cast.entities(index)
            clean, seen = render(Scene(cast.place, cast.light, entities, seed), cameras[index], textures)
            labels = {entity.ident: entity.label for entity in entities}
            lines += truth_lines(index + 1, seen, labels, *size)
            drift = 1 + 0.03 * float(np.sin(2 * np.pi * index / rate / 7.3))
            picture = develop(clean, replace(sensor, exposure=sensor.exposure * drift), rng)
            _encode(stream, container, picture)
        _encode(stream, container, None)
    _write_truth(truth, output.stem, lines, frames, size, rate)
