"""`tracker bench`: what runs a model fastest on this machine, and the flags that choose it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from tracker import __version__
from tracker.cli.progress import PLAIN_EVERY_S, say
from tracker.errors import ModelError, RequirementError, UsageError

if TYPE_CHECKING:
    from tracker.cli.bench_runs import Bench, Contender, Feeds
    from tracker.structures import Frame

BUSY_LOAD, BUSY_SPREAD = 0.5, 0.25
"""Load average a core, and spread of a contender's rounds, from which on the machine is called busy."""


@click.command(
    "bench",
    epilog="""\b
Examples:
  tracker bench --source video.mp4
  tracker bench --source video.mp4 --model yolox-s --int8 --json bench.json""",
)
@click.option("--source", help="Frames to measure on: file, folder, camera. [default: rendered ones]")
@click.option("--model", metavar="NAME|FILE", help="Card (`tracker models list`) or model file. [default: street6]")
@click.option("--device", metavar="auto|cpu|cuda:0|gpu", default="auto", help="Only this device. [default: all]")
@click.option("--int8", is_flag=True, help="Also build INT8 plans, with ranges from other frames of the source.")
@click.option("--json", "as_json", type=click.Path(path_type=Path), help="Write the figures as JSON, too.")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
def command(**flags: Any) -> None:
    """Measure each runtime and precision that runs a model here, and recommend one.

    One picture at a time on all cores: milliseconds an image of the inference alone and of the whole detection
    (letterbox, inference, boxes, suppression), and how many of the boxes of the ONNX are found again. All take turns on
    the same frames. What must be compiled first is kept for `tracker run`.
    """
    from tracker.cli.bench_report import recommended, show
    from tracker.cli.bench_runs import Bench
    from tracker.cli.signals import interruptible
    from tracker.config import make_settings
    from tracker.detect.model import find_model
    from tracker.write.paths import check_paths, write_json

    source, output = flags["source"], flags["as_json"]
    if output:
        check_paths({"--json": output}, overwrite=flags["overwrite"], source=source or "")
    given = {"detect.device": flags["device"], "detect.workers": 1}
    settings = make_settings(None, given | ({"detect.model": flags["model"]} if flags["model"] else {})).detect
    load = _load()
    with interruptible():
        model = find_model(settings.model)
        if model.is_plan:
            raise ModelError(f"{model.path} is compiled for one runtime already; give the .onnx that it was built from")
        bench = Bench(model, settings, _frames(source), say)
        with closing(bench):
            _open_all(bench, settings.device, _feeds(bench, source) if flags["int8"] else [])
            _measure(bench)
            auto = bench.chosen(settings.device)
            best = recommended(bench.contenders, auto)
            told = _told(bench, source, load, auto, best)
    show(told)
    if output:
        write_json("--json", output, told, overwrite=flags["overwrite"])


def _load() -> float:
    """What others do: the load average of the last minute, a core that we may use; 0 where nobody tells."""
    from tracker.detect.sharing import cores

    return os.getloadavg()[0] / cores() if hasattr(os, "getloadavg") else 0.0


def _frames(source: str | None) -> list[Frame]:
    """What is measured on. Raises SourceError, UsageError."""
    from tracker.cli.bench_runs import FRAMES
    from tracker.cli.engine_frames import beside, frames_of
    from tracker.detect.rendered import rendered_frames
    from tracker.structures import Frame

    if source is None:
        say("notice: no --source: measured on rendered frames of 640x360; your own video tells more")
        # As decoders give them, whose way to the network is another one than that of pixels.
        return [
            Frame(frame.index, frame.time_s, frame.picture.reformat(format="yuv420p")) for frame in rendered_frames()
        ]
    frames = list(islice(beside(source)(), FRAMES)) or list(islice(frames_of(source), FRAMES))
    if not frames:
        raise UsageError(f"--source {source} holds no frame")
    return frames


