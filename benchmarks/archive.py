"""`tracker annotate` over a folder of clips: killed and resumed, by Ray, scaled, in memory, against a peer, again.

python -m benchmarks.archive clips --data ../shared/data/videos --folder CLIPS       (60 clips, 6 of them broken)
python -m benchmarks.archive kills --folder CLIPS --kills 20
python -m benchmarks.archive ray --folder CLIPS                                      (3 nodes, one of them killed)
python -m benchmarks.archive scaling --folder CLIPS --runs 3
python -m benchmarks.archive memory --clip A.mp4 --minutes 2 120
python -m benchmarks.archive retrack --folder CLIPS [--model M.onnx]
python -m benchmarks.archive peer --folder CLIPS --onnx yolo11n.onnx --peer-python PY
python -m benchmarks.archive peer --folder CLIPS --onnx yolo11n_openvino_model/yolo11n.xml --runtime openvino ...
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.archive_clips import make_clips
from benchmarks.kill import loop_clip

ALL_FORMATS = "mot,coco,cvat,labelstudio,yolo,jsonl,parquet"
PARTLY, SIZE = 5, 640
NOT_COMPARED = ("manifest.sqlite", "manifest.sqlite-journal", "manifest.lock")
HERE = Path(__file__).parent


def annotate(folder: Path, output: Path, *options: str) -> list[str]:
    """The command."""
    return [sys.executable, "-m", "tracker", "annotate", str(folder), "--output", str(output), *options]


def run(command: list[str], codes: tuple[int, ...] = (0, PARTLY)) -> float:
    """Run to the end; wall seconds. Another exit code ends the benchmark."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise SystemExit(f"exit {done.returncode}: {' '.join(command)}\n{done.stderr[-2000:]}")
    return time.perf_counter() - began


