"""`tracker monitor` among cameras that die, freeze, change and refuse: does one of them harm another?

python -m benchmarks.monitor_soak --minutes 30 --cameras 8 --seed 1 --data DIR

The command itself on real RTSP servers (GStreamer) on loopback. Some cameras are left alone ("well"), some belong to
servers that are killed, stopped (SIGSTOP) and started again at random ("ill"), one sends garbage, one changes its
resolution every few seconds; beside them one has a wrong password. All is looked at from outside, by the API.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.monitor_rig import (
    Process,
    camera_clip,
    camera_clips,
    need_server,
    sources_of,
    spread_of,
    table,
)
from tests.monitor.commands import Running, running
from tests.monitor.fakes import adds_up, wait_for
from tests.monitor.rtsp import RtspServer

LOOK_S, MEMORY_S = 0.2, 5.0
CALM_S, LAST_S, LATEST_S = (6.0, 12.0), 20 * 60.0, 90.0
PLIGHTS = {"kill": (2.0, 6.0), "freeze": (7.0, 14.0), "long": (15.0, 25.0)}
"""How a server is in trouble, and for how many seconds: killed, stopped by SIGSTOP, killed and away for long."""

Figures = dict[str, Any]


class Watch:
    """What is seen of the service, and when.

    Attributes:
        cameras: the newest figures by name.
        process: its memory.
        seen: "found" and "back" -> plight -> seconds, one for each camera and trouble; LATEST_S: never.
        rates: in trouble or not -> camera -> [frames, seconds].
    """

    def __init__(self, life: Running, well: list[str], end_s: float) -> None:
        """`well`: cameras that are left alone. `end_s`: of the monotonic clock."""
        self._life, self._well, self._end_s = life, well, end_s
        self.cameras: dict[str, Figures] = {}
        self.process = Process(life.pid)
        self.seen: dict[str, dict[str, list[float]]] = {"found": {}, "back": {}}
        self._looked_s = 0.0
        self.rates: dict[bool, dict[str, list[float]]] = {True: {}, False: {}}

    def look(self) -> float:
        """Ask the service; returns when it answered."""
        time.sleep(LOOK_S)
        self.cameras = json.loads(self._life.ask("api/status"))["cameras"]
        now_s = time.monotonic()
        if now_s - self._looked_s >= MEMORY_S:
            self._looked_s = now_s
            self.process.look(now_s)
        return now_s

    def up(self, name: str) -> bool:
        """Whether frames come."""
        return bool(self.cameras[name]["state"] == "up")

    def processed(self, name: str) -> int:
        """Frames so far."""
        return int(self.cameras[name]["frames"]["processed"])

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end_s

    def count(self, *, trouble: bool, since: dict[str, int], seconds: float) -> None:
        """Add the frames of the cameras that are left alone."""
        for name in self._well:
            sums = self.rates[trouble].setdefault(name, [0.0, 0.0])
            sums[0] += self.processed(name) - since[name]
            sums[1] += seconds

    def numbers(self) -> dict[str, int]:
        """Frames so far of those left alone."""
        return {name: self.processed(name) for name in self._well}

    def calm(self, seconds: float) -> None:
        """Let it be."""
        began_s, before = self.look(), self.numbers()
        while (now_s := self.look()) < began_s + seconds:
            pass
        self.count(trouble=False, since=before, seconds=now_s - began_s)

    def trouble(self, server: RtspServer, ill: list[str], plight: str, seconds: float) -> None:
        """Have a server in trouble, and wait until all its cameras are back."""
        began_s, before = self.look(), self.numbers()
        server.freeze() if plight == "freeze" else server.kill()
        hit_s = now_s = time.monotonic()
        found: set[str] = set()
        while now_s < hit_s + seconds:
            now_s = self.look()
            for name in set(ill) - found:
                if not self.up(name):
                    found.add(name)
                    self.seen["found"].setdefault(plight, []).append(now_s - hit_s)
        self.seen["found"].setdefault(plight, []).extend(LATEST_S for _ in set(ill) - found)
        server.thaw() if plight == "freeze" else server.start()
        back_s, numbers = time.monotonic(), {name: self.processed(name) for name in ill}
        missing = set(ill)
        while missing and now_s < back_s + LATEST_S:
            now_s = self.look()
            for name in [name for name in missing if self.up(name) and self.processed(name) > numbers[name]]:
                missing.remove(name)
                self.seen["back"].setdefault(plight, []).append(now_s - back_s)
        self.seen["back"].setdefault(plight, []).extend(LATEST_S for _ in missing)
        self.count(trouble=True, since=before, seconds=now_s - began_s)


def settings(addresses: dict[str, str], rate: float, wrong: str) -> str:
    """cameras.yaml."""
    lines = [f"  {name}: {{source: '{address}'}}" for name, address in addresses.items()]
    lines.append(f"  wrong: {{source: '{wrong}', username: admin, password_env: SOAK_PASSWORD}}")
    return "\n".join(["cameras:", *lines, f"defaults: {{rate: {rate:g}}}", "status_every_s: 60", ""])


def soak(args: argparse.Namespace, folder: Path) -> None:
    """One run."""
    rng = random.Random(args.seed)
    clips = camera_clips(args.data, folder, args.cameras, args.fps)
    tall = str(camera_clip(sources_of(args.data)[0], folder / "tall.mp4", (432, 768), args.fps, 8.0))
    plain = max(2, args.cameras - 2)  # besides garbage and turns
    well, ill = [f"well{k}" for k in range(plain // 2)], [f"ill{k}" for k in range(plain - plain // 2)]
    parts = [part for part in (ill[::2], ill[1::2]) if part]
    with ExitStack() as stack:
        files = {name: {"files": [clips[k]]} for k, name in enumerate((*well, *ill, "garbage"))}
        steady = stack.enter_context(RtspServer(
            {name: files[name] for name in (*well, "garbage")} | {"turns": {"files": [clips[0], tall]}}
        ))  # fmt: skip
        servers = [stack.enter_context(RtspServer({name: files[name] for name in part})) for part in parts]
        locked = stack.enter_context(RtspServer({"wrong": files[well[0]] | {"user": "admin", "password": "right"}}))
        addresses = {name: steady.url(name) for name in (*well, "garbage", "turns")}
        addresses |= {name: server.url(name) for server, part in zip(servers, parts, strict=True) for name in part}
        config = folder / "cameras.yaml"
        config.write_text(settings(addresses, args.rate, locked.url("wrong")))
        life = stack.enter_context(running(config, "--serve", "127.0.0.1:0", SOAK_PASSWORD="wr0ng-as-can-be"))
        watch = Watch(life, well, time.monotonic() + 60 * args.minutes)
        wait_for(lambda: watch.look() and all(watch.up(name) for name in addresses), 120.0)
        steady.command("garbage garbage")
        watch.calm(10.0)
        began_s = time.monotonic()
        while True:
            number = rng.randrange(len(servers))
            plight = rng.choice(list(PLIGHTS))
            watch.trouble(servers[number], parts[number], plight, rng.uniform(*PLIGHTS[plight]))
            watch.calm(rng.uniform(*CALM_S))
            if watch.over:
                break
        minutes = (time.monotonic() - began_s) / 60
        asked_s = time.monotonic()
        code = life.end(signal.SIGTERM)
        tell(args, watch, life, minutes, (code, time.monotonic() - asked_s))


def tell(args: argparse.Namespace, watch: Watch, life: Running, minutes: float, end: tuple[int, float]) -> None:
    """The tables."""
    found, back = watch.seen["found"], watch.seen["back"]
    changes = {name: 100 * (rate(watch, name, True) / rate(watch, name, False) - 1) for name in watch.rates[True]}
    worst = max(changes, key=lambda name: abs(changes[name]))
    calm = [rate(watch, name, False) for name in changes]
    slope, error, span = watch.process.slope(min(LAST_S, 60 * minutes * 2 / 3))
    descriptors = watch.process.descriptors
    last = life.lines[-1]
    secret = any("wr0ng" in json.dumps(line) for line in life.lines)
    print(f"\n{args.cameras} cameras at 768x432, {args.fps} fps, {minutes:.1f} minutes, seed {args.seed}; "
          f"{last['detector']['model']} on {last['detector']['runtime']}; {args.rate:g} fps of each are processed "
          f"at most, {min(calm):.2f} to {max(calm):.2f} of those left alone while calm\n")  # fmt: skip
    print(table(("", "wanted", "measured"), (
        ("stall found after SIGSTOP, s: median / worst (number)", "<= 5", spread_of(found.get("freeze", []))),
        ("loss found after a kill, s", "<= 5", spread_of(found.get("kill", []) + found.get("long", []))),
        ("pictures again after SIGCONT, s", "<= 5", spread_of(back.get("freeze", []))),
        ("pictures again after a start, s", "<= 5", spread_of(back.get("kill", []))),
        ("the same after a long time away, s", "<= 5", spread_of(back.get("long", []))),
        ("FPS of the others during trouble, largest change", "<= 5 %", f"{changes[worst]:+.2f} % ({worst})"),
        (f"memory, MB in 20 minutes (last {span:.0f} minutes)", "<= 5", f"{slope:+.2f} ± {error:.2f}"),
        ("memory, MB: first, last", "", f"{watch.process.rss_mb[0]:.0f}, {watch.process.rss_mb[-1]:.0f}"),
        ("descriptors: first, last, most", "flat", f"{descriptors[0]}, {descriptors[-1]}, {max(descriptors)}"),
        ("end after SIGTERM: exit code, s", "0, <= 10", f"{end[0]}, {end[1]:.1f}"),
        ("password in the log", "no", "YES" if secret else "no"),
    )))  # fmt: skip
    print()
    rows = []
    for name, camera in last["cameras"].items():
        books = camera["frames"]
        dropped = ", ".join(f"{number} {reason}" for reason, number in books["dropped"].items())
        rows.append((name, books["captured"], books["processed"], dropped, books["in_flight"],
                     "yes" if adds_up(books) else "NO", camera["reconnects"], camera["hangs"]))  # fmt: skip
    head = ("camera", "captured", "processed", "dropped", "in flight", "adds up", "reconnects", "hangs")
    print(table(head, rows))


def rate(watch: Watch, name: str, trouble: bool) -> float:
    """FPS of a camera."""
    frames, seconds = watch.rates[trouble][name]
    return frames / seconds


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--cameras", type=int, default=8, help="with the one of garbage and the one that turns")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, help="folder of videos (*.mp4); default: the sample")
    parser.add_argument("--fps", type=int, default=25, help="of the cameras")
    parser.add_argument("--rate", type=float, default=5.0, help="frames a second that each camera processes at most")
    args = parser.parse_args()
    if args.cameras < 4:
        parser.error("--cameras: 4 at least")
    need_server()
    with tempfile.TemporaryDirectory() as folder:
        soak(args, Path(folder))


if __name__ == "__main__":
    main()