def _feeds(bench: Bench, source: str | None) -> Feeds:
    """Inputs for INT8's ranges. Raises SourceError."""
    from tracker.cli.engine_frames import feeds_of, frames_of
    from tracker.detect.rendered import rendered_frames

    if bench.model.path.suffix.lower() != ".onnx":
        raise UsageError(f"--int8 quantises .onnx files, {bench.model.path} is {bench.model.path.suffix}")
    with closing(bench.reference()) as detector:
        return feeds_of(detector, frames_of(source) if source else rendered_frames())


def _open_all(bench: Bench, device: str, feeds: Feeds) -> None:
    """Open, and compile where that must be, whatever runs here. Raises RequirementError: nothing does."""
    from tracker.cli.bench_runs import devices, wanted

    rungs = devices(bench.model.path, device)
    for rung, precision in wanted(rungs):
        with _now(f"opening {rung.runtime} {precision} on {rung.device}"):
            bench.open(rung, precision)
    for rung in rungs if feeds else ():
        if rung.runtime in ("openvino", "tensorrt", "tensorrt-rtx"):
            with _now(f"building {rung.runtime} int8"):
                bench.open_int8(rung, feeds)
    if not bench.contenders:
        reasons = "; ".join(dict.fromkeys(reason for _, reason in bench.refused))
        on = "" if device == "auto" else f" on {device}"
        raise RequirementError(
            f"no runtime here runs {bench.model.path.name}{on}: {reasons or 'tracker doctor tells what is missing'}"
        )


def _measure(bench: Bench) -> None:
    """Compare all contenders with the reference, then time them."""
    from tracker.cli.bench_runs import ROUNDS

    with closing(bench.reference()) as reference:
        for one in bench.contenders:
            with _now(f"comparing the boxes of {one.name}"):
                bench.compare(one, reference)
    turns = Turns(ROUNDS * len(bench.contenders))
    with closing(turns):
        bench.take_turns(lambda one: turns.step(one.name))


@contextmanager
def _now(what: str) -> Iterator[None]:
    """What is being done, on a terminal, in a line that goes when it is done."""
    live = sys.stderr.isatty()
    if live:
        print(f"\r\x1b[K{what} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class Turns:
    """Progress of the timing: a bar on a terminal, a plain line every few seconds elsewhere. On standard error."""

    def __init__(self, total: int) -> None:
        """`total`: turns of all contenders."""
        self._total, self._done, self._last_s = total, 0, monotonic()
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            shape = "{desc:28}{percentage:3.0f}%|{bar:30}| {elapsed}<{remaining}"
            self._bar = tqdm(total=total, file=sys.stderr, bar_format=shape, leave=False)

    def step(self, name: str) -> None:
        """One turn is over."""
        self._done += 1
        if self._bar is not None:
            self._bar.set_description_str(name, refresh=False)
            self._bar.update()
        elif monotonic() - self._last_s >= PLAIN_EVERY_S:
            self._last_s = monotonic()
            say(f"measured {self._done} of {self._total} turns, {name} last")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


def _told(
    bench: Bench, source: str | None, load: float, auto: Contender | None, best: Contender | None
) -> dict[str, Any]:
    """All figures, for programs."""
    from tracker.capture import mask_credentials
    from tracker.cli.bench_report import flags_of, missing
    from tracker.detect.sharing import cores

    shown = mask_credentials(source) if source else ""
    identity, (height, width) = bench.contenders[0].detector.identity, bench.contenders[0].detector.size_hw
    return {
        "version": __version__,
        "model": {"name": identity.name, "sha256": identity.sha256, "input": [width, height]},
        "source": shown or "rendered frames",
        "picture": list(bench.size) if bench.size else None,
        "cores": cores(),
        "load_a_core": round(load, 2),
        "busy": load > BUSY_LOAD or any(one.spread > BUSY_SPREAD for one in bench.contenders),
        "results": [one.figures() for one in bench.contenders],
        "auto": auto.name if auto else None,
        "recommended": best
        and {"name": best.name, "command": flags_of(best, bench.model_name, shown, bench.open_size)},
        "refused": [{"name": name, "reason": reason} for name, reason in bench.refused],
        "missing": missing(bench.model.path),
    }
