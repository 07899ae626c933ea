"""When a picture was taken, from its EXIF block: JPEG, TIFF, PNG and WebP. No other tag is read.

Exif 2.32 (CIPA DC-008-2019), TIFF 6.0, PNG 1.2 `eXIf`, WebP container.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

HEAD_BYTES = 1 << 17
"""Read of a file: EXIF is in front of the picture, but for WebP and some TIFF, which are read whole."""

DATE_TIME, EXIF_IFD = 0x0132, 0x8769
ORIGINAL, DIGITIZED = 0x9003, 0x9004
OFFSET, OFFSET_ORIGINAL, SUBSECOND, SUBSECOND_ORIGINAL = 0x9010, 0x9011, 0x9290, 0x9291
MOST_TAGS = 512


@dataclass(frozen=True)
class Taken:
    """Time of a picture.

    Attributes:
        local: as the camera's clock showed it, without a zone.
        offset_s: of that clock from UTC, seconds, or None where the camera does not say.
        fine: whether it is finer than a second.
    """

    local: datetime
    offset_s: float | None = None
    fine: bool = False

    @property
    def utc(self) -> datetime:
        """The same in UTC; a clock without an offset is taken for UTC."""
        return (self.local - timedelta(seconds=self.offset_s or 0.0)).replace(tzinfo=timezone.utc)


def read_taken(path: Path) -> Taken | None:
    """When the picture was taken, or None where it does not say, or cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(HEAD_BYTES)
            if data[:4] in (b"RIFF", b"II*\0", b"MM\0*"):
                data += file.read()
    except OSError:
        return None
    try:
        return _taken(_tags(_tiff(data)))
    except (struct.error, IndexError, ValueError, OverflowError):
        return None


def _tiff(data: bytes) -> bytes:
    """The TIFF structure with the tags; empty where there is none."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        return data
    if data[:2] == b"\xff\xd8":
        return _of_jpeg(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _of_chunks(data, 8, ">I4s", b"eXIf", trailer=4)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _of_chunks(data, 12, "<4sI", b"EXIF", trailer=0).removeprefix(b"Exif\0\0")
    return b""


def _of_jpeg(data: bytes) -> bytes:
    """From the first APP1 segment that holds it."""
    place = 2
    while data[place] == 0xFF:
        marker, length = struct.unpack_from(">xBH", data, place)
        if marker in (0xD9, 0xDA):  # end, start of the picture
            break
        if marker == 0xE1 and data[place + 4 : place + 10] == b"Exif\0\0":
            return data[place + 10 : place + 2 + length]
        place += 2 + length
    return b""


def _of_chunks(data: bytes, place: int, layout: str, wanted: bytes, trailer: int) -> bytes:
    """From the chunk of that name. `layout`: of a chunk's length and name; `trailer`: bytes behind its content."""
    while place + 8 <= len(data):
        one, other = struct.unpack_from(layout, data, place)
        name, length = (other, one) if isinstance(one, int) else (one, other)
        if name == wanted:
            return data[place + 8 : place + 8 + length]
        place += 8 + length + trailer
        place += place % 2 if not trailer else 0  # RIFF pads to even places
    return b""


def _tags(tiff: bytes) -> dict[int, str]:
    """Text tags of the first directory and of the EXIF directory."""
    if not tiff:
        return {}
    order = "<" if tiff[:2] == b"II" else ">"
    first, pointer = _directory(tiff, struct.unpack_from(f"{order}I", tiff, 4)[0], order)
    return {**first, **(_directory(tiff, pointer, order)[0] if pointer else {})}


def _directory(tiff: bytes, place: int, order: str) -> tuple[dict[int, str], int]:
    """Its text tags, and where the EXIF directory is, 0 for nowhere."""
    texts, pointer = {}, 0
    (count,) = struct.unpack_from(f"{order}H", tiff, place)
    for index in range(min(count, MOST_TAGS)):
        entry = place + 2 + 12 * index
        tag, kind, length = struct.unpack_from(f"{order}HHI", tiff, entry)
        (value,) = struct.unpack_from(f"{order}I", tiff, entry + 8)
        if kind == 2 and length < 64:
            start = entry + 8 if length <= 4 else value
            texts[tag] = tiff[start : start + length].split(b"\0")[0].decode("ascii", "replace").strip()
        elif tag == EXIF_IFD:
            pointer = value
    return texts, pointer


def _taken(tags: dict[int, str]) -> Taken | None:
    """The best of the times that are there. Raises ValueError where it is none, such as 0000:00:00."""
    text = tags.get(ORIGINAL) or tags.get(DIGITIZED) or tags.get(DATE_TIME)
    if not text:
        return None
    local = datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S")
    if not tags.get(ORIGINAL):
        return Taken(local)
    digits = tags.get(SUBSECOND_ORIGINAL) or tags.get(SUBSECOND) or ""
    fine = digits.isdecimal()
    offset = tags.get(OFFSET_ORIGINAL) or tags.get(OFFSET) or ""
    return Taken(
        local + timedelta(seconds=float(f"0.{digits}")) if fine else local, _offset_s(offset) if offset else None, fine
    )


def _offset_s(text: str) -> float | None:
    """`+05:30` -> 19800.0; None where it is no offset."""
    try:
        zone = datetime.strptime(text, "%z").utcoffset()
    except ValueError:
        return None
    return None if zone is None else zone.total_seconds()
