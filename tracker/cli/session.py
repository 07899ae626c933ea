"""One run, from opened source to summary: what `tracker run` does between its flags and its exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from fractions import Fraction
from threading import Event
from time import perf_counter
from typing import Any

from tracker.capture import Source, open_source
from tracker.cli.engine_frames import again
from tracker.cli.first_pass import FirstPass, log_path, stamp_of
from tracker.cli.mode import OUTPUT_RATE, Mode, decide, sparse_settings, stays_path
from tracker.cli.offline import Blind, Collector, Nowhere, Paced, Replay
from tracker.cli.progress import Progress, say
from tracker.cli.signals import interruptible
from tracker.cli.summary import Outcome, default_output, model_of, report, summary_of
from tracker.config import Settings
from tracker.detect import Opener, RelayDetector, open_relay, share_cores
from tracker.errors import Interrupted, OutputError, SourceError, SourceLost, TrackerError, UsageError
from tracker.interfaces import Detector, Sink, Tracker
from tracker.meters import Meters
from tracker.pipeline import Pipeline, Status
from tracker.structures import StreamInfo
from tracker.track import make_tracker
from tracker.track.whole import NAMES, WholeLinker, has_whole, make_linker
from tracker.write.outputs import OutputPaths, open_outputs
from tracker.write.paths import check_paths, make_folders
from tracker.write.window import open_window


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
        self._stamp: list[Any] = []  # of the source, as the first pass found it
        self.paths = OutputPaths(
            video=None if flags["no_video"] else flags["output"] or default_output(flags["source"]),
            mot=flags["mot"],
            jsonl=flags["jsonl"],
            summary=flags["summary"],
            stays=flags["stays"],
            pictures=flags["pictures"],
        )
        self._check_paths()

    def _check_paths(self) -> None:
        """Raise OutputError where an output exists, or cannot be there."""
        flags = self.flags
        check_paths(
            self.paths.options(), overwrite=flags["overwrite"], leftovers=flags["resume"], source=flags["source"]
        )

    def run(self) -> Outcome:
        """Run to the end, finish the files, write the summary.

        Raises:
            TrackerError: what ended the run early; the outputs keep their partial names.
        """
        began = perf_counter()
        with ExitStack() as stack:
            source = stack.enter_context(self._open_source())
            info, mode = source.info, self._mode(source)
            detector, notices = self._open_detector(source, mode)
            stack.callback(detector.close)
            self._banner(info, mode, detector, notices)
            outcome, error = self._track(source, mode, detector)
            for warning in (*source.warnings, *detector.warnings):
                say(f"warning: {warning}")
            summary = summary_of(self, source, mode, detector, outcome, error, perf_counter() - began)
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
            timed=flags["mode"] != "video",
            interval_s=flags["interval"],
            observe=self.meters.observe,
        )

    def _mode(self, source: Source) -> Mode:
        """What the source is; time-lapse changes settings and outputs, as far as they were left open."""
        if source.info.live and self.flags["interval"] is not None:
            raise UsageError("--interval is for files and folders; a live source has the times of the world")
        began = perf_counter()
        mode = decide(source, self.flags)
        self.meters.observe("probe", perf_counter() - began)
        if mode.sparse:
            self.settings, notices = sparse_settings(self.flags)
            for notice in notices:
                say(f"notice: {notice}")
            twice = has_whole(self.settings.tracker) and not source.info.live and self.flags["source"] != "-"
            offline, rate = self.flags["offline"] or twice, self.flags["output_rate"] or OUTPUT_RATE
            self.flags = {**self.flags, "offline": offline, "output_rate": rate}
            self.paths = replace(self.paths, stays=self.paths.stays or stays_path(self.paths.video))
            self._check_paths()
        return mode

    def _open_detector(self, source: Source, mode: Mode) -> tuple[RelayDetector, list[str]]:
        """The detector for this source, and notices. Compiling may take minutes: a signal ends it at once."""
        flags = self.flags
        # Of a camera's pictures the first one tells the shape of all; those of any folder may be anything.
        size = None if source.varied and not mode.sparse else (source.info.width, source.info.height)
        with interruptible():
            opener = Opener(
                self.settings.detect, size, live=source.info.live, require=flags["require"],
                observe=self.meters.observe, say=say, frames=again(flags["source"]),
            )  # fmt: skip
            return open_relay(opener, warm=flags["warm_start"], say=say), opener.notices

    def _open_outputs(self, info: StreamInfo, class_names: Sequence[str], *, second: bool = False) -> Sink:
        """The window, if it is wanted, and the files. A second pass's fps and latency are not those of detecting."""
        flags, status = self.flags, self.status
        lines = (lambda: status.lines()[-1:]) if second else status.lines
        return open_outputs(
            self.paths,
            info,
            class_names,
            self.settings.write,
            stride=flags["stride"],
            panel=lines,
            overwrite=flags["overwrite"] or flags["resume"],
            output_rate=Fraction(rate).limit_denominator(1000) if (rate := flags["output_rate"]) else None,
            stamps=info.began is not None,
            viewers=[open_window(info, class_names, lines, self.stop)] if flags["show"] else [],
            observe=self.meters.observe,
        )

    def _track(self, source: Source, mode: Mode, detector: RelayDetector) -> tuple[Outcome, Exception | None]:
        """One pass that does it all, or two: detections first, then the outputs."""
        settings, names = self.settings.tracker, detector.class_names
        if not (self.flags["offline"] and has_whole(settings)):
            self._begin_anew("a run in one pass has nothing to go on with")
            tracker = Paced(make_tracker(settings), mode.step_s)
            return self._loop(source, detector, tracker, self._open_outputs(source.info, names))
        if source.info.live:
            return Outcome.FAILED, UsageError("--offline reads the source twice, and a live one cannot be")
        linker, began = make_linker(settings), perf_counter()
        kept = self._first_pass(detector)
        try:
            outcome, error = self._loop(source, kept, Paced(Collector(linker), mode.step_s), Nowhere())
        finally:
            kept.close()
        if outcome is not Outcome.DONE:
            return outcome, error or Interrupted(
                "interrupted before the tracks were known; --resume goes on with the detections so far"
            )
        outcome, error = self._second_pass(linker, names)
        if outcome is Outcome.DONE:
            kept.done()
        elif outcome is Outcome.INTERRUPTED:
            say("notice: the detections are kept; --resume --overwrite draws and writes all of it")
        self.status.wall_s = perf_counter() - began
        return outcome, error

    def _first_pass(self, detector: RelayDetector) -> FirstPass:
        """The detector with its log. Raises UsageError, OutputError."""
        engine = detector.engine
        output = next(iter(self.paths.named().values()), default_output(self.flags["source"]))
        make_folders({"--output": output})
        log = log_path(output)
        if not log.exists():
            self._begin_anew(f"there is no {log.name}")
        elif not (self.flags["resume"] or self.flags["overwrite"]):
            raise OutputError(
                f"{log} was left by a run that did not finish; add --resume to go on with it, or --overwrite"
            )
        flags, self._stamp = self.flags, stamp_of(self.flags["source"])
        about = {
            "the source": self._stamp,
            "the model": model_of(detector),
            "the runtime": [engine.runtime, engine.precision, engine.device],
            "the detector's settings": self.settings.detect.model_dump(mode="json"),
            "--mode or --interval": [flags["interval"], flags["mode"] == "video"],
            "--stride": flags["stride"],
        }
        kept = FirstPass(detector, log, about, resume=flags["resume"])
        if kept.known:
            say(f"notice: {kept.known} frames are detected already")
        return kept

    def _begin_anew(self, why: str) -> None:
        """Take --resume back: what an earlier run left is then replaced with --overwrite only. Raises OutputError."""
        if self.flags["resume"]:
            say(f"notice: --resume: {why}; this run begins anew")
            self.flags = {**self.flags, "resume": False}
            self._check_paths()

    def _second_pass(self, linker: WholeLinker, names: Sequence[str]) -> tuple[Outcome, Exception | None]:
        """Read the source again, and write."""
        if stamp_of(self.flags["source"]) != self._stamp:
            return Outcome.FAILED, SourceError(
                "the source changed while it was read; run again when it has come to rest"
            )
        self.status = Status()
        with self._open_source() as second:
            outputs = self._open_outputs(second.info, names, second=True)
            return self._loop(second, Blind(), Replay(linker.tracks()), outputs)

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

    def _banner(self, info: StreamInfo, mode: Mode, detector: RelayDetector, notices: list[str]) -> None:
        """What runs, in truth."""
        rate = f", {float(info.frame_rate):.5g}/s" if info.frame_rate else ""
        live = ", live" if info.live else ""
        engine, (height, width) = detector.engine, detector.size_hw
        views = f", {detector.views} views a picture," if detector.views > 1 else ""
        say(f"source    {info.name}: {info.width}x{info.height}{rate}{live} {info.codec}".rstrip())
        say(
            f"detector  {detector.identity.name} at {width}x{height}{views} "
            f"on {engine.runtime}, {engine.precision}, {engine.device}"
        )
        say(f"mode      {mode.cadence.line}")
        say(f"tracker   {self.settings.tracker.name}{', offline: two passes' if self.flags['offline'] else ''}")
        for notice in notices:
            say(f"notice: {notice}")


def check_offline(settings: Settings, flags: Mapping[str, Any]) -> None:
    """Refuse what --offline cannot do. Raises UsageError."""
    if not has_whole(settings.tracker):
        raise UsageError(f"--offline works with --tracker {NAMES}, got {settings.tracker.name}")
    if flags["source"] == "-":
        raise UsageError("--offline reads the source twice, and standard input cannot be; save it to a file first")