def files(folder: Path) -> dict[str, Path]:
    """All files that are to be the same, by their place."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {place: path for place, path in found.items() if place not in NOT_COMPARED}


def compare(left: Path, right: Path) -> str:
    """How two archives differ."""
    mine, theirs = files(left), files(right)
    only = sorted(set(mine) ^ set(theirs))
    other = [place for place in mine if place in theirs and not filecmp.cmp(mine[place], theirs[place], shallow=False)]
    verdict = (
        "byte-identical"
        if not only and not other
        else f"{len(only)} in one only {only[:3]}, {len(other)} differ {other[:3]}"
    )
    return f"{len(mine)} files, {sum(path.stat().st_size for path in mine.values()) / 1e6:.1f} MB: {verdict}"


def kills(args: argparse.Namespace) -> None:
    """Once without a break, once killed at random moments; all outputs are compared."""
    options = ("--format", ALL_FORMATS)
    with tempfile.TemporaryDirectory() as scratch:
        whole, broken = Path(scratch, "whole"), Path(scratch, "killed")
        took = run(annotate(args.folder, whole, *options))
        print(f"without a break: {took:.1f} s; {outcome_of(whole)}", flush=True)
        chance, done, starts = random.Random(args.seed), 0, 0
        longest = 2.0 * took / args.kills + 4.0
        while done < args.kills:
            starts += 1
            process = subprocess.Popen(
                annotate(args.folder, broken, *options, "--resume"), stderr=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            try:
                process.wait(chance.uniform(0.5, longest))
                if args.strict:
                    break
                shutil.rmtree(broken)  # it came to its end: once more from the beginning
            except subprocess.TimeoutExpired:
                # Half of the kills take the command alone: its workers must end by themselves.
                if done % 2:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
                process.wait()
                done += 1
        run(annotate(args.folder, broken, *options, "--resume"))
        print(f"{done} kills in {starts} starts (seed {args.seed}), then --resume; {outcome_of(broken)}")
        print(compare(whole, broken))


def outcome_of(output: Path) -> str:
    """What the manifest says."""
    with sqlite3.connect(output / "manifest.sqlite") as db:
        states = dict(db.execute("SELECT state, count(*) FROM videos GROUP BY state"))
        frames = db.execute("SELECT sum(frames) FROM videos").fetchone()[0]
        sound = db.execute("PRAGMA integrity_check").fetchone()[0]
    return f"videos {states}, {frames} frames, manifest {sound}"


def ray_nodes(args: argparse.Namespace) -> None:
    """A head and two more nodes on this machine; one of them is killed in the middle."""
    from ray.cluster_utils import Cluster

    options = ("--format", ALL_FORMATS)
    with tempfile.TemporaryDirectory() as scratch:
        whole, spread = Path(scratch, "whole"), Path(scratch, "ray")
        run(annotate(args.folder, whole, *options))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        killer = threading.Timer(args.after_s, lambda: cluster.remove_node(nodes[-1], allow_graceful=False))
        killer.start()
        took = run(annotate(args.folder, spread, *options, "--ray", cluster.address))
        killer.join()
        left = len(cluster.list_all_nodes())
        print(f"3 nodes, one killed after {args.after_s} s: {took:.1f} s; {outcome_of(spread)}; nodes left {left}")
        cluster.shutdown()
        print(compare(whole, spread))


def scaling(args: argparse.Namespace) -> None:
    """One worker on one core, one on two, two workers: wall seconds."""
    ways = {"1 worker": ("--workers", "1"), "2 workers": ("--workers", "2")}
    one_core = ["taskset", "-c", "0"] if shutil.which("taskset") else []
    times: dict[str, list[float]] = {name: [] for name in ("1 worker, 1 core", *ways)}
    with tempfile.TemporaryDirectory() as scratch:
        for k in range(args.runs):
            times["1 worker, 1 core"].append(
                run([*one_core, *annotate(args.folder, Path(scratch, f"c{k}"), "--workers", "1")])
            )
            for name, options in ways.items():
                times[name].append(run(annotate(args.folder, Path(scratch, f"{name}{k}"), *options)))
    middle = {name: statistics.median(values) for name, values in times.items()}
    for name, value in middle.items():
        print(f"{name:18} {value:7.1f} s   {middle['1 worker, 1 core'] / value:.2f}x")


def memory(args: argparse.Namespace) -> None:
    """The largest resident memory of the command and its worker together, by the length of the video."""
    with tempfile.TemporaryDirectory() as scratch:
        for minutes in args.minutes:
            clip = Path(scratch, f"{minutes}.mp4")
            loop_clip(args.clip, clip, frames=round(minutes * 60 * args.rate))
            process = psutil.Popen(
                annotate(clip, Path(scratch, f"out{minutes}"), "--workers", "1"), stderr=subprocess.DEVNULL
            )  # fmt: skip
            most = {"command": 0, "worker": 0}
            while process.poll() is None:
                for name, one in family(process):
                    most[name] = max(most[name], one)
                time.sleep(0.2)
            shown = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in most.items())
            print(f"{minutes} minutes: {shown}; {outcome_of(Path(scratch, f'out{minutes}'))}", flush=True)


def family(process: psutil.Popen) -> list[tuple[str, int]]:
    """Resident bytes of the command and of its children."""
    try:
        children = [
            child.memory_info().rss
            for child in process.children()
            if "resource_tracker" not in " ".join(child.cmdline())
        ]
        return [("command", process.memory_info().rss), *(("worker", size) for size in children)]
    except psutil.Error:
        return []


def retrack(args: argparse.Namespace) -> None:
    """Detecting and tracking once, then tracking alone, with another tracker: CPU and wall seconds."""
    options = ("--workers", "1", *(("--model", str(args.model)) if args.model else ()), *size_of(args))
    with tempfile.TemporaryDirectory() as scratch:
        output, compiled = Path(scratch, "out"), with_bytecode(Path(scratch))
        first = cost(annotate(args.folder, output, *options), compiled)
        again = [
            cost(annotate(args.folder, output, *options, "--retrack", "--tracker", name), compiled)
            for name in ("sort", "bytetrack", "ocsort", "sort")  # the first compiles what only tracking imports
        ][1:]
        start = cost(annotate(args.folder, output, *options, "--resume", "--tracker", "sort"), compiled)
        print(f"{frames_of(output)} frames")
    for name, key in (("CPU", "cpu_s"), ("wall", "wall_s")):
        once, begun = first[key], start[key]
        middle = statistics.median(one[key] for one in again)
        print(f"{name}: detect and track {once:.1f} s; track again {middle:.2f} s (median of 3), start {begun:.2f} s")
        print(
            f"{name}: ratio {once / middle:.1f}x, without the start {(once - begun) / max(middle - begun, 1e-3):.1f}x"
        )


def peer(args: argparse.Namespace) -> None:
    """Frames a CPU-second of ours and of `yolo track` over the folder, in turn, text out; the start is counted.

    Both run once beforehand over the smallest clip, so that neither compiles its Python while it is measured.
    """
    model = args.onnx or args.model
    # ultralytics takes the folder of an OpenVINO model.
    other = str(args.peer_onnx or (model.parent if model.suffix == ".xml" else model))
    options = ("--model", str(model), "--runtime", args.runtime, "--format", "mot")
    options += (*(("--tracker", args.tracker) if args.tracker else ()), *size_of(args))
    figures: dict[str, list[dict[str, Any]]] = {"ours": [], "yolo track": []}
    with tempfile.TemporaryDirectory() as scratch:
        compiled = with_bytecode(Path(scratch))
        small = Path(scratch, "small")
        small.mkdir()
        first = min(args.folder.rglob("*.mp4"), key=lambda path: path.stat().st_size)
        (small / first.name).symlink_to(first.resolve())
        for k in range(args.runs + 1):
            folder, output = (args.folder if k else small), Path(scratch, f"o{k}")
            ours = cost(annotate(folder, output, *options), compiled)
            theirs = cost(
                [str(args.peer_python), str(HERE / "peer_archive.py"), str(folder), other, str(args.size or SIZE)],
                compiled,
            )
            if k:
                figures["ours"].append(ours | {"frames": frames_of(output), "precision": precision_of(output)})
                figures["yolo track"].append(theirs)
    for name, runs in figures.items():
        rates = [one["frames"] / one["cpu_s"] for one in runs]
        wall = statistics.median(one["frames"] / one["wall_s"] for one in runs)
        print(
            f"{name:12} {statistics.median(rates):7.1f} frames a CPU-second ({', '.join(f'{x:.1f}' for x in rates)})  "
            f"{wall:7.1f} fps  {runs[0]['frames']} frames  {runs[0]['precision']}"
        )
    pairs = zip(figures["ours"], figures["yolo track"], strict=True)
    ratios = [ours["frames"] / ours["cpu_s"] * peer["cpu_s"] / peer["frames"] for ours, peer in pairs]
    print(f"ratio {statistics.median(ratios):.2f}x ({', '.join(f'{x:.2f}' for x in ratios)})")


def size_of(args: argparse.Namespace) -> tuple[str, ...]:
    """Options for another input than the model's own."""
    return ("--set", f"detect.input_size={args.size}") if args.size else ()


