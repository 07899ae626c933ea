"""Times of the pictures of a folder as the world went: EXIF, else dates in their names, else times of the files."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from fractions import Fraction
from itertools import accumulate, groupby, pairwise
from pathlib import Path

import numpy as np

from tracker.capture.exif import Taken, read_taken

ENOUGH = 0.5
"""Share of the pictures that must have a time of a kind for the rest to be placed between them."""

MOST_AT_ONCE = 30
"""Pictures of one moment, on the average; with more, the times are those of something else, such as an edit."""

LEAST_FILE_STEP_S = 2.0
"""Usual seconds between files; less, and they were merely written one after the other, by a copy or a decoder."""

GAP, MOST_GAPS = 3.0, 0.1
"""Usual steps that make a gap; share of steps that may be gaps before there is no usual step."""

MOST_NAMED = 20

LOOKED_AT = 50
"""Pictures that are asked for EXIF at first; where none has it, no other is."""

_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])"
    r"[-_. T]?([01]\d|2[0-3])[-_.:h]?([0-5]\d)[-_.:m]?([0-5]\d)(?:[._-]?(\d{3}))?(?!\d)"
)


@dataclass(frozen=True)
class PictureTimes:
    """Pictures in the order of time.

    Attributes:
        paths: without those that are there twice.
        times_s: seconds from the first one, never decreasing.
        origin: "EXIF", "names", "files", or "rate" where nothing tells and they follow each other at the given rate.
        began: of the first picture; in UTC where the cameras say their zone, else as their clock went. None for "rate".
        warnings: sentences for people.
    """

    paths: tuple[Path, ...]
    times_s: tuple[float, ...]
    origin: str
    began: datetime | None
    warnings: tuple[str, ...]

    @property
    def true_times(self) -> bool:
        """Whether the times are those of the world."""
        return self.origin != "rate"


def picture_times(paths: Sequence[Path], rate: Fraction | float = 25) -> PictureTimes:
    """Times of pictures.

    Args:
        paths: in the order of their names, which places pictures of the same second, and those without a time.
        rate: pictures a second where nothing else is known.
    """
    for origin, find in _ORIGINS:
        moments = find(paths)
        known = [moment for moment in moments if moment is not None]
        if known and ENOUGH * len(paths) <= len(known) <= MOST_AT_ONCE * len(set(known)):
            return _ordered(paths, moments, origin)
    times_s = tuple(float(index / Fraction(rate)) for index in range(len(paths)))
    return PictureTimes(tuple(paths), times_s, "rate", None, ())


def _ordered(paths: Sequence[Path], moments: Sequence[float | None], origin: str) -> PictureTimes:
    """Pictures sorted by their moments."""
    warnings = []
    unknown = [path.name for path, moment in zip(paths, moments, strict=True) if moment is None]
    if unknown:
        warnings.append(f"{_named(unknown)} without a time in {origin}; placed between the neighbours by name")
    filled = _filled(moments)
    order = sorted(range(len(paths)), key=lambda index: (filled[index], index))
    moved = [paths[index].name for place, index in enumerate(order) if place != index]
    if moved:
        warnings.append(f"{_named(moved)} not in the order of the names; the order of time ({origin}) is taken")
    twice = _twice(paths, filled, order)
    if twice:
        warnings.append(f"{_named([paths[index].name for index in sorted(twice)])} there twice; one of each is taken")
    order = [index for index in order if index not in twice]
    began = filled[order[0]]
    times_s = _spread([round(filled[index] - began, 6) for index in order])
    kept = tuple(paths[index] for index in order)
    moment = datetime.fromtimestamp(began, timezone.utc)
    return PictureTimes(kept, tuple(times_s), origin, moment, (*warnings, *_gaps(kept, times_s)))


def _of_exif(paths: Sequence[Path]) -> list[float | None]:
    if not any(read_taken(paths[index]) for index in range(0, len(paths), max(1, len(paths) // LOOKED_AT))):
        return [None] * len(paths)
    taken = [read_taken(path) for path in paths]
    known = [one for one in taken if one is not None]
    zoned = bool(known) and all(one.offset_s is not None for one in known)
    return [None if one is None else _moment(one, zoned) for one in taken]


def _moment(taken: Taken, zoned: bool) -> float:
    """Seconds, comparable with the others: in UTC where all have a zone, else as the clocks went."""
    return (taken.utc if zoned else taken.local.replace(tzinfo=timezone.utc)).timestamp()


def _of_names(paths: Sequence[Path]) -> list[float | None]:
    return [_of_name(path.stem) for path in paths]


def _of_name(name: str) -> float | None:
    """`IMG_20240131_235959`, `2024-01-31 23.59.59`, `cam3-20240131235959123`: the date in it."""
    found = _DATE.search(name)
    if not found:
        return None
    *whole, milliseconds = found.groups()
    try:
        moment = datetime.strptime("".join(whole), "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return moment.timestamp() + int(milliseconds or 0) / 1000


def _of_files(paths: Sequence[Path]) -> list[float | None]:
    """Times of last change, only where they go with the names and are not those of a copy."""
    try:
        seconds = [path.stat().st_mtime for path in paths]
    except OSError:
        return [None] * len(paths)
    steps = [later - earlier for earlier, later in pairwise(seconds)]
    if not steps or min(steps) < 0 or statistics.median(steps) < LEAST_FILE_STEP_S:
        return [None] * len(paths)
    return list(seconds)


_ORIGINS: tuple[tuple[str, Callable[[Sequence[Path]], list[float | None]]], ...] = (
    ("EXIF", _of_exif),
    ("names", _of_names),
    ("files", _of_files),
)


def _filled(moments: Sequence[float | None]) -> list[float]:
    """Those without a moment get one evenly between their neighbours, at the ends that of the neighbour."""
    known = [(index, moment) for index, moment in enumerate(moments) if moment is not None]
    places, values = zip(*known, strict=True)
    return [float(value) for value in np.interp(range(len(moments)), places, values)]


def _twice(paths: Sequence[Path], moments: Sequence[float], order: Sequence[int]) -> set[int]:
    """Places of pictures with the time and the bytes of one before."""
    twice: set[int] = set()
    for _, same in groupby(order, key=lambda index: moments[index]):
        seen: set[bytes] = set()
        members = list(same)
        for index in members if len(members) > 1 else ():
            try:
                data = paths[index].read_bytes()
            except OSError:
                continue
            if data in seen:
                twice.add(index)
            seen.add(data)
    return twice


def _spread(times_s: list[float]) -> list[float]:
    """Pictures of one and the same second, evenly over it; EXIF without fractions gives bursts one time."""
    spread: list[float] = []
    for value, same in groupby(times_s):
        count = len(list(same))
        room = 1.0 if value.is_integer() else 0.0
        spread += [value + room * place / count for place in range(count)]
    return list(accumulate(spread, max))


def _gaps(paths: Sequence[Path], times_s: Sequence[float]) -> list[str]:
    """Where pictures are missing."""
    steps = [later - earlier for earlier, later in pairwise(times_s)]
    if len(steps) < 3:
        return []
    usual = statistics.median(steps)
    long = [index for index, step in enumerate(steps) if step > GAP * usual and step > usual + 1]
    if len(long) > MOST_GAPS * len(steps) + 1:
        return [f"the pictures come irregularly, {min(steps):.3g} to {max(steps):.3g} s apart (median {usual:.3g} s)"]
    said = [
        f"no picture for {steps[i]:.6g} s after '{paths[i].name}' (usual: {usual:.3g} s)" for i in long[:MOST_NAMED]
    ]
    return said + ([f"{len(long) - MOST_NAMED} more gaps"] if len(long) > MOST_NAMED else [])


def _named(names: Sequence[str]) -> str:
    """`3 pictures ('a.jpg', 'b.jpg', 'c.jpg')`, the first ones of many."""
    shown = ", ".join(f"'{name}'" for name in names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
    return f"{len(names)} picture{'s' if len(names) > 1 else ''} ({shown})"
