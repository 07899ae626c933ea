"""One run of our pipeline, its stages one by one, and its memory over many frames."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

import engines
from benchmarks.inject import boxes
from benchmarks.kill import loop_clip
from tracker.capture import open_source
from tracker.config import DetectSettings, WriteSettings, default_tracker
from tracker.detect import EngineDetector, open_detector, share_cores
from tracker.meters import Meters
from tracker.pipeline import Pipeline, Status
from tracker.structures import Detections, Frame
from tracker.track import make_tracker
from tracker.write.outputs import OutputPaths, open_outputs


class Injected:
    """The real detector, all of it, with 15 boxes in place of what it found."""

    def __init__(self, detector: EngineDetector) -> None:
        """Wrap."""
        self.detector, self.class_names = detector, detector.class_names

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Run the real detector, then answer with the boxes."""
        self.detector.detect(frames)
        return [make(frame) for frame in frames]

    def close(self) -> None:
        """Close the real one."""
        self.detector.close()


def make(frame: Frame) -> Detections:
    """The injected boxes of a frame."""
    rows = boxes(frame.index, frame.width, frame.height)
    return Detections(rows[:, :4].copy(), rows[:, 4].copy(), rows[:, 5].astype(np.int64))


def settings_of(onnx: Path | None, precision: str, workers: int = 0) -> DetectSettings:
    """Detector settings of a benchmark."""
    return DetectSettings(model=str(onnx) if onnx else "street6", precision=precision, workers=workers)  # type: ignore[arg-type]


def once(clip: Path, onnx: Path | None, precision: str, preset: str) -> dict[str, Any]:
    """Track a clip whole, to annotated video, timed from the first frame asked to the file renamed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = settings_of(onnx, precision)
        with open_source(str(clip)) as probe:
            info = probe.info
        detector, _ = open_detector(settings, (info.width, info.height))
        injected = Injected(detector)
        wall, cpu = time.perf_counter(), time.process_time()
        source = stack.enter_context(open_source(str(clip)))
        status = Status()
        write = WriteSettings(preset=preset)  # type: ignore[arg-type]
        sink = open_outputs(OutputPaths(video=folder / "o.mp4"), info, detector.class_names, write, panel=status.lines)
        workers = share_cores(settings, False).workers
        Pipeline(source, injected, make_tracker(default_tracker()), sink, workers=workers, status=status).run()
        sink.close()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        frames, size = status.processed, (folder / "o.mp4").stat().st_size
        return {
            "fps": frames / wall, "cpu_ms": 1e3 * cpu / frames, "frames": frames, "encoder": f"libx264 {preset} .mp4",
            "kb_a_frame": size / frames / 1e3, "runtime": f"{detector.engine.runtime} {detector.engine.precision}",
            "input_hw": detector.size_hw, "tracks": len(status.seen),
        }  # fmt: skip


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - wall, time.process_time() - cpu


def stages(clip: Path, onnx: Path | None, precision: str, preset: str) -> dict[str, tuple[float, float]]:
    """Wall and CPU milliseconds a frame of decode, letterbox, inference and encode, each alone, one thread each."""
    with av.open(str(clip)) as container:
        container.streams.video[0].thread_count = 1
        decoded = timed(lambda: [None for _ in container.decode(video=0)])
    with av.open(str(clip)) as container:
        pictures = [frame for _, frame in zip(range(60), container.decode(video=0), strict=False)]
        count = container.streams.video[0].frames
        rate = container.streams.video[0].average_rate or Fraction(25)
    frames = [Frame(k, k / 30, picture) for k, picture in enumerate(pictures)]
    detector, _ = open_detector(settings_of(onnx, precision, workers=1), (frames[0].width, frames[0].height))
    single = one_thread(detector, onnx, precision)

    def packed(frame: Frame) -> engines.Array:
        return detector._pack([frame], 1)

    letterbox = timed(lambda: [packed(frame) for frame in frames])
    feed = {single.inputs[0].name: packed(frames[0])}
    single.infer(feed)
    infer = timed(lambda: [single.infer(feed) for _ in frames])
    encode = timed(lambda: encode_alone(pictures, rate, preset))
    per = {"letterbox": letterbox, "inference": infer, "encode": encode}
    table = {name: (1e3 * wall / len(frames), 1e3 * cpu / len(frames)) for name, (wall, cpu) in per.items()}
    return {"decode": (1e3 * decoded[0] / count, 1e3 * decoded[1] / count), **table}


def one_thread(detector: EngineDetector, onnx: Path | None, precision: str) -> engines.Engine:
    """The detector's engine again, on one thread."""
    spec = detector.engine.inputs[0]
    shape = {spec.name: tuple(side or 1 for side in spec.shape)}
    options = engines.EngineOptions(shape, precision=precision, threads=1)
    return engines.load(detector.identity.path, detector.engine.runtime.split()[0], options)


