"""`kill -9` at random moments of a long run: what is left must play, be close behind the records, and hold whole lines.

python -m benchmarks.kill --clip A.mp4 --kills 30
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

FIRST_RECORDS = 30  # no kill before so many frames are recorded


@dataclass(frozen=True)
class Left:
    """What one killed run left behind.

    Attributes:
        records: whole JSON lines; mot_frames: last frame number of the MOT text.
        video_frames: frames that decode; behind_s: media seconds that the video ends before the records.
    """

    records: int
    mot_frames: int
    video_frames: int
    behind_s: float


def loop_clip(clip: Path, target: Path, frames: int) -> None:
    """Repeat a clip, without coding it again, until it has this many frames."""
    with av.open(str(clip)) as probe:
        rate = probe.streams.video[0].average_rate or Fraction(25)
    with av.open(str(target), "w") as out:
        stream, index = None, 0
        while index < frames:
            with av.open(str(clip)) as source:
                stream = stream or out.add_stream_from_template(source.streams.video[0])
                packets = [packet for packet in source.demux(video=0) if packet.dts is not None]
                first = min(packet.pts or 0 for packet in packets)
                begin = round(index / rate / packets[0].time_base)
                for packet in packets:
                    packet.pts = (packet.pts or 0) - first + begin
                    packet.dts = (packet.dts or 0) - first + begin
                    packet.stream = stream
                    out.mux(packet)
                    index += 1


def kill_once(clip: Path, folder: Path, wait_s: float, extra: tuple[str, ...] = ()) -> Left:
    """Start a run, kill it `wait_s` seconds after its first 30 records, and look at what is left.

    Raises:
        AssertionError: a record line that is cut off, or a video that does not play.
    """
    command = [sys.executable, "-m", "tracker", "run", "--source", str(clip), "--output", str(folder / "o.mp4"),
               "--mot", str(folder / "o.txt"), "--jsonl", str(folder / "o.jsonl"), "--overwrite", *extra]  # fmt: skip
    records = folder / "o.partial.jsonl"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (records.exists() and records.read_bytes().count(b"\n") >= FIRST_RECORDS):
            assert process.poll() is None, "the run ended before it was killed; take a longer clip"
            assert time.monotonic() < deadline, "no records within two minutes"
            time.sleep(0.01)
        time.sleep(wait_s)
        assert process.poll() is None, "the run ended before it was killed; take a longer clip"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return look(folder)


def look(folder: Path) -> Left:
    """Read the partial files as a user would."""
    lines = (folder / "o.partial.jsonl").read_bytes()
    assert lines.endswith(b"\n"), "the last JSON line is cut off"
    rows = [json.loads(line) for line in lines.splitlines()]
    assert [row["index"] for row in rows] == list(range(len(rows))), "a record is missing"
    mot = (folder / "o.partial.txt").read_bytes()
    assert not mot or mot.endswith(b"\n"), "the last MOT line is cut off"
    last = [line.split(b",") for line in mot.splitlines()]
    assert all(len(line) == 9 for line in last), "a MOT line is not whole"
    with av.open(str(folder / "o.partial.mp4")) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    behind = rows[-1]["time_s"] - times[-1] if times else float("inf")
    return Left(len(rows), int(last[-1][0]) if last else 0, len(times), behind)


def main() -> None:
    """Kill and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--longest-s", type=float, default=8.0, help="latest kill after the first 30 records")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    dice = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loop_clip(args.clip, folder / "long.mkv", args.frames)
        results = []
        for k in range(args.kills):
            results.append(kill_once(folder / "long.mkv", folder, dice.uniform(0, args.longest_s)))
            print(f"{k + 1:3d}: {results[-1]}", flush=True)
    behind = [left.behind_s for left in results]
    print(f"{len(results)} kills: every video plays, every line is whole; the video ends at most {max(behind):.3f} s "
          f"before the records (median {sorted(behind)[len(behind) // 2]:.3f} s)")  # fmt: skip


if __name__ == "__main__":
    main()
