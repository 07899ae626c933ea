"""The whole pipeline against a peer, against the sum of its own stages, and over a long run.

python -m benchmarks.pipeline peer --clip A.mp4 --onnx yolo11n.onnx --peer-python PY --peer-model yolo11n.pt
python -m benchmarks.pipeline alone --clip A.mp4 --onnx yolo11n.onnx
python -m benchmarks.pipeline memory --clip A.mp4 --frames 20000
python -m benchmarks.pipeline once --clip A.mp4 --onnx yolo11n.onnx     (one run of ours, one JSON line)

`peer`: ours and the peer in turn, each in a process of its own, annotated video out, model loading not counted, 15
boxes put in after the real NMS of both. `--onnx` is the peer's own export of the same weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.stages import alone, memory, once

HERE = Path(__file__).parent


def ours(clip: Path, args: argparse.Namespace, precision: str, preset: str) -> dict[str, Any]:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.pipeline", "once", "--clip", str(clip), "--onnx", str(args.onnx),
               "--precision", precision, "--preset", preset]  # fmt: skip
    return read(subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE.parent).stdout)


def theirs(clip: Path, args: argparse.Namespace, model: Path) -> dict[str, Any]:
    """One run of the peer in its environment."""
    command = [str(args.peer_python), str(HERE / "peer_ultralytics.py"), str(clip), str(model)]
    return read(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def read(text: str) -> dict[str, Any]:
    """The JSON object of the last line."""
    value: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return value


def peer(args: argparse.Namespace) -> None:
    """Print the table of medians and of the ratios to the peer, run in turn."""
    for clip in args.clip:
        contenders = {
            f"ours {precision} {preset}": lambda p=precision, s=preset: ours(clip, args, p, s)  # noqa: B023 - used at once
            for precision in args.precisions for preset in args.presets
        }  # fmt: skip
        contenders["peer torch"] = lambda: theirs(clip, args, args.peer_model)  # noqa: B023
        contenders["peer onnx"] = lambda: theirs(clip, args, args.peer_onnx or args.onnx)  # noqa: B023
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
        for _ in range(args.runs):
            for name, run in contenders.items():
                runs[name].append(run())
        print(f"\n{clip.name}: medians of {args.runs} runs, in turn")
        print(f"{'':22} {'fps':>7} {'cpu ms':>7} {'kB/frame':>9} {'to torch':>9} {'to onnx':>8}  encoder")
        base = {name: median(runs[name], "fps") for name in runs}
        for name, results in runs.items():
            pairs = [zip(results, runs[f"peer {kind}"], strict=True) for kind in ("torch", "onnx")]
            ratios = [statistics.median(a["fps"] / b["fps"] for a, b in pair) for pair in pairs]
            print(f"{name:22} {base[name]:7.1f} {median(results, 'cpu_ms'):7.1f} {median(results, 'kb_a_frame'):9.1f} "
                  f"{ratios[0]:8.2f}x {ratios[1]:7.2f}x  {results[0]['encoder']}")  # fmt: skip


def median(results: list[dict[str, Any]], key: str) -> float:
    """Median of one figure."""
    return statistics.median(float(result[key]) for result in results)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["peer", "alone", "memory", "once"])
    parser.add_argument("--clip", type=Path, action="append", required=True)
    parser.add_argument("--onnx", type=Path, help="exported YOLO; without it the embedded detector")
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--peer-model", type=Path)
    parser.add_argument("--peer-onnx", type=Path, help="the peer's default export, where --onnx is a dynamic one")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--preset", default="swift")
    parser.add_argument("--presets", nargs="+", default=["swift"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--frames", type=int, default=20000)
    args = parser.parse_args()
    if args.what == "peer":
        peer(args)
    elif args.what == "once":
        print(json.dumps(once(args.clip[0], args.onnx, args.precision, args.preset)))
    elif args.what == "alone":
        for clip in args.clip:
            alone(clip, args.onnx, args.precision, args.preset, args.runs)
    else:
        memory(args.clip[0], args.onnx, args.frames)


if __name__ == "__main__":
    main()
