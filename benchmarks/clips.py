"""Every clip of a folder through `tracker run`: do frames, records and durations agree?

python -m benchmarks.clips --clips DIR --model street6 --model yolox_nano.onnx [--keep DIR]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import av

from tracker.capture import open_source


def count(path: Path) -> tuple[int, float, float]:
    """Frames that decode, seconds from the first frame to the end of the last, and the last one's duration."""
    with open_source(str(path)) as source:
        frames = list((frame.time_s, frame.duration_s) for frame in source)
    return len(frames), frames[-1][0] + frames[-1][1], frames[-1][1]


def declared(path: Path) -> float:
    """Duration of the video stream as its container says, seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return float((stream.duration or 0) * (stream.time_base or 0))


def check(clip: Path, model: str, folder: Path) -> str:
    """One row of the table."""
    base = folder / f"{clip.stem}-{Path(model).stem}"
    outputs = {name: Path(f"{base}{suffix}") for name, suffix in
               (("output", ".mp4"), ("mot", ".txt"), ("jsonl", ".jsonl"), ("summary", ".json"))}  # fmt: skip
    command = [sys.executable, "-m", "tracker", "run", "--source", str(clip), "--model", model, "--overwrite"]
    command += [word for name, path in outputs.items() for word in (f"--{name}", str(path))]
    subprocess.run(command, check=True, capture_output=True)
    summary = json.loads(outputs["summary"].read_text())
    captured, records = summary["frames"]["captured"], len(outputs["jsonl"].read_text().splitlines())
    frames, seconds, step = count(outputs["output"])
    source_frames, source_seconds, _ = count(clip)
    good = captured == records == frames == source_frames and abs(seconds - source_seconds) <= step
    good = good and abs(declared(outputs["output"]) - seconds) <= step
    figures = f"{source_seconds:9.3f} {seconds:9.3f} {summary['tracks']:6} {summary['fps']:7.1f}"
    counts = f"{source_frames:6} {captured:8} {frames:6} {records:8}"
    return f"{clip.name:32} {Path(model).stem:20} {counts} {figures}  {'ok' if good else 'DIFFERS'}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--keep", type=Path, help="leave the outputs here")
    args = parser.parse_args()
    counts = f"{'source':>6} {'captured':>8} {'video':>6} {'records':>8}"
    print(f"{'clip':32} {'model':20} {counts} {'source s':>9} {'video s':>9} {'tracks':>6} {'fps':>7}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for clip in sorted(args.clips.glob("*.mp4")):
            for model in args.model:
                print(check(clip, model, folder), flush=True)


if __name__ == "__main__":
    main()
