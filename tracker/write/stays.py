"""The table of stays: what came, when, where it stood, and when it left. One row a track.

CSV (RFC 4180, UTF-8, with a header) has the columns of `COLUMNS`; what is not known is empty, yes and no are `true` and
`false`. JSON is `{"frames": 240, "began": "2024-01-31T07:00:00" or null, "stays": [...]}`, each stay an object with
the same names, `foot` [x, y] and `box` [x1, y1, x2, y2] in place of the last six, null where CSV is empty.

    id, class_name              of the track; the class that it was seen as most often
    first_seen_s, last_seen_s   first and last sight, seconds from the first frame
    first_seen, last_seen       the same as dates of the world, where the source knows them
    duration_s                  from the first sight to the last; 0 where it was seen once
    sights                      frames in which it was really seen, rather than thought to be there
    gaps, longest_gap_s         times that it was not seen in between; seconds between the two sights around the longest
    arrived, departed           false where it was there in the first frame, and in the last one
    moved                       whether it was in different places, or came nearer; not known of what was seen once
    place                       the ninth of the picture where it usually was: "left top" ... "right bottom"
    foot_x, foot_y              usual middle of its lower edge, pixels (median)
    left, top, right, bottom    usual box, pixels (median)

Pixels are those of the first frame; pictures of another size are taken as scaled to it, as in the annotated video.
"""

from __future__ import annotations

import csv
import io
import json
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.errors import OutputError, WriteError
from tracker.structures import CONFIRMED, Frame, Tracks
from tracker.write.files import PartialFile
from tracker.write.records import class_name
from tracker.write.stamps import moment

SUFFIXES = (".csv", ".json")
COLUMNS = (
    "id", "class_name", "first_seen_s", "last_seen_s", "first_seen", "last_seen", "duration_s", "sights", "gaps",
    "longest_gap_s", "arrived", "departed", "moved", "place", "foot_x", "foot_y", "left", "top", "right", "bottom",
)  # fmt: skip
SAVE_S = 10.0  # a killed process loses the work of these seconds at most ...
SAVE_SHARE = 0.02  # ... unless saving takes more than this share of the time
MOST_KEPT = 512  # boxes a track, evenly over its sights
MOVED = 0.5  # of its own size
OUTERMOST = 0.05  # of the places at either end, not counted: a bad box is no movement
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # and their wide forms
ACROSS, DOWN = ("left", "centre", "right"), ("top", "middle", "bottom")


