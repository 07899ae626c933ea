"""All outputs of one run behind one sink: the video first, then the records, in one bounded background thread.

In this order a killed process never leaves records whose picture is more than one fragment behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import perf_counter

from tracker.config import WriteSettings
from tracker.interfaces import Sink
from tracker.structures import Frame, StreamInfo, Tracks
from tracker.write.background import Background
from tracker.write.draw import Overlay
from tracker.write.paths import make_folders
from tracker.write.records import JsonLinesWriter, MotWriter
from tracker.write.video import VideoOptions, VideoSink

Observe = Callable[[str, float], None]


@dataclass(frozen=True)
class OutputPaths:
    """Final names of the outputs of a run; None: not wanted."""

    video: Path | None = None
    mot: Path | None = None
    jsonl: Path | None = None
    summary: Path | None = None

    def named(self) -> dict[str, Path]:
        """The wanted ones by kind."""
        every = {"video": self.video, "mot": self.mot, "jsonl": self.jsonl, "summary": self.summary}
        return {name: path for name, path in every.items() if path is not None}

    def options(self) -> dict[str, Path]:
        """The wanted ones by the option that names them."""
        return {"--output" if name == "video" else f"--{name}": path for name, path in self.named().items()}


class Together:
    """Viewers get every frame; records only those that the detector saw."""

    def __init__(self, viewers: Sequence[Sink], records: Sequence[Sink], stride: int, observe: Observe) -> None:
        """`stride`: frames whose index is no multiple of it were passed over by the detector."""
        self._viewers, self._records, self._stride, self._observe = viewers, records, stride, observe

    def write(self, frame: Frame, tracks: Tracks) -> None:
        """Video, then records."""
        for sink in self._viewers:
            sink.write(frame, tracks)
        if frame.index % self._stride == 0:
            began = perf_counter()
            for sink in self._records:
                sink.write(frame, tracks)
            self._observe("records", perf_counter() - began)

    def close(self) -> None:
        """Finish all; one that fails does not keep the others from finishing."""
        self._each(lambda sink: sink.close())

    def abort(self) -> None:
        """Keep all as they are."""
        self._each(lambda sink: sink.abort())

    def _each(self, act: Callable[[Sink], None]) -> None:
        """Call for every sink, then raise the first error."""
        errors: list[Exception] = []
        for sink in (*self._viewers, *self._records):
            try:
                act(sink)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]


def open_outputs(
    paths: OutputPaths, info: StreamInfo, class_names: Sequence[str], settings: WriteSettings, *, stride: int = 1,
    panel: Callable[[], Sequence[str]] = tuple, overwrite: bool = False, viewers: Sequence[Sink] = (),
    observe: Observe = lambda stage, seconds: None, stop: Event | None = None,
) -> Background:  # fmt: skip
    """Open every wanted output; if one cannot be, none is left behind half open.

    Raises:
        OutputError: an output that exists or cannot be created.
    """
    make_folders(paths.options())
    opened: list[Sink] = []
    records: list[Sink] = []
    try:
        if paths.video:
            overlay = Overlay(
                class_names,
                labels=settings.labels,
                trails=settings.trail_s > 0,
                panel=settings.panel,
                trail_s=settings.trail_s,
            )
            options = VideoOptions(settings.encoder, settings.preset, settings.crf, pixel_aspect=info.pixel_aspect)
            opened.append(
                VideoSink(
                    paths.video, info, overlay, panel=panel, options=options, overwrite=overwrite, observe=observe
                )
            )
        if paths.mot:
            records.append(MotWriter(paths.mot, overwrite=overwrite))
        if paths.jsonl:
            records.append(JsonLinesWriter(paths.jsonl, class_names, overwrite=overwrite))
    except Exception:
        for sink in (*opened, *records):
            sink.abort()
        raise
    return Background(Together([*viewers, *opened], records, stride, observe))
