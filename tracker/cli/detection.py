"""One run of the detector alone: what `tracker detect` does between its flags and its exit code."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event
from typing import Any

from tracker.capture import Source, open_source
from tracker.cli.progress import Progress
from tracker.cli.session import say
from tracker.config import DetectSettings
from tracker.detect import EngineDetector, open_detector, plan
from tracker.structures import Detections, Frame
from tracker.write.outputs import check_paths
from tracker.write.records import CocoDetections, JsonLinesDetections

Writer = JsonLinesDetections | CocoDetections


class DetectSession:
    """Everything of one `tracker detect`."""

    def __init__(self, settings: DetectSettings, flags: Mapping[str, Any], stop: Event) -> None:
        """Refuse outputs that exist, before anything is opened.

        Raises:
            OutputError: an output that exists, or cannot be there.
        """
        self.settings, self.flags, self.stop = settings, flags, stop
        paths = {f"--{name}": flags[name] for name in ("jsonl", "coco") if flags[name]}
        check_paths(paths, overwrite=flags["overwrite"], source=flags["source"])

    def run(self) -> None:
        """Run the source through the detector and write, in order.

        Raises:
            TrackerError: what ended the run early; the outputs keep their partial names.
        """
        flags = self.flags
        with ExitStack() as stack:
            source = stack.enter_context(open_source(flags["source"], duration_s=flags["duration"], stop=self.stop))
            detector = self._open_detector(source)
            stack.callback(detector.close)
            writers = self._open_writers(detector.class_names)
            done, found = self._loop(source, detector, writers)
            for writer in writers:
                writer.close()
            for warning in source.warnings:
                say(f"warning: {warning}")
            engine = detector.engine
            say(
                f"done: {done} frames, {found} detections; "
                f"{detector.identity.name} on {engine.runtime}, {engine.precision}, {engine.device}"
            )

    def _open_detector(self, source: Source) -> EngineDetector:
        """The detector for this source; tells what was tried and did not work."""
        size = None if source.varied else (source.info.width, source.info.height)
        detector, notices = open_detector(self.settings, size, live=source.info.live, require=self.flags["require"])
        for notice in notices:
            say(f"notice: {notice}")
        return detector

    def _open_writers(self, class_names: Sequence[str]) -> list[Writer]:
        """A writer for each output asked for."""
        flags = self.flags
        writers: list[Writer] = []
        if flags["jsonl"]:
            writers.append(JsonLinesDetections(flags["jsonl"], class_names, overwrite=flags["overwrite"]))
        if flags["coco"]:
            writers.append(CocoDetections(flags["coco"], overwrite=flags["overwrite"]))
        return writers

    def _loop(self, source: Source, detector: EngineDetector, writers: Sequence[Writer]) -> tuple[int, int]:
        """Write every frame; abandon the outputs if one fails. Returns the numbers of frames and of detections."""
        workers = plan(self.settings, source.info.live).workers
        done = found = 0
        with ThreadPoolExecutor(workers, "detect") as pool:
            progress = Progress(source.info.frame_count)
            try:
                for frame, detections in self._detected(source, detector, pool, workers):
                    for writer in writers:
                        writer.write_detections(frame, detections)
                    done, found = done + 1, found + len(detections)
                    progress.update(done, 0.0, len(detections))
            except BaseException:
                for writer in writers:
                    writer.abort()
                raise
            finally:
                progress.close()
        return done, found

    def _detected(
        self, source: Source, detector: EngineDetector, pool: ThreadPoolExecutor, workers: int
    ) -> Iterator[tuple[Frame, Detections]]:
        """Frames and their detections in order, while the next `workers` frames are with the detector."""
        window: deque[tuple[Frame, Future[list[Detections]]]] = deque()
        for frame in source:
            window.append((frame, pool.submit(detector.detect, [frame])))
            if len(window) > workers:
                yield _first(window)
            if self.stop.is_set():
                break
        while window:
            yield _first(window)


def _first(window: deque[tuple[Frame, Future[list[Detections]]]]) -> tuple[Frame, Detections]:
    """Take the oldest frame out, as soon as it is done."""
    frame, pending = window.popleft()
    return frame, pending.result()[0]
