"""One run, from opened source to summary: what `tracker run` does between its flags and its exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from enum import Enum
from pathlib import Path, PurePosixPath
from threading import Event
from time import perf_counter
from typing import Any

from tracker import __version__
from tracker.capture import Source, mask_credentials, open_source
from tracker.cli.offline import Blind, Collector, Nowhere, Replay
from tracker.cli.progress import Progress, say
from tracker.config import Settings, SteadySettings
from tracker.detect import EngineDetector, open_detector, share_cores
from tracker.errors import Interrupted, SourceLost, TrackerError, UsageError, WriteError
from tracker.interfaces import Detector, Sink, Tracker
from tracker.meters import Meters
from tracker.pipeline import Pipeline, Status
from tracker.structures import StreamInfo
from tracker.track import make_tracker
from tracker.track.compiled import backend
from tracker.track.link import link
from tracker.write.files import partial_path
from tracker.write.outputs import OutputPaths, open_outputs
from tracker.write.paths import check_paths
from tracker.write.window import open_window

GROUPS = {
    "grab": ("grab",),
    "detect": ("preprocess", "infer", "postprocess"),
    "track": ("track",),
    "write": ("draw", "encode", "records"),
}


class Outcome(Enum):
    """How a run ended; the value stands in the summary."""

    DONE = "done"
    FAILED = "failed"
    LOST = "source lost"
    INTERRUPTED = "interrupted"

    @property
    def exit_code(self) -> int:
        """Of the process."""
        known = {Outcome.DONE: 0, Outcome.LOST: SourceLost.exit_code, Outcome.INTERRUPTED: Interrupted.exit_code}
        return known.get(self, 1)


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
        flags, began = self.flags, perf_counter()
        with ExitStack() as stack:
            source = stack.enter_context(self._open_source())
            info = source.info
            size = None if source.varied else (info.width, info.height)
            detector, notices = open_detector(
                self.settings.detect, size, live=info.live, require=flags["require"], observe=self.meters.observe
            )
            stack.callback(detector.close)
            self._banner(info, detector, notices)
            outcome, error = self._track(source, detector)
            for warning in (*source.warnings, *detector.warnings):
                say(f"warning: {warning}")
            summary = self._summary(source, detector, outcome, error, perf_counter() - began)
        self._report(summary)
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

    def _track(self, source: Source, detector: EngineDetector) -> tuple[Outcome, Exception | None]:
        """One pass that does it all, or two: detections first, then the outputs."""
        settings, names = self.settings.tracker, detector.class_names
        if not (self.flags["offline"] and isinstance(settings, SteadySettings)):
            return self._loop(source, detector, make_tracker(settings), self._open_outputs(source.info, names))
        if source.info.live:
            return Outcome.FAILED, UsageError("--offline reads the source twice, and a live one cannot be")
        collector, began = Collector(), perf_counter()
        outcome, error = self._loop(source, detector, collector, Nowhere())
        if outcome is not Outcome.DONE:
            return outcome, error or Interrupted("interrupted before the tracks were known; nothing is written")
        self.status = Status()
        with self._open_source() as again:
            outputs = self._open_outputs(again.info, names)
            outcome, error = self._loop(again, Blind(), Replay(link(settings, collector.frames)), outputs)
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

    def _banner(self, info: StreamInfo, detector: EngineDetector, notices: list[str]) -> None:
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
        self, source: Source, detector: EngineDetector, outcome: Outcome, error: Exception | None, wall_s: float
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
            "model": _model(detector),
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

    def _report(self, summary: dict[str, Any]) -> None:
        """Write the summary file and tell the person what there is now."""
        if self.paths.summary:
            temporary = partial_path(self.paths.summary)
            try:
                temporary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
                temporary.replace(self.paths.summary)
            except OSError as error:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                problem = f"the summary {self.paths.summary} could not be written: {error.strerror}"
                if summary["outcome"] != Outcome.FAILED.value:
                    raise WriteError(problem) from None
                say(f"warning: {problem}")  # a full disk, most likely the reason why the run failed
        frames = summary["frames"]
        dropped = "".join(f", {number} dropped ({reason})" for reason, number in frames["dropped"].items())
        say(
            f"{summary['outcome']}: {frames['captured']} frames captured, {frames['processed']} processed{dropped}; "
            f"{summary['tracks']} tracks; {summary['fps']} fps, bottleneck {summary['bottleneck'] or 'none'}"
        )
        partial = summary["outcome"] == Outcome.FAILED.value
        for name, path in self.paths.named().items():
            shown = partial_path(path) if partial and name != "summary" else path
            if shown.exists():
                print(f"{name:8} {shown}")


def _model(detector: EngineDetector) -> dict[str, Any]:
    """Which model it was, for the summary."""
    identity = detector.identity
    return {
        "name": identity.name,
        "sha256": identity.sha256,
        "head": identity.head,
        "input": list(detector.size_hw),
    }


def check_offline(settings: Settings, flags: Mapping[str, Any]) -> None:
    """Refuse what --offline cannot do. Raises UsageError."""
    if not isinstance(settings.tracker, SteadySettings):
        raise UsageError(f"--offline works with --tracker steady, got {settings.tracker.name}")
    if flags["source"] == "-":
        raise UsageError("--offline reads the source twice, and standard input cannot be; save it to a file first")


def default_output(source: str) -> Path:
    """`<name>.tracked.mp4` in the working directory; of an address its last part, or its host."""
    name = mask_credentials(source)
    if source == "-":
        name = "stdin"
    elif "://" in name:
        place = name.split("://", 1)[1].split("?", 1)[0].rsplit("@", 1)[-1].strip("/").replace(":", "-")
        name = PurePosixPath(place).stem if "/" in place else place
    else:
        name = Path(source.rstrip("/")).stem.strip("*.")
    return Path(f"{name or 'output'}.tracked.mp4")
