"""The time-lapse mode on rendered streets at a picture a minute, whose truth is known: HOTA, identities, and stays.

python -m benchmarks.timelapse --work WORK --output out.txt
python -m benchmarks.timelapse --work WORK --seeds 7 --scenes plain --set detect.tiles=auto
python -m benchmarks.timelapse --work WORK --folder PICTURES --truth TRUTH      (pictures of one's own)

Each scene is rendered once into WORK (`python -m samples.street timelapse`): 60 pictures a minute apart, as it is, with
the camera knocked at picture 30 (bump), and with 10 pictures missing after picture 20 (gap). Rows of the tables:

* `tracker run`, as it is by default (it must find out by itself that this is time-lapse), and with --mode video;
* trackers one by one on the detections of the mode (`tracker detect` with its settings), by the true times, or by the
  25 frames a second that a folder of pictures is usually played at; offline ones know all pictures;
* perfect ids on the same detections: false ones left out, or kept as tracks of their own.

Figures are TrackEval's, classes apart, means over the seeds. Stays are those of objects that are there in at least
three pictures: right where a track's first (arrived) and last (departed) picture are the object's, give or take one;
"rows right" is of the tracks, how many are right in both. `--set tracker.KEY=VALUE` is a setting of sparse.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import yaml

from benchmarks.association_room import KNOWN
from benchmarks.association_runs import environment
from benchmarks.timelapse_scores import STAYS, Rows, detected, perfect, rows_of, stays
from tracker.capture import open_source
from tracker.cli.mode import TIMELAPSE, TIMELAPSE_EMBEDDED
from tracker.config import TRACKERS, TrackerSettings
from tracker.evaluate import evaluate, read_mot
from tracker.structures import Detections, Frame, Tracks
from tracker.track import make_tracker
from tracker.track.whole import make_linker

SCENES: dict[str, tuple[str, ...]] = {"plain": (), "bump": ("--bump", "30"), "gap": ("--gap", "20", "10")}
MODES = TIMELAPSE | TIMELAPSE_EMBEDDED
PLAYED_S = 1 / 25
METRICS = ("HOTA", "DetA", "AssA", "IDF1", "IDSW")
MODE, VIDEO, ROOM = "tracker run (the mode)", "tracker run --mode video", "perfect ids"
Table = dict[str, dict[str, float]]
"""Row -> metric -> figure."""


@dataclass(frozen=True)
class Lapse:
    """One folder of pictures with its truth, where results go, and the settings KEY=VALUE."""

    folder: Path
    truth: Path
    results: Path
    settings: tuple[str, ...]

    @cached_property
    def frames(self) -> list[Frame]:
        """All pictures at their true times."""
        with open_source(str(self.folder), timed=True) as source:
            return list(source)

    @cached_property
    def found(self) -> list[Detections]:
        """What the mode detects."""
        own = [f"{key}={json.dumps(value)}" for key, value in MODES.items() if key.startswith("detect.")]
        words = [*(word for one in own for word in ("--set", one)), *self.words("detect.")]
        path = self.results / f"detections-{hashlib.sha256(' '.join(words).encode()).hexdigest()[:12]}.jsonl"
        if not path.exists():
            run("detect", "--source", self.folder, "--jsonl", path, *words)
        lines = path.read_text(encoding="utf-8").splitlines()
        return [_detections(json.loads(line)["detections"]) for line in lines]

    @cached_property
    def counted(self) -> Rows:
        """Truth that counts."""
        rows = read_mot(self.truth / "gt" / "gt.txt", truth=True)
        return rows[rows[:, 6] != 0]

    def words(self, kind: str) -> list[str]:
        """Those settings for the command line that begin so."""
        return [word for one in self.settings if one.startswith(kind) for word in ("--set", one)]

    def tracker(self, name: str) -> TrackerSettings:
        """A tracker's settings: sparse as the mode has it, the others at their defaults."""
        if name != "sparse":
            return TRACKERS[name]()
        pairs = [one.split("=", 1) for one in self.settings]
        wanted = MODES | {key: yaml.safe_load(value) for key, value in pairs}
        keys = {key.removeprefix("tracker."): value for key, value in wanted.items() if key.startswith("tracker.")}
        return TRACKERS[name](**{key: value for key, value in keys.items() if key != "name"})


