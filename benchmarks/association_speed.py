"""CPU time of `update()` alone on a synthetic crowd, ours and the peers' in turn, a process each.

python -m benchmarks.association_speed NAME CROWD.npz...     (one of ours: CPU ms of an update as one JSON line)
"""

from __future__ import annotations

import gc
import itertools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.association_data import save_frames
from benchmarks.association_runs import environment, run_peer
from tracker.config import DEFAULT_TRACKER, TRACKERS
from tracker.structures import Detections
from tracker.track import compiled, make_tracker

SIZES = (10, 50, 100, 200, 500)
PEERS = ("trackers bytetrack", "ultralytics bytetrack", "boxmot ocsort/cpp", "boxmot bytetrack/cpp",
         "boxmot bytetrack", "supervision bytetrack", "norfair")  # fmt: skip
OURS = tuple(dict.fromkeys(("bytetrack", DEFAULT_TRACKER)))
BASE = "trackers bytetrack"  # the ratios are to this one
RATE, FRAMES, WARM = 30, 320, 20
GOALS = {"with numba": (0.15, 0.24, 0.34, 0.50, 1.1), "without numba": (0.30, 0.43, 0.63, 1.5, 6.5)}
"""CPU ms that an update may take, at SIZES."""


class Printer(Protocol):
    """What `benchmarks.association.Report` can do."""

    data: dict[str, object]

    def say(self, line: str = "") -> None:
        """Print a line."""

    def table(self, head: list[str], rows: list[list[str]]) -> None:
        """Print a table."""


def crowd(count: int) -> list[Detections]:
    """People of 60 to 220 pixels walking over a picture of 1920 x 1080, of 3840 x 2160 from 300 people on.

    3 % of them are missed, boxes jitter by 2 % of their height, one in ten has a weak score. Always the same.
    """
    random = np.random.default_rng(count)
    size = np.array([3840.0, 2160.0]) if count >= 300 else np.array([1920.0, 1080.0])
    height = random.uniform(60, 220, count)
    sides = np.column_stack((0.4 * height, height))
    centre = random.uniform(0, 1, (count, 2)) * size
    speed = random.normal(0, 0.4, (count, 2)) * height[:, None] / RATE  # about half a height a second
    base = np.where(random.uniform(size=count) < 0.1, 0.4, 0.85)
    frames = []
    for _ in range(FRAMES):
        speed += random.normal(0, 0.02, (count, 2)) * height[:, None] / RATE
        speed[(centre < 0) & (speed < 0) | (centre > size) & (speed > 0)] *= -1
        centre += speed
        seen = random.uniform(size=count) >= 0.03
        corners = np.concatenate((centre - sides / 2, centre + sides / 2), 1)
        corners += random.normal(0, 0.02, (count, 4)) * height[:, None]
        scores = np.clip(base + random.normal(0, 0.05, count), 0.05, 1)
        found = Detections(corners.astype(np.float32), scores.astype(np.float32), np.zeros(count, np.int64))
        frames.append(found[seen])
    return frames


def load(path: Path) -> list[Detections]:
    """The frames of a saved crowd."""
    data = np.load(path)
    whole = Detections(
        data["boxes"].astype(np.float32), data["scores"].astype(np.float32), np.zeros(len(data["boxes"]), np.int64)
    )
    return [whole[begin:end] for begin, end in itertools.pairwise(data["offsets"])]


def ours(name: str, frames: list[Detections]) -> float:
    """CPU milliseconds of an update of one of ours, its mean after the first frames."""
    tracker = make_tracker(TRACKERS[name]())
    for k, found in enumerate(frames[:WARM]):
        tracker.update(found, k / RATE)
    gc.collect()
    start = time.process_time()
    for k, found in enumerate(frames[WARM:], WARM):
        tracker.update(found, k / RATE)
    return 1e3 * (time.process_time() - start) / (len(frames) - WARM)


def main(name: str, files: list[str]) -> None:
    """Time one of ours on each file; what has to be compiled is compiled before. Tells numba or numpy as "backend"."""
    backend = compiled.load()
    print(json.dumps({"backend": backend} | {file: ours(name, load(Path(file))) for file in files}))


def once(name: str, files: list[str], peers: str | None) -> dict[str, float] | str:
    """One process: file -> CPU ms of an update, or why not."""
    if not name.startswith("ours "):
        answer = run_peer(peers or "", {"tracker": name, "speed": files})
        return answer if isinstance(answer, str) else {file: float(value) for file, value in answer.items()}
    _, method, how, _ = name.split()  # "ours bytetrack without numba"
    switch = {"TRACKER_NO_NUMBA": "1"} if how == "without" else {}
    command = [sys.executable, "-m", "benchmarks.association_speed", method, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(**switch))
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no word"])[-1][:200]
    values: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    backend = values.pop("backend")
    return values if backend == ("numba" if how == "with" else "numpy") else f"it ran on {backend}"


def speed_table(report: Printer, cache: Path, peers: str | None, sizes: list[int], repeats: int) -> None:
    """Print CPU ms of an update at each size, and how many times the base peer's that is."""
    report.say(f"## CPU milliseconds of update() alone, the median of {repeats} runs in turn\n")
    files = {size: str(cache / "crowds" / f"{size}.npz") for size in sizes}
    for size, file in files.items():
        save_frames(Path(file), crowd(size), RATE)
    names = [f"ours {name} {how}" for name in OURS for how in GOALS] + (list(PEERS) if peers else [])
    runs: dict[str, list[dict[str, float]]] = {}
    dropped: set[str] = set()
    for _ in range(repeats):
        for name in names:
            values = {} if name in dropped else once(name, list(files.values()), peers)
            if isinstance(values, str):
                report.say(f"left out: {name}: {values}")
                dropped.add(name)
            elif values:
                runs.setdefault(name, []).append(values)
    rows = [[name, *(f"{middle(runs[name], file):.2f}" for file in files.values())] for name in runs]
    goals = [[f"wanted of ours {how}", *(f"{goal[SIZES.index(n)]:.2f}" if n in SIZES else "" for n in sizes)]
             for how, goal in GOALS.items()]  # fmt: skip
    report.table(["ms at so many objects", *map(str, sizes)], rows + goals)
    if BASE in runs:
        report.say(f"How many times faster than {BASE}:\n")
        ratios = [[name, *(f"{ratio(runs, name, file):.1f}" for file in files.values())] for name in runs]
        report.table(["times", *map(str, sizes)], ratios)
    report.data["update_cpu_ms"] = {
        name: {str(size): middle(values, file) for size, file in files.items()} for name, values in runs.items()
    }


def middle(values: list[dict[str, float]], file: str) -> float:
    """The median of the runs."""
    return statistics.median(run[file] for run in values)


def ratio(runs: dict[str, list[dict[str, float]]], name: str, file: str) -> float:
    """The median over the rounds of the base peer's time by this one's."""
    pairs = zip(runs[BASE], runs[name], strict=False)
    return statistics.median(base[file] / own[file] for base, own in pairs)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