class StaysWriter:
    """Writes the table when the run ends, and every few seconds what it would be if it ended now.

    A killed process leaves a whole table under the partial name. A track takes about 8 kB, however long it stays.
    """

    def __init__(
        self, path: Path | str, class_names: Sequence[str], *, began: datetime | None = None, overwrite: bool = False,
        save_s: float = SAVE_S,
    ) -> None:  # fmt: skip
        """Create the partial file.

        Args:
            path: final name, ending in .csv or .json.
            class_names: name of each class_id; an id beyond them is `class_<id>`.
            began: the world's time of the first frame, as `StreamInfo.began`.
            overwrite: replace what exists.
            save_s: seconds between two savings, at least.

        Raises:
            OutputError: path exists, cannot be written, or has another ending.
        """
        target = check_suffix(Path(path))
        self._file = PartialFile(target, overwrite=overwrite)
        self._text = _json_of if target.suffix.lower() == ".json" else _csv_of
        self._names, self._began, self._save_s = tuple(class_names), began, save_s
        self._stays: dict[int, Stay] = {}
        self._frames = 0
        self._size: tuple[int, int] | None = None
        self._next_save = 0.0
        self._ended = False

    def write(self, frame: Frame, tracks: Tracks) -> None:
        """Take one frame in. Raises WriteError."""
        if self._ended:
            raise WriteError(f"{self._file.target} is closed; nothing can be written to it any more")
        number, size = self._frames, (frame.width, frame.height)
        self._frames += 1
        self._size = self._size or size
        boxes = tracks.boxes
        if size != self._size:
            boxes = boxes * np.array([self._size[0] / size[0], self._size[1] / size[1]] * 2, np.float32)
        seen = (tracks.state == CONFIRMED) & (tracks.missed_s <= 0)
        rows = zip(tracks.ids.tolist(), tracks.class_ids.tolist(), boxes.tolist(), seen.tolist(), strict=True)
        for ident, class_id, box, sight in rows:
            if sight and ident not in self._stays:
                self._stays[ident] = Stay(number, frame.time_s)
            stay = self._stays.get(ident)
            if stay is not None:
                stay.there = number
                if sight:
                    stay.see(number, frame.time_s, class_id, box)
        if monotonic() >= self._next_save:
            self._save()

    def close(self) -> None:
        """Finish under the final name. Raises WriteError, OutputError."""
        if not self._ended:
            self._save()
            self._file.commit()
            self._ended = True

    def abort(self) -> None:
        """Keep what is known under the partial name; without a frame, no file."""
        if self._ended:
            return
        self._ended = True
        with suppress(WriteError, OutputError):  # what was saved before stays
            if self._frames:
                self._save()
        if self._file.size:
            self._file.keep()
        else:
            self._file.discard()

    def _save(self) -> None:
        """Replace the partial file. Raises WriteError, OutputError."""
        began = monotonic()
        self._file.rewrite(self._text(self._frames, self._began, self._rows()).encode("utf-8", "backslashreplace"))
        done = monotonic()
        self._next_save = done + max(self._save_s, (done - began) / SAVE_SHARE)

    def _rows(self) -> list[dict[str, Any]]:
        """One row a track, in the order of their first sights."""
        size, last = self._size or (1, 1), self._frames - 1
        return [self._row(ident, stay, size, last) for ident, stay in self._stays.items()]

    def _row(self, ident: int, stay: Stay, size: tuple[int, int], last: int) -> dict[str, Any]:
        """What is told of one track."""
        return {
            "id": ident,
            "class_name": class_name(self._names, stay.class_id),
            "first_seen_s": round(stay.first_s, 3),
            "last_seen_s": round(stay.last_s, 3),
            "first_seen": self._date(stay.first_s),
            "last_seen": self._date(stay.last_s),
            "duration_s": round(stay.last_s - stay.first_s, 3),
            "sights": stay.sights,
            "gaps": stay.gaps,
            "longest_gap_s": round(stay.longest_gap_s, 3),
            "arrived": stay.first_frame > 0,
            "departed": stay.there < last,
            **stay.whereabouts(size),
        }

    def _date(self, time_s: float) -> datetime | None:
        """The world's time, if it is known."""
        return None if self._began is None else moment(self._began, time_s)


class Stay:
    """Running figures of one track.

    Attributes:
        first_frame: in which it was seen first, of those written, from 0.
        there: newest frame in which it was seen, or thought to be there.
        first_s, last_s: of the first and the newest sight.
        sights, gaps, longest_gap_s: see the columns.
    """

    __slots__ = (
        "_boxes", "_classes", "_known", "_last", "_step", "first_frame", "first_s", "gaps", "last_s", "longest_gap_s",
        "sights", "there",
    )  # fmt: skip

    def __init__(self, frame: int, time_s: float) -> None:
        """Of a track that is about to be seen for the first time."""
        self.first_frame = self.there = self._last = frame
        self.first_s = self.last_s = time_s
        self.sights = self.gaps = 0
        self.longest_gap_s = 0.0
        self._classes: dict[int, int] = {}
        self._boxes = array("f")
        self._step = 1
        self._known: dict[str, Any] | None = None

    @property
    def class_id(self) -> int:
        """The most frequent one."""
        return max(self._classes, key=lambda class_id: self._classes[class_id])

    def see(self, frame: int, time_s: float, class_id: int, box: Sequence[float]) -> None:
        """One more sight, with its box in pixels."""
        if frame - self._last > 1:
            self.gaps += 1
            self.longest_gap_s = max(self.longest_gap_s, time_s - self.last_s)
        if self.sights % self._step == 0:
            self._boxes.extend(box)
            if len(self._boxes) >= 4 * MOST_KEPT:  # from here on, every other one
                self._boxes = array("f", self._table()[::2].tobytes())
                self._step *= 2
        self.sights += 1
        self._classes[class_id] = self._classes.get(class_id, 0) + 1
        self._last, self.last_s, self._known = frame, time_s, None

    def whereabouts(self, size: tuple[int, int]) -> dict[str, Any]:
        """Where it was, in a picture of `size` (width, height), and whether it moved."""
        if self._known is None:
            (left, top, right, bottom, foot), moved = usual(self._table().astype(np.float64))
            self._known = {
                "moved": moved,
                "place": ninth((left + right) / 2 / size[0], (top + bottom) / 2 / size[1]),
                "foot": [round(foot, 1), round(bottom, 1)],
                "box": [round(edge, 1) for edge in (left, top, right, bottom)],
            }
        return self._known

    def _table(self) -> NDArray[np.float32]:
        """The kept boxes, (N, 4)."""
        return np.frombuffer(self._boxes, np.float32).reshape(-1, 4)


