"""What the benchmarks of `tracker monitor` share: clips like a camera's, figures of the process, lines of a table."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.monitor.commands import STREET
from tests.monitor.rtsp import missing

CODING = {"g": "25", "bf": "0", "preset": "veryfast", "crf": "27", "x264-params": "scenecut=0"}
"""As cameras code: a key frame a second, no picture waits for a later one."""


def need_server() -> None:
    """End where no RTSP server can be had."""
    if missing():
        sys.exit(f"no RTSP server: {missing()} (Debian: gir1.2-gst-rtsp-server-1.0)")


def sources_of(data: Path | None) -> list[Path]:
    """Videos of a folder; without one the sample of the repository."""
    found = sorted(data.glob("*.mp4")) if data else []
    return found or [STREET]


def pictures_of(path: Path, width: int, height: int) -> Iterator[av.VideoFrame]:
    """Pictures of a video over and over, in this size."""
    while True:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield frame.reformat(width, height, format="yuv420p")


def camera_clip(source: Path, target: Path, size: tuple[int, int], fps: int, seconds: float) -> Path:
    """A clip of this size, rate and length."""
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=fps, options=CODING)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        for index, frame in enumerate(itertools.islice(pictures_of(source, *size), round(fps * seconds))):
            frame.pts, frame.dts, frame.time_base = index, None, Fraction(1, fps)
            frame.pict_type = av.video.frame.PictureType.NONE
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target


def camera_clips(data: Path | None, folder: Path, count: int, fps: int, seconds: float = 8.0) -> list[str]:
    """So many clips of 768x432, of as many different videos as there are."""
    sources = sources_of(data)
    made = [camera_clip(source, folder / f"{number}.mp4", (768, 432), fps, seconds)
            for number, source in enumerate(sources[:count])]  # fmt: skip
    return [str(made[number % len(made)]) for number in range(count)]


@dataclass
class Process:
    """Memory and descriptors of a process over time.

    Attributes:
        times_s, rss_mb, descriptors: of each `look`.
    """

    pid: int
    times_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def look(self, now_s: float) -> None:
        """Take note of now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        self.times_s.append(now_s)
        self.rss_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
        self.descriptors.append(len(os.listdir(f"/proc/{self.pid}/fd")))

    def slope(self, last_s: float) -> tuple[float, float, float]:
        """(MB in 20 minutes, its standard error, minutes looked at) of a line through the last seconds.

        The error is that of independent looks; memory moves in steps, so the true one is larger.
        """
        times, sizes = np.array(self.times_s), np.array(self.rss_mb)
        late = times >= times[-1] - last_s
        minutes, sizes = times[late] / 60, sizes[late]
        if len(minutes) < 3:
            return float("nan"), float("nan"), 0.0
        spread = minutes - minutes.mean()
        slope = float(spread @ (sizes - sizes.mean()) / (spread @ spread))
        rest = sizes - sizes.mean() - slope * spread
        error = float(np.sqrt((rest @ rest) / (len(minutes) - 2) / (spread @ spread)))
        return 20 * slope, 20 * error, float(minutes[-1] - minutes[0])


def spread_of(values: Sequence[float]) -> str:
    """Median and worst."""
    return f"{np.median(values):.1f} / {max(values):.1f} ({len(values)})" if values else "none seen"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """In Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
