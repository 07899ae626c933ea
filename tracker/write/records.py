"""Tracks and detections as text: MOT lines, JSON lines, COCO results. Whole lines only, whenever the process ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from tracker.errors import WriteError
from tracker.structures import Detections, Tracks
from tracker.write.files import PartialFile


class Moment(Protocol):
    """What a record tells of a frame. A `Frame` is one, and so is a frame whose picture nobody has."""

    @property
    def index(self) -> int:
        """From 0."""

    @property
    def time_s(self) -> float:
        """Seconds from the first frame."""

    @property
    def file(self) -> str:
        """Name of the picture file, "" where there is none."""


class _Records:
    """What the writers share: an end with and without the final name."""

    def __init__(self, path: Path | str, *, overwrite: bool) -> None:
        """Create the partial file; raises OutputError."""
        self._file = PartialFile(path, overwrite=overwrite)

    def close(self) -> None:
        """Finish under the final name. Raises WriteError, OutputError."""
        self._file.commit()

    def abort(self) -> None:
        """Keep the whole lines written so far, under the partial name; where there are none, no file."""
        if self._file.size:
            self._file.keep()
        else:
            self._file.discard()


class MotWriter(_Records):
    """MOTChallenge text: `frame,id,left,top,width,height,score,class,visibility`, frame from 1, class from 1."""

    def __init__(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Create the partial file.

        Raises:
            OutputError: path exists, or cannot be written.
        """
        super().__init__(path, overwrite=overwrite)

    def write(self, frame: Moment, tracks: Tracks) -> None:
        """Append the tracks of one frame; a frame without tracks has no line. Raises WriteError."""
        lines = []
        columns = (tracks.ids, tracks.boxes, tracks.scores, tracks.class_ids)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for number, (left, top, right, bottom), score, class_id in rows:
            box = f"{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f}"
            lines.append(f"{frame.index + 1},{number},{box},{score:.4f},{class_id + 1},1\n")
        self._file.append("".join(lines).encode("ascii"))


class _JsonLines(_Records):
    """One object a frame."""

    def __init__(self, path: Path | str, class_names: Sequence[str], *, overwrite: bool = False) -> None:
        """Create the partial file.

        Args:
            path: final name.
            class_names: name of each class_id; an id beyond them is `class_<id>`.
            overwrite: replace what exists.

        Raises:
            OutputError: path exists, or cannot be written.
        """
        super().__init__(path, overwrite=overwrite)
        self._names = tuple(class_names)

    def _objects(self, found: Detections | Tracks) -> list[dict[str, Any]]:
        """The objects of one frame, ids left out."""
        rows = zip(found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True)
        return [
            {
                "class_name": class_name(self._names, class_id),
                "class_id": class_id,
                "score": round(score, 4),
                "box": [round(edge, 2) for edge in box],
            }
            for box, score, class_id in rows
        ]

    def _append(self, frame: Moment, key: str, objects: list[dict[str, Any]]) -> None:
        """Append the line of one frame. Raises WriteError."""
        line: dict[str, Any] = {"index": frame.index, "time_s": round(frame.time_s, 6)}
        if frame.file:
            line["file"] = frame.file
        line[key] = objects
        self._file.append(json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


class JsonLinesWriter(_JsonLines):
    """Tracks, one JSON object a frame, also of a frame without tracks."""

    def write(self, frame: Moment, tracks: Tracks) -> None:
        """Append one frame. Raises WriteError."""
        pairs = zip(tracks.ids.tolist(), self._objects(tracks), strict=True)
        objects = [{"id": number, **found} for number, found in pairs]
        self._append(frame, "tracks", objects)


class JsonLinesDetections(_JsonLines):
    """Detections, one JSON object a frame, also of a frame without detections."""

    def write_detections(self, frame: Moment, detections: Detections) -> None:
        """Append one frame. Raises WriteError."""
        self._append(frame, "detections", self._objects(detections))


class CocoDetections(_Records):
    """COCO results: one JSON list of `{image_id, category_id, bbox, score}`, bbox in xywh pixels.

    image_id is the number that the picture's file is named by (`000000000139.jpg` -> 139), else the frame's index + 1.
    """

    def __init__(
        self, path: Path | str, *, category_ids: Mapping[int, int] | Sequence[int] | None = None,
        overwrite: bool = False,
    ) -> None:  # fmt: skip
        """Create the partial file.

        Args:
            path: final name.
            category_ids: COCO's id of each class_id, as COCO leaves gaps; without it class_id + 1.
            overwrite: replace what exists.

        Raises:
            OutputError: path exists, or cannot be written.
        """
        super().__init__(path, overwrite=overwrite)
        pairs = category_ids if isinstance(category_ids, Mapping) else dict(enumerate(category_ids or ()))
        self._categories = dict(pairs)
        self._glue = b"[\n"

    def write_detections(self, frame: Moment, detections: Detections) -> None:
        """Append one frame. Raises WriteError."""
        stem = Path(frame.file).stem
        image_id = int(stem) if stem.isascii() and stem.isdigit() else frame.index + 1
        rows = zip(detections.boxes.tolist(), detections.scores.tolist(), detections.class_ids.tolist(), strict=True)
        objects = [
            json.dumps(
                {
                    "image_id": image_id,
                    "category_id": self._categories.get(class_id, class_id + 1),
                    "bbox": [round(left, 2), round(top, 2), round(right - left, 2), round(bottom - top, 2)],
                    "score": round(score, 5),
                }
            )
            for (left, top, right, bottom), score, class_id in rows
        ]
        if objects:
            self._file.append(self._glue + ",\n".join(objects).encode("ascii"))
            self._glue = b",\n"

    def close(self) -> None:
        """End the list and take the final name. Raises WriteError, OutputError."""
        self._end()
        super().close()

    def abort(self) -> None:
        """End the list under the partial name, so that it is still JSON."""
        with suppress(WriteError):  # a full disk has no room for the end either
            if self._file.size:
                self._end()
        super().abort()

    def _end(self) -> None:
        """Write the closing bracket once."""
        if self._glue:
            self._file.append(b"[]\n" if self._glue == b"[\n" else b"\n]\n")
            self._glue = b""


def class_name(names: Sequence[str], class_id: int) -> str:
    """Name of a class, `class_<id>` where it has none."""
    return names[class_id] if 0 <= class_id < len(names) else f"class_{class_id}"
