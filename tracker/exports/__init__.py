"""Exports: from the canonical record of one video to the files that annotation tools and trainers import.

Nothing in them depends on the date or on chance. What a person sees of them is in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from tracker.exports.annotation import Annotation, Recorder
from tracker.exports.coco import write_coco
from tracker.exports.cvat import write_cvat
from tracker.exports.jsonl import read_jsonl, write_jsonl
from tracker.exports.labelstudio import labelling_config, write_labelstudio
from tracker.exports.mot import write_mot
from tracker.exports.parquet import read_parquet, write_parquet
from tracker.exports.yolo import write_yolo

__all__ = [
    "FORMATS", "Annotation", "Format", "Recorder", "labelling_config", "read_jsonl", "read_parquet", "write_coco",
    "write_cvat", "write_jsonl", "write_labelstudio", "write_mot", "write_parquet", "write_yolo",
]  # fmt: skip


class Write(Protocol):
    """Writes one record; returns how many boxes were left out."""

    def __call__(self, annotation: Annotation, path: Path | str, *, overwrite: bool = False) -> int:
        """Raises OutputError, WriteError, RequirementError."""


@dataclass(frozen=True)
class Format:
    """How a record is written.

    Attributes:
        suffix: of the file, "" for a folder.
        write: the function.
        what: for help texts.
    """

    suffix: str
    write: Write
    what: str


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "mot": Format(".zip", write_mot, "MOTChallenge 1.1 (CVAT, datumaro, TrackEval)"),
        "coco": Format(".json", write_coco, "COCO with videos and tracks"),
        "cvat": Format(".xml", write_cvat, "CVAT for video 1.1"),
        "labelstudio": Format(".json", write_labelstudio, "Label Studio VideoRectangle"),
        "yolo": Format("", write_yolo, "YOLO text files, with and without track ids"),
        "jsonl": Format(".jsonl", write_jsonl, "JSON lines"),
        "parquet": Format(".parquet", write_parquet, "Parquet, the record itself"),
    }
)
