"""What a GPU makes of a detector: pictures a second by batch, fused or not, TensorRT against PyTorch, and `run` whole.

python -m benchmarks.gpu --clip A.mp4 [--model street6] [--runtime tensorrt] [--precision fp16] [--output results.md]
python -m benchmarks.gpu --clip A.mp4 --device cpu --seconds 0.5      (tries the script itself; its figures say nothing)

Every figure includes the way of the data to the device and back: bytes in host memory when the clock starts, arrays in
host memory when it stops. "network" is the model as it is (letterbox and suppression are left to the host and not in
the time); "fused" has both in the graph. PyTorch runs the same ONNX, converted node by node, one stream.
Without a GPU it ends with one line and exit code 4.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

import engines
from engines.build import PACKAGES
from engines.build_graph import prepare
from engines.precision import convert, load_onnx
from engines.tensorrt_driver import find_gpu
from tracker.config import DetectSettings
from tracker.detect import EngineDetector, open_detector
from tracker.detect.fused import INPUT, FusedDetector, Picture, copy_planes, fuse, open_fused
from tracker.structures import Frame

Array = NDArray[Any]
Feeds = dict[str, Array]
Infer = Callable[[Feeds], Mapping[str, Array]]
NO_GPU, WARM, FRAMES = 4, 3, 64
SHOWN = ("torch", "torch-cuda", "onnxruntime", "onnx", "av", "opencv-python-headless", "numpy")


@dataclass(frozen=True)
class Row:
    """One measurement: pictures a second, median ms of an inference, bytes up and down for one picture; or why not."""

    name: str
    batch: int
    rate: float = 0.0
    ms: float = 0.0
    up: float = 0.0
    down: float = 0.0
    trouble: str = ""

    def line(self) -> str:
        """Of the table."""
        if self.trouble:
            return f"| {self.name} | {self.batch} | not measured: {self.trouble} | | | |"
        return (
            f"| {self.name} | {self.batch} | {self.rate:.1f} | {self.ms:.2f} | {self.up / 1e3:.1f} | "
            f"{self.down / 1e3:.1f} |"
        )


def frames_of(clip: Path) -> list[Frame]:
    """The first frames of a clip, as the decoder gives them."""
    with av.open(str(clip)) as container:
        return [Frame(k, k / 25, picture) for k, picture in enumerate(islice(container.decode(video=0), FRAMES))]


def throughput(name: str, infer: Infer, feeds: list[Feeds], batch: int, seconds: float, streams: int) -> Row:
    """Inferences one after the other in each of `streams` threads, for `seconds`."""
    for feed in islice(cycle(feeds), WARM):
        outputs = infer(feed)
    began, durations = perf_counter(), list[float]()

    def work(place: int) -> None:
        for feed in cycle(feeds[place:] + feeds[:place]):
            clock = perf_counter()
            infer(feed)
            done = perf_counter()
            durations.append(done - clock)
            if done - began > seconds:
                return

    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(work, range(streams)))
    wall = perf_counter() - began
    up, down = (sum(array.nbytes for array in arrays.values()) / batch for arrays in (feeds[0], outputs))
    return Row(name, batch, len(durations) * batch / wall, 1e3 * statistics.median(durations), up, down)


def tried(name: str, batch: int, measure: Callable[[], Row]) -> Row:
    """The row, or what kept it from being measured."""
    try:
        return measure()
    except Exception as error:  # compilers and runtimes have no base class in common
        return Row(name, batch, trouble=f"{type(error).__name__}: {' '.join(str(error).split())[:160]}")


def repeated(array: Array, batch: int) -> Array:
    """One picture's tensor (1, ...) as a batch."""
    return np.ascontiguousarray(np.repeat(array, batch, 0))


