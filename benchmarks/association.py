"""The trackers against other people's: accuracy, agreement of methods of one name, speed, the command's wall time.

python -m benchmarks.association all --peers PEERS/bin/python --cache CACHE --output out.md
python -m benchmarks.association accuracy --steps 1 4 10          (ours alone)
python -m benchmarks.association accuracy --steps 10 30 60        (time-lapse: with the ceiling of perfect ids)
python -m benchmarks.association speed --peers PEERS/bin/python --sizes 10 50 100 200 500

`--peers` is the Python of an environment of its own: pip install trackers 'supervision<0.31'
ultralytics norfair boxmot (and `boxmot build` for its C++ trackers, which needs CMake, Eigen and OpenCV).
`--cache` keeps what the peers gave, so that a second run does not run them again. `--output` takes .md or .json.

Every k-th frame: frames 1, 1 + k, ... are renumbered and the rate is divided by k; a peer is told the rate where it can
be. Scores are TrackEval's MotChallenge2DBox, COMBINED_SEQ; MOT17 with its preprocessing; KITTI class by class. Peers
get one class at a time, since most would let classes swap; ours get them all.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.association_data import COLUMNS, METRICS, score
from benchmarks.association_room import CEILINGS, ceiling_results, room
from benchmarks.association_runs import (
    OURS,
    PEERS,
    Work,
    folder_of,
    offline_results,
    our_results,
    peer_results,
    run_peer,
    sparse_results,
    track_command,
)
from benchmarks.association_speed import SIZES, speed_table
from tracker.config import DEFAULT_TRACKER
from tracker.sequences import find_sequences

ROOT = Path(__file__).parent.parent
DATA = Path("../shared/data/mot")
GOALS = {
    1: ("39.2/52/46.3", "52/60.5/55.2", "66/79.5/65", "41/64.5/41"),
    4: ("38/49/40", "44/51/46", "57/64/50", "40/61/40"),
    10: ("35/45/34", "37/43/35", "50/53/42", "33/50/28"),
}
"""What the default must reach online, in the order of COLUMNS: HOTA/IDF1/MOTA."""
OFFLINE_GOALS = {1: ("42/54/48.5", "56/63.5/58", "68/80.5/66.5", "42/65.5/42")}
SPARSE_STEP = 10  # from every so many frames on, what perfect ids on the same detections would reach is told, too
ONE_SECOND = {"seconds": 1.0}  # so many frames, whatever the rate
THREE = {"frames": 3}  # so many seconds, whatever the rate
PLAIN_SORT = {"min_new_score": 0.25, "min_iou": 0.3, "warm_s": 0.0, "max_tentative_s": 0.0}
SAME: tuple[tuple[str, dict[str, Any], str, dict[str, Any]], ...] = (
    ("sort", PLAIN_SORT, "trackers sort", {"state": "XCYCSRStateEstimator"}),
    ("sort", PLAIN_SORT, "trackers sort", {}),
    ("bytetrack", {}, "trackers bytetrack", {}),
    ("bytetrack", {}, "ultralytics bytetrack",
     {"track_high_thresh": 0.6, "new_track_thresh": 0.7, "match_thresh": 0.9, "track_buffer": ONE_SECOND}),
    ("bytetrack", {}, "boxmot bytetrack",
     {"track_thresh": 0.6, "match_thresh": 0.9, "track_buffer": ONE_SECOND, "frame_rate": 30}),
    ("bytetrack", {}, "supervision bytetrack",
     {"track_activation_threshold": 0.6, "minimum_matching_threshold": 0.9}),
    ("ocsort", {"delta_s": THREE}, "trackers ocsort", {}),
    ("ocsort", {"delta_s": THREE}, "boxmot ocsort", {"det_thresh": 0.6, "inertia": 0.2, "max_age": ONE_SECOND}),
    ("ocsort", {"delta_s": THREE}, "ultralytics ocsort",
     {"track_high_thresh": 0.6, "new_track_thresh": 0.6, "match_thresh": 0.7, "fuse_score": False,
      "track_buffer": ONE_SECOND}),
)  # fmt: skip
"""Our method and settings, a peer's of the same name and the same settings in its words; the rest are defaults.

