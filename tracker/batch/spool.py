"""What the detector saw of one video, on the disk: Parquet, one row a frame, in segments of a fixed length.

A segment is there whole or not at all, so a job that was killed goes on behind the last one. When all are there they
become one file. Tracking reads nothing else, so it can be done again with other settings and without the video.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tracker.batch.sights import DETECTED, Sight, lists, schema, sights_of, table_of
from tracker.errors import RequirementError, TrackerError, WriteError

if TYPE_CHECKING:  # it comes with the decoder
    from tracker.capture.mark import Mark

SEGMENT = 512  # frames
PART, LONG = 2 * SEGMENT, 4 * SEGMENT
"""Frames of a part, and of a video that has parts, see `tracker.batch.parts`."""
ABOUT, FAULTS = b"tracker", b"faults"  # notes of a whole spool, of a segment


@dataclass(frozen=True)
class About:
    """The video of a spool.

    Attributes:
        width, height: pixels.
        frame_rate: nominal frames a second as a fraction, "" where there is none.
        class_names: of the class ids.
        warnings: what was wrong with the video, one line each.
    """

    width: int
    height: int
    frame_rate: str
    class_names: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Moments:
    """All frames of a video, without what was found in them.

    Attributes:
        index: (F,) int64. time_s: (F,) float64.
        found: (F,) how many objects the scores add up to; not a number where the stride passed the frame over.
    """

    index: NDArray[np.int64]
    time_s: NDArray[np.float64]
    found: NDArray[np.float64]


class Spool:
    """The spool of one video: `folder/NAME.parquet` when whole, `folder/NAME/FIRST.parquet` before.

    Beside it `folder/NAME.pictures`, see `tracker.batch.samples`.

    Attributes:
        path: of the whole one. parts: the folder of segments. pictures: see above.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Nothing is read or made yet."""
        self.path, self.parts = folder / f"{name}.parquet", folder / name
        self.pictures = folder / f"{name}.pictures"

    @property
    def whole(self) -> bool:
        """Whether every frame is there."""
        return self.path.is_file()

    def reached(self) -> int:
        """How many frames are safe on the disk, from the first on without a gap."""
        if self.whole:
            return _rows(self.path)
        return sum(_rows(path) for path in self._segments())

    def last(self) -> Sight | None:
        """The last frame on the disk that the detector saw."""
        for path in reversed(self._segments()):
            seen = [sight for sight in sights_of(_parquet().read_table(path)) if sight.found is not None]
            if seen:
                return seen[-1]
        return None

    def mark(self, index: int) -> Mark | None:
        """Where to go on in the video: from frame `index` on. None where the video was faulty up to there."""
        import pyarrow as pa

        from tracker.capture.mark import Mark

        if self.whole and self.about().warnings:
            return None
        paths = [self.path] if self.whole else self._segments()
        tables = [_parquet().read_table(path, columns=["ticks", "time_s"]) for path in paths]
        read = pa.concat_tables([table.replace_schema_metadata() for table in tables]).slice(0, index + 1)
        faults = sum(int((table.schema.metadata or {}).get(FAULTS, b"0")) for table in tables)
        if faults or read["ticks"].null_count:
            return None
        return Mark(read["ticks"].to_pylist(), read["time_s"].to_pylist())

    def add(self, sights: Sequence[Sight], faults: int = 0) -> None:
        """Keep a segment: on the disk when this returns.

        faults: of the source so far, whatever they were.

        Raises:
            WriteError: it cannot be written.
        """
        write_segment(self.parts / f"{sights[0].index:09d}.parquet", sights, faults)

    def finish(self, about: About, frames: int) -> None:
        """All segments, of so many frames together, become one file.

        Raises:
            WriteError: it cannot be written.
            TrackerError: they hold another number of frames, as when somebody else works on them.
        """
        temporary = self.path.with_suffix(".partial")
        try:
            tables = (_parquet().read_table(path) for path in self._segments())
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _write(temporary, tables, {ABOUT: json.dumps(asdict(about))})
            if (there := _rows(temporary)) != frames:
                temporary.unlink()
                raise TrackerError(
                    f"{self.parts} holds {there} frames in place of {frames}; does another run work on it?"
                )
            os.replace(temporary, self.path)
            shutil.rmtree(self.parts, ignore_errors=True)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise failed(self.path, error) from error

    def __iter__(self) -> Iterator[Sight]:
        """Every frame of the whole spool, in order; a segment at a time is in memory."""
        return self.sights()

    def sights(self, *, pictures: bool = True) -> Iterator[Sight]:
        """The same; with less to be read where nobody wants what the pictures told besides the detections."""
        with _parquet().ParquetFile(self.path) as file:
            for k in range(file.num_row_groups):
                # In this thread: handing a segment's columns to others costs more than reading them.
                yield from sights_of(file.read_row_group(k, None if pictures else DETECTED, use_threads=False))

    def moments(self) -> Moments:
        """Of the whole spool; a segment at a time is in memory."""
        parts = [(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))]
        with _parquet().ParquetFile(self.path) as file:
            for k in range(file.num_row_groups):
                table = file.read_row_group(k, ["index", "time_s", "scores"], use_threads=False)
                sums = [np.nan if one is None else float(one.sum()) for one in lists(table["scores"])]
                parts.append((table["index"].to_numpy(), table["time_s"].to_numpy(), np.array(sums)))
        return Moments(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def about(self) -> About:
        """Of the whole spool."""
        notes: dict[str, Any] = json.loads(_parquet().read_schema(self.path).metadata[ABOUT])
        return About(**notes | {key: tuple(notes[key]) for key in ("class_names", "warnings")})

    def begun_with(self, detector: dict[str, Any]) -> dict[str, Any]:
        """What the detector was when the segments were begun: this one, if that is now. Forgotten when all are there.

        A job that is killed takes what it knew along; what is in the segments must not be gone on with by another.

        Raises:
            WriteError: it cannot be written.
        """
        target = self.parts / "detector.json"
        temporary = target.with_suffix(".partial")
        try:
            with suppress(FileNotFoundError):
                known: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
                return known
            self.parts.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(detector, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except OSError as error:
            raise failed(target, error) from error
        return detector

    def tidy(self) -> None:
        """Take away the segments that a kill left beside the whole spool."""
        shutil.rmtree(self.parts, ignore_errors=True)

    def clear(self) -> None:
        """Forget all."""
        shutil.rmtree(self.parts, ignore_errors=True)
        self.path.unlink(missing_ok=True)
        self.pictures.unlink(missing_ok=True)

    def _segments(self) -> list[Path]:
        """The segments that follow one another from the first frame on."""
        found, next_ = [], 0
        while (path := self.parts / f"{next_:09d}.parquet").is_file():
            found.append(path)
            next_ += SEGMENT
        return found


def write_segment(target: Path, sights: Sequence[Sight], faults: int = 0) -> None:
    """Write a file with these; it is there whole or not at all. Raises WriteError."""
    temporary = target.with_suffix(".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(temporary, [table_of(sights)], {FAULTS: str(faults)})
        os.replace(temporary, target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise failed(target, error) from error


def _parquet() -> Any:
    """The library, from the extra. Raises RequirementError."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise RequirementError("annotate needs pyarrow: pip install 'tracker[annotate]'") from None
    return parquet


def _rows(path: Path) -> int:
    """Rows of a file. Raises TrackerError: it is no Parquet any more."""
    try:
        return int(_parquet().read_metadata(path).num_rows)
    except (OSError, ValueError) as error:
        raise TrackerError(f"{path} cannot be read ({error}); remove it, what it held is detected again") from None


def _write(path: Path, tables: Any, notes: dict[bytes, str]) -> None:
    """Tables as row groups of one file with notes, on the disk."""
    columns = schema().with_metadata(notes)
    with path.open("wb") as file:
        with _parquet().ParquetWriter(file, columns, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table.replace_schema_metadata(columns.metadata))
        file.flush()
        os.fsync(file.fileno())


def failed(path: Path, error: OSError) -> WriteError:
    """The WriteError of what the system said."""
    return WriteError(f"{path} could not be written: {error.strerror or error}")
