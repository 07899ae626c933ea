"""The record as Parquet: one row a box, what there is to know of the video in the schema's metadata."""

from __future__ import annotations

import base64
import json
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tracker.errors import RequirementError, UsageError
from tracker.exports.annotation import Annotation, Times
from tracker.exports.sink import Sink

KEY, VERSION = b"tracker", 1
GROUP = 1 << 16  # rows
EDGES = ("x1", "y1", "x2", "y2")


def write_parquet(annotation: Annotation, path: Path | str, *, overwrite: bool = False) -> int:
    """Write the record whole; returns 0, as no box is left out.

    Columns: frame, time_s, id, x1, y1, x2, y2, score, class_id, class_name, interpolated.

    Raises:
        RequirementError: pyarrow is not there.
        OutputError, WriteError: the file cannot be made.
    """
    pa, parquet = _pyarrow()
    schema = _schema(pa).with_metadata({KEY: json.dumps(_about(annotation)).encode("ascii")})
    names = pa.array([name.encode("utf-8", "replace").decode() for name in annotation.class_names], pa.string())
    times = annotation.times()
    with (
        Sink(path, overwrite=overwrite) as sink,
        parquet.ParquetWriter(pa.PythonFile(sink, "w"), schema, compression="zstd") as writer,
    ):
        for start in range(0, len(annotation), GROUP):
            rows = slice(start, start + GROUP)
            class_ids = pa.array(annotation.class_ids[rows])
            columns = [
                pa.array(annotation.frames[rows]), pa.array(times[annotation.frames[rows]]),
                pa.array(annotation.ids[rows]), *(pa.array(edge) for edge in annotation.boxes[rows].T.copy()),
                pa.array(annotation.scores[rows]), class_ids, pa.DictionaryArray.from_arrays(class_ids, names),
                pa.array(annotation.interpolated[rows]),
            ]  # fmt: skip
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=GROUP)
    return 0


def read_parquet(path: Path | str) -> Annotation:
    """The record that `write_parquet` wrote.

    Raises:
        RequirementError: pyarrow is not there.
        UsageError: no such file, or not one of these.
    """
    pa, parquet = _pyarrow()
    try:
        table = parquet.read_table(path, columns=["frame", "id", *EDGES, "score", "class_id", "interpolated"])
        about = json.loads(table.schema.metadata[KEY])
        return _annotation(table, about)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no record of tracks: {' '.join(str(error).split())}") from None


def _pyarrow() -> tuple[Any, Any]:
    """The library. Raises RequirementError."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise RequirementError("Parquet needs pyarrow: pip install 'tracker[annotate]'") from None
    return pyarrow, parquet


def _schema(pa: Any) -> Any:
    """The columns."""
    return pa.schema(
        [
            ("frame", pa.int32()), ("time_s", pa.float64()), ("id", pa.int64()),
            *((edge, pa.float32()) for edge in EDGES), ("score", pa.float32()), ("class_id", pa.int32()),
            ("class_name", pa.dictionary(pa.int32(), pa.string())), ("interpolated", pa.bool_()),
        ]
    )  # fmt: skip


def _about(annotation: Annotation) -> dict[str, Any]:
    """All but the columns, for JSON."""
    return {
        "version": VERSION, "name": annotation.name, "width": annotation.width, "height": annotation.height,
        "frame_count": annotation.frame_count,
        "frame_rate": None if annotation.frame_rate is None else str(annotation.frame_rate),
        "times_s": _packed(annotation.times_s), "class_names": annotation.class_names, "files": annotation.files,
        "model": annotation.model,
    }  # fmt: skip


def _packed(times: Times | None) -> str | None:
    """Times as text: the base64 of their zlib-compressed little-endian float64."""
    return None if times is None else base64.b64encode(zlib.compress(times.astype("<f8").tobytes())).decode("ascii")


def _annotation(table: Any, about: dict[str, Any]) -> Annotation:
    """The record of a file's rows and metadata. Raises ValueError, KeyError, TypeError for what is no record."""
    if about["version"] != VERSION:
        raise ValueError(f"wanted version {VERSION}, got {about['version']}")

    def column(name: str, dtype: type[np.generic]) -> Any:
        return table.column(name).to_numpy().astype(dtype)

    packed, rate = about["times_s"], about["frame_rate"]
    times = None if packed is None else np.frombuffer(zlib.decompress(base64.b64decode(packed)), "<f8").copy()
    return Annotation(
        about["name"], about["width"], about["height"], about["frame_count"], None if rate is None else Fraction(rate),
        times, tuple(about["class_names"]), frames=column("frame", np.int32), ids=column("id", np.int64),
        boxes=np.stack([column(edge, np.float32) for edge in EDGES], 1), scores=column("score", np.float32),
        class_ids=column("class_id", np.int32), interpolated=column("interpolated", np.bool_),
        files=tuple(about["files"]), model=about["model"],
    )  # fmt: skip
