"""One run, from opened source to summary: what `tracker run` does between its flags and its exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from threading import Event
from time import perf_counter
from typing import Any

from tracker import __version__
from tracker.capture import Source, open_source
from tracker.cli.engine_frames import again
from tracker.cli.offline import Blind, Collector, Nowhere, Replay
from tracker.cli.progress import Progress, say
from tracker.cli.signals import interruptible
from tracker.cli.summary import Outcome, default_output, model_of, report
from tracker.config import Settings
from tracker.detect import Opener, RelayDetector, open_relay, share_cores
from tracker.errors import Interrupted, SourceLost, TrackerError, UsageError
from tracker.interfaces import Detector, Sink, Tracker
from tracker.meters import Meters
from tracker.pipeline import Pipeline, Status
from tracker.structures import StreamInfo
from tracker.track import make_tracker
from tracker.track.compiled import backend
from tracker.track.whole import NAMES, has_whole, make_linker
from tracker.write.outputs import OutputPaths, open_outputs
from tracker.write.paths import check_paths
from tracker.write.window import open_window

GROUPS = {
    "grab": ("grab",),
    "detect": ("preprocess", "infer", "postprocess"),
    "track": ("track",),
    "write": ("draw", "encode", "records"),
}


class Session:
    """Everything of one `tracker run`."""

    def __init__(self, settings: Settings, flags: Mapping[str, Any], stop: Event) -> None:
        """Plan the outputs and refuse what exists, before anything is opened.

        Raises:
            OutputError: an output that exists, or cannot be there.
            UsageError: --offline with what cannot be.
        """
        if flags["offline"]:
            check_offline(settings, flags)
        self.settings, self.flags, self.stop = settings, flags, stop
        self.meters, self.status = Meters(), Status()
        self.paths = OutputPaths(
            video=None if flags["no_video"] else flags["output"] or default_output(flags["source"]),
            mot=flags["mot"],
            jsonl=flags["jsonl"],
            summary=flags["summary"],
        )
        check_paths(self.paths.options(), overwrite=flags["overwrite"], source=flags["source"])

    def run(self) -> Outcome:
        """Run to the end, finish the files, write the summary.

        Raises:
            TrackerError: what ended the run early; the outputs keep their partial names.
        """
        began = perf_counter()
        with ExitStack() as stack:
            source = stack.enter_context(self._open_source())
            info = source.info
            detector, notices = self._open_detector(source)
            stack.callback(detector.close)
            self._banner(info, detector, notices)
            outcome, error = self._track(source, detector)
            for warning in (*source.warnings, *detector.warnings):
                say(f"warning: {warning}")
            summary = self._summary(source, detector, outcome, error, perf_counter() - began)
        report(summary, self.paths)
        if error is not None and not isinstance(error, SourceLost):
            raise error
        if error is not None:
            say(f"tracker: {error}")
        return outcome

    def _open_source(self) -> Source:
        """The source, with its frames timed."""
        flags = self.flags
        return open_source(
            flags["source"],
            duration_s=flags["duration"],
            give_up_s=flags["give_up_s"],
            stop=self.stop,
            observe=self.meters.observe,
        )

    def _open_detector(self, source: Source) -> tuple[RelayDetector, list[str]]:
        """The detector for this source, and notices. Compiling may take minutes: a signal ends it at once."""
        flags = self.flags
        size = None if source.varied else (source.info.width, source.info.height)
        with interruptible():
            opener = Opener(
                self.settings.detect, size, live=source.info.live, require=flags["require"],
                observe=self.meters.observe, say=say, frames=again(flags["source"]),
            )  # fmt: skip
            return open_relay(opener, warm=flags["warm_start"], say=say), opener.notices

    def _open_outputs(self, info: StreamInfo, class_names: Sequence[str]) -> Sink:
        """The window, if it is wanted, and the files."""
        flags, lines = self.flags, self.status.lines
        return open_outputs(
            self.paths,
            info,
            class_names,
            self.settings.write,
            stride=flags["stride"],
            panel=lines,
            overwrite=flags["overwrite"],
            viewers=[open_window(info, class_names, lines, self.stop)] if flags["show"] else [],
            observe=self.meters.observe,
        )

    def _track(self, source: Source, detector: RelayDetector) -> tuple[Outcome, Exception | None]:
        """One pass that does it all, or two: detections first, then the outputs."""
        settings, names = self.settings.tracker, detector.class_names
        if not (self.flags["offline"] and has_whole(settings)):
            return self._loop(source, detector, make_tracker(settings), self._open_outputs(source.info, names))
        if source.info.live:
            return Outcome.FAILED, UsageError("--offline reads the source twice, and a live one cannot be")
        linker, began = make_linker(settings), perf_counter()
        outcome, error = self._loop(source, detector, Collector(linker), Nowhere())
        if outcome is not Outcome.DONE:
            return outcome, error or Interrupted("interrupted before the tracks were known; nothing is written")
        self.status = Status()
        with self._open_source() as second:
            outputs = self._open_outputs(second.info, names)
            outcome, error = self._loop(second, Blind(), Replay(linker.tracks()), outputs)
        self.status.wall_s = perf_counter() - began
        return outcome, error

    def _loop(
        self, source: Source, detector: Detector, tracker: Tracker, outputs: Sink
    ) -> tuple[Outcome, Exception | None]:
        """Run the pipeline and finish or abandon the outputs."""
        progress = Progress(None if source.info.live else source.info.frame_count)
        pipeline = Pipeline(
            source,
            detector,
            tracker,
            outputs,
            workers=share_cores(self.settings.detect, source.info.live).workers,
            stride=self.flags["stride"],
            stop=self.stop,
            meters=self.meters,
            status=self.status,
            on_frame=lambda status: progress.update(status.finished, status.fps, status.tracks),
        )
        error: Exception | None = None
        try:
            pipeline.run()
        except Exception as caught:
            error = caught
        finally:
            progress.close()
        try:
            if error is None or isinstance(error, SourceLost):
                outputs.close()
        except TrackerError as caught:
            error = caught
        if error is not None and not isinstance(error, SourceLost):
            with suppress(TrackerError):  # the first error is the one to tell
                outputs.abort()
        if isinstance(error, SourceLost):
            return Outcome.LOST, error
        if error is not None:
            return Outcome.FAILED, error
        return (Outcome.INTERRUPTED if self.stop.is_set() else Outcome.DONE), None

    def _banner(self, info: StreamInfo, detector: RelayDetector, notices: list[str]) -> None:
        """What runs, in truth."""
        rate = f", {float(info.frame_rate):.5g}/s" if info.frame_rate else ""
        live = ", live" if info.live else ""
        engine, (height, width) = detector.engine, detector.size_hw
        say(f"source    {info.name}: {info.width}x{info.height}{rate}{live} {info.codec}".rstrip())
        say(
            f"detector  {detector.identity.name} at {width}x{height} "
            f"on {engine.runtime}, {engine.precision}, {engine.device}"
        )
        say(f"tracker   {self.settings.tracker.name}{', offline: two passes' if self.flags['offline'] else ''}")
        for notice in notices:
            say(f"notice: {notice}")

    def _summary(
        self, source: Source, detector: RelayDetector, outcome: Outcome, error: Exception | None, wall_s: float
    ) -> dict[str, Any]:
        """The summary, as documented in the README."""
        status, late = self.status, dict(source.dropped)
        stages = self.meters.table()
        workers = share_cores(self.settings.detect, source.info.live).workers
        groups = {name: (parts, workers if name == "detect" else 1) for name, parts in GROUPS.items()}
        engine = detector.engine
        return {
            "version": __version__,
            "outcome": outcome.value,
            "error": str(error) if error else None,
            "source": source.info.name,
            "width": source.info.width,
            "height": source.info.height,
            "frames": {
                "captured": status.captured + sum(late.values()),
                "processed": status.processed,
                "dropped": {**status.dropped, **late},
                "in_flight": status.captured - status.finished,
            },
            "fps": round(status.finished / status.wall_s, 2) if status.wall_s else 0.0,
            "stages": stages,
            "bottleneck": self.meters.bottleneck(groups),
            "runtime": engine.runtime,
            "precision": engine.precision,
            "device": engine.device,
            "runtimes": detector.runtimes,
            "model": model_of(detector),
            "tracker": self.settings.tracker.name,
            "offline": self.flags["offline"],
            "association": backend(),
            "mode": "video",
            "mode_evidence": "not probed: this version knows ordinary video only",
            "tracks": len(status.seen),
            "duration_s": round(status.end_s - (status.first_s or 0.0), 6),
            "wall_s": round(wall_s, 3),
            "warnings": [*source.warnings, *detector.warnings],
            "outputs": {name: str(path) for name, path in self.paths.named().items()},
            "settings": self.settings.model_dump(mode="json"),
        }


def check_offline(settings: Settings, flags: Mapping[str, Any]) -> None:
    """Refuse what --offline cannot do. Raises UsageError."""
    if not has_whole(settings.tracker):
        raise UsageError(f"--offline works with --tracker {NAMES}, got {settings.tracker.name}")
    if flags["source"] == "-":
        raise UsageError("--offline reads the source twice, and standard input cannot be; save it to a file first")
