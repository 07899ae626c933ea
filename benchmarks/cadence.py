"""Does the cadence probe tell ordinary video from sparse footage, how far from its borders, and at what price?

python -m benchmarks.cadence --data DIR [--sample samples/street.mp4] [--only NAME]

Ordinary: every clip of DIR, excerpts of 12 frames of it, and made ones (cuts, slow motion, noise, nothing moving, a
flickering lamp, a shaking hand). Sparse: every 10th, 30th and 60th frame of each clip, encoded again as 30 frames/s,
where 5 frames are left.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from tracker.capture.cadence import Cadence
from tracker.capture.sample import probe_file

STEPS, FEWEST, EXCERPT = (10, 30, 60), 5, 12
PLACES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
UNCOUNTED = "3fps"
"""In the name of a clip that may be either."""


@dataclass(frozen=True)
class Case:
    """A clip, and what the probe ought to say; `wanted` "": either. `real`: not made here."""

    name: str
    path: Path
    wanted: str
    real: bool = True


def encode(path: Path, frames: Sequence[av.VideoFrame | np.ndarray], rate: Fraction) -> Path:
    """H.264 as most tools write it."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"})
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="bgr24") if isinstance(frame, np.ndarray) else frame
            if not index:
                stream.width, stream.height, stream.pix_fmt = picture.width & ~1, picture.height & ~1, "yuv420p"
            picture = picture.reformat(stream.width, stream.height, "yuv420p")
            picture.pts, picture.time_base, picture.pict_type = index, 1 / rate, 0
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def derived(clip: Path, folder: Path, wanted: str = "video") -> Iterator[Case]:
    """The clip itself, its excerpts, and what is left of it as a time-lapse."""
    yield Case(clip.stem, clip, "" if UNCOUNTED in clip.stem else wanted)
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type, rate = "AUTO", stream.average_rate or Fraction(25)
        count = sum(1 for packet in container.demux(stream) if packet.size)
        container.seek(0)
        starts = sorted({int((count - EXCERPT) * place) for place in PLACES}) if count >= EXCERPT else []
        steps = [step for step in STEPS if -(-count // step) >= FEWEST]
        parts: dict[tuple[str, int], list[av.VideoFrame]] = {("at", start): [] for start in starts}
        parts |= {("every", step): [] for step in steps}
        for index, frame in enumerate(container.decode(stream)):
            for (kind, number), frames in parts.items():
                taken = number <= index < number + EXCERPT if kind == "at" else index % number == 0
                if taken:
                    frames.append(frame)
    for (kind, number), frames in parts.items():
        path = encode(folder / f"{clip.stem}-{kind}{number}.mp4", frames, rate if kind == "at" else Fraction(30))
        yield Case(path.stem, path, "timelapse" if kind == "every" else wanted)
        frames.clear()


def pictures(clip: Path, count: int) -> list[np.ndarray]:
    """First frames of a clip, BGR."""
    with av.open(str(clip)) as container:
        frames = [frame.to_ndarray(format="bgr24") for _, frame in zip(range(count), container.decode(video=0))]  # noqa: B905
    return frames


def shake(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Off its place by up to 12 pixels, another way each time."""
    return np.roll(picture, tuple(rng.integers(-12, 13, 2)), (0, 1))[16:-16, 16:-16]


def made(clips: dict[str, Path], sample: Path, folder: Path) -> Iterator[Case]:
    """Ordinary ones that invite an error."""
    rng = np.random.default_rng(3)
    frames = pictures(sample, 48)
    height, width = frames[0].shape[:2]
    others = [cv2.resize(f, (width, height)) for name in list(clips)[:3] for f in pictures(clips[name], 12)]
    night = [(f * 0.2).astype(np.float32) for f in frames]
    lamp = [f * (0.7 + 0.3 * (index % 3 == 0)) for index, f in enumerate(frames)]
    sport = pictures(clips[list(clips)[1]], 48)
    still = [frames[0]] * 48
    kinds = {
        "cuts": frames[:12] + others,
        "slow-motion": [f for f in frames[:24] for _ in range(4)],
        "noise": [rng.integers(0, 256, frames[0].shape) for _ in range(24)],
        "still": still,
        "still-grain": [f + rng.normal(0, 12, f.shape) for f in still],
        "night-grain": [f + rng.normal(0, 12, f.shape) for f in night],
        "lamp": lamp,
        "shaken": [shake(f, rng) for f in frames],
        "shaken-sport": [shake(f, rng) for f in sport],
    }
    for name, made_frames in kinds.items():
        bgr = [np.ascontiguousarray(np.clip(f, 0, 255), np.uint8) for f in made_frames]
        path = encode(folder / f"made-{name}.mp4", bgr, Fraction(25))
        yield Case(path.stem, path, "video", real=False)


def measure(case: Case) -> tuple[Cadence, float, float]:
    """The answer, its milliseconds by the clock, and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    cadence = probe_file(str(case.path))
    return cadence, 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def row(case: Case, cadence: Cadence, wall: float, cpu: float) -> str:
    """One line of the table."""
    figures = cadence.figures
    names = ("score", "disorder", "decorrelation", "lost", "lost_small", "jump")
    shown = " ".join(f"{'-' if figures[n] is None else format(figures[n], '.2f'):>8}" for n in names)
    verdict = "either" if not case.wanted else "ok" if case.wanted == cadence.mode else "WRONG"
    return f"{case.name:36} {cadence.mode:9} {shown} {figures['pictures']:4} {wall:6.0f} {cpu:6.0f}  {verdict}"


def main() -> None:
    """Print the table and what it comes to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of ordinary clips")
    parser.add_argument("--sample", type=Path, default=Path("samples/street.mp4"), help="the rendered street")
    parser.add_argument("--only", default="", help="cases with this in their name")
    args = parser.parse_args()
    clips = {path.stem: path for path in sorted(args.data.glob("*.mp4"))}
    head = ("score", "disorder", "decorr", "lost", "small", "jump")
    print(f"{'clip':36} {'mode':9} {' '.join(f'{name:>8}' for name in head)} {'pics':>4} {'ms':>6} {'cpu ms':>6}")
    scores: dict[str, list[tuple[float, str, bool]]] = {"video": [], "timelapse": [], "": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for cases in (*(derived(clip, folder) for clip in clips.values()), derived(args.sample, folder),
                      made(clips, args.sample, folder)):  # fmt: skip
            for case in cases:
                if args.only not in case.name:
                    continue
                cadence, wall, cpu = measure(case)
                print(row(case, cadence, wall, cpu), flush=True)
                counted = case.real and args.sample.stem not in (case.name, case.name.split("-")[0])
                scores[case.wanted].append((float(cadence.figures["score"] or 0), case.name, counted))
    report(scores)


def report(scores: dict[str, list[tuple[float, str, bool]]]) -> None:
    """Right and wrong, and the nearest to the border of 1."""
    for wanted, group in scores.items():
        for kind, counted in (("real", True), ("made", False)):
            found = sorted((score, name) for score, name, is_real in group if is_real == counted)
            if not wanted or not found:
                continue
            wrong = [name for score, name in found if (score >= 1) != (wanted == "timelapse")]
            right = [one for one in found if one[1] not in wrong]
            nearest = (max(right) if wanted == "video" else min(right)) if right else ("-", "")
            print(f"{kind} {wanted}: {len(right)} of {len(found)} right, wrong: {', '.join(wrong) or 'none'}; "
                  f"nearest of the right ones {nearest[0]} ({nearest[1]})")  # fmt: skip


if __name__ == "__main__":
    main()
