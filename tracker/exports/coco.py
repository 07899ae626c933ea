"""COCO with videos, as CocoVID and TAO have it: videos, images, tracks, annotations with track_id, categories.

image and annotation ids from 1, frame_id from 0, category_id is class_id + 1. The pictures are named as CVAT names the
frames of a video: `<stem>/frame_000000.jpg` is the first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from tracker.errors import UsageError
from tracker.exports.annotation import Annotation
from tracker.exports.keyframes import paths
from tracker.exports.prepare import clean_names, prepared, safe_stem
from tracker.exports.sink import Sink


def write_coco(annotation: Annotation | Sequence[Annotation], path: Path | str, *, overwrite: bool = False) -> int:
    """Write one video or several; returns the boxes left out (`prepared`).

    `instance_id` is the track's id in its video; `track_id` is the same of the first video, and goes on counting in
    the next ones. `attributes` are what CVAT makes tracks of.

    Raises:
        UsageError: the videos have not the same class names.
        OutputError, WriteError: the file cannot be made.
    """
    several = [annotation] if isinstance(annotation, Annotation) else list(annotation)
    if len({one.class_names for one in several}) > 1:
        raise UsageError(f"{path}: the videos of one COCO file must have the same class names; write one file a video")
    pairs = [prepared(one) for one in several]
    dataset = _Dataset([record for record, _ in pairs])
    with Sink(path, overwrite=overwrite) as sink:
        sink.text('{"info": {"description": "tracks of objects in video"}, "licenses": []')
        for key, objects in dataset.lists():
            sink.text(f',\n"{key}": [')
            glue = "\n"
            for text in objects:
                sink.text(glue + text)
                glue = ",\n"
            sink.text("]")
        sink.text("}\n")
    return sum(left_out for _, left_out in pairs)


class _Dataset:
    """The lists of a file, each object as its JSON text."""

    def __init__(self, records: list[Annotation]) -> None:
        """Number videos, images and tracks."""
        self._videos: list[tuple[int, Annotation, int, int]] = []  # number, record, images before, ids before
        self._folders = clean_names(tuple(safe_stem(record.name) for record in records))
        images = ids = 0
        for number, record in enumerate(records, 1):
            self._videos.append((number, record, images, ids))
            images += record.frame_count
            ids += int(record.ids.max(initial=0))

    def lists(self) -> Iterator[tuple[str, Iterator[str]]]:
        """The lists in the order of the file."""
        yield "categories", self._categories()
        for key, of_video in (
            ("videos", _video), ("images", self._images), ("tracks", _tracks), ("annotations", self._annotations),
        ):  # fmt: skip
            yield key, chain.from_iterable(of_video(*video) for video in self._videos)

    def _categories(self) -> Iterator[str]:
        """Of all videos the same."""
        names = self._videos[0][1].class_names if self._videos else ()
        for number, name in enumerate(names, 1):
            yield json.dumps({"id": number, "name": name, "supercategory": ""})

    def _images(self, number: int, record: Annotation, images: int, ids: int) -> Iterator[str]:
        """All frames, also those without a box."""
        folder, size = self._folders[number - 1], f'"width": {record.width}, "height": {record.height}'
        for frame, time_s in enumerate(record.times().tolist()):
            file = record.files[frame] if record.files else f"{folder}/frame_{frame:06d}.jpg"
            yield (
                f'{{"id": {images + frame + 1}, "video_id": {number}, "frame_id": {frame}, {size}, '
                f'"file_name": {json.dumps(file)}, "time_s": {round(time_s, 6)}}}'
            )

    def _annotations(self, number: int, record: Annotation, images: int, ids: int) -> Iterator[str]:
        """One box each."""
        first = 1 + sum(len(other) for _, other, _, _ in self._videos[: number - 1])
        for place, row in enumerate(record.rows(), first):
            frame, instance, left, top, right, bottom, score, class_id, filled = row
            wide, high = round(right - left, 2), round(bottom - top, 2)
            yield (
                f'{{"id": {place}, "image_id": {images + frame + 1}, "video_id": {number}, '
                f'"category_id": {class_id + 1}, "track_id": {ids + instance}, "instance_id": {instance}, '
                f'"bbox": [{left}, {top}, {wide}, {high}], "area": {round(wide * high, 2)}, "iscrowd": 0, '
                f'"segmentation": [], "score": {score:.4f}, "attributes": {{"track_id": {ids + instance}, '
                f'"keyframe": true, "occluded": {"true" if filled else "false"}}}}}'
            )


def _video(number: int, record: Annotation, images: int, ids: int) -> Iterator[str]:
    """The video itself."""
    yield json.dumps(
        {
            "id": number, "name": record.name, "width": record.width, "height": record.height,
            "length": record.frame_count, "fps": round(float(record.rate), 6),
        }
    )  # fmt: skip


def _tracks(number: int, record: Annotation, images: int, ids: int) -> Iterator[str]:
    """Each once."""
    for path in paths(record):
        yield f'{{"id": {ids + path.id}, "category_id": {path.class_id + 1}, "video_id": {number}}}'
