"""All outputs of one run behind one sink: the video first, then the records, in one bounded background thread.

In this order a killed process never leaves records whose picture is more than one fragment behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from time import perf_counter

from tracker.config import WriteSettings
from tracker.interfaces import Sink
from tracker.structures import Frame, StreamInfo, Tracks
from tracker.write.background import Background
from tracker.write.draw import Overlay
from tracker.write.paths import make_folders
from tracker.write.pictures import PictureSink
from tracker.write.records import JsonLinesWriter, MotWriter
from tracker.write.stays import StaysWriter, check_suffix
from tracker.write.video import VideoOptions, VideoSink

Observe = Callable[[str, float], None]


@dataclass(frozen=True)
class OutputPaths:
    """Final names of the outputs of a run; `pictures` is a folder. None: not wanted."""

    video: Path | None = None
    mot: Path | None = None
    jsonl: Path | None = None
    summary: Path | None = None
    stays: Path | None = None
    pictures: Path | None = None

    def __post_init__(self) -> None:
        """Check; raises OutputError."""
        if self.stays is not None:
            check_suffix(self.stays)

    def named(self) -> dict[str, Path]:
        """The wanted ones by kind."""
        every = {field.name: getattr(self, field.name) for field in fields(self)}
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
    panel: Callable[[], Sequence[str]] = tuple, output_rate: Fraction | None = None, stamps: bool = False,
    overwrite: bool = False, prompt: bool = True, viewers: Sequence[Sink] = (),
    observe: Observe = lambda stage, seconds: None,
) -> Background:  # fmt: skip
    """Open every wanted output; if one cannot be, none is left behind half open.

    Args:
        paths: what is wanted.
        info: of the source.
        class_names: name of each class_id.
        settings: of the annotated video and pictures.
        stride: of the frames, the detector saw each `stride`-th; records have these only.
        panel: asked at each frame for the lines of the corner panel.
        output_rate: frames a second of the annotated video; None: with the source's own times.
        stamps: draw on each frame when it was: the date where `info.began` is known, else the time since the first.
        overwrite: replace what exists. prompt: as of `Mp4Writer`.
        viewers: get every frame before the files do.
        observe: told the seconds of each stage.

    Raises:
        OutputError: an output that exists or cannot be created.
    """
    make_folders(paths.options())
    opened: list[Sink] = []
    records: list[Sink] = []
    try:
        if paths.video:
            options = VideoOptions(
                settings.encoder, settings.preset, settings.crf, pixel_aspect=info.pixel_aspect,
                output_rate=output_rate, prompt=prompt,
            )  # fmt: skip
            opened.append(
                VideoSink(
                    paths.video, info, _overlay(class_names, settings), panel=panel, options=options, stamps=stamps,
                    overwrite=overwrite, observe=observe,
                )
            )  # fmt: skip
        if paths.pictures:
            opened.append(
                PictureSink(
                    paths.pictures, info, _overlay(class_names, settings), panel=panel, stamps=stamps,
                    output_rate=output_rate, overwrite=overwrite, observe=observe,
                )
            )  # fmt: skip
        if paths.mot:
            records.append(MotWriter(paths.mot, overwrite=overwrite))
        if paths.jsonl:
            records.append(JsonLinesWriter(paths.jsonl, class_names, overwrite=overwrite))
        if paths.stays:
            records.append(StaysWriter(paths.stays, class_names, began=info.began, overwrite=overwrite))
    except Exception:
        for sink in (*opened, *records):
            sink.abort()
        raise
    return Background(Together([*viewers, *opened], records, stride, observe))


def _overlay(class_names: Sequence[str], settings: WriteSettings) -> Overlay:
    """What is drawn, after the settings; one a sink, as it remembers trails."""
    return Overlay(
        class_names, labels=settings.labels, trails=settings.trail_s > 0, panel=settings.panel, trail_s=settings.trail_s
    )
