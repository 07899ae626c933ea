"""`tracker monitor` offered more than its detector can do: does the latency stay where it is, and what gives way?

python -m benchmarks.monitor_overload --minutes 10 --data DIR

First the detector's own rate is measured, then so many RTSP cameras (GStreamer, loopback) are offered that their frames
are `--times` as many. The peer afterwards: a plain loop of `cv2.VideoCapture` over the same cameras, with the same
detector, as most programs have it. Lag: the age of a picture when it is done with, by the clock of the camera.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.monitor_rig import camera_clips, need_server, pictures_of, table
from tests.monitor.commands import running
from tests.monitor.fakes import adds_up
from tests.monitor.rtsp import RtspServer
from tracker.cli.monitor import open_shared_detector
from tracker.monitor.journal import Journal
from tracker.monitor.settings import CameraSettings, MonitorSettings
from tracker.structures import Frame

WARM, MEASURE_S = 20, 8.0
QUANTILES = ("p50", "p95", "p99")


def detector_rate(clip: str) -> float:
    """Frames a second that the detector alone does, on all cores."""
    from concurrent.futures import ThreadPoolExecutor

    cameras = {name: CameraSettings(source=clip) for name in ("a", "b")}
    detector, _, workers = open_shared_detector(MonitorSettings(cameras=cameras), Journal())
    frames = [Frame(index, index / 25, picture)
              for index, picture in enumerate(itertools.islice(pictures_of(Path(clip), 768, 432), 50))]  # fmt: skip

    def work(seconds: float) -> int:
        done, until_s = 0, time.monotonic() + seconds
        while time.monotonic() < until_s:
            detector.detect([frames[done % len(frames)]])
            done += 1
        return done

    try:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, [1.0] * workers))
            began_s = time.monotonic()
            done = sum(pool.map(work, [MEASURE_S] * workers))
            return done / (time.monotonic() - began_s)
    finally:
        detector.close()


@dataclass
class Minute:
    """What one minute came to, of the camera that is the worst in it; frames of all cameras."""

    latency_ms: dict[str, float]
    offered: int
    processed: int
    dropped: dict[str, int]


def ours(addresses: dict[str, str], minutes: int, folder: Path) -> tuple[list[Minute], bool]:
    """The command; (its minutes, whether all its frames add up)."""
    config = folder / "cameras.yaml"
    lines = [f"  {name}: {{source: '{address}'}}" for name, address in addresses.items()]
    config.write_text("\n".join(["cameras:", *lines, "status_every_s: 5", ""]))
    found, before = [], totals({})
    with running(config, "--serve", "127.0.0.1:0") as life:
        life.wait_told("status", f"{len(addresses)} of {len(addresses)} up")
        for number in range(minutes + 1):  # the first is to warm up
            time.sleep(60.0 if number else 15.0)
            cameras = json.loads(life.ask("api/status"))["cameras"]
            now = totals(cameras)
            worst = {name: max(camera["latency_ms"][name] for camera in cameras.values()) for name in QUANTILES}
            change = {key: now[key] - before[key] for key in now}
            dropped = {key: value for key, value in change.items() if key not in ("captured", "processed") and value}
            if number:
                found.append(Minute(worst, change["captured"], change["processed"], dropped))
            before = now
        assert life.end() == 0
        return found, all(adds_up(camera["frames"]) for camera in life.lines[-1]["cameras"].values())


def totals(cameras: dict[str, Any]) -> dict[str, int]:
    """Captured, processed and each reason of drops, of all cameras."""
    sums: dict[str, int] = defaultdict(int)
    for camera in cameras.values():
        frames = camera["frames"]
        for key, value in {
            "captured": frames["captured"],
            "processed": frames["processed"],
            **frames["dropped"],
        }.items():
            sums[key] += value
    return sums


def peer(addresses: dict[str, str], minutes: int) -> list[tuple[float, float]]:
    """The plain loop; (largest lag at the end, frames a second) of each minute."""
    one = MonitorSettings(cameras={"one": CameraSettings(source="one")})
    detector, _, _ = open_shared_detector(one, Journal())  # all cores on one picture: the loop has but one at a time
    captures = [cv2.VideoCapture(address, cv2.CAP_FFMPEG) for address in addresses.values()]
    zeros: list[float | None] = [None] * len(captures)
    lags, found = [0.0] * len(captures), []
    done, told_s = 0, time.monotonic()
    while len(found) < minutes:
        for number, capture in enumerate(captures):
            good, picture = capture.read()
            if not good:
                raise SystemExit(f"the peer lost camera {number}")
            detector.detect([Frame.from_bgr(done, 0.0, picture)])
            done += 1
            behind_s = time.monotonic() - capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            zeros[number] = behind_s if zeros[number] is None else min(behind_s, zeros[number] or 0.0)
            lags[number] = behind_s - (zeros[number] or 0.0)
        if time.monotonic() - told_s >= 60.0:
            found.append((max(lags), done / (time.monotonic() - told_s)))
            done, told_s = 0, time.monotonic()
    for capture in captures:
        capture.release()
    detector.close()
    return found


def overload(args: argparse.Namespace, folder: Path) -> None:
    """Both, and the table."""
    clips = camera_clips(args.data, folder, 4, args.fps)
    capacity = detector_rate(clips[0])
    count = args.cameras or max(2, math.ceil(args.times * capacity / args.fps))
    print(f"the detector alone does {capacity:.1f} frames a second; {count} cameras of {args.fps} fps offer "
          f"{count * args.fps / capacity:.1f} times as many\n", flush=True)  # fmt: skip
    names = [f"c{number}" for number in range(count)]
    with ExitStack() as stack:
        mounts = {name: {"files": [clips[number % len(clips)]]} for number, name in enumerate(names)}
        server = stack.enter_context(RtspServer(mounts))
        addresses = {name: server.url(name) for name in names}
        mine, sound = ours(addresses, args.minutes, folder)
        theirs = peer(addresses, args.minutes) if not args.no_peer else []
    rows = []
    for number, minute in enumerate(mine):
        dropped = ", ".join(f"{value} {reason}" for reason, value in minute.dropped.items())
        lag = (f"{theirs[number][0]:.1f}", f"{theirs[number][1]:.1f}") if theirs else ("", "")
        quantiles = [f"{minute.latency_ms[name]:.0f}" for name in QUANTILES]
        rows.append((number + 1, *quantiles, f"{minute.processed / 60:.1f}", minute.offered, dropped, *lag))
    head = ("minute", "p50 ms", "p95 ms", "p99 ms", "fps", "frames offered", "dropped", "peer: lag s", "peer: fps")
    print(table(head, rows))
    late = [minute.latency_ms["p95"] for minute in mine]
    trend = float(np.polyfit(range(len(late)), late, 1)[0]) if len(late) > 1 else 0.0
    print(f"\nlatencies are those of the worst camera; p95 at most {max(late):.0f} ms, {trend:+.1f} ms a minute; "
          f"frames of each camera {'add up' if sound else 'DO NOT ADD UP'}")  # fmt: skip


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--data", type=Path, help="folder of videos (*.mp4); default: the sample")
    parser.add_argument("--fps", type=int, default=25, help="of the cameras")
    parser.add_argument("--times", type=float, default=2.0, help="frames offered for each that the detector can do")
    parser.add_argument("--cameras", type=int, help="so many, in place of as many as that takes")
    parser.add_argument("--no-peer", action="store_true", help="the monitor alone")
    args = parser.parse_args()
    need_server()
    with tempfile.TemporaryDirectory() as folder:
        overload(args, Path(folder))


if __name__ == "__main__":
    main()
