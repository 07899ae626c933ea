"""All outputs of one run behind one sink: the video first, then the records, in one bounded background thread.

In this order a killed process never leaves records whose picture is more than one fragment behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import perf_counter
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tracker.config import WriteSettings
from tracker.errors import OutputError
from tracker.interfaces import Sink
from tracker.structures import Frame, StreamInfo, Tracks
from tracker.write.background import Background
from tracker.write.draw import Overlay
from tracker.write.files import partial_path
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


def check_paths(wanted: Mapping[str, Path], *, overwrite: bool, source: str) -> None:
    """Refuse outputs (option -> path) before anything is opened; touches nothing.

    Raises:
        OutputError: two outputs of one name, the source itself, a folder that is not there, or a file (or a leftover
            of a killed run) that exists without `overwrite`.
    """
    if len({path.absolute() for path in wanted.values()}) < len(wanted):
        raise OutputError("two outputs have the same name; give each its own")
    for option, path in wanted.items():
        try:
            _check_path(option, path, _file_of(source), overwrite)
        except OSError as error:
            raise OutputError(f"{option} {path} cannot be written: {error.strerror}; choose another name") from None


def _file_of(source: str) -> Path | None:
    """The file behind a source, None where it is none."""
    local = url2pathname(urlsplit(source).path) if source.startswith("file:") else source
    try:
        return Path(local) if Path(local).exists() else None
    except OSError:  # an address too long for a name
        return None


def _check_path(option: str, path: Path, source: Path | None, overwrite: bool) -> None:
    """Check one output; raises OutputError or OSError."""
    if source is not None and path.exists() and path.samefile(source):
        raise OutputError(f"{option} {path} is the source itself; choose another name")
    if path.is_dir():
        raise OutputError(f"{option} {path} is a folder; give the name of a file")
    for taken in (path, partial_path(path)):
        if taken.exists() and not overwrite:
            left = " (left by a run that did not finish)" if taken != path else ""
            raise OutputError(f"{taken} exists{left}; add --overwrite or choose another {option}")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise OutputError(f"{option} {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"{option} {path} cannot be written: no permission in the folder {folder}; choose another name"
        )


def make_folders(wanted: Mapping[str, Path]) -> None:
    """Make the folders of all outputs. Raises OutputError."""
    for option, path in wanted.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{option} {path}: folder {path.parent} cannot be made: {error.strerror}") from None


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
            options = VideoOptions(preset=settings.preset, crf=settings.crf, pixel_aspect=info.pixel_aspect)
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
