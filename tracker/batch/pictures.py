"""What an archive shows rather than tells, on request: the annotated video, and pictures cut out of each track."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import cv2
import numpy as np

from tracker.batch.detecting import open_video
from tracker.batch.job import Job
from tracker.errors import Interrupted, WriteError
from tracker.exports import Annotation
from tracker.structures import CONFIRMED, LOST, Frame, Ids, Tracks
from tracker.write.outputs import OutputPaths, open_outputs

QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 92]


def write_pictures(job: Job, annotation: Annotation, stop: Event) -> None:
    """Read the video once more for what the plan wants of it: `video/NAME.mp4`, `crops/NAME/ID/FRAME.jpg`.

    Raises:
        Interrupted: `stop` was set. WriteError, OutputError: a file cannot be written. SourceError: it cannot be read.
    """
    plan, name = job.plan, job.video.name
    if not (plan.video or plan.crops):
        return
    offsets, crops = annotation.offsets(), None
    if plan.crops:
        crops = Crops(plan.output / "crops" / name, annotation, plan.crops)
    with open_video(job, stop) as source:
        paths = OutputPaths(video=plan.output / "video" / f"{name}.mp4" if plan.video else None)
        look = plan.settings.write.model_copy(update={"panel": False})  # there is no speed to be shown
        sink = open_outputs(paths, source.info, annotation.class_names, look, overwrite=True, prompt=False)
        try:
            for frame in source:
                sink.write(frame, tracks_at(annotation, offsets, frame.index))
                if crops is not None:
                    crops.cut(frame)
            if stop.is_set():
                raise Interrupted("stopped")
            sink.close()
        except BaseException:
            sink.abort()
            raise
    if crops is not None:
        crops.close()


def tracks_at(annotation: Annotation, offsets: Ids, index: int) -> Tracks:
    """The tracks of a frame; none beyond the last one."""
    if index >= annotation.frame_count:
        return Tracks.empty()
    rows = slice(int(offsets[index]), int(offsets[index + 1]))
    state = np.where(annotation.interpolated[rows], LOST, CONFIRMED).astype(np.int64)
    return Tracks(
        annotation.ids[rows], annotation.boxes[rows], annotation.scores[rows],
        annotation.class_ids[rows].astype(np.int64), np.zeros(len(state), np.float32), state,
    )  # fmt: skip


class Crops:
    """Pictures of each track, spread evenly over its life; frames in which it was not seen are left out."""

    def __init__(self, folder: Path, annotation: Annotation, most: int) -> None:
        """`most` a track. Raises WriteError."""
        self._folder, self._partial = folder, folder.with_name(f"{folder.name}.partial")
        self._wanted: dict[int, list[tuple[int, Sequence[float]]]] = defaultdict(list)
        order, starts = annotation.by_track()
        for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            seen = order[begin:end][~annotation.interpolated[order[begin:end]]]
            places = np.linspace(0, len(seen) - 1, min(most, len(seen))).round().astype(int)
            for row in seen[np.unique(places)].tolist():
                self._wanted[int(annotation.frames[row])].append(
                    (int(annotation.ids[row]), annotation.boxes[row].tolist())
                )
        shutil.rmtree(self._partial, ignore_errors=True)

    def cut(self, frame: Frame) -> None:
        """Take what is wanted of this frame. Raises WriteError."""
        for number, (left, top, right, bottom) in self._wanted.pop(frame.index, ()):
            rows = slice(max(int(top), 0), max(int(np.ceil(bottom)), 0))
            columns = slice(max(int(left), 0), max(int(np.ceil(right)), 0))
            picture = frame.bgr[rows, columns]
            if not picture.size:
                continue
            target = self._partial / str(number) / f"{frame.index:06d}.jpg"
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(cv2.imencode(".jpg", picture, QUALITY)[1].tobytes())
            except OSError as error:
                raise WriteError(f"{target} could not be written: {error.strerror}") from error

    def close(self) -> None:
        """All there: take the final name. Raises WriteError."""
        try:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._partial.mkdir(parents=True, exist_ok=True)
            self._partial.rename(self._folder)
        except OSError as error:
            raise WriteError(f"{self._folder} could not be written: {error.strerror}") from error