def usual(boxes: NDArray[np.float64]) -> tuple[list[float], bool | None]:
    """Where the boxes (N, 4) xyxy of one object usually are, and whether it moved.

    It did where the span of its edges is more than `MOVED` of the side of a square of its area. Of the edges across
    from each other the calmer one counts: what is hidden in part, now and then, has lost one of them only; what comes
    nearer moves all of them. Of a single box nobody knows: None.

    Returns:
        Medians of left, top, right, bottom, and of the middle of the lower edge; whether it moved.
    """
    middles = (boxes[:, 0] + boxes[:, 2]) / 2
    if len(boxes) == 1:
        return [*boxes[0].tolist(), float(middles[0])], None
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    table = np.column_stack((boxes, middles, np.sqrt(sides.prod(1))))
    low, half, high = np.quantile(table, (OUTERMOST, 0.5, 1 - OUTERMOST), axis=0)
    span = high - low
    return half[:5].tolist(), bool(np.hypot(*np.minimum(span[:2], span[2:4])) > MOVED * half[5])


def ninth(x: float, y: float) -> str:
    """The cell of a 3 x 3 grid, x and y in 0..1 from the upper left corner: "left top", "centre middle"."""
    column, row = (min(max(int(3 * part), 0), 2) for part in (x, y))
    return f"{ACROSS[column]} {DOWN[row]}"


def check_suffix(path: Path) -> Path:
    """The path of a table of stays. Raises OutputError for a name that does not end in .csv or .json."""
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path} cannot be written: stays need a name ending in {' or '.join(SUFFIXES)}")
    return path


def _json_of(frames: int, began: datetime | None, rows: Sequence[Mapping[str, Any]]) -> str:
    """The whole JSON, one line a stay."""
    head = json.dumps({"frames": frames, "began": _iso(began, "T")})[:-1]
    stays = [json.dumps({key: _iso(value, "T") for key, value in row.items()}, ensure_ascii=False) for row in rows]
    return f'{head}, "stays": [\n' + ",\n".join(stays) + ("\n" if stays else "") + "]}\n"


def _csv_of(frames: int, began: datetime | None, rows: Sequence[Mapping[str, Any]]) -> str:
    """The whole CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        cells = dict(zip(COLUMNS[-6:], (*row["foot"], *row["box"]), strict=True))
        cells |= {**row, "class_name": _harmless(row["class_name"])}
        writer.writerow([_cell(cells[column]) for column in COLUMNS])
    return text.getvalue()


def _cell(value: Any) -> Any:
    """As CSV has it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else _iso(value, " ")


def _iso(value: Any, between: str) -> Any:
    """A date as text, without a zone: it may be UTC or the camera's own. All else as it is."""
    return value.replace(tzinfo=None).isoformat(between, "seconds") if isinstance(value, datetime) else value


def _harmless(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name.lstrip(" ").startswith(FORMULA) else name
