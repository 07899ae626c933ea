"""Tracking of detection files: what `tracker track` does between its flags and its exit code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

import numpy as np

from tracker import __version__
from tracker.cli.progress import Progress, say
from tracker.config import Settings, TrackerSettings, nearest
from tracker.detections import DetectionFile, read_detections
from tracker.errors import Interrupted, PartlyDone, TrackerError, UsageError
from tracker.meters import Rate
from tracker.sequences import MotSequence, find_sequences
from tracker.structures import Tracks
from tracker.track import make_tracker
from tracker.track.whole import NAMES, has_whole, link_whole
from tracker.write.paths import check_paths, make_folders, write_json
from tracker.write.records import JsonLinesWriter, MotWriter

Writer = MotWriter | JsonLinesWriter
SUFFIXES = {"--mot": ".txt", "--jsonl": ".jsonl"}


@dataclass(frozen=True)
class Moment:
    """A frame whose picture nobody has."""

    index: int
    time_s: float
    file: str = ""


@dataclass
class Figures:
    """What one sequence came to, as the summary has it."""

    frame_rate: str
    frames: int = 0
    detections: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  # detections by reason
    tracks: int = 0
    duration_s: float = 0.0
    wall_s: float = 0.0


def online(settings: TrackerSettings, file: DetectionFile, sequence: MotSequence) -> Iterator[tuple[Moment, Tracks]]:
    """The tracks of every frame, known from the frames up to it; frames without detections too."""
    tracker, rate = make_tracker(settings), sequence.frame_rate
    for number in range(1, max(file.frames, sequence.frames) + 1):
        moment = Moment(number - 1, (number - 1) * rate.denominator / rate.numerator)
        yield moment, tracker.update(file.frame(number), moment.time_s)


def offline(settings: TrackerSettings, file: DetectionFile, sequence: MotSequence) -> Iterator[tuple[Moment, Tracks]]:
    """The tracks of every frame, known from the whole sequence."""
    rate = sequence.frame_rate
    moments = [
        Moment(number, number * rate.denominator / rate.numerator)
        for number in range(max(file.frames, sequence.frames))
    ]
    frames = ((file.frame(moment.index + 1), moment.time_s) for moment in moments)
    yield from zip(moments, link_whole(settings, frames), strict=True)


class TrackSession:
    """Everything of one `tracker track`."""

    def __init__(self, settings: Settings, flags: Mapping[str, Any], stop: Event) -> None:
        """Find the sequences and refuse outputs that exist, before anything is read.

        Raises:
            UsageError: no sequence, an unknown class, a tracker that is not there, or an output that cannot be.
        """
        self.settings, self.flags, self.stop = settings, flags, stop
        self.source: Path = flags["detections"]
        if flags["offline"] and not has_whole(settings.tracker):
            raise UsageError(f"--offline works with --tracker {NAMES}, got {settings.tracker.name}")
        self.class_ids = class_ids_of(settings.detect.classes)
        self.sequences = find_sequences(self.source, flags["frame_rate"])
        self.figures: dict[str, Figures] = {}
        self.failed: list[str] = []
        summary = {"--summary": flags["summary"]} if flags["summary"] else {}
        for sequence in self.sequences:
            taken = {**self._paths(sequence), **summary}
            check_paths(taken, overwrite=flags["overwrite"], source=str(sequence.detections))

    def run(self) -> None:
        """Track all sequences and write, in order. In a folder one that fails does not keep the others from it.

        Raises:
            TrackerError: what ended the run; the sequence that it ended keeps its partial names.
        """
        began = perf_counter()
        error: TrackerError | None = None
        asked = self.flags["frame_rate"]
        other = [sequence for sequence in self.sequences if asked is not None and sequence.frame_rate != asked]
        if other:
            say(f"notice: {len(other)} of {len(self.sequences)} sequences go by their seqinfo.ini, not by --frame-rate")
        try:
            for sequence in self.sequences:
                if self.stop.is_set():
                    raise Interrupted(f"interrupted; {len(self.figures)} of {len(self.sequences)} sequences are done")
                self._try(sequence)
        except Interrupted as caught:
            error = caught
        error = error or self._verdict()
        wall_s = perf_counter() - began
        if self.flags["summary"]:
            content = self._summary(error, wall_s)
            write_json("--summary", self.flags["summary"], content, overwrite=self.flags["overwrite"])
        if self.figures:
            say(self._last_line("interrupted" if isinstance(error, Interrupted) else "done", wall_s))
        if error is not None:
            raise error

    def _try(self, sequence: MotSequence) -> None:
        """Track one sequence; in a folder bad input is told and the next one's turn comes."""
        try:
            self._track(sequence)
        except UsageError as error:
            if not self.source.is_dir():
                raise
            self.failed.append(sequence.name)
            say(f"tracker: {error}")

    def _verdict(self) -> TrackerError | None:
        """The error of a folder with sequences that failed."""
        if not self.failed:
            return None
        if not self.figures:
            return UsageError(f"{self.source}: no sequence could be tracked, for the reasons above")
        return PartlyDone(
            f"{len(self.failed)} of {len(self.sequences)} sequences failed, for the reasons above: "
            f"{', '.join(self.failed)}; the others are done"
        )

    def _track(self, sequence: MotSequence) -> None:
        """Read, track and write one sequence. Raises TrackerError; its outputs keep their partial names then."""
        began, figures = perf_counter(), Figures(str(sequence.frame_rate))
        file = self._read(sequence, figures)
        writers: list[Writer] = []
        try:
            self._open_writers(writers, sequence)
            self._follow(file, sequence, figures, writers)
        except BaseException:
            for writer in writers:
                writer.abort()
            raise
        for writer in writers:
            writer.close()
        figures.wall_s = round(perf_counter() - began, 3)
        self.figures[sequence.name] = figures

    def _read(self, sequence: MotSequence, figures: Figures) -> DetectionFile:
        """The detections that are wanted; tells what was done to them. Raises UsageError."""
        file = read_detections(sequence.detections)
        if not file.in_order:
            say(f"notice: {sequence.detections}: the frames are out of order; sorted")
        if file.without_area:
            figures.dropped["no area"] = file.without_area
            say(f"notice: {sequence.detections}: boxes without area left out: {file.without_area}")
        weak = file.detections.scores < np.float32(self.settings.detect.score)
        if weak.any():
            figures.dropped["score"] = int(weak.sum())
            file = file.where(~weak)
        if self.class_ids:
            wanted = np.isin(file.detections.class_ids, self.class_ids)
            figures.dropped["class"] = int((~wanted).sum())
            file = file.where(wanted)
        figures.detections = len(file.detections)
        return file

    def _open_writers(self, writers: list[Writer], sequence: MotSequence) -> None:
        """Add a writer for each output asked for. Raises OutputError."""
        paths, overwrite = self._paths(sequence), self.flags["overwrite"]
        make_folders(paths)
        if "--mot" in paths:
            writers.append(MotWriter(paths["--mot"], overwrite=overwrite))
        if "--jsonl" in paths:
            from tracker.detect.card import COCO_CLASSES

            writers.append(JsonLinesWriter(paths["--jsonl"], COCO_CLASSES, overwrite=overwrite))

    def _paths(self, sequence: MotSequence) -> dict[str, Path]:
        """The outputs of a sequence by option: the file that was named, or NAME.txt in the folder that was named."""
        given = {option: self.flags[option[2:]] for option in SUFFIXES if self.flags[option[2:]]}
        if not self.source.is_dir():
            return given
        return {option: path / f"{sequence.name}{SUFFIXES[option]}" for option, path in given.items()}

    def _tracks(self, file: DetectionFile, sequence: MotSequence) -> Iterator[tuple[Moment, Tracks]]:
        """The tracks of every frame, online or offline."""
        settings = self.settings.tracker
        if self.flags["offline"] and has_whole(settings):
            return offline(settings, file, sequence)
        return online(settings, file, sequence)

    def _follow(self, file: DetectionFile, sequence: MotSequence, figures: Figures, writers: Sequence[Writer]) -> None:
        """Write and count every frame. Raises Interrupted or WriteError."""
        rate, progress = Rate(perf_counter()), Progress(max(file.frames, sequence.frames))
        seen: set[int] = set()
        try:
            for moment, tracks in self._tracks(file, sequence):
                if self.stop.is_set():
                    raise Interrupted(f"interrupted; {sequence.name} is unfinished, under its partial name")
                for writer in writers:
                    writer.write(moment, tracks)
                seen.update(tracks.ids.tolist())
                figures.frames, figures.duration_s = moment.index + 1, round(moment.time_s, 6)
                progress.update(figures.frames, rate.tick(perf_counter()), len(tracks))
        finally:
            progress.close()
        figures.tracks = len(seen)

    def _total(self) -> Figures:
        """All sequences together."""
        total = Figures("")
        for figures in self.figures.values():
            total.frames += figures.frames
            total.detections += figures.detections
            total.tracks += figures.tracks
            total.duration_s += figures.duration_s
            for reason, number in figures.dropped.items():
                total.dropped[reason] = total.dropped.get(reason, 0) + number
        return total

    def _summary(self, error: TrackerError | None, wall_s: float) -> dict[str, Any]:
        """The summary, as documented in the README."""
        total = self._total()
        outcome = {Interrupted: "interrupted", PartlyDone: "partly done", UsageError: "failed"}
        return {
            "version": __version__,
            "outcome": outcome[type(error)] if error else "done",
            "error": str(error) if error else None,
            "source": str(self.source),
            "frames": {"captured": total.frames, "processed": total.frames, "dropped": {}},
            "detections": total.detections,
            "detections_dropped": total.dropped,
            "tracks": total.tracks,
            "fps": round(total.frames / wall_s, 2) if wall_s else 0.0,
            "tracker": self.settings.tracker.name,
            "mode": "offline" if self.flags["offline"] else "online",
            "duration_s": round(total.duration_s, 6),
            "wall_s": round(wall_s, 3),
            "sequences": {name: asdict(figures) for name, figures in self.figures.items()},
            "failed": self.failed,
            "settings": self.settings.model_dump(mode="json"),
        }

    def _last_line(self, outcome: str, wall_s: float) -> str:
        """What there is now, in one line."""
        total = self._total()
        sequences = f"{len(self.figures)} sequences, " if self.source.is_dir() else ""
        dropped = "".join(f", {number} dropped ({reason})" for reason, number in total.dropped.items())
        return (
            f"{outcome}: {sequences}{total.frames} frames, {total.detections} detections{dropped}, "
            f"{total.tracks} tracks; {self.settings.tracker.name}, {wall_s:.2f} s"
        )


def class_ids_of(names: Sequence[str]) -> list[int]:
    """The class_ids of numbers as in the file (class_id + 1) and of COCO's names. Raises UsageError."""
    found = []
    for name in names:
        if name.isascii() and name.isdigit() and int(name[:9]) > 0:
            found.append(int(name[:9]) - 1)
            continue
        from tracker.detect.card import COCO_CLASSES

        if name not in COCO_CLASSES:
            raise UsageError(
                f"--classes: wanted numbers from 1 as in the file, or COCO's names, got '{name}'; "
                f"{nearest(name, list(COCO_CLASSES))}"
            )
        found.append(COCO_CLASSES.index(name))
    return found