def engine_rows(usual: EngineDetector, frames: list[Frame], args: argparse.Namespace) -> Iterator[Row]:
    """The runtime at work: network and fused, at each batch."""
    spec, model = usual.engine.inputs[0], load_onnx(usual.identity.path)
    picture = Picture(frames[0].width, frames[0].height)
    sights = [usual._pack([frame], 1).copy() for frame in frames[:8]]
    planes = [np.empty((1, picture.size), np.uint8) for _ in sights]
    for row, frame in zip(planes, frames, strict=False):
        copy_planes(frame, picture, row[0])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "fused.onnx")
        file.write_bytes(fuse(model, usual, picture).SerializeToString(deterministic=True))
        for batch in args.batches:
            for name, path, tensor, arrays in (
                ("network", usual.identity.path, spec.name, sights), ("fused", file, INPUT, planes)
            ):  # fmt: skip
                feeds = [{tensor: repeated(array, batch)} for array in arrays]
                label = f"{args.runtime} {name}"
                yield tried(label, batch, lambda: on_engine(label, path, feeds, batch, args))  # noqa: B023, called at once


def on_engine(name: str, path: Path, feeds: list[Feeds], batch: int, args: argparse.Namespace) -> Row:
    """One row of `engine_rows`."""
    shapes = {tensor: array.shape for tensor, array in feeds[0].items()}
    options = engines.EngineOptions(shapes, args.precision, streams=args.streams, device=args.engine_device)
    engine = engines.load(path, args.runtime, options, lambda line: print(f"  {line}", file=sys.stderr))
    try:
        return throughput(name, engine.infer, feeds, batch, args.seconds, args.streams)
    finally:
        engine.close()


def torch_rows(usual: EngineDetector, frames: list[Frame], args: argparse.Namespace) -> Iterator[Row]:
    """PyTorch, eager and compiled, on the same network."""
    spec = usual.engine.inputs[0]
    sights = [usual._pack([frame], 1).copy() for frame in frames[:8]]
    for batch in args.batches:
        feeds = [{spec.name: repeated(array, batch)} for array in sights]
        for name in ("torch eager", "torch.compile"):
            yield tried(name, batch, lambda: on_torch(name, usual, feeds, batch, args))  # noqa: B023, called at once


def on_torch(name: str, usual: EngineDetector, feeds: list[Feeds], batch: int, args: argparse.Namespace) -> Row:
    """One row of `torch_rows`."""
    import torch

    from engines.torch_graph import export

    ((tensor, array),) = feeds[0].items()
    made = prepare(load_onnx(usual.identity.path), {tensor: (array.shape,) * 3})
    with tempfile.TemporaryDirectory() as folder:
        made = convert(made, args.precision, [], Path(folder))
    # The module of an exported program: plain calls of PyTorch, which torch.compile takes whole.
    module = export(made, {tensor: (array.shape,) * 3}, torch.float16).module().to(args.device)
    run = torch.compile(module) if name == "torch.compile" else module

    def infer(feed: Feeds) -> Mapping[str, Array]:
        with torch.inference_mode():
            given = torch.from_numpy(feed[tensor])
            if args.device == "cuda":
                given = given.pin_memory().to("cuda", non_blocking=True)
            return {str(k): output.cpu().numpy() for k, output in enumerate(run(given))}

    return throughput(name, infer, feeds, batch, args.seconds, 1)