def with_bytecode(scratch: Path) -> dict[str, str]:
    """The environment in which Python keeps what it has compiled, as it does for an installed package."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(scratch / "compiled")}


def cost(command: list[str], env: dict[str, str] | None = None) -> dict[str, Any]:
    """CPU and wall seconds of a command with its children, and what it printed last if that is JSON."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode not in (0, PARTLY):
        raise SystemExit(done.stderr[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    last = (done.stdout.strip().splitlines() or [""])[-1]
    said: dict[str, Any] = json.loads(last) if last.startswith("{") else {}
    return {"cpu_s": cpu, "wall_s": time.perf_counter() - began, **said}


def frames_of(output: Path) -> int:
    """Frames of the videos that are done."""
    with sqlite3.connect(output / "manifest.sqlite") as db:
        return int(db.execute("SELECT sum(frames) FROM videos WHERE state = 'done'").fetchone()[0])


def precision_of(output: Path) -> str:
    """What the detector computed in."""
    with sqlite3.connect(output / "manifest.sqlite") as db:
        return str(json.loads(db.execute("SELECT value FROM about WHERE key = 'detector'").fetchone()[0])["precision"])


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["clips", "kills", "ray", "scaling", "memory", "retrack", "peer"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--rate", type=float, default=10.0, help="frames a second of --clip")
    parser.add_argument("--minutes", type=int, nargs="+", default=[2, 120])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--strict", action="store_true", help="end the kills when a run comes to its end")
    parser.add_argument("--after-s", type=float, default=12.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--onnx", type=Path)
    parser.add_argument("--peer-onnx", type=Path)
    parser.add_argument("--size", type=int, help="longer side of the input, of a model that leaves it open")
    parser.add_argument("--tracker", help="ours against the peer's ByteTrack; our default looks at the pictures, too")
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--peer-python", type=Path)
    args = parser.parse_args()
    if args.what == "clips":
        print(make_clips(args.data, args.folder))
        return
    {"kills": kills, "ray": ray_nodes, "scaling": scaling, "memory": memory, "retrack": retrack, "peer": peer}[
        args.what
    ](args)


if __name__ == "__main__":
    main()
