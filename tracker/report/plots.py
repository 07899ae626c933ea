"""Drawings of the report as inline SVG. Colours are the page's variables, so that they fit light, dark and paper."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape
from itertools import pairwise

import numpy as np

from tracker.report.summary import HEAT_COLUMNS, HEAT_LEVELS, LENGTHS_S, WIDE, Picture, VideoSummary, heat_rows
from tracker.write.palette import VIVID, colour_numbers

HEAT_STOPS = ((0, 49, 18, 94), (0.35, 140, 41, 129), (0.65, 229, 80, 80), (0.85, 252, 165, 60), (1, 252, 240, 160))
HEAT_ALPHA = (90, 235)  # of the lowest level above none, and of the highest


def colour(number: int) -> str:
    """Of a track, as on the annotated video."""
    red, green, blue = VIVID[int(colour_numbers(np.array([number], np.int64))[0])].tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def bars(rows: Sequence[tuple[str, int, str]]) -> str:
    """Horizontal bars: label, value, and what is written behind it."""
    most = max((value for _, value, _ in rows), default=0) or 1
    lines = "".join(
        f'<tr><th scope="row">{escape(label)}</th><td>{_bar(100 * value / most)}</td>'
        f"<td class=n>{escape(text)}</td></tr>"
        for label, value, text in rows
    )
    return f'<table class="bars">{lines}</table>'


def _bar(share: float) -> str:
    """A bar of so many per cent."""
    return f'<span class="bar" style="width:{share:.1f}%"></span>' if share else ""


def lengths(counts: Sequence[int]) -> str:
    """Tracks by how long they are."""
    inner = [f"{low:g} to {high:g} s" for low, high in pairwise(LENGTHS_S)]
    names = [f"under {LENGTHS_S[0]:g} s", *inner, f"{LENGTHS_S[-1]:g} s and more"]
    return bars([(name, count, f"{count:,}") for name, count in zip(names, counts, strict=True)])


def active(summary: VideoSummary) -> str:
    """Tracks at a time, over the video. The drawing is stretched to its place; words stand beside it."""
    values = summary.active
    most = _round_up(max(values, default=0))
    step = WIDE / max(len(values), 1)
    points = "".join(f"V{100 - 100 * value / most:.1f}H{step * (k + 1):.0f}" for k, value in enumerate(values))
    grid = '<path class="grid" d="M0 0H1000M0 50H1000M0 100H1000"/>'
    return (
        f'<div class="line"><div class="scale"><span>{most:g}</span><span>{most / 2:g}</span><span>0</span></div>'
        f'<svg viewBox="0 0 {WIDE} 100" preserveAspectRatio="none" role="img" aria-label="Tracks over time">'
        f'{grid}<path class="area" d="M0 100{points}V100Z"/></svg>'
        f"<div class=ends><span>0:00</span><span>{clock(summary.duration_s)}</span></div></div>"
    )


class Scenes:
    """What is drawn over the pictures of one video. Each picture is in the page once."""

    def __init__(self, summary: VideoSummary, number: int, *, pictures: bool) -> None:
        """`number` is the video's in the page; without `pictures` the ground is plain."""
        self._summary, self._number = summary, number
        self._high = max(1, round(WIDE * summary.height / max(summary.width, 1)))
        self.pictures = summary.pictures if pictures else ()

    def samples(self) -> list[str]:
        """Frames with their boxes."""
        return [self._sample(k, picture) for k, picture in enumerate(self.pictures)]

    def ways(self) -> str:
        """Of the longest tracks."""
        ways = []
        for path in self._summary.paths:
            points = list(zip(path.points[::2], path.points[1::2], strict=True))
            text = " ".join(f"{x},{y}" for x, y in points)
            ways.append(
                f'<g style="--c:{colour(path.id)}"><title>track {path.id}</title><polyline points="{text}"/>'
                f'<circle cx="{points[-1][0]}" cy="{points[-1][1]}" r="5"/></g>'
            )
        return self._drawn("Ways of the tracks", self._ground() + "".join(ways), "ways")

    def heat(self) -> str:
        """Where boxes were how often."""
        size = f'width="{WIDE}" height="{self._high}" preserveAspectRatio="none"'
        return self._drawn(
            "Where objects were", f'{self._ground()}<image href="{_heat_png(self._summary)}" {size}/>', "heat"
        )

    def _sample(self, place: int, picture: Picture) -> str:
        """One frame with its boxes."""
        photo = (
            f'<image id="p{self._number}-{place}" href="data:image/jpeg;base64,{escape(picture.jpeg)}" width="{WIDE}" '
            f'height="{self._high}" preserveAspectRatio="none"/>'
        )
        boxes = []
        for number, name, left, top, right, bottom in picture.boxes:
            boxes.append(
                f'<g style="--c:{colour(number)}"><title>{number} {escape(name)}</title>'
                f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>'
                f'<text x="{left + 2}" y="{max(top - 6, 20)}">{number}</text></g>'
            )
        return self._drawn(f"Frame {picture.frame}", photo + "".join(boxes), "boxes")

    def _ground(self) -> str:
        """The first picture, or plain ground."""
        if self.pictures:
            return f'<use class="photo" href="#p{self._number}-0"/>'
        return f'<rect class="ground" width="{WIDE}" height="{self._high}"/>'

    def _drawn(self, label: str, content: str, kind: str) -> str:
        """A drawing that fills the width it is given."""
        box = f'viewBox="0 0 {WIDE} {self._high}"'
        return f'<svg class="scene {kind}" {box} role="img" aria-label="{escape(label)}">{content}</svg>'


def clock(seconds: float) -> str:
    """0:07, 12:30, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def _heat_png(summary: VideoSummary) -> str:
    """The levels as an indexed PNG with transparency."""
    rows = heat_rows(summary.width, summary.height)
    levels = np.frombuffer(base64.b64decode(summary.heat), np.uint8).reshape(rows, HEAT_COLUMNS)
    steps = np.arange(HEAT_LEVELS + 1) / HEAT_LEVELS
    stops = np.array(HEAT_STOPS, np.float64)
    colours = np.stack([np.interp(steps, stops[:, 0], stops[:, k]) for k in (1, 2, 3)], 1).round().astype(np.uint8)
    alpha = np.linspace(*HEAT_ALPHA, HEAT_LEVELS + 1).round().astype(np.uint8)
    alpha[0] = 0
    lines = np.hstack((np.zeros((rows, 1), np.uint8), levels)).tobytes()
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", HEAT_COLUMNS, rows, 8, 3, 0, 0, 0)), (b"PLTE", colours.tobytes()),
        (b"tRNS", alpha.tobytes()), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""),
    )  # fmt: skip
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + data).decode("ascii")


def _round_up(value: float) -> float:
    """The next number that an axis likes: 1, 2, 4, 6, 10 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(max(value, 1.0)))
    return float(next(step * power for step in (1, 2, 4, 6, 10) if step * power >= value))
