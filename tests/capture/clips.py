"""Clips whose pixels tell the index of their frame, made by FFmpeg's encoders."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

DARKEST, STEP, MOST = 30, 8, 24


def shade(index: int) -> int:
    """Gray value of a frame; survives lossy coding and the way to YUV and back."""
    return DARKEST + STEP * (index % MOST)


def read_shade(bgr: np.ndarray) -> int:
    """Index (modulo MOST) of a frame."""
    return round((float(np.median(bgr)) - DARKEST) / STEP)


def flat(index: int, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) of one shade; `size`: width, height."""
    return np.full((size[1], size[0], 3), shade(index), np.uint8)


def grainy(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """Flat frames with grain: as many bytes to each as in real footage, the median still tells the index."""
    grain = np.random.default_rng(5).integers(-20, 21, (count, size[1], size[0], 1))
    return [np.clip(flat(index, size) + grain[index], 0, 255).astype(np.uint8) for index in range(count)]


@dataclass
class Clip:
    """How to encode: `count` flat frames, or `pictures`. `ticks`: PTS in `time_base`; constant rate by default.

    `matrix`: (a, b, c, d) of the display matrix; pixel (x, y) is shown at (a x + c y, b x + d y).
    """

    count: int = 12
    size: tuple[int, int] = (64, 48)
    rate: Fraction = Fraction(25)
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    ticks: Sequence[int] | None = None
    time_base: Fraction | None = None
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    container_format: str | None = None
    matrix: tuple[float, float, float, float] | None = None
    pictures: Sequence[np.ndarray] | None = None
    audio: bool = False

    def write(self, target: Path | Any) -> Any:
        """Encode into a file or file object; gives the target back."""
        name = str(target) if isinstance(target, Path) else target
        with av.open(name, "w", format=self.container_format, container_options=self.container_options) as out:
            stream = self._add_stream(out)
            sound = out.add_stream("aac", rate=8000, layout="mono") if self.audio else None
            for index, bgr in enumerate(self.pictures or [flat(i, self.size) for i in range(self.count)]):
                picture = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format=self.pix_fmt)
                picture.pts = index if self.ticks is None else self.ticks[index]
                picture.time_base = self.time_base or 1 / self.rate
                out.mux(stream.encode(picture))
            out.mux(stream.encode(None))
            if sound is not None:
                write_sound(out, sound)
        if self.matrix is not None:
            set_matrix(target, self.matrix)
        return target

    def _add_stream(self, out: Any) -> Any:
        stream = out.add_stream(self.codec, rate=self.rate, options=self.options)
        size = self.size if self.pictures is None else self.pictures[0].shape[1::-1]
        stream.width, stream.height, stream.pix_fmt = *size, self.pix_fmt
        stream.codec_context.thread_count = 1
        stream.time_base = stream.codec_context.time_base = self.time_base or 1 / self.rate
        return stream


def set_matrix(path: Path, matrix: tuple[float, float, float, float]) -> None:
    """Write a display matrix (a, b, c, d) into the track header of an MP4."""
    a, b, c, d = (round(65536 * value) for value in matrix)
    data = bytearray(path.read_bytes())
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def write_sound(out: Any, stream: Any) -> None:
    """Half a second of silence."""
    for index in range(4):
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.rate, sound.pts, sound.time_base = 8000, 1024 * index, Fraction(1, 8000)
        out.mux(stream.encode(sound))
    out.mux(stream.encode(None))


def write_sound_only(path: Path) -> Path:
    """A file without video."""
    with av.open(str(path), "w") as out:
        write_sound(out, out.add_stream("aac", rate=8000, layout="mono"))
    return path
