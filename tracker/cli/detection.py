"""One run of the detector alone: what `tracker detect` does between its flags and its exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from threading import Event
from time import perf_counter
from typing import Any

from tracker.capture import Source, open_source
from tracker.cli.engine_frames import again
from tracker.cli.progress import Progress, say
from tracker.cli.signals import interruptible
from tracker.config import DetectSettings
from tracker.detect import Opener, RelayDetector, open_relay, share_cores
from tracker.detect.card import COCO_CLASSES
from tracker.errors import SourceLost
from tracker.meters import Rate
from tracker.pipeline import Status, detected
from tracker.write.paths import check_paths, make_folders
from tracker.write.records import CocoDetections, JsonLinesDetections

Writer = JsonLinesDetections | CocoDetections
UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_CATEGORY_IDS = tuple(k for k in range(1, 91) if k not in UNUSED)
"""COCO's own numbers of its 80 classes: 1 to 90 with gaps."""


class DetectSession:
    """Everything of one `tracker detect`."""

    def __init__(self, settings: DetectSettings, flags: Mapping[str, Any], stop: Event) -> None:
        """Refuse outputs that exist, before anything is opened.

        Raises:
            OutputError: an output that exists, or cannot be there.
        """
        self.settings, self.flags, self.stop = settings, flags, stop
        self.status, self.found = Status(), 0
        self.paths = {f"--{name}": flags[name] for name in ("jsonl", "coco") if flags[name]}
        check_paths(self.paths, overwrite=flags["overwrite"], source=flags["source"])

    def run(self) -> None:
        """Run the source through the detector and write, in order.

        Raises:
            TrackerError: what ended the run early; the outputs keep their partial names.
        """
        flags, error = self.flags, None
        with ExitStack() as stack:
            source = stack.enter_context(
                open_source(flags["source"], duration_s=flags["duration"], timed=True, stop=self.stop)
            )
            detector = self._open_detector(source)
            stack.callback(detector.close)
            writers: list[Writer] = []
            try:
                self._open_writers(writers, detector.class_names)
                self._loop(source, detector, writers)
            except SourceLost as caught:
                error = caught
            except BaseException:
                for writer in writers:
                    writer.abort()
                raise
            for writer in writers:
                writer.close()
            for warning in (*source.warnings, *detector.warnings):
                say(f"warning: {warning}")
            dropped = "".join(f", {number} dropped ({reason})" for reason, number in source.dropped.items())
            engine = detector.engine
            say(
                f"{'source lost' if error else 'interrupted' if self.stop.is_set() else 'done'}: "
                f"{self.status.processed} frames{dropped}, {self.found} detections; "
                f"{detector.identity.name} on {engine.runtime}, {engine.precision}, {engine.device}"
            )
        if error is not None:
            raise error

    def _open_detector(self, source: Source) -> RelayDetector:
        """The detector for this source; tells what was tried and did not work."""
        size = None if source.varied else (source.info.width, source.info.height)
        flags = self.flags
        with interruptible():
            opener = Opener(
                self.settings, size, live=source.info.live, require=flags["require"], say=say,
                frames=again(flags["source"]),
            )  # fmt: skip
            detector = open_relay(opener, say=say)
        for notice in opener.notices:
            say(f"notice: {notice}")
        return detector

    def _open_writers(self, writers: list[Writer], class_names: Sequence[str]) -> None:
        """Add a writer for each output asked for."""
        flags = self.flags
        make_folders(self.paths)
        if flags["jsonl"]:
            writers.append(JsonLinesDetections(flags["jsonl"], class_names, overwrite=flags["overwrite"]))
        if flags["coco"]:
            ids = COCO_CATEGORY_IDS if tuple(class_names) == COCO_CLASSES else None
            writers.append(CocoDetections(flags["coco"], category_ids=ids, overwrite=flags["overwrite"]))

    def _loop(self, source: Source, detector: RelayDetector, writers: Sequence[Writer]) -> None:
        """Write and count every frame. Raises SourceLost after those that a lost source gave before."""
        workers, status = share_cores(self.settings, source.info.live).workers, self.status
        rate, progress = Rate(perf_counter()), Progress(source.info.frame_count, "detections")
        frames = detected(source, detector, workers=workers, stop=self.stop, status=status)
        try:
            with closing(frames):
                for frame, detections, _ in frames:
                    assert detections is not None, "without a stride every frame is detected"
                    for writer in writers:
                        writer.write_detections(frame, detections)
                    status.processed += 1
                    self.found += len(detections)
                    progress.update(status.processed, rate.tick(perf_counter()), len(detections))
        finally:
            progress.close()