def encode_alone(pictures: Sequence[av.VideoFrame], rate: Fraction, preset: str) -> None:
    """The decoder's pictures through x264 as `VideoSink` sets it, without overlay and file."""
    from tracker.write.video import NO_DELAY, SWIFT, SWIFT_BASE, SWIFT_MORE

    swift = preset == SWIFT
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = pictures[0].width, pictures[0].height, "yuv420p"
    codec.time_base, codec.framerate, codec.thread_count = 1 / rate, rate, 1
    params = NO_DELAY + SWIFT_MORE if swift else NO_DELAY
    codec.options = {"preset": SWIFT_BASE if swift else preset, "crf": "24", "x264-params": params}
    for k, picture in enumerate(pictures):
        picture.pts, picture.time_base = k, 1 / rate
        codec.encode(picture)
    codec.encode(None)


def alone(clip: Path, onnx: Path | None, precision: str, preset: str, runs: int) -> None:
    """CPU a frame of the whole against the sum of the stages; wall against the stages one after the other."""
    whole = [once(clip, onnx, precision, preset) for _ in range(runs)]
    parts = [stages(clip, onnx, precision, preset) for _ in range(runs)]
    cpu = {name: statistics.median(part[name][1] for part in parts) for name in parts[0]}
    wall = {name: statistics.median(part[name][0] for part in parts) for name in parts[0]}
    total_cpu = statistics.median(run["cpu_ms"] for run in whole)
    total_wall = statistics.median(1e3 / run["fps"] for run in whole)
    runtime, size = whole[0]["runtime"], whole[0]["input_hw"]
    print(f"\n{clip.name}, {runtime}, input {size}, x264 {preset}: medians of {runs} runs, ms a frame")
    for name, value in cpu.items():
        print(f"  {name:10} cpu {value:6.2f}  wall {wall[name]:6.2f}")
    print(f"  sum        cpu {sum(cpu.values()):6.2f}  wall {sum(wall.values()):6.2f}")
    print(f"  whole run  cpu {total_cpu:6.2f}  wall {total_wall:6.2f}  ({1e3 / total_wall:.1f} fps)")
    print(f"  cpu ratio {total_cpu / sum(cpu.values()):.2f} (wanted <= 1.15), "
          f"overlap {sum(wall.values()) / total_wall:.2f}x (wanted >= 1.5)")  # fmt: skip


def resident_mb() -> float:
    """Resident memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def memory(clip: Path, onnx: Path | None, frames: int) -> None:
    """Resident memory over a long run; the slope is fitted after the first tenth."""
    settings, status, samples = settings_of(onnx, "auto"), Status(), []

    def sample(status: Status) -> None:
        if status.processed % 200 == 0:
            samples.append((status.processed, resident_mb()))

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        loop_clip(clip, Path(folder, "long.mkv"), frames)
        source = stack.enter_context(open_source(str(Path(folder, "long.mkv"))))
        detector, _ = open_detector(settings, (source.info.width, source.info.height))
        paths = OutputPaths(video=Path(folder, "o.mp4"), mot=Path(folder, "o.txt"), jsonl=Path(folder, "o.jsonl"))
        sink = open_outputs(paths, source.info, detector.class_names, WriteSettings(), panel=status.lines)
        pipeline = Pipeline(
            source, Injected(detector), make_tracker(default_tracker()), sink,
            workers=share_cores(settings, False).workers, meters=Meters(), on_frame=sample, status=status,
        )  # fmt: skip
        pipeline.run()
        sink.close()
    table = np.array([row for row in samples if row[0] >= frames / 10])
    slope, _ = np.polyfit(table[:, 0], table[:, 1], 1)
    residual = table[:, 1] - np.polyval(np.polyfit(table[:, 0], table[:, 1], 1), table[:, 0])
    error = residual.std() / (np.std(table[:, 0]) * np.sqrt(len(table)))
    print(
        f"{status.processed} frames, {status.processed / status.wall_s:.0f} fps: resident {table[0, 1]:.1f} MB "
        f"at frame {table[0, 0]:.0f}, {table[-1, 1]:.1f} MB at the end; "
        f"slope {1e4 * slope:+.2f} +- {1e4 * error:.2f} MB per "
        "10,000 frames (wanted < 1)"
    )