def detector_lines(usual: EngineDetector, frames: list[Frame], args: argparse.Namespace) -> Iterator[str]:
    """Stages of the whole detector, one frame at a time: ms, medians."""
    size = (frames[0].width, frames[0].height)

    def load(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> engines.Engine:
        options = engines.EngineOptions(shapes, args.precision, device=args.engine_device)
        return engines.load(path, args.runtime, options)

    for name, detector in (("host", usual), ("fused", open_fused(usual, size, load))):
        stages: dict[str, list[float]] = {"preprocess": [], "infer": [], "postprocess": []}
        detector.observe = lambda stage, seconds: stages[stage].append(1e3 * seconds)  # noqa: B023, used in this turn
        clock, whole = perf_counter(), list[float]()
        for frame in cycle(frames):
            began = perf_counter()
            detector.detect([frame])
            whole.append(1e3 * (perf_counter() - began))
            if perf_counter() - clock > args.seconds:
                break
        parts = " | ".join(f"{statistics.median(times):.2f}" for times in (*stages.values(), whole))
        yield f"| {name} | {parts} |"
        assert not isinstance(detector, FusedDetector) or not detector.warnings, detector.warnings


def run_line(clip: Path, model: str, fused: str, args: argparse.Namespace) -> str:
    """`tracker run`, annotated video and all, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder, "s.json")
        command = [
            sys.executable, "-m", "tracker", "run", "--source", str(clip), "--output", str(Path(folder, "o.mp4")),
            "--summary", str(summary), "--model", model, "--runtime", args.runtime, "--device", args.engine_device,
            "--set", f"detect.fused={fused}", "--set", f"detect.precision={args.precision}",
        ]  # fmt: skip
        command += ["--duration", "1"] if args.device == "cpu" else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"| fused {fused} | not measured: {(done.stderr.strip().splitlines() or ['no reason'])[-1]} | | |"
        told = json.loads(summary.read_text())
        return f"| fused {fused} | {told['fps']:.1f} | {told['bottleneck']} | {told['runtime']} {told['precision']} |"


def versions(args: argparse.Namespace) -> str:
    """Libraries at work."""
    found = {}
    for package in (*PACKAGES.get(args.runtime, ()), *SHOWN):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(f"{name} {version}" for name, version in found.items())


def report(args: argparse.Namespace, card: str) -> Iterator[str]:
    """The lines of the table, as they are measured."""
    frames = frames_of(args.clip)
    size = (frames[0].width, frames[0].height)
    yield f"# GPU, {date.today().isoformat()}\n"
    yield f"{card}; {versions(args)}; Python {sys.version.split()[0]}\n"
    yield (
        f"Clip {args.clip.name}, {size[0]}x{size[1]} {frames[0].picture.format.name}; {args.precision}; "
        f"{args.streams} inferences in flight (PyTorch: 1), {args.seconds} s a figure."
    )
    for model in args.model:
        settings = DetectSettings.model_validate(
            {"model": model, "runtime": args.runtime, "precision": args.precision, "device": args.engine_device,
             "workers": args.streams, "fused": "off"}
        )  # fmt: skip
        usual, notices = open_detector(settings, size)
        yield f"\n## {usual.identity.name}, input {usual.size_hw[1]}x{usual.size_hw[0]}\n"
        yield from (f"notice: {line}" for line in notices)
        yield "| | batch | pictures/s | ms an inference | kB up a picture | kB down a picture |"
        yield "|---|---|---|---|---|---|"
        for row in (*engine_rows(usual, frames, args), *torch_rows(usual, frames, args)):
            yield row.line()
        yield "\n| letterbox, suppression on | preprocess ms | infer ms | postprocess ms | a frame ms |"
        yield "|---|---|---|---|---|"
        yield from detector_lines(usual, frames, args)
        usual.close()
        yield "\n| `tracker run` | fps | bottleneck | runtime |"
        yield "|---|---|---|---|"
        for fused in ("off", "on"):
            yield run_line(args.clip, model, fused, args)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--model", action="append")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--runtime", help="tensorrt (default), tensorrt-rtx or torch; onnxruntime for --device cpu")
    parser.add_argument("--precision", choices=("fp32", "fp16"))
    parser.add_argument("--batches", type=lambda text: [int(word) for word in text.split(",")])
    parser.add_argument("--streams", type=int, help="inferences in flight")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each figure")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    dry = args.device == "cpu"
    usual = ("onnxruntime", "fp32", [1, 2], 1, "cpu") if dry else ("tensorrt", "fp16", [1, 8, 32], 2, "cuda:0")
    for name, value in zip(("runtime", "precision", "batches", "streams", "engine_device"), usual, strict=True):
        if getattr(args, name, None) is None:
            setattr(args, name, value)
    args.model = args.model or ["street6"]
    card = "No GPU: a trial of the script on the CPU, its figures say nothing of a GPU"
    if not dry:
        try:
            gpu = find_gpu()
        except engines.EngineUnavailable as error:
            print(f"a GPU is needed: {error}; --device cpu tries the script without", file=sys.stderr)
            sys.exit(NO_GPU)
        card = f"{gpu.name} ({gpu.target}), driver {gpu.driver_major}"
    lines = []
    for line in report(args, card):
        lines.append(line)
        print(line, flush=True)
    if args.output:
        args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