The first one of `trackers`' SORT has the paper's filter state. Some have fewer settings: `trackers` ByteTrack one least
overlap for all stages, Ultralytics' OC-SORT no min_hits.
"""
Scores = dict[str, dict[str, float]]


class Report:
    """What is printed, kept for `--output`."""

    def __init__(self) -> None:
        """Empty."""
        self.lines: list[str] = []
        self.data: dict[str, Any] = {}

    def say(self, line: str = "") -> None:
        """Print a line."""
        self.lines.append(line)
        print(line, flush=True)

    def table(self, head: list[str], rows: list[list[str]]) -> None:
        """Print a Markdown table with aligned columns."""
        widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
        for row in [head, ["-" * width for width in widths], *rows]:
            self.say("| " + " | ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) + " |")
        self.say()

    def write(self, path: Path) -> None:
        """As .json the figures, else the text."""
        text = json.dumps(self.data, indent=1) if path.suffix == ".json" else "\n".join(self.lines)
        path.write_text(text.rstrip() + "\n", encoding="utf-8")


def scores(work: Work, who: str, step: int) -> Scores:
    """Column -> metric -> per cent."""
    return {column: score(work.cache, who, column, step, work.lengths(column, step)) for column in COLUMNS}


def cells(values: Scores) -> list[str]:
    """HOTA / IDF1 / MOTA of each column."""
    return [" / ".join(f"{values[column][metric]:.1f}" for metric in METRICS) for column in COLUMNS]


def short_of(values: Scores, goals: tuple[str, ...]) -> list[str]:
    """By how much each figure lies above (+) or below (-) what is wanted."""
    wanted = [[float(word) for word in goal.split("/")] for goal in goals]
    return [
        " / ".join(f"{values[column][metric] - least:+.1f}" for metric, least in zip(METRICS, goal, strict=True))
        for column, goal in zip(COLUMNS, wanted, strict=True)
    ]


def contenders(work: Work, report: Report) -> dict[str, str]:
    """Who has results -> the folder they lie in; says who has not, and why."""
    found = {}
    runs: dict[str, Callable[[str], str | None]] = {f"ours {name}": partial(our_results, work, name) for name in OURS}
    runs["ours --offline"] = partial(offline_results, work)
    runs["ours sparse, offline"] = partial(sparse_results, work)
    runs |= {name: partial(peer_results, work, name) for name in PEERS if work.peers}
    for name, run in runs.items():
        start = time.perf_counter()
        failed = run(folder_of(name))
        if failed:
            report.say(f"left out: {name}: {failed}")
        else:
            found[name] = folder_of(name)
            print(f"  {name}: {time.perf_counter() - start:.1f} s", flush=True)
    return found


def accuracy(work: Work, report: Report) -> None:
    """Ours and the peers at their defaults, at every k-th frame."""
    report.say("## Accuracy: HOTA / IDF1 / MOTA\n")
    found = contenders(work, report)
    if any(step >= SPARSE_STEP for step in work.found):
        for name, keep_false in CEILINGS.items():
            ceiling_results(work, folder_of(name), keep_false=keep_false)
    for step in work.found:
        report.say("\n### Every frame\n" if step == 1 else f"\n### Every {step}th frame\n")
        table = {name: scores(work, who, step) for name, who in found.items()}
        rows = [[name, *cells(values)] for name, values in table.items()]
        peers = [values for name, values in table.items() if not name.startswith("ours")]
        if peers:
            best = {c: {m: max(values[c][m] for values in peers) for m in METRICS} for c in COLUMNS}
            by_hota = {c: max((values[c] for values in peers), key=itemgetter("HOTA")) for c in COLUMNS}
            rows += [["peer of the best HOTA", *cells(by_hota)], ["best peer of each figure", *cells(best)]]
        for name, goals in ((f"ours {DEFAULT_TRACKER}", GOALS), ("ours --offline", OFFLINE_GOALS)):
            if name in table and step in goals:
                rows.append([f"{name} less its goal", *short_of(table[name], goals[step])])
        report.table(["tracker", *COLUMNS], rows)
        report.data.setdefault("accuracy", {})[str(step)] = table
        if step >= SPARSE_STEP:
            room(work, report, found | {name: folder_of(name) for name in CEILINGS}, step)


def agreement(work: Work, report: Report) -> None:
    """Methods of one name with the same settings: HOTA of ours, of the peer, and ours less it."""
    report.say("## Agreement: HOTA of ours, of the peer's of the same name, same settings\n")
    rows, data = [], report.data.setdefault("agreement", {})
    for name, values, peer, options in SAME:
        key = f"{name} and {peer} {options.get('state', '')}".strip()
        ours, theirs = f"same-{folder_of(key)}-ours", f"same-{folder_of(key)}-peer"
        failed = our_results(work, name, ours, values) or peer_results(work, peer, theirs, options)
        if failed:
            report.say(f"left out: {key}: {failed}")
            continue
        for step in work.found:
            pair = scores(work, ours, step), scores(work, theirs, step)
            hota = [[one[column]["HOTA"] for one in pair] for column in COLUMNS]
            rows.append(
                [name, key.partition(" and ")[2], str(step), *(f"{a:.1f} {b:.1f} {a - b:+.1f}" for a, b in hota)]
            )
            data[f"{key}, step {step}"] = dict(zip(COLUMNS, hota, strict=True))
    report.table(["ours", "peer", "step", *COLUMNS], rows)


def wall(work: Work, report: Report, repeats: int) -> None:
    """`tracker track` over all sequences: one process over the folder, and one process a sequence."""
    report.say(f"## Wall time of `tracker track` over all sequences, the median of {repeats}, seconds\n")
    rows = []
    for name in (*OURS, "offline"):
        options = ["--offline"] if name == "offline" else ["--tracker", name]
        times: dict[str, list[float]] = {"folder": [], "each": []}
        failed = None
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                failed = failed or track_command(work.data, Path(folder, "all"), *options)
                times["folder"].append(time.perf_counter() - start)
                start = time.perf_counter()
                for one in find_sequences(work.data, None):
                    target = Path(folder, f"{one.name}.txt")
                    failed = failed or track_command(one.detections, target, *options)
                times["each"].append(time.perf_counter() - start)
        if failed:
            report.say(f"left out: {name}: {failed}")
            continue
        middle = {key: statistics.median(values) for key, values in times.items()}
        report.data.setdefault("wall_s", {})[name] = middle
        rows.append([name, *(f"{value:.1f}" for value in middle.values())])
    report.table(["tracker", "one process (wanted < 5)", "one process a sequence (wanted < 20)"], rows)


def heading(report: Report, peers: str | None) -> None:
    """The machine and the versions."""
    names = ("numpy", "scipy", "trackeval", "numba")
    mine = {}
    for name in names:
        try:
            mine[name] = version(name)
        except ModuleNotFoundError:
            mine[name] = "none"
    theirs = run_peer(peers, {}) if peers else {}
    report.data["versions"] = {"ours": mine, "peers": theirs}
    report.say(f"Python {platform.python_version()}, {platform.machine()}; "
               + ", ".join(f"{name} {value}" for name, value in mine.items()))  # fmt: skip
    if isinstance(theirs, dict) and theirs:
        report.say("peers: " + ", ".join(f"{name} {value}" for name, value in theirs.items()))
    report.say()


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["all", "accuracy", "agreement", "speed", "wall"])
    parser.add_argument("--data", type=Path, default=ROOT / DATA, help="folder of sequences; ../shared/data/mot")
    parser.add_argument("--peers", help="the peers' Python")
    parser.add_argument("--cache", type=Path, help="keeps inputs, the peers' results and scores")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 4, 10])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    report = Report()
    heading(report, args.peers)
    with tempfile.TemporaryDirectory() as folder:
        cache = args.cache or Path(folder)
        if args.what in ("all", "accuracy"):
            accuracy(Work(args.data, cache, args.steps, args.peers), report)
        if args.what in ("all", "agreement"):
            agreement(Work(args.data, cache, [1], args.peers), report)
        if args.what in ("all", "speed"):
            speed_table(report, cache, args.peers, args.sizes, args.repeats)
        if args.what in ("all", "wall"):
            wall(Work(args.data, cache, [1], args.peers), report, args.repeats)
    if args.output:
        report.write(args.output)


if __name__ == "__main__":
    main()