def run(*words: object) -> None:
    """Run a command of `tracker`. Raises SystemExit with its last line where it fails."""
    command = [sys.executable, "-m", "tracker", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if done.returncode:
        raise SystemExit(f"tracker {words[0]}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")


def _detections(found: list[dict[str, Any]]) -> Detections:
    """Of one frame's objects in JSON."""
    boxes = np.array([one["box"] for one in found], np.float32).reshape(-1, 4)
    scores = np.array([one["score"] for one in found], np.float32)
    return Detections(boxes, scores, np.array([one["class_id"] for one in found], np.int64))


Track = Callable[[Lapse], Iterator[Tracks]]


def online(name: str, step_s: float | None) -> Track:
    """A tracker frame by frame: by the true times, or a step in seconds."""

    def track(lapse: Lapse) -> Iterator[Tracks]:
        tracker = make_tracker(lapse.tracker(name))
        for frame, found in zip(lapse.frames, lapse.found, strict=True):
            yield tracker.update(found, frame.index * step_s if step_s else frame.time_s, frame)

    return track


def offline(name: str, step_s: float | None, pictures: bool) -> Track:
    """A tracker that knows all pictures, or only the detections of all."""

    def track(lapse: Lapse) -> Iterator[Tracks]:
        linker = make_linker(lapse.tracker(name))
        for frame, found in zip(lapse.frames, lapse.found, strict=True):
            linker.add(found, frame.index * step_s if step_s else frame.time_s, frame if pictures else None)
        yield from linker.tracks()

    return track


CONTENDERS: dict[str, Track] = {
    **{f"{name}, {how}": online(name, step) for name in ("sort", "bytetrack", "ocsort", "steady")
       for how, step in (("true times", None), ("25 a second", PLAYED_S))},
    "steady offline, 25 a second": offline("steady", PLAYED_S, True),
    "sparse online": online("sparse", None),
    "sparse offline": offline("sparse", None, True),
    "sparse offline, boxes alone": offline("sparse", None, False),
}  # fmt: skip


def write_mot(path: Path, rows: Rows) -> None:
    """Rows (N, 9) as text."""
    np.savetxt(path, rows, fmt=["%d", "%d", "%.2f", "%.2f", "%.2f", "%.2f", "%.4f", "%d", "%d"], delimiter=",")


def results(lapse: Lapse) -> dict[str, Path]:
    """Row of the table -> MOT file. Raises SystemExit where the mode does not know the time-lapse as such."""
    lapse.results.mkdir(parents=True, exist_ok=True)
    paths = {MODE: lapse.results / "mode.txt", VIDEO: lapse.results / "video.txt"}
    own = ["--tracker", "sparse", *lapse.words("tracker.")] if lapse.words("tracker.") else []
    common = ("--source", lapse.folder, "--no-video", "--overwrite", *lapse.words("detect."))
    report = lapse.results / "mode.json"
    stays_file = paths[MODE].with_suffix(".csv")
    run("run", *common, "--mot", paths[MODE], "--stays", stays_file, "--summary", report, *own)
    said = json.loads(report.read_text(encoding="utf-8"))["mode"]
    if said != "timelapse":
        raise SystemExit(f"{lapse.folder.name} was not known as time-lapse: {said}")
    run("run", *common, "--mot", paths[VIDEO], "--mode", "video")
    for place, (name, track) in enumerate(CONTENDERS.items()):
        parts = [rows_of(number, tracks.ids, tracks) for number, tracks in enumerate(track(lapse), 1)]
        paths[name] = lapse.results / f"tracks{place:02d}.txt"
        write_mot(paths[name], np.concatenate(parts))
    for name, keep in ((ROOM, False), (f"{ROOM}, false ones kept", True)):
        paths[name] = lapse.results / f"perfect_{keep}.txt"
        write_mot(paths[name], perfect(lapse.counted, lapse.found, keep_false=keep))
    return paths


def figures(lapse: Lapse) -> Table:
    """Scores of every row."""
    table = {}
    for name, path in results(lapse).items():
        known = evaluate([(name, lapse.truth / "gt" / "gt.txt", path)])["COMBINED"]
        table[name] = {metric: known[metric] for metric in METRICS} | stays(lapse.counted, read_mot(path))
    return table


def report(title: str, tables: Sequence[Table]) -> list[str]:
    """Lines of one table: means, and the share of the room that the mode takes."""
    width = max(map(len, tables[0]))
    means = {
        name: {metric: fmean(table[name][metric] for table in tables) for metric in (*METRICS, *STAYS)}
        for name in tables[0]
    }
    lines = ["", title, f"{'':{width}} " + "".join(f"{name:>11}" for name in (*METRICS, *STAYS))]
    lines += [f"{name:{width}} " + "".join(f"{value:11.1f}" for value in row.values()) for name, row in means.items()]
    for metric in ("IDF1", "HOTA"):
        best = max(row[metric] for name, row in means.items() if name.startswith(KNOWN))
        share = (means[MODE][metric] - best) / (means[ROOM][metric] - best)
        lines.append(f"the mode's share of the room from ByteTrack and OC-SORT to perfect ids, {metric}: {share:.0%}")
    return lines


def lapses_of(options: argparse.Namespace, scene: str) -> list[Lapse]:
    """The folders of a scene, rendered where they are not there."""
    settings = tuple(options.set)
    where = "-".join(("results", *settings)).replace("/", "-")
    if options.folder:
        return [Lapse(options.folder, options.truth, options.work / options.folder.name / where, settings)]
    found = []
    for seed in options.seeds:
        folder = options.work / f"{scene}-{seed}"
        if not (folder / "truth" / "seqinfo.ini").exists():
            words = ("--output", folder / "pictures", "--truth", folder / "truth", "--seed", seed, *SCENES[scene])
            command = [sys.executable, "-m", "samples.street", "timelapse", *map(str, words)]
            subprocess.run(command, check=True, env=environment())
        found.append(Lapse(folder / "pictures", folder / "truth", folder / where, settings))
    return found


def main() -> None:
    """Render, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for pictures and results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--folder", type=Path, help="pictures in place of rendered ones")
    parser.add_argument("--truth", type=Path, help="their truth, a folder with gt/gt.txt")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of detect or tracker"
    )
    parser.add_argument("--output", type=Path, help="write the tables here, too")
    options = parser.parse_args()
    if options.folder and not options.truth:
        parser.error("--folder needs --truth")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("openvino", "numpy", "trackeval"))
    lines = [f"python {platform.python_version()}, {libraries}; settings: {' '.join(options.set) or 'defaults'}"]
    for scene in ["pictures"] if options.folder else options.scenes:
        lapses = lapses_of(options, scene)
        title = f"== {scene}: means of {len(lapses)} ({', '.join(lapse.folder.parent.name for lapse in lapses)})"
        lines += report(title, [figures(lapse) for lapse in lapses])
        lines.append(f"detected: {detected([(lapse.counted, lapse.found) for lapse in lapses])}")
    print("\n".join(lines))
    if options.output:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
